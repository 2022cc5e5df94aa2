"""From one neuron to a network: the gradients by hand are the true ones, and NumPy's network is PyTorch's."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from data_checks import check_balance, check_split
from model_checks import check_model

neuron = load_snippet("foundations/neuron")


def slope(function, at, move) -> float:
    """Return by how much a function grows for a small move."""
    return (function(at + 1e-6 * move) - function(at - 1e-6 * move)) / 2e-6


# --- two numbers


@pytest.mark.parametrize(("w", "b"), [(0.0, 0.0), (0.5, -0.3), (-2.0, 3.0)])
def test_the_gradient_of_the_line_is_that_of_its_loss(w, b):
    x, y = neuron.load_flowers()
    loss = lambda at: neuron.line_loss(*at, x, y)  # noqa: E731
    expected = [slope(loss, np.array([w, b]), move) for move in np.eye(2)]
    np.testing.assert_allclose(neuron.line_gradient(w, b, x, y), expected, rtol=1e-6)


def test_petals_are_those_of_the_irises():
    x, y = neuron.load_flowers()
    assert x.shape == y.shape == (150,)
    assert (x[0], y[0], x[-1], y[-1]) == (1.4, 0.2, 5.1, 1.8) and x.max() == 6.9 and y.max() == 2.5


def test_the_descent_ends_at_the_line_of_least_squares():
    x, y = neuron.load_flowers()
    path = neuron.descend(x, y, 0.05, 2000)
    assert path.shape == (2001, 2) and (path[0] == 0).all()
    np.testing.assert_allclose(path[-1], np.polyfit(x, y, 1), atol=1e-6)
    losses = [neuron.line_loss(*point, x, y) for point in path]
    assert (np.diff(losses) <= 1e-12).all(), "a step of a good rate goes uphill"


def test_the_largest_rate_parts_what_settles_from_what_runs_away():
    x, y = neuron.load_flowers()
    largest = neuron.largest_rate(x)
    ends = {share: neuron.line_loss(*neuron.descend(x, y, share * largest, 3000)[-1], x, y) for share in (0.99, 1.01)}
    best = neuron.line_loss(*np.polyfit(x, y, 1), x, y)
    assert ends[0.99] < 1.001 * best and ends[1.01] > 1000
    assert neuron.RATES["right"] < largest < neuron.RATES["too large"]


# --- the network


@pytest.mark.parametrize("units", [1, 3, 8])
def test_the_network_by_hand_is_that_of_pytorch(units):
    """The probabilities, the gradients and a hundred steps are the same."""
    torch.manual_seed(units)
    model = neuron.network(units, torch.nn.Tanh)
    numbers = [one.detach().numpy().copy() for one in model.parameters()]
    x, y, *_ = neuron.load_data(units)
    x, y = x[:30], y[:30]
    score = model(torch.tensor(x))
    hidden, probabilities = neuron.forward(numbers, x)
    np.testing.assert_allclose(hidden, model[:2](torch.tensor(x)).detach(), atol=1e-12)
    np.testing.assert_allclose(probabilities, score.sigmoid().detach(), atol=1e-12)
    F.binary_cross_entropy_with_logits(score, torch.tensor(y)).backward()
    found = neuron.backward(numbers, x, y)
    for one, parameter in zip(found, model.parameters(), strict=True):
        assert one.shape == parameter.shape
        np.testing.assert_allclose(one, parameter.grad, atol=1e-12)
    model.zero_grad()
    before = [one.copy() for one in numbers]
    trained = neuron.train_by_hand(numbers, x, y, 0.5, 100)
    assert all((one == other).all() for one, other in zip(numbers, before)), "training by hand changes what it was given"
    neuron.train(model, x, y, 0.5, 100)
    for one, parameter in zip(trained, model.parameters(), strict=True):
        np.testing.assert_allclose(one, parameter.detach(), atol=1e-10)


class TwoScores(torch.nn.Module):
    """A network of one score, made to score both labels, (batch, 2), so that softmax is its sigmoid."""

    def __init__(self):
        super().__init__()
        self.network = neuron.network(8, torch.nn.Tanh).float()

    def forward(self, x):
        score = self.network(x)
        return torch.cat([-score / 2, score / 2], 1)


def test_the_network_learns():
    torch.manual_seed(0)
    check_model(TwoScores, torch.randn(8, 2), torch.arange(8) % 2, classes=2, skip=("learned",))  # Adam's 300 small steps are too few for random labels


def test_moons_are_split_and_balanced():
    x, y, test_x, test_y = neuron.load_data()
    assert x.shape == (200, 2) and test_x.shape == (1000, 2)
    check_split(x, test_x)
    for labels in (y, test_y):
        check_balance(labels[:, 0], {0.0: 0.5, 1.0: 0.5}, 0.1)
    assert x[y[:, 0] == 0, 1].mean() > x[y[:, 0] == 1, 1].mean() + 0.5, "the upper moon has label 0"


def test_training_lowers_the_loss_from_ln_2_on():
    x, y, *_ = neuron.load_data()
    torch.manual_seed(0)
    model = neuron.network(8, torch.nn.Tanh)
    losses = neuron.train(model, x, y, 0.5, 300)
    assert len(losses) == 300 and abs(losses[0] - np.log(2)) < 0.1 and losses[-1] < 0.4


def test_evaluation_counts_what_is_right():
    model = torch.nn.Linear(2, 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 0.0]]))
        model.bias.zero_()
    x = np.array([[1.0, 0], [2, 0], [-1, 0], [3, 0]])
    assert neuron.evaluate(model, x, np.array([[1.0], [1], [0], [0]])) == 0.75


def test_layers_without_an_activation_are_one_neuron():
    torch.manual_seed(0)
    first, _, second = neuron.network(8, torch.nn.Identity)
    x = torch.randn(20, 2).double()
    merged = F.linear(x, second.weight @ first.weight, second.weight @ first.bias + second.bias)
    torch.testing.assert_close(second(first(x)), merged)


def test_main_writes_its_results(tmp_path):
    metrics = neuron.main(tmp_path, steps=100)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.glob("*.svg")} == {"line.svg", "valley.svg", "boundaries.svg", "learning.svg"}
    assert metrics["apart"] < 1e-12 and metrics["points"] == 200 and 0.7 < metrics["network"] <= 1
    x, y = neuron.load_flowers()
    w, b = metrics["line"]["right"]["w"], metrics["line"]["right"]["b"]
    assert metrics["line"]["right"]["loss"] == pytest.approx(np.mean((w * x + b - y) ** 2))
    assert metrics["line"]["best"]["loss"] < metrics["line"]["right"]["loss"] < metrics["line"]["too_small"]["loss"] < metrics["first_loss"] < metrics["line"]["too_large"]["loss"]
