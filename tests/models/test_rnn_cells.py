"""The recurrent cells from scratch, and how far gradients reach."""

import random

import pytest
import torch
from conftest import load_snippet
from model_checks import check_model
from torch import nn

cells = load_snippet("models/rnn_cells")
SIZES = random.Random(0)


class Unrolled(nn.Module):
    """A cell that runs along the time, and a linear layer that reads its state h at each step."""

    def __init__(self, cell):
        super().__init__()
        self.cell, self.output = cell, nn.Linear(32, 10)

    def forward(self, x):
        return self.output(cells.unroll(self.cell, x))


@pytest.mark.parametrize("name", cells.PAIRS)
def test_cell(name):
    torch.manual_seed(0)
    check_model(lambda: Unrolled(cells.PAIRS[name][0](16, 32)), torch.randn(8, 5, 16), torch.randint(10, (8, 5)), classes=10, causal=True)


@pytest.mark.parametrize("name", cells.PAIRS)
@pytest.mark.parametrize(("batch", "time", "size", "hidden"), [tuple(SIZES.randint(1, 40) for _ in range(4)) for _ in range(6)])
def test_layer_is_that_of_pytorch(name, batch, time, size, hidden):
    torch.manual_seed(batch)
    assert cells.difference(name, batch, time, size, hidden) < 1e-5


@pytest.mark.parametrize(("name", "theirs"), [("RNN", torch.nn.RNNCell), ("LSTM", torch.nn.LSTMCell), ("GRU", torch.nn.GRUCell)])
def test_cell_and_its_gradients_are_those_of_pytorch(name, theirs):
    torch.manual_seed(0)
    ours, theirs = cells.PAIRS[name][0](7, 5), theirs(7, 5)
    ours.load_state_dict(theirs.state_dict())
    x, h, c = torch.randn(3, 7), torch.randn(3, 5), torch.randn(3, 5)
    mine = ours(x, (h, c) if name == "LSTM" else (h,))
    other = theirs(x, (h, c) if name == "LSTM" else h)
    for left, right in zip(mine, other if name == "LSTM" else (other,)):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-5)
    sum(part.sum() for part in mine).backward()
    (sum(part.sum() for part in other) if name == "LSTM" else other.sum()).backward()
    for key, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, getattr(theirs, key).grad, rtol=0, atol=1e-5)


def test_weights_are_drawn_as_by_pytorch():
    torch.manual_seed(0)
    weights = cells.LSTMCell(50, 100).weight_hh
    assert weights.abs().max() <= 0.1 and weights.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)


def test_forget_bias_reaches_the_forget_gate_alone():
    torch.manual_seed(0)
    plain = cells.layer("LSTM", 4, 6)
    torch.manual_seed(0)
    changed = cells.layer("LSTM", 4, 6, forget=3)
    added = changed.bias_hh_l0 - plain.bias_hh_l0
    torch.testing.assert_close(added, torch.tensor([0.0] * 6 + [3.0] * 6 + [0.0] * 12))
    # with an open forget gate and a closed input gate the state stays as it is
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.zero_()
        changed.bias_hh_l0[6:12] = 30
        c = torch.randn(1, 1, 6)
        torch.testing.assert_close(changed(torch.randn(1, 20, 4), (torch.zeros(1, 1, 6), c))[1][1], c)


def test_gradient_is_that_of_a_network_without_nonlinearity():
    """Where the state is near 0, tanh is the identity: the gradient is a power of the weights."""
    layer = cells.layer("RNN", 3, 3)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(1e-6 * torch.eye(3))
        layer.weight_hh_l0.copy_(0.5 * torch.eye(3))
        layer.bias_ih_l0.zero_()
        layer.bias_hh_l0.zero_()
    norms = cells.reach(layer, distance=12)
    torch.testing.assert_close(norms, 0.5 ** torch.arange(13, dtype=torch.float64), rtol=1e-6, atol=0)


def test_gradient_vanishes_and_the_forget_bias_keeps_it():
    torch.manual_seed(0)
    reached = {bias: cells.reach(cells.layer("LSTM", 10, 40, bias), 30)[30] for bias in (0, 1, 3)}
    assert reached[0] < 1e-5 < 100 * reached[0] < reached[1] < reached[3] / 10
    assert cells.reach(cells.layer("RNN", 10, 40), 30)[30] < 1e-4


def test_memory_is_learned_over_a_short_distance_and_not_without_training():
    torch.manual_seed(0)
    assert cells.remember(cells.layer("LSTM", 8, 32), distance=3, steps=200) > 0.9
    assert cells.remember(cells.layer("LSTM", 8, 32), distance=3, steps=0) < 0.4


def test_main_writes_what_the_page_shows(tmp_path):
    metrics = cells.main(tmp_path, steps=1)
    assert (tmp_path / "reach.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert max(metrics["difference"].values()) < 1e-5
    assert list(metrics["reach"]) == list(cells.CASES) == list(metrics["remembered"])
