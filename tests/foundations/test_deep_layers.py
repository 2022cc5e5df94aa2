"""What mends depth is PyTorch's own, and what is measured by layer is what the formulas say."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import check_model
from torch import nn

layers = load_snippet("foundations/deep_layers")
PAIRS = {"batch": (layers.BatchNorm, nn.BatchNorm1d), "layer": (layers.LayerNorm, nn.LayerNorm), "RMS": (layers.RMSNorm, nn.RMSNorm)}
# a normalization alone has too few weights to learn a batch, and none at random; that of the batch mixes samples in training, and needs several
ALONE = ("learned", "seed")
BATCH = (*ALONE, "samples", "one", "modes")


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("seed", range(4))
def test_normalization_is_that_of_pytorch(name, seed):
    """In training and evaluation, forward and backward, with weights that are not 1."""
    torch.manual_seed(seed)
    rows, width = int(torch.randint(2, 9, ())), int(torch.randint(3, 20, ()))
    ours, theirs = (kind(width) for kind in PAIRS[name])
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = torch.randn(rows, width) * 5 + 2
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        result, expected = ours(mine), theirs(other)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
        weights = torch.randn_like(result)
        (result * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-5)
    for parameter, one in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, one.grad, rtol=1e-3, atol=1e-4)
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[key], rtol=1e-4, atol=1e-5)


def test_layer_and_rms_norm_take_any_number_of_dimensions():
    x = torch.randn(2, 3, 4, 8)
    torch.testing.assert_close(layers.LayerNorm(8)(x), nn.LayerNorm(8)(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layers.RMSNorm(8)(x), nn.RMSNorm(8)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(64, 64), (10, 64), (64, 30)])
def test_initialization_is_that_of_pytorch(shape):
    torch.manual_seed(1)
    ours = layers.he(*shape)
    torch.manual_seed(1)
    torch.testing.assert_close(ours, nn.init.kaiming_normal_(torch.empty(shape), nonlinearity="relu"))


@pytest.mark.parametrize("name", PAIRS)
def test_normalization_layers(name):
    torch.manual_seed(0)
    check_model(lambda: PAIRS[name][0](8), torch.randn(8, 8), torch.arange(8), skip=BATCH if name == "batch" else ALONE)


@pytest.mark.parametrize("residual", [False, True])
def test_block(residual):
    torch.manual_seed(0)
    check_model(lambda: layers.Block(16, nn.LayerNorm, residual), torch.randn(8, 16), torch.arange(8))


@pytest.mark.parametrize("name", ["He", "layer norm", "residual, layer norm"])
def test_network(name):
    torch.manual_seed(0)
    options = {"depth": 5} | layers.VARIANTS[name]
    skip = ("first_loss",) if name == "He" else ()  # its first logits are as large as its signal: the loss is above ln 10
    check_model(lambda: layers.Network(**options), torch.randn(8, 64), torch.arange(8), classes=10, skip=skip)


def test_every_network_has_twenty_linear_layers():
    for options in layers.VARIANTS.values():
        model = layers.Network(**options)
        assert sum(isinstance(layer, nn.Linear) for layer in model.modules()) == 20


def test_the_start_of_pytorch_is_the_one_of_the_page():
    """Its variance is 1 / (3n), so that a layer behind a ReLU keeps a sixth of the square."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 40_000)
    assert layer.weight.abs().max() <= 1 / 8 and layer.bias.abs().max() <= 1 / 8
    assert layer.weight.var().item() == pytest.approx(1 / (3 * 64), rel=0.01)
    x = torch.randn(200, 64)
    change = torch.relu(x) @ layer.weight.T
    assert change.square().mean().item() == pytest.approx(x.square().mean().item() / 6, rel=0.02)


def test_signals_follow_the_formulas():
    torch.manual_seed(0)
    x, y = torch.randn(200, 64), torch.randint(10, (200,))

    def mean(key, **options):
        found = [layers.by_layer(layers.Network(**options).double(), x.double(), y)[key] for _ in range(20)]
        return np.exp(np.log(found).mean(0))

    assert len(mean("signal")) == 19
    assert mean("difference")[-1] < 1e-5 and mean("gradient")[0] < 1e-6
    slope = mean("difference")[10:] / mean("difference")[9:-1]
    assert slope.mean() == pytest.approx(math.sqrt(1 / 6), rel=0.1)
    he = mean("signal", he_start=True)
    assert 0.5 < he[-1] / he[0] < 1.5
    grown = mean("signal", he_start=True, residual=True)
    assert grown[-1] / grown[0] == pytest.approx(2**9, rel=0.4)
    assert mean("gradient", norm=nn.BatchNorm1d)[0] > 10


def test_what_is_measured_of_a_network_known_by_hand():
    """Two layers that pass on what is above 0: the numbers follow without a computer."""
    model = layers.Network(depth=3, width=64).double()
    with torch.no_grad():
        for layer in (model.first, model.blocks[0].linear):
            layer.weight.copy_(2 * torch.eye(64))
            layer.bias.zero_()
    x = torch.ones(4, 64).double()
    x[:2] = 3
    found = layers.by_layer(model, x, torch.arange(4))
    assert found["signal"] == pytest.approx([2 * math.sqrt(5), 4 * math.sqrt(5)])
    assert found["difference"] == pytest.approx([1 / math.sqrt(5)] * 2)
    assert found["gradient"] == pytest.approx([2, 1])


def test_what_the_exercises_say():
    torch.manual_seed(0)
    x, layer, norm = torch.randn(40, 64).double(), nn.Linear(64, 64).double(), layers.BatchNorm(64).double()
    weigh = torch.randn(40, 64).double()
    found = []
    for _ in range(2):
        output = norm(layer(x))
        (gradient,) = torch.autograd.grad((output * weigh).sum(), layer.weight)
        found.append((output.detach(), gradient))
        with torch.no_grad():
            layer.weight *= 10
            layer.bias *= 10
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1][1], found[0][1] / 10, rtol=1e-2, atol=1e-2)
    model = layers.Network(residual=True).double()
    with torch.no_grad():
        for block in model.blocks:
            block.linear.weight.zero_()
            block.linear.bias.zero_()
    signal = layers.by_layer(model, x, torch.arange(40) % 10)["signal"]
    assert signal == pytest.approx([signal[0]] * 19)
    model(x).logsumexp(1).sum().backward()
    assert all(block.linear.weight.grad.abs().max() > 0 for block in model.blocks)


def test_main_writes_its_results(tmp_path):
    metrics = layers.main(tmp_path, draws=2)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"by_layer.svg"}
    assert max(metrics["off"].values()) < 1e-5 and set(metrics) == {"off", *layers.VARIANTS}
    assert set(layers.COLORS) <= set(layers.VARIANTS)
