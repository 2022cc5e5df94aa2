"""What the data of every lesson must pass.

    check_split(train, test)                                   no example in both parts
    check_balance(labels, shares)                              the labels are balanced as stated
    check_fitted_on_training_part(fit, train, test, other)     constants come from the training part alone
    check_rows_are_answered_alone(score, rows, labels)         so do the answers of what only gives its accuracy

Each raises an AssertionError that says what is wrong.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import ModuleType
from unittest import mock

import numpy as np
import torch


def identity(example: object) -> Hashable:
    """Return what makes an example: of a text not its case and spaces, of numbers, (...), their values."""
    if isinstance(example, str):
        return " ".join(example.casefold().split())
    if isinstance(example, (torch.Tensor, np.ndarray)):
        array = np.asarray(example)
        return array.shape, array.tobytes()
    if isinstance(example, Mapping):
        return tuple((identity(key), identity(value)) for key, value in example.items())
    return tuple(map(identity, example)) if isinstance(example, (list, tuple)) else example


def check_split(*parts: Sequence, key: Callable[[object], Hashable] = identity) -> None:
    """No two parts share an example, and none is empty. `key` gives the same for examples that count as one."""
    seen: dict[Hashable, int] = {}
    for number, part in enumerate(parts):
        assert len(part), f"part {number} is empty"
        shared = [example for example in part if seen.setdefault(key(example), number) != number]
        assert not shared, f"{len(shared)} of {len(part)} examples of part {number} stand in a part before it, such as {shared[0]!r:.200}"


def shares(labels: Sequence) -> dict:
    """Return the share of each label."""
    return {label: count / len(labels) for label, count in Counter(np.asarray(labels).tolist()).items()}


def check_balance(labels: Sequence, expected: Mapping, tolerance: float) -> None:
    """Each label has its expected share, within a tolerance, and there is no other label."""
    found = shares(labels)
    for label in found.keys() | expected.keys():
        share, stated = found.get(label, 0), expected.get(label, 0)
        assert label in expected and abs(share - stated) <= tolerance, f"{share:.1%} of {len(labels)} labels are {label}, stated is {stated:.1%}"


def check_fitted_on_training_part(fit: Callable[[object, object], object], train: object, test: object, other: object) -> None:
    """`fit(train, test)` returns what is learned: `other` data in place of the test part must not change it.

    In place of the training part it must; else nothing is seen here.
    """
    learned = identity(fit(train, test))
    assert identity(fit(train, other)) == learned, "what is learned depends on the test part"
    assert identity(fit(other, test)) != learned, "nothing is learned from the training part: is this what is fitted?"


def check_rows_are_answered_alone(score: Callable[[object, object], float], rows: Sequence, labels: Sequence) -> None:
    """`score(rows, labels)` is the accuracy on a test part: it must be the mean of those on each row alone."""
    alone = [score(rows[number : number + 1], labels[number : number + 1]) for number in range(len(rows))]
    together = score(rows, labels)
    assert abs(together - np.mean(alone)) < 1e-6, f"right on {np.mean(alone):.1%} of the rows one by one, on {together:.1%} together: the test part is learned from"


class Reached(BaseException):
    """The program has called the function that was waited for."""


def arguments_of(owner: ModuleType | type, name: str, run: Callable[[], object]) -> tuple:
    """Run a program as far as its first call of a function; return what it gives to it."""
    with mock.patch.object(owner, name, side_effect=Reached) as function:
        try:
            run()
        except Reached:
            return function.call_args.args
    raise AssertionError(f"the program never called {name}")
