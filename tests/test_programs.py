"""Each program, run small: it is repeatable, its answers do not depend on batches, and each metric is of the part it says."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest
from conftest import load_snippet
from program_checks import Part, check_program
from torch.utils.data import TensorDataset

# Programs that need no more than other arguments to be small.
SMALL = {
    "models/cnn_layers": {},
    "models/rnn_cells": {"steps": 1},
    "models/transformer_layers": {},
    "questions/cleaning": {"splits": 1},
    "questions/cross_validation": {"draws": 2},
    "questions/framework": {"splits": 1},
    "questions/normalizing": {"splits": 1},
    "questions/optimizers": {"epochs": 1, "runs": 1},
    "questions/schedules": {"epochs": 1, "runs": 1},
    "questions/search": {"splits": 1},
    "questions/splitting": {"repeats": 1},
    "trends/membership": {"runs": 1, "epochs": 2, "steps": 2},
    "trends/quantization": {"runs": 1, "epochs": 1},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_program_is_repeatable(name):
    program = load_snippet(name)
    check_program(program, running(program, **SMALL[name]))


def running(program: ModuleType, **small) -> Callable[[Path], Mapping]:
    """Return what runs a program with small arguments."""
    return lambda out: program.main(out, **small)


def few(program, count: int):
    """Return data of the first `count` images of each part."""
    data = program.load_data(colorings=1)
    return data._replace(**{part: TensorDataset(*getattr(data, part)[:count]) for part in ("train", "valid", "test")})


def test_the_convolutional_network(monkeypatch):
    cnn = load_snippet("models/cnn")
    small = few(cnn, 31)
    monkeypatch.setattr(cnn, "RATES", {"SGD": (0.01,), "AdamW": (0.003,)})
    monkeypatch.setattr(cnn, "load_data", lambda seed=0: small)
    check_program(cnn, running(cnn, epochs=1), {
        "test": Part("test", "cnn.accuracy sgd.accuracy linear.accuracy svm.accuracy"),
        "valid": Part("valid", "*.valid", may="*.rate *.accuracy weights.pt *.svg"),
        "train": Part("train", "weights.pt loss.svg", may="*"),
    })


def test_the_recurrent_network(monkeypatch):
    rnn = load_snippet("models/rnn")
    data = rnn.load_data()
    small = rnn.Data(data.train_names[::20], data.test_names[::10], data.train_labels[::20], data.test_labels[::10], 5)
    monkeypatch.setattr(rnn, "load_data", lambda seed=0: small)
    check_program(rnn, running(rnn, epochs=1), {
        "test": Part("test_labels", "lstm.accuracy logistic_regression.accuracy confusion.svg", may="languages.* most_common"),
        "train": Part("train_labels", "weights.pt logistic_regression.accuracy", may="*"),
    })


def test_recognition(tmp_path, monkeypatch):
    recognition = load_snippet("applications/recognition")
    recognition.write_digits(tmp_path)
    data = recognition.load_data(tmp_path)
    small = data._replace(**{part: TensorDataset(*getattr(data, part)[::7]) for part in ("train", "valid", "test")})
    monkeypatch.setattr(recognition, "load_data", lambda folder: small)
    check_program(recognition, running(recognition, folder=tmp_path, epochs=1), {
        "test": Part("test", "cnn.accuracy linear.accuracy svm.accuracy confusion.svg", may="mistakes* most_confused*"),
        "valid": Part("valid", "valid.*", may="chosen cnn.* mistakes* most_confused* weights.pt confusion.svg"),
        "train": Part("train", "weights.pt", may="*"),
    })


def test_the_transformer(monkeypatch):
    program = load_snippet("models/transformer")
    load = program.load_data

    def little(train_days=8000, seed=0):
        pairs, names = load(train_days, seed)
        return {part: some[:24] for part, some in pairs.items()}, names

    monkeypatch.setattr(program, "load_data", little)
    check_program(program, running(program, steps=2, train_days=50), {
        "test": Part("test", "rule.*", may="network.* attention.svg"),
        "validation": Part("validation", ""),
        "train": Part("train", "weights.pt", may="network.* attention.svg"),
    })


def test_sentiment(monkeypatch):
    sentiment = load_snippet("applications/sentiment")
    small = sentiment.invent(80)
    monkeypatch.setattr(sentiment, "invent", lambda: small)
    check_program(sentiment, running(sentiment, epochs=1))
