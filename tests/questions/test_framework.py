"""Choosing: three learners on tables and images."""

import numpy as np
import pytest
import torch
from conftest import load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_split, shares
from model_checks import check_model
from torch import nn

framework = load_snippet("questions/framework")


def test_network():
    def make():
        seed = torch.initial_seed()  # `fit` sets its own
        model = framework.Network(epochs=0).fit(*rows(30)).model
        torch.manual_seed(seed)
        return nn.Sequential(*(layer if isinstance(layer, nn.ReLU) else layer.reset_parameters() or layer for layer in model))

    torch.manual_seed(0)
    check_model(make, torch.randn(8, 6), torch.arange(8) % 3, classes=3)


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    return random.normal(size=(count, 6)) + 3 * np.eye(6)[labels], labels


def test_every_learner_learns():
    train, labels = rows(120)
    test, test_labels = rows(60)
    for name, learner in framework.LEARNERS.items():
        assert learner().fit(train, labels).score(test, test_labels) > 0.8, name


def test_network_is_the_same_every_time():
    weights = [nn.utils.parameters_to_vector(framework.Network(epochs=1).fit(*rows(60)).model.parameters()) for _ in range(2)]
    assert torch.equal(*weights)


@pytest.mark.parametrize("name", framework.DATA)
def test_no_row_stands_on_both_sides(name):
    train, test, labels, test_labels = framework.load_data(name, 0)
    assert len(train) == len(labels) and len(test) == len(test_labels)
    check_split(train, test)
    check_balance(test_labels, shares(np.concatenate([labels, test_labels])), 0.01)


def test_columns_are_scaled_by_the_training_part(tmp_path, monkeypatch):
    def scaled(train, test):
        monkeypatch.setattr(framework, "load_data", lambda name, seed: [train[0], test[0], train[1], test[1]])
        return arguments_of(framework.Network, "fit", lambda: framework.main(tmp_path))[0]

    monkeypatch.setattr(framework, "LEARNERS", {"network": framework.Network})
    (train, labels), (other, _) = rows(30), rows(60)
    check_fitted_on_training_part(scaled, (train, labels), (train + 1, labels), (other[30:], labels))


def test_main(tmp_path, monkeypatch):
    monkeypatch.setattr(framework, "DATA", {"wines (13 columns)": framework.load_wine})
    metrics = framework.main(tmp_path, splits=2)
    assert (tmp_path / "metrics.json").is_file()
    assert metrics["wines (13 columns)"]["linear"]["mean"] > metrics["wines (13 columns)"]["majority"]["mean"]
