"""The answers to the exercises on recurrent networks."""

import random

import pytest
import torch
from conftest import load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_split, shares
from model_checks import check_model, tokens
from torch import nn

exercises = load_snippet("models/rnn_exercises")


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_formula_counts_parameters(kind):
    sizes = random.Random(0)
    for _ in range(5):
        size, hidden, layers = sizes.randint(1, 50), sizes.randint(1, 50), sizes.randint(1, 4)
        assert exercises.count(kind, size, hidden, layers) == exercises.counted(kind, size, hidden, layers)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_network(kind):
    check_model(lambda: exercises.Reader(20, kind), tokens(8, 9, 20, padding=0), torch.arange(8), classes=10, padding=0)


def test_names_are_changed_as_said():
    assert exercises.backward("peru") == "urep"
    assert sorted(exercises.shuffled("slovenia")) == sorted("slovenia")
    assert exercises.shuffled("slovenia") == exercises.shuffled("slovenia") != "slovenia"
    assert exercises.changed([["ab"], ["cd"], [0], [1]], exercises.backward) == [["ba"], ["dc"], [0], [1]]


def test_shared_names_stand_in_both_parts_only_if_left_in():
    assert exercises.ties(exercises.load_data()) == 0
    assert exercises.ties(exercises.load_data(shared=True)) > 0.1
    assert exercises.ties([["a", "b"], ["b", "c"], [0, 1], [0, 1]]) == 0.5


def test_parts_do_not_overlap_and_hold_every_language_alike():
    names, test_names, labels, test_labels = exercises.load_data()
    check_split(names, test_names)
    check_balance(test_labels, shares(labels + test_labels), 0.001)


def test_letters_are_those_of_the_training_part():
    def symbols(train, test):
        return arguments_of(exercises, "Reader", lambda: exercises.measure([train, test, [0, 1], [0, 1]], nn.LSTM, 1))[0]

    check_fitted_on_training_part(symbols, ["peru", "kuba"], ["chad", "togo"], ["ägypten", "日本"])


def test_answers(monkeypatch, tmp_path):
    small = exercises.load_data()
    small = [part[:200] for part in small]
    monkeypatch.setattr(exercises, "load_data", lambda shared=False, seed=0: small)
    metrics = exercises.main(tmp_path, epochs=1)
    assert metrics["parameters"] == {"RNN": 223232, "GRU": 669696, "LSTM": 892928}
    assert len(metrics["luck"]) == 5
    assert (tmp_path / "metrics.json").is_file()


def test_shortened_names_are_counted_by_whose_they_are():
    names = ["cabo verde x", "isla", "verde"]
    data, shared = [names, [], [0, 1, 0], []], [names, ["isla", "cabo", "x", "x"], [0, 1, 0], [2, 3, 0, 1]]
    # cabo (of language 3 alone), cabo verde, verde, verde x, x (of 0 and 1)
    assert exercises.crops(data, shared) == {"count": 5, "several": 0.2, "other": 0.2}
