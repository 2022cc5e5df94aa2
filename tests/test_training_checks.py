"""The checks of training_checks accept a good loop and reject each fault, in words."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LinearLR, OneCycleLR
from torch.utils.data import DataLoader, TensorDataset
from training_checks import check_order, check_padding_is_no_token, check_schedules, check_steps, check_training

NUMBERS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 3


def one_cycle(optimizer, total):
    return OneCycleLR(optimizer, 0.01, total_steps=total)


def fall(optimizer, total):
    return LinearLR(optimizer, 1, 0, total)


def rise_and_fall(optimizer, total):
    return LambdaLR(optimizer, lambda step: min((step + 1) / 2, (total - step) / (total - 1)))


def train(model=None, trained=None, steps=6, total=6, passes=1, kind=torch.optim.AdamW, plan=one_cycle, **options):
    """Train `trained`, else `model`, by an optimizer of the parameters of `model`."""
    model = model or nn.Linear(5, 3)
    optimizer = kind(model.parameters(), lr=0.01, **options)
    schedule = plan(optimizer, total)
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(passes):
            F.cross_entropy((trained or model)(NUMBERS), LABELS).backward()
        optimizer.step()
        schedule.step()


def test_a_good_loop_passes():
    with check_training():
        train()
        train(kind=torch.optim.SGD, momentum=0.9)
        train(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)))
    with check_training(passes=2):
        train(passes=2)


@pytest.mark.parametrize(("fault", "said"), [
    (lambda: train(trained=nn.Linear(5, 3)), "was the model replaced"),
    (lambda: train(model := nn.Linear(5, 3), nn.Sequential(model, nn.Linear(3, 3))), "no optimizer holds"),
    (lambda: train(passes=2), "2 backward passes before one step, not 1"),
    (lambda: train(maximize=True), "goes uphill"),
    (lambda: train(kind=torch.optim.SGD, maximize=True), "goes uphill"),
])
def test_a_bad_step_is_seen(fault, said):
    with pytest.raises(AssertionError, match=said), check_steps():
        fault()


def test_gradients_that_are_given_by_hand_are_no_fault():
    model, copy = nn.Linear(5, 3), nn.Linear(5, 3)
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.1)
    with check_steps():
        F.cross_entropy(model(NUMBERS), LABELS).backward()
        for ours, theirs in zip(copy.parameters(), model.parameters()):
            ours.grad = theirs.grad
        optimizer.step()


@pytest.mark.parametrize("plan", [one_cycle, fall])
@pytest.mark.parametrize("total", [5, 8])
def test_a_schedule_of_other_steps_is_seen(total, plan):
    with pytest.raises(AssertionError, match=f"is made for {total} steps and takes 3"), check_schedules():
        train(steps=3, total=total, plan=plan)


def half_a_cosine(optimizer, total):
    """Down to a tenth."""
    return LambdaLR(optimizer, lambda step: 0.55 + 0.45 * math.cos(math.pi * min(1, step / total)))


@pytest.mark.parametrize(("total", "plan"), [(4, rise_and_fall), (12, rise_and_fall), (12, half_a_cosine)])
def test_a_rule_for_other_steps_is_seen(total, plan):
    with pytest.raises(AssertionError, match="LambdaLR is made for another number of steps than 6"), check_schedules():
        train(total=total, plan=plan)


def test_a_rise_may_end_before_the_training():
    with check_schedules():
        train(plan=fall)
        train(plan=rise_and_fall)
        train(plan=half_a_cosine)
        train(total=3, plan=lambda optimizer, total: LinearLR(optimizer, 0.1, 1, total))


def test_padding_that_is_a_token_is_seen():
    with check_padding_is_no_token():
        nn.utils.rnn.pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
        nn.utils.rnn.pad_sequence([torch.zeros(2, 3), torch.ones(1, 3)])  # numbers, no tokens
        with pytest.raises(AssertionError, match="a real token is taken for padding"):
            nn.utils.rnn.pad_sequence([torch.tensor([1, 0]), torch.tensor([3])], batch_first=True)


def train_by(**named):
    """Train a network on batches of a loader, and evaluate it in between on batches in order."""
    model, data = nn.Linear(5, 3), TensorDataset(NUMBERS, LABELS)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in DataLoader(data, **named):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        for _ in DataLoader(data, batch_size=4):
            pass
    next(iter(DataLoader(data, batch_size=4)))
    optimizer.step()


def test_batches_in_the_same_order_each_time_are_seen():
    with check_order():
        train_by(batch_size=3, shuffle=True)
        train_by(batch_size=8)  # all at once have no order
        train_by(batch_sampler=[[0, 1], [3, 2]])
    with pytest.raises(AssertionError, match="8 samples come in the same order"), check_order():
        train_by(batch_size=3)


def test_a_schedule_that_is_never_taken_a_step_is_seen():
    def rise(optimizer, total):
        schedule = LinearLR(optimizer, 0.1, 1, total)
        schedule.step = lambda: None
        return schedule

    with pytest.raises(AssertionError, match="LinearLR is never taken a step: 6 steps"), check_schedules():
        train(plan=rise)
