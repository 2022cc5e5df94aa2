"""What the program counts agrees with counting by hand."""

import json

import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens

counting = load_snippet("concepts/counting")


@pytest.mark.parametrize(("make", "x", "y", "classes"), [
    (counting.ConvNet, torch.randn(8, 3, 32, 32), torch.arange(8), 10),
    (counting.LSTMClassifier, tokens(8, 6, 100), torch.arange(8), 10),
    # without a causal mask, as the page says
    (counting.Translator, tokens(8, 10, 200).view(8, 2, 5), tokens(8, 5, 200, seed=1), 200),
], ids=["ConvNet", "LSTMClassifier", "Translator"])
def test_models_pass_what_every_model_must(make, x, y, classes):
    check_model(make, x, y, classes)


def test_multiply_adds_of_the_cnn_are_those_of_its_layers():
    with torch.device("meta"):
        forward, step = counting.multiply_adds(counting.ConvNet(), torch.zeros(1, 3, 32, 32))
    first = 32 * 32 * 32 * 27
    assert forward == first + 64 * 16 * 16 * 288 + 4096 * 128 + 128 * 10
    assert step == 3 * forward - first  # nobody asks for the gradient of the image


@pytest.mark.parametrize("time", [1, 7])
def test_multiply_adds_of_the_lstm_are_those_of_its_gates(time):
    with torch.device("meta"):
        forward, _ = counting.multiply_adds(counting.LSTMClassifier(), torch.zeros(1, time).long())
    assert forward == time * 4 * 256 * (100 + 256 + 256 + 256) + 256 * 10


@pytest.mark.parametrize("mixed", [False, True])
def test_memory_of_a_linear_layer(mixed):
    held = counting.memory(torch.nn.Linear(100, 50), torch.randn(8, 100), mixed)
    numbers, width = 50 * 101, 2 if mixed else 4
    assert held["weights"] == held["gradients"] == width * numbers
    steps = 2 * 4  # Adam counts the steps of each of both tensors
    assert held["optimizer"] == (12 if mixed else 8) * numbers + steps
    assert width * 8 * 100 <= held["activations"] <= 8 * (width * 100 + 10 * 50)


def test_activations_grow_with_the_batch_and_weights_do_not():
    small, large = (counting.memory(counting.ConvNet(), torch.zeros(size, 3, 32, 32)) for size in (4, 8))
    assert large["activations"] > 1.9 * small["activations"]
    assert large["weights"] == small["weights"]


def test_translator_reads_both_sides():
    torch.manual_seed(0)
    model = counting.Translator().eval()
    pairs = torch.randint(200, (3, 2, 5))
    assert model(pairs).shape == (3, 5, 200)
    for side in (0, 1):
        other = pairs.clone()
        other[0, side] = (other[0, side] + 1) % 200
        changed = (model(pairs) - model(other)).abs().amax((1, 2))
        assert changed[0] > 1e-3 and changed[1:].max() < 1e-5


def test_main_writes_its_results(tmp_path):
    metrics = counting.main(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    for found in metrics.values():
        assert found["memory_per_parameter"] == pytest.approx(16, rel=0.001)
        assert found["mixed_per_parameter"] == pytest.approx(16, rel=0.001)
