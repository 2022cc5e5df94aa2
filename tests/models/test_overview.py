"""The task is as stated, the models are of one size, and each reaches as far as the page says."""

import json

import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split
from model_checks import check_model, tokens

from tooling.lessons import metrics

overview = load_snippet("models/overview")
each_model = pytest.mark.parametrize("name", list(overview.MODELS))


@each_model
def test_model_passes_what_every_model_must(name):
    check_model(overview.MODELS[name], tokens(8, 16, overview.SYMBOLS, first=0), torch.arange(8), overview.SYMBOLS)


def test_models_are_of_one_size():
    counts = [sum(p.numel() for p in make().parameters()) for make in overview.MODELS.values()]
    assert max(counts) < 1.1 * min(counts)


@pytest.mark.parametrize(("keep", "least", "most"), [(None, 0.3, 0.7), (10, 0.99, 1.01)])
def test_a_biased_forget_gate_keeps_the_state(keep, least, most):
    torch.manual_seed(0)
    lstm = overview.Recurrent(hidden=20, keep=keep).lstm
    state = torch.full((1, 1, 20), 100.0)
    with torch.no_grad():
        _, (_, cell) = lstm(torch.zeros(1, 1, 20), (torch.zeros(1, 1, 20), state))
    kept = cell / state
    assert least < kept.min() and kept.max() < most


def test_the_answer_is_the_first_symbol():
    x, y = overview.load_data(50, 9, torch.Generator().manual_seed(0))
    assert x.shape == (50, 10) and torch.equal(x[:, 0], y)
    assert set(y.tolist()) <= set(range(overview.SYMBOLS)) and len(set(y.tolist())) > 8
    other, _ = overview.load_data(50, 9, torch.Generator().manual_seed(1))
    assert not torch.equal(x, other)


@pytest.mark.parametrize("distance", [8, 16, 32, 64])  # of two and four steps there are too few sequences
def test_parts_do_not_overlap(distance):
    def part(count, seed):
        return overview.load_data(count, distance, torch.Generator().manual_seed(seed))

    (train, answers), (check, _), (test, _) = part(32 * 400, 0), part(500, 1), part(2000, 2)
    check_split(train, check, test)
    check_balance(answers, dict.fromkeys(range(overview.SYMBOLS), 1 / overview.SYMBOLS), 0.01)


def test_training_validation_and_test_draw_from_different_seeds(monkeypatch):
    seeds, original = [], overview.load_data

    def load_data(count, distance, generator):
        seeds.append(generator.initial_seed())
        return original(count, distance, generator)

    monkeypatch.setattr(overview, "load_data", load_data)
    monkeypatch.setattr(overview, "MODELS", {"CNN": overview.ConvNet})
    overview.recall([14], most=25)
    assert seeds == [0] * 25 + [1, 2]


def test_baseline_recalls_and_learns_from_the_training_part_alone(monkeypatch):
    assert overview.baseline(distance=4, count=800) > 0.99
    seeds, original = [], overview.load_data
    monkeypatch.setattr(overview, "load_data", lambda count, distance, generator: seeds.append(generator.initial_seed()) or original(count, distance, generator))
    overview.baseline(distance=4, count=100, seed=2)
    assert seeds == [6, 8], "those of the networks' training and test"


def depends_on_first(model, length):
    """Return whether the answer at the last position depends on the first symbol."""
    torch.manual_seed(0)
    model.eval()
    x = torch.randint(overview.SYMBOLS, (4, length))
    other = x.clone()
    other[:, 0] = (other[:, 0] + 1) % overview.SYMBOLS
    with torch.no_grad():
        return not torch.equal(model(x), model(other))


@pytest.mark.parametrize("dilated", [False, True])
def test_convolution_reaches_exactly_as_far_as_it_says(dilated):
    torch.manual_seed(0)
    model = overview.ConvNet(dilated=dilated)
    assert model.reach() == (62 if dilated else 10)
    assert depends_on_first(model, model.reach() + 1)
    assert not depends_on_first(model, model.reach() + 2)


@pytest.mark.parametrize("name", ["LSTM", "LSTM, biased", "Transformer"])
def test_recurrence_and_attention_see_the_whole_sequence(name):
    torch.manual_seed(0)
    assert depends_on_first(overview.MODELS[name](), 40)


def test_a_short_distance_is_learned():
    torch.manual_seed(0)
    model = overview.ConvNet()
    steps = overview.train(model, distance=2, most=150)
    assert steps < 150 and overview.evaluate(model, 2, seed=2) > 0.95
    assert overview.evaluate(overview.ConvNet(), 2, seed=2) < 0.2


def test_main_writes_its_results(tmp_path):
    found = overview.main(tmp_path, distances=[2, 14], lengths=[16, 32], most=3, repeats=1)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == found
    assert {path.name for path in tmp_path.glob("*.svg")} == {"recall.svg", "time.svg"}
    assert set(found["recall"]) == set(overview.MODELS)
    assert found["recall"]["CNN"]["14"]["accuracy"] < 0.2  # out of its reach
    assert set(found["step"]["LSTM"]) == {"16_seconds", "32_seconds"}


def test_stored_baseline_recalls_as_the_page_says():
    """From an eighth of the networks' sequences, and with each symbol seen at each place."""
    stored = metrics("models/overview")
    assert stored["most_sequences"] == 8 * 1600
    assert stored["baseline"]["1600"] > 0.99 > stored["baseline"]["400"]
