"""Splitting: copies on both sides, groups, and classes that are missing."""

import numpy as np
import pytest
from conftest import load_snippet
from data_checks import check_balance, check_split, shares
from sklearn.datasets import load_digits

splitting = load_snippet("questions/splitting")


def origins(way, monkeypatch) -> tuple[set, set]:
    """Return which digits stand in the training part and in the test part of a split."""
    monkeypatch.setattr(splitting, "copy", lambda images, seed: np.repeat(images, splitting.COPIES, axis=0))
    images = np.arange(200.0).reshape(-1, 1, 1) * np.ones((1, 8, 8))
    train, test, train_labels, test_labels = way(images, np.arange(200) % 10, 0)
    for part, labels in ((train, train_labels), (test, test_labels)):
        assert (part[:, 0, 0] % 10 == labels).all(), "labels belong to their images"
    return set(train[:, 0, 0]), set(test[:, 0, 0])


@pytest.mark.parametrize("name", ["by group", "split first"])
def test_no_digit_stands_on_both_sides(name, monkeypatch):
    train, test = origins(splitting.WAYS[name], monkeypatch)
    check_split(train, test)
    assert len(train | test) == 200 and len(test) == 40


def test_copies_first_leaks(monkeypatch):
    train, test = origins(splitting.copies_first, monkeypatch)
    assert len(test - train) < 0.1 * len(test)


def test_world_is_not_in_the_data():
    images, world, labels, world_labels = splitting.load_data(0)
    assert [len(images), len(world)] == [600, 1197]
    check_split(images, world)
    check_balance(labels, shares(np.concatenate([labels, world_labels])), 0.005)


def test_copies_differ_but_resemble():
    images = splitting.load_data(0)[0][:5]
    copies = splitting.copy(images, 0).reshape(5, splitting.COPIES, 8, 8)
    assert not np.array_equal(copies[:, 0], copies[:, 1])
    assert np.abs(copies.mean(1) - images).mean() < 1.5


def test_only_the_leaking_split_claims_too_much():
    leaking = splitting.measure(splitting.copies_first, 0)
    assert leaking[0] - leaking[1] > 0.01
    honest = [splitting.measure(splitting.split_first, seed) for seed in range(3)]
    assert abs(np.mean([claimed - true for claimed, true in honest])) < 0.02


def test_stratified_split_misses_no_class():
    assert min(splitting.rarest(True, range(20))) >= 5
    assert min(splitting.rarest(False, range(50))) < 3


def test_the_rarest_digit_is_that_of_the_first_300(monkeypatch):
    given = []
    monkeypatch.setattr(splitting, "train_test_split", lambda labels, **named: given.append(labels) or (labels, labels))
    assert splitting.rarest(False, range(2)) == [np.bincount(load_digits().target[:300]).min()] * 2 and len(given[0]) == 300


def test_main(tmp_path):
    metrics = splitting.main(tmp_path, repeats=2)
    assert (tmp_path / "splitting.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["copies first"]["claimed"]["mean"] > metrics["copies first"]["true"]["mean"]
