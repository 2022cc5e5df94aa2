"""Each program, run small: it is repeatable, its answers do not depend on batches, and each metric is of the part it says."""

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import load_snippet, loaded
from program_checks import Part, altered, check_program
from torch.utils.data import TensorDataset

from tooling.lessons import snippet_names, snippet_path

# Programs that need no more than other arguments and constants to be small: these, and what is measured on which part.
SMALL: dict[str, tuple[dict, dict, dict[str, Part]]] = {
    "foundations/neuron": ({"steps": 100}, {}, {
        "test": Part(3, "neuron linear network"),
        "train": Part(1, "learning.svg boundaries.svg", may="neuron linear network apart"),
    }),
    "foundations/neuron_exercises": ({"starts": 1, "steps": 20}, {}, {}),
    "foundations/neuron_overfitting": ({"steps": 20}, {}, {
        "test": Part("test", "*.test"),
        "valid": Part("valid", "*.tried.* *.early_stopping.valid", may="*.chosen.* *.test *.train *.step *.svg"),
        "train": Part("few", "*.nothing.train overfitting.svg remedies.svg", may="*"),
    }),
    "foundations/autodiff": ({"steps": 30}, {"scalar_step": lambda *_: None}, {
        "test": Part(3, "tensor.accuracy torch.accuracy"), "train": Part(1, "tensor.accuracy torch.accuracy", may="difference"),
    }),
    "foundations/deep": ({"epochs": 2}, {"RATES": {"SGD": (0.01,), "Adam": (0.003,)}}, {
        "test": Part(2, "residual.accuracy batch?norm.accuracy", may="*.accuracy"),
        "validation": Part(1, "residual.valid residual.tried.0", may="*.valid *.tried.* *.rates_that_train"),
        "train": Part(0, "loss.svg residual.valid residual.accuracy", may="*.valid *.tried.* *.rates_that_train *.accuracy"),
    }),
    "foundations/deep_layers": ({"draws": 1}, {}, {}),
    "language-models/cooccurrence": ({"size": 200_000}, {}, {}),
    "language-models/embeddings": ({"size": 200_000, "epochs": 1}, {"RATES": (0.01,), "SIZE": 8}, {}),
    "language-models/generation": ({"size": 100_000, "steps": 5, "count": 4}, {
        "SIZES": {"vocabulary_size": 256, "hidden_size": 16, "num_layers": 1, "num_heads": 2}, "LENGTH": 40, "PROMPT": 16,
    }, {
        "test": Part("test", "real?text.bits real?text.words", may="*"), "train": Part("train", "real?text.bits real?text.words as?it?is.bits", may="*"),
    }),
    "language-models/generation_speed": ({"size": 100_000, "steps": 5, "wide": 32}, {"SIZES": ((16, 2), (8, 1)), "LENGTH": 40, "PROMPT": 10, "AHEAD": (2,), "bandwidth": lambda: 1e-10, "timed": lambda call: (call(), 0.001)}, {
        "test": Part("test", "*.loss", may="*.same *.tokens?a?pass"), "train": Part("train", "*.loss", may="*.same *.tokens?a?pass"),
    }),
    "language-models/gpt": ({"size": 100_000, "steps": 10}, {"SIZES": {"vocabulary_size": 256, "hidden_size": 16, "num_layers": 1, "num_heads": 2}, "LENGTH": 32}, {
        "test": Part("test", "test nats"), "valid": Part("valid", "valid.* loss.svg"), "train": Part("train", "test nats valid.* weights.pt loss.svg"),
    }),
    "language-models/gpt_baselines": ({"size": 100_000}, {"LONGEST": 3}, {
        "test": Part("test", "ngram unigram fivegram zlib lzma", may="orders.svg"),
        "valid": Part("valid", "valid.* orders.svg", may="order ngram fivegram"),
        "train": Part("train", "ngram unigram fivegram zlib lzma valid.* orders.svg", may="order"),
    }),
    "language-models/gpt_nano": ({"size": 100_000}, {"NANO": (16, 1, 2, 0.0, 16, 4, 5), "OURS": {"quarter": (16, 1, 2, 0.0, 16, 4, 5)}}, {
        "test": Part("test", "*.nats *.test"), "valid": Part("valid", "*.nats"), "train": Part("train", "*.nats *.test"),
    }),
    "language-models/scaling_law": ({}, {"DRAWN": 2, "RANGES": {}}, {}),
    "models/cnn_layers": ({}, {}, {}),
    "models/rnn_cells": ({"steps": 1}, {}, {}),
    "models/transformer_exercises": ({}, {}, {}),
    "models/transformer_layers": ({}, {}, {}),
    "questions/cleaning": ({"splits": 1}, {}, {
        "test": Part(3, "missing.*.mean noise.*.mean", may="wrong_labels.svg"),
        "train": Part(2, "missing.undamaged.mean", may="missing.*.mean noise.*.mean wrong_labels.svg"),
    }),
    "questions/cross_validation": ({"draws": 2}, {}, {"the rest": Part(3, "errors.*.bias", may="errors.*")}),
    "questions/framework": ({"splits": 1}, {}, {"test": Part(3, "*.mean"), "train": Part(2, "*.linear.mean", may="*.mean")}),
    "questions/normalizing": ({"splits": 1}, {}, {
        "test": Part(3, "majority.mean accuracy.*.mean statistics.of?the?t*.mean", may="statistics.*.mean"),
        "train": Part(2, "accuracy.standardized.*.mean", may="majority.mean accuracy.*.mean statistics.*.mean"),
    }),
    "questions/optimizers": ({"epochs": 1, "runs": 1}, {"RATES": [0.1]}, {
        "test": Part(5, "linear *.mean"),
        "validation": Part(3, "*.validation.*", may="*.good_rates rates.svg"),
        "train": Part(1, "linear *.mean", may="*.validation.* *.good_rates rates.svg"),
    }),
    "questions/schedules": ({"epochs": 1, "runs": 1}, {"PEAKS": (0.1,)}, {
        "test": Part(5, "linear *.mean *.loss"), "validation": Part(3, ""), "train": Part(1, "linear *.loss", may="*.mean"),
    }),
    "questions/splitting": ({"repeats": 1}, {}, {
        "the rest": Part(3, "*.true.mean", may="splitting.svg"),
        "the 600": Part(2, "*.true.mean", may="*.claimed.mean splitting.svg"),
    }),
    "trends/membership": ({"runs": 1, "epochs": 2, "steps": 2}, {}, {
        "strangers": Part(3, "*.area.mean *.accuracy.mean", may="*.mean attack.svg"),
        "members": Part(1, "*.area.mean", may="*.mean attack.svg"),
    }),
    "trends/quantization": ({"runs": 1, "epochs": 1}, {"BITS": (8, 2)}, {
        "test": Part(3, "linear *.mean", may="quantization.svg"), "train": Part(1, "linear full.mean", may="*.mean quantization.svg"),
    }),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_program_measures_what_it_says(name, monkeypatch):
    arguments, constants, parts = SMALL[name]
    program = load_snippet(name)
    for constant, value in constants.items():
        monkeypatch.setattr(program, constant, value)
    check_program(program, running(program, **arguments), parts)


def seeded(name: str) -> bool:
    """Tell whether the `main` of a program takes a seed."""
    tree = ast.parse(snippet_path(name).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" and "seed" in [one.arg for one in node.args.args] for node in tree.body)


def test_every_program_with_a_seed_is_run_small():
    missing = set(filter(seeded, snippet_names())) - set(SMALL) - set(loaded(Path(__file__)).split())
    assert not missing, f"no test of tests/test_programs.py runs {', '.join(sorted(missing))} small: hand it to check_program, and say what is measured on which part"


def running(program: ModuleType, **small) -> Callable[[Path], Mapping]:
    """Return what runs a program with small arguments."""
    return lambda out: program.main(out, **small)


def few(program, count: int):
    """Return data of the first `count` images of each part."""
    data = program.load_data(colorings=1)
    return data._replace(**{part: TensorDataset(*getattr(data, part)[:count]) for part in ("train", "valid", "test")})


def test_the_convolutional_network(monkeypatch):
    cnn = load_snippet("models/cnn")
    small = few(cnn, 61)
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


def little(program, monkeypatch) -> None:
    """Let a program of the Transformer have 24 pairs in each part."""
    load = program.load_data

    def load_data(train_days=8000, seed=0):
        pairs, names = load(train_days, seed)
        return {part: some[:24] for part, some in pairs.items()}, names

    monkeypatch.setattr(program, "load_data", load_data)


def test_the_transformer(monkeypatch):
    program = load_snippet("models/transformer")
    little(program, monkeypatch)
    check_program(program, running(program, steps=2, train_days=50), {
        "test": Part("test", "rule.*", may="network.* attention.svg"),
        "validation": Part("validation", ""),
        "train": Part("train", "weights.pt", may="network.* attention.svg"),
    })


def reworded(program, part: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what puts other letters in place of those of a part, z for a, y for b; words stay words."""

    def alter(patch: pytest.MonkeyPatch) -> None:
        load = program.load_data

        def load_data(*given, **named):
            data = load(*given, **named)
            text = data[part]
            return {**data, part: text.where((text < ord("a")) | (text > ord("z")), ord("a") + ord("z") - text)}

        patch.setattr(program, "load_data", load_data)

    return alter


TINY = {"hidden_size": 8, "num_layers": 1, "num_heads": 1}


def test_the_evaluation(monkeypatch):
    program = load_snippet("language-models/evaluation")
    monkeypatch.setattr(program, "SIZES", TINY)
    monkeypatch.setattr(program, "VOCABULARIES", {"bytes": 256, "pieces": 258})
    check_program(program, running(program, size=150_000, steps=5, count=30), {
        "test": Part(reworded(program, "test"), "*.perplexity *.byte blocks.* overlap.* context.svg", may="*"),
        "valid": Part(reworded(program, "valid"), ""),
        "train": Part(reworded(program, "train"), "*.perplexity *.byte blocks.* overlap.* context.svg", may="right.* shortest *"),
    })


def test_the_benchmarks(monkeypatch):
    program = load_snippet("language-models/benchmarks")
    monkeypatch.setattr(program, "SIZES", TINY)
    monkeypatch.setattr(program, "EACH", 10)
    monkeypatch.setattr(program, "intervals", lambda *_: {})
    check_program(program, running(program, size=150_000, steps=4, count=100), {
        "test": Part(reworded(program, "test"), "groups.*.loss", may="*"),
        "valid": Part(reworded(program, "valid"), ""),
        "train": Part(reworded(program, "train"), "groups.*.loss runs.clean.words_2", may="*"),
    })


def test_scaling(monkeypatch):
    program = load_snippet("language-models/scaling")
    small = {
        "SIZES": [program.Size(1, 2 * width) for width in range(1, 9)], "LENGTH": 8, "BATCH": 4, "MEASURED": 2000, "RATES": (0.01, 0.1), "TUNED": ((1, 2), (4, 6)),
        "CHECKED": (3, 5), "FEWER": (6,), "BUDGETS": (1.5e7, 3e7), "FEWEST": 2, "MOST": 60, "STEPS": 7, "SEEDS": 2, "DRAWN": 3, "STARTS": program.STARTS[:1],
    }
    for constant, value in small.items():
        monkeypatch.setattr(program, constant, value)
    check_program(program, running(program, size=100_000), {
        "test": Part(reworded(program, "test"), "sizes.*.loss measured predicted.loss.value predicted.last law.svg profiles.svg", may="noise.* predicted.* law.* exponents.* profiles.*"),
        "valid": Part(reworded(program, "valid"), "tried.*.losses.* check.*", may="*"),
        "train": Part(reworded(program, "train"), "sizes.*.loss measured", may="*"),
    })


def test_the_ablation(monkeypatch):
    program = load_snippet("models/transformer_ablation")
    little(program, monkeypatch)
    monkeypatch.setattr(program, "VARIANTS", ("complete", "one head"))
    check_program(program, running(program, steps=2, train_days=50), {
        "test": Part("test", "*.tokens", may="*.exact"),
        "validation": Part("validation", ""),
        "train": Part("train", "*.loss", may="*.tokens *.exact"),
    })


def test_translation(monkeypatch):
    program = load_snippet("applications/translation")
    check_program(program, running(program, steps=1, share=0.005), {
        "test": Part("test", "exact.memory.*.quantities exact.memory.*.currencies", may="exact.* attention.svg"),
        "validation": Part("validation", ""),
        "train": Part("train", "weights.pt", may="exact.* attention.svg"),
    })


def test_sentiment(monkeypatch):
    sentiment = load_snippet("applications/sentiment")
    small = sentiment.invent(80)
    monkeypatch.setattr(sentiment, "invent", lambda: small)
    compare = sentiment.compare

    def alter(part: int):
        """Alter the labels of the rows to train on, 0, or to test, 1."""
        def compared(data, *given):
            labels = np.array(data.labels)
            labels[given[part]] = altered(labels[given[part]])
            return compare(data._replace(labels=labels.tolist()), *given)

        return lambda patch: patch.setattr(sentiment, "compare", compared)

    check_program(sentiment, running(sentiment, epochs=1), {
        "test": Part(alter(1), "lstm.accuracy bag_of_words.accuracy"),
        "train": Part(alter(0), "reading.svg", may="lstm.accuracy bag_of_words.accuracy weights.pt"),
    })


def test_the_search(monkeypatch):
    search = load_snippet("questions/search")
    load, importance = search.load_data, search.importance
    monkeypatch.setattr(search, "load_data", lambda seed: [part[:120] for part in load(seed)])
    monkeypatch.setattr(search, "importance", lambda seed: importance(seed, trials=3))
    check_program(search, running(search, splits=1), {
        "test": Part(5, "*.mean", may="*.worst"),
        "validation": Part(3, "*.validation settings.svg", may="trials*"),
        "train": Part(1, "defaults.mean settings.svg", may="trials*"),
    })


def test_the_comparison_of_models(monkeypatch):
    overview = load_snippet("models/overview")
    monkeypatch.setattr(overview, "COUNTS", [100])
    monkeypatch.setattr(overview, "MODELS", {name: overview.MODELS[name] for name in ("CNN", "dilated CNN", "LSTM")})
    load = overview.load_data

    def alter(seed: int):
        """Alter the answers to the sequences of a seed: 0 trains, 1 validates, 2 tests."""
        def load_data(count, distance, generator):
            x, y = load(count, distance, generator)
            return x, altered(y) if generator.initial_seed() == seed else y

        return lambda patch: patch.setattr(overview, "load_data", load_data)

    check_program(overview, running(overview, distances=[2], lengths=[16], most=25, repeats=1), {
        "test": Part(alter(2), "recall.*.accuracy baseline.* recall.svg"),
        "validation": Part(alter(1), "", may="recall.*.steps"),
        "train": Part(alter(0), "recall.*.accuracy baseline.* recall.svg", may="recall.*.steps"),
    }, unsteady="time.svg")


def test_the_exercises_on_convolution(monkeypatch):
    exercises = load_snippet("models/cnn_exercises")
    small = [TensorDataset(*part[:103]) for part in exercises.load_data()]
    monkeypatch.setattr(exercises, "load_data", lambda: small)
    check_program(exercises, running(exercises, epochs=1), {
        "test": Part(1, "*.shifted.0 shuffled.* svm", may="*.shifted.*"), "train": Part(0, "svm shuffled.svm", may="*.shifted.* shuffled.*"),
    })


def test_the_exercises_on_recurrence(monkeypatch):
    exercises = load_snippet("models/rnn_exercises")
    small = [part[::20] for part in exercises.load_data()]
    monkeypatch.setattr(exercises, "load_data", lambda shared=False, seed=0: small)
    check_program(exercises, running(exercises, epochs=1), {
        "test": Part(3, "kind.LSTM", may="kind.* order.* ties.accuracy luck.* crops.*"), "train": Part(2, "kind.LSTM", may="kind.* order.* ties.accuracy luck.* crops.*"),
    })
