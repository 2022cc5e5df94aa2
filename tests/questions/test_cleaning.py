"""Cleaning: what is looked for in a table, and what the repairs do."""

import numpy as np
import pytest
from conftest import load_snippet
from data_checks import check_balance, check_rows_are_answered_alone, check_split

cleaning = load_snippet("questions/cleaning")


def test_examine_counts_what_is_wrong():
    table = np.arange(40.0).reshape(10, 4)
    table[:, 1] = 5  # never changes
    table[3] = table[2]  # stands there twice
    table[7, 0], table[8, 3] = cleaning.MISSING, cleaning.MISSING
    found = cleaning.examine(table)
    assert found["rows"] == 10 and found["repeated_rows"] == 1 and found["constant_columns"] == 1
    assert found["complete_rows"] == 8
    assert found["commonest_value"] == 5 and found["times_commonest_value"] == 10
    assert found["far_out_values"] == 2


def test_lose_takes_the_stated_share():
    table = np.ones((1000, 10))
    lost = cleaning.lose(table, 0.1, np.random.default_rng(0))
    assert abs((lost == cleaning.MISSING).mean() - 0.1) < 0.01
    assert (table == 1).all(), "the given table stays as it was"


@pytest.mark.parametrize("seed", range(10))
def test_parts_do_not_overlap_and_are_balanced(seed):
    train, test, labels, test_labels = cleaning.load_data(seed)
    check_split(train, test)
    check_balance(np.concatenate([labels, test_labels]), {0: 212 / 569, 1: 357 / 569}, 0)
    for part in (labels, test_labels):
        check_balance(part, {0: 212 / 569, 1: 357 / 569}, 0.005)


def damaged(seed: int = 0) -> list[np.ndarray]:
    train, test, labels, test_labels = cleaning.load_data(seed)
    random = np.random.default_rng(seed)
    return [cleaning.lose(train, 0.1, random), labels, cleaning.lose(test, 0.1, random), test_labels]


def test_filling_beats_leaving_alone():
    score = {name: repair(*damaged()) for name, repair in cleaning.REPAIRS.items()}
    assert min(score["median"], score["neighbors"]) > score["left alone"] + 0.05
    assert min(score.values()) > 0.6


@pytest.mark.parametrize("name", ["median", "neighbors", "rows dropped"])
def test_repairs_learn_nothing_from_the_test_part(name):
    """A row's answer must not depend on the other rows of the test part."""
    train, labels, test, test_labels = damaged()
    check_rows_are_answered_alone(lambda *rows: cleaning.REPAIRS[name](train, labels, *rows), test[:20], test_labels[:20])


def test_dropping_all_rows_leaves_the_majority():
    train, labels, test, test_labels = damaged()
    train[:, 0] = cleaning.MISSING
    assert cleaning.rows_dropped(train, labels, test, test_labels) == pytest.approx((test_labels == 1).mean())


def test_wrong_labels_hurt_one_neighbor_most():
    fall = {name: cleaning.with_wrong_labels(name, 0.0, 0) - cleaning.with_wrong_labels(name, 0.3, 0) for name in cleaning.LEARNERS}
    assert fall["1 neighbor"] > max(fall["linear"], fall["25 neighbors"]) + 0.05


def test_main(tmp_path):
    metrics = cleaning.main(tmp_path, splits=2)
    assert (tmp_path / "wrong_labels.svg").is_file() and (tmp_path / "metrics.json").is_file()
    assert metrics["damaged_table"]["commonest_value"] == -999
    assert metrics["missing"]["left alone"]["mean"] < metrics["missing"]["undamaged"]["mean"]
