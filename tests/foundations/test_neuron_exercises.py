"""The answers to the exercises on the first network, and the check that readers use for theirs."""

import json

import numpy as np
import pytest
import torch
from conftest import load_snippet

exercises = load_snippet("foundations/neuron_exercises")


def test_the_step_on_paper_is_that_of_pytorch():
    w, b = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    ((w * torch.tensor([1.0, 2.0]) + b - torch.tensor([3.0, 5.0])) ** 2).mean().backward()
    assert exercises.step() == pytest.approx((-0.1 * w.grad.item(), -0.1 * b.grad.item()))


def test_right_slopes_pass_and_wrong_ones_are_told():
    assert exercises.check(exercises.sigmoid, exercises.sigmoid_slope) == "right"
    assert exercises.check(exercises.relu, exercises.relu_slope) == "right"
    assert exercises.check(np.sin, np.cos) == "right"
    assert exercises.check(exercises.relu, lambda x: 1.0) == "wrong at -3.00: 1.0000, not 0.0000"
    assert exercises.check(exercises.sigmoid, lambda x: float("nan")).startswith("wrong at")


def test_centered_lengths_need_fewer_steps():
    x, y = np.array([3.0, 4, 5, 7]), np.array([1.0, 2, 2, 4])
    (far, many), (near, few) = exercises.steps_needed(x, y), exercises.steps_needed(x - x.mean(), y)
    assert far < near and few < many
    assert near == pytest.approx(1 / max(np.mean((x - x.mean()) ** 2), 1))


@pytest.mark.parametrize(("units", "learned"), [(1, False), (8, True)])
def test_one_unit_cannot_learn_xor_and_eight_do(units, learned):
    assert exercises.learns_xor(units, 0, 400) is learned


def test_main_writes_its_results(tmp_path):
    metrics = exercises.main(tmp_path, starts=1, steps=100)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["step"] == pytest.approx([1.3, 0.8]) and set(metrics["xor"]) == {"1", "2", "3", "4"}
