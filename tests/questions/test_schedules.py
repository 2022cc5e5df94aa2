"""Schedules: each beside PyTorch's own."""

import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split, shares
from model_checks import check_model
from torch.optim import lr_scheduler

schedules = load_snippet("questions/schedules")

OWN = {
    "constant": lambda optimizer, steps: lr_scheduler.ConstantLR(optimizer, factor=1),
    "step": lambda optimizer, steps: lr_scheduler.MultiStepLR(optimizer, [steps // 2, steps * 3 // 4]),
    "cosine": lambda optimizer, steps: lr_scheduler.CosineAnnealingLR(optimizer, steps),
}


def optimizer_with(rate: float) -> torch.optim.SGD:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


@pytest.mark.parametrize("name", OWN)
def test_schedule_equals_pytorch(name):
    optimizer, steps = optimizer_with(0.5), 40
    own = OWN[name](optimizer, steps)
    for number in range(steps):
        assert 0.5 * schedules.SCHEDULES[name](number / steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-6)
        optimizer.step()
        own.step()


def test_one_cycle_equals_pytorch():
    """PyTorch counts its phases in steps, from 0 to the last; so the longer, the closer."""
    optimizer, steps = optimizer_with(0.5), 2000
    own = lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=steps)
    for number in range(steps):
        assert 0.5 * schedules.one_cycle(number / steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.002)
        optimizer.step()
        if number < steps - 1:
            own.step()


@pytest.mark.parametrize("schedule", schedules.SCHEDULES.values())
def test_rate_lies_between_nothing_and_its_peak(schedule):
    values = [schedule(number / 1000) for number in range(1000)]
    assert 0 < min(values) and max(values) == pytest.approx(1, abs=1e-3)


def test_training_follows_its_schedule():
    """With a rate of zero nothing is learned; so the schedule reaches the optimizer."""
    images, labels, *_ = schedules.load_data()

    def weights(schedule):
        model = schedules.train(schedule, 0.1, images[:64], labels[:64], seed=0, epochs=1)
        return torch.cat([weight.flatten() for weight in model.parameters()])

    assert torch.equal(weights(lambda done: 0.0), weights(lambda done: 0.0))
    assert not torch.allclose(weights(lambda done: 0.0), weights(schedules.constant))


def test_network():
    torch.manual_seed(0)
    nothing = torch.zeros(1, 64), torch.zeros(1, dtype=torch.long)
    check_model(
        lambda: schedules.train(schedules.constant, 0.1, *nothing, seed=torch.initial_seed(), epochs=0),
        torch.rand(8, 64), torch.arange(8), classes=10,
    )


def test_parts_do_not_overlap():
    train, labels, check, check_labels, test, test_labels = schedules.load_data()
    assert [len(train), len(check), len(test)] == [1078, 359, 360]
    check_split(train, check, test)
    for part in (check_labels, test_labels):
        check_balance(part, shares(labels), 0.005)


def test_main(tmp_path, monkeypatch):
    monkeypatch.setattr(schedules, "PEAKS", (0.05,))
    metrics = schedules.main(tmp_path, epochs=1, runs=2)
    assert (tmp_path / "schedules.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["cosine"]["mean"] > 0.7 and metrics["cosine"]["loss"] > 0
