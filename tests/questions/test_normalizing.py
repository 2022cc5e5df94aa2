"""Normalizing: the scales beside scikit-learn's own, and whose statistics they use."""

import numpy as np
import pytest
from conftest import load_snippet
from data_checks import check_balance, check_rows_are_answered_alone, check_split, shares
from sklearn.preprocessing import MinMaxScaler, StandardScaler

normalizing = load_snippet("questions/normalizing")


@pytest.mark.parametrize(("name", "own"), [("standardized", StandardScaler), ("between 0 and 1", MinMaxScaler)])
@pytest.mark.parametrize("seed", range(3))
def test_scales_equal_scikit_learn(name, own, seed):
    random = np.random.default_rng(seed)
    train, test = random.normal(5, 3, (2, 40, 7)) * random.uniform(0.01, 100, 7)
    assert np.allclose(normalizing.SCALES[name](train, test), own().fit(train).transform(test), atol=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_parts_do_not_overlap_and_are_balanced(seed):
    train, test, labels, test_labels = normalizing.load_data(seed)
    check_split(train, test)
    for part in (labels, test_labels):
        check_balance(part, shares(np.concatenate([labels, test_labels])), 0.015)


@pytest.mark.parametrize("name", normalizing.SCALES)
def test_scales_use_the_training_part_alone(name):
    train, test, labels, test_labels = normalizing.load_data(0)
    change = normalizing.SCALES[name]
    model = normalizing.SVC().fit(change(train, train), labels)
    check_rows_are_answered_alone(lambda rows, right: model.score(change(train, rows), right), test, test_labels)


def test_constant_column_does_not_divide_by_zero():
    table = np.ones((5, 2))
    for change in normalizing.SCALES.values():
        assert np.isfinite(change(table, table)).all()


def test_condition_number():
    random = np.random.default_rng(0)
    table = random.normal(size=(20000, 2)) * [1, 10]
    assert normalizing.condition(table) == pytest.approx(100, rel=0.05)


def test_scale_matters_to_distances_and_not_to_trees():
    train, test, labels, test_labels = normalizing.load_data(0)

    def score(learner, scale):
        change = normalizing.SCALES[scale]
        return normalizing.LEARNERS[learner]().fit(change(train, train), labels).score(change(train, test), test_labels)

    assert score("3 nearest neighbors", "standardized") > score("3 nearest neighbors", "as measured") + 0.1
    assert score("decision tree", "standardized") == pytest.approx(score("decision tree", "as measured"), abs=0.04)


def test_statistics_of_a_delivery_destroy_what_is_sought():
    sources = normalizing.whose_statistics(0)
    assert sources["of the training part"] > 0.9 and sources["of each delivery"] < 0.6


def test_main(tmp_path):
    metrics = normalizing.main(tmp_path, splits=2)
    assert (tmp_path / "metrics.json").is_file()
    assert metrics["condition"]["as measured"] > 1000 * metrics["condition"]["standardized"]
