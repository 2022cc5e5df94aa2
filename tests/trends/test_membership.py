"""Membership inference: the attack, and training that withstands it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from data_checks import check_split
from model_checks import check_model

membership = load_snippet("trends/membership")


def test_network():
    torch.manual_seed(0)
    check_model(lambda: membership.network(torch.initial_seed()), torch.rand(8, 64), torch.arange(8), classes=10)


def test_members_are_no_strangers_and_a_tenth_is_mislabeled():
    from sklearn.datasets import load_digits

    images, labels, strangers, stranger_labels = membership.load_data(0)
    assert [len(images), len(strangers)] == [898, 899]
    check_split(images, strangers)
    truth = {(digit / 16).astype("float32").tobytes(): label for digit, label in zip(load_digits().data, load_digits().target)}
    for part, given in ((images, labels), (strangers, stranger_labels)):
        wrong = [truth[image.numpy().tobytes()] != int(label) for image, label in zip(part, given)]
        assert np.flatnonzero(wrong).tolist() == list(range(0, len(part), 10))


def test_private_step_without_noise_is_clipped_gradient_descent():
    images, labels, *_ = membership.load_data(0)
    images, labels = images[:6] * 20, labels[:6]  # large inputs, so that gradients are clipped
    model = membership.network(3)
    total = [torch.zeros_like(weight) for weight in model.parameters()]
    for image, label in zip(images, labels):
        model.zero_grad()
        F.cross_entropy(model(image[None]), label[None]).backward()
        length = torch.sqrt(sum(weight.grad.pow(2).sum() for weight in model.parameters()))
        assert length > 1
        for one, weight in zip(total, model.parameters()):
            one += weight.grad / length
    private = membership.train_privately(images, labels, seed=3, steps=1, noise=0.0)
    for one, before, after in zip(total, model.parameters(), private.parameters()):
        assert torch.allclose(before - 0.5 * one / 6, after, atol=1e-5)


def test_one_person_moves_the_sum_by_one_at_most():
    """That is what the noise is measured against."""
    images, labels, *_ = membership.load_data(0)

    def moved(count: int) -> torch.Tensor:
        before = torch.cat([weight.flatten() for weight in membership.network(1).parameters()])
        after = membership.train_privately(images[:count] * 50, labels[:count], seed=1, steps=1, noise=0.0)
        after = torch.cat([weight.detach().flatten() for weight in after.parameters()])
        return (before - after) * count / 0.5  # the sum of the clipped gradients

    assert (moved(9) - moved(8)).norm() <= 1 + 1e-3


def test_epsilon():
    assert membership.epsilon(100, 20.0) == pytest.approx(0.125 + 2 * math.sqrt(0.125 * math.log(1e5)))
    assert membership.epsilon(200, 20.0) > membership.epsilon(100, 20.0) > membership.epsilon(100, 40.0)


def test_attack_finds_who_was_learned_by_heart():
    data = membership.load_data(0)
    data = [data[0][:300], data[1][:300], data[2], data[3]]
    by_heart = membership.attack(membership.train(*data[:2], seed=0, epochs=80), data)
    untrained = membership.attack(membership.network(0), data)
    assert by_heart["area_wrong_labels"] > 0.9 and by_heart["area"] > 0.6
    assert abs(untrained["area"] - 0.5) < 0.08


def test_main(tmp_path):
    metrics = membership.main(tmp_path, runs=2, epochs=15, steps=3)
    assert (tmp_path / "attack.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["epsilon"] > 0
    assert metrics["trained to the end"]["accuracy"]["mean"] > 0.8


def test_private_training_is_noisy():
    """With a noise far above all gradients the weights move by it, the more the larger it is."""
    images, labels = torch.rand(32, 64), torch.arange(32) % 10

    def moved(noise):
        model = membership.train_privately(images, labels, seed=0, steps=2, noise=noise)
        return (next(model.parameters()) - next(membership.network(0).parameters())).std().item()

    assert moved(1000.0) > 5 * moved(100.0) > 25 * moved(0.0)
