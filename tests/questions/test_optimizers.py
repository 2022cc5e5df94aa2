"""Optimizers: each rule beside PyTorch's own."""

import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split, shares
from model_checks import check_model

optimizers = load_snippet("questions/optimizers")

OWN = {
    "SGD": lambda weights, rate: torch.optim.SGD(weights, lr=rate),
    "momentum": lambda weights, rate: torch.optim.SGD(weights, lr=rate, momentum=0.9),
    "Adam": lambda weights, rate: torch.optim.Adam(weights, lr=rate),
    "AdamW": lambda weights, rate: torch.optim.AdamW(weights, lr=rate, weight_decay=0.01),
}


@pytest.mark.parametrize("name", optimizers.RULES)
@pytest.mark.parametrize("rate", [0.001, 0.05])
def test_rule_equals_pytorch(name, rate):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 3, generator=generator)
    other = weight.clone().requires_grad_()
    optimizer, memory = OWN[name]([other], rate), {}
    for _ in range(20):
        gradient = torch.randn(5, 3, generator=generator) * 3
        optimizers.RULES[name](weight, gradient, memory, rate)
        other.grad = gradient.clone()
        optimizer.step()
    assert torch.allclose(weight, other, atol=1e-5)


def test_rules_differ():
    ends = []
    for rule in optimizers.RULES.values():
        weight, memory = torch.ones(3), {}
        for _ in range(3):
            rule(weight, torch.tensor([1.0, 0.1, -1.0]), memory, 0.1)
        ends.append(weight)
    assert all(not torch.allclose(ends[i], ends[j]) for i in range(4) for j in range(i))


def test_network():
    torch.manual_seed(0)
    nothing = torch.zeros(1, 64), torch.zeros(1, dtype=torch.long)
    check_model(
        lambda: optimizers.train(optimizers.sgd, 0.1, *nothing, seed=torch.initial_seed(), epochs=0),
        torch.rand(8, 64), torch.arange(8), classes=10,
    )


def test_parts_do_not_overlap():
    train, labels, check, check_labels, test, test_labels = optimizers.load_data()
    assert [len(train), len(check), len(test)] == [1078, 359, 360]
    check_split(train, check, test)
    for part in (check_labels, test_labels):
        check_balance(part, shares(labels), 0.005)


@pytest.mark.parametrize(("name", "rate"), [("SGD", 0.3), ("momentum", 0.1), ("Adam", 0.003), ("AdamW", 0.003)])
def test_training_learns(name, rate):
    images, labels, check, check_labels, _, _ = optimizers.load_data()
    model = optimizers.train(optimizers.RULES[name], rate, images, labels, seed=0, epochs=3)
    assert optimizers.evaluate(model, check, check_labels) > 0.8


def test_main(tmp_path, monkeypatch):
    monkeypatch.setattr(optimizers, "RATES", [0.003, 0.1])
    metrics = optimizers.main(tmp_path, epochs=1, runs=2)
    assert (tmp_path / "rates.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["SGD"]["rate"] == 0.1 and metrics["Adam"]["mean"] > 0.3
