"""Cross-validation: written out beside scikit-learn's, and how it is fooled."""

import numpy as np
import pytest
from conftest import load_snippet
from data_checks import arguments_of, check_balance, check_split, shares
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

cross_validation = load_snippet("questions/cross_validation")


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_equal_scikit_learn(seed, count):
    images, _, labels, _ = cross_validation.load_data(seed)
    model = KNeighborsClassifier(3)
    own = cross_val_score(model, images, labels, cv=StratifiedKFold(count, shuffle=True, random_state=seed)).mean()
    assert cross_validation.folds(model, images, labels, seed, count) == pytest.approx(own)


def test_world_is_not_in_the_data():
    images, world, labels, world_labels = cross_validation.load_data(0)
    assert len(images) == 150 and len(world) == len(world_labels) == 1647
    check_split(images, world)
    check_balance(labels, shares(np.concatenate([labels, world_labels])), 0.005)


def test_coin_flips_fall_on_either_side_alike():
    _, labels = arguments_of(SelectKBest, "fit_transform", lambda: cross_validation.fooled(0, inside=False))
    check_balance(labels, {0: 0.5, 1: 0.5}, 0)


@pytest.mark.parametrize("name", cross_validation.ESTIMATES)
def test_an_estimate_tests_on_no_digit_that_it_trains_on(name):
    class Watched(KNeighborsClassifier):
        def fit(self, x, y):
            self.trained = x
            return super().fit(x, y)

        def score(self, x, y):
            check_split(self.trained, x)
            tested.append(len(x))
            return super().score(x, y)

    tested = []
    images, _, labels, _ = cross_validation.load_data(0)
    cross_validation.ESTIMATES[name](Watched(3), images, labels, 0)
    assert sum(tested) == (30 if name == "held-out fifth" else 150)


def test_folds_are_closer_to_the_truth():
    errors = cross_validation.errors(12)
    assert np.std(errors["10 folds"]) < np.std(errors["held-out fifth"])


def test_choosing_outside_the_folds_invents_a_result():
    assert cross_validation.fooled(0, inside=False) > 0.8
    assert abs(np.mean([cross_validation.fooled(seed, inside=True) for seed in range(4)]) - 0.5) < 0.15


def test_main(tmp_path):
    metrics = cross_validation.main(tmp_path, draws=4)
    assert (tmp_path / "metrics.json").is_file()
    assert set(metrics["errors"]) == set(cross_validation.ESTIMATES)
