"""Each check of data passes what is right, and rejects an example with the fault it is there for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_rows_are_answered_alone, check_split, shares

ROWS = np.arange(24.0).reshape(8, 3)


@pytest.mark.parametrize("parts", [
    (["Peru", "Kuba"], ["Chad"]), (ROWS[:4], ROWS[4:6], ROWS[6:]), (torch.tensor(ROWS[:4]), torch.tensor(ROWS[4:])),
    ([[1, 2], [3]], [[1], [2, 3]]), (["twice", "twice"], ["once"]),
])
def test_separate_parts_pass(parts):
    check_split(*parts)


@pytest.mark.parametrize("parts", [
    (["Peru", "Kuba"], ["Chad", "Peru"]), (["South  Korea"], ["south korea "]), (["Straße"], ["STRASSE"]),
    (ROWS[:4], ROWS[3:]), (ROWS[:4], ROWS[4:6], ROWS[:1]), (torch.tensor(ROWS[:4]), torch.tensor(ROWS[3:])),
    ([[1, 2], [3]], [[3]]), ([("a", "B")], [("A", "b")]),
])
def test_shared_example_is_found(parts):
    with pytest.raises(AssertionError, match="1 of . examples of part . stand in a part before it"):
        check_split(*parts)


def test_key_says_which_examples_count_as_one():
    with pytest.raises(AssertionError, match="such as 15"):
        check_split([1, 2], [3, 15], key=lambda number: number % 13)


def test_empty_part_is_found():
    with pytest.raises(AssertionError, match="part 1 is empty"):
        check_split(["a"], [])


@pytest.mark.parametrize("labels", [[0, 1, 1, 1], np.array([0, 1, 1, 1]), torch.tensor([0, 1, 1, 1])])
def test_balance(labels):
    assert shares(labels) == {0: 0.25, 1: 0.75}
    check_balance(labels, {0: 0.3, 1: 0.7}, 0.06)
    with pytest.raises(AssertionError, match="stated is"):
        check_balance(labels, {0: 0.3, 1: 0.7}, 0.04)


@pytest.mark.parametrize("expected", [{0: 0.25}, {0: 0.25, 1: 0.75, 2: 0.01}, {0: 0.75, 1: 0.25}])
def test_missing_and_unknown_labels_are_found(expected):
    with pytest.raises(AssertionError, match="labels are"):
        check_balance([0, 1, 1, 1], expected, 0.0)


def test_constants_of_the_training_part_pass():
    check_fitted_on_training_part(lambda train, test: train.mean(0), ROWS[:3], ROWS[3:5], ROWS[5:])
    check_fitted_on_training_part(lambda train, test: {word: 1 for word in train}, ["a"], ["b"], ["c"])


@pytest.mark.parametrize(("fit", "fault"), [
    (lambda train, test: np.concatenate([train, test]).mean(0), "depends on the test part"),
    (lambda train, test: sorted(set(train.flat) | set(test.flat)), "depends on the test part"),
    (lambda train, test: test.std(0), "depends on the test part"),
    (lambda train, test: 16, "nothing is learned"),
])
def test_constants_of_the_test_part_are_found(fit, fault):
    with pytest.raises(AssertionError, match=fault):
        check_fitted_on_training_part(fit, ROWS[:3], ROWS[3:5], ROWS[5:])


def test_answers_of_the_training_part_pass():
    check_rows_are_answered_alone(lambda rows, labels: np.mean((rows[:, 0] > 9) == labels), ROWS, np.arange(8) % 2)


@pytest.mark.parametrize("fit", [np.mean, np.median, np.max])
def test_answers_that_need_company_are_found(fit):
    with pytest.raises(AssertionError, match="the test part is learned from"):
        check_rows_are_answered_alone(lambda rows, labels: np.mean((rows[:, 0] >= fit(rows[:, 0])) == labels), ROWS, np.arange(8) > 3)


def test_arguments_are_those_of_the_first_call():
    program = SimpleNamespace(fit=lambda *_: pytest.fail("the program goes on"))
    assert arguments_of(program, "fit", lambda: [program.fit(number) for number in (3, 4)]) == (3,)
    with pytest.raises(AssertionError, match="never called fit"):
        arguments_of(program, "fit", lambda: None)
