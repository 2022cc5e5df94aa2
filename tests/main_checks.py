"""What the `main` of every program must pass, whatever test runs it: it prints what it returns.

The shares that it prints are among its metrics, and most of its metrics, but for lists that a figure shows, are printed.
"""

import contextlib
import functools
import inspect
import io
import json
import math
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import page_checks
from sklearn.exceptions import ConvergenceWarning

from tooling.results import numbers

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def watched_main(main: Callable, file: Path) -> Callable:
    """Return a `main` that is held to it. `file` is that of its program."""

    @functools.wraps(main)
    def run(*given, **named) -> object:
        printed = Copy(sys.stdout)
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)  # a baseline that stopped before its end is none
            found = main(*given, **named)
        if "out" in inspect.signature(main).parameters:
            metrics = json.loads(json.dumps(found, default=float))
            wrong = page_checks.unmeasured(printed.getvalue(), [number for _, number in numbers(metrics)])
            assert not wrong, f"{file} prints {', '.join(wrong)}, which is no metric that `main` returns"
            fractions = [number for path, number in numbers(metrics) if "[" not in path and "seconds" not in path and not number.is_integer() and not math.isnan(number)]
            told = [number for number in fractions if forms(number) & set(NUMBER.findall(printed.getvalue()))]
            assert 2 * len(told) >= len(fractions), f"{file} prints {len(told)} of the {len(fractions)} numbers that `main` returns: is a line or a report lost?"
        return found

    return run


def forms(number: float) -> set[str]:
    """Return how a program may write a number, as it is, in percent, as what is left to 1, or in thousands or millions."""
    found = set()
    for value in map(abs, (number, 100 * number, 1 - number, 100 - 100 * number, number / 1e3, number / 1e6)):
        found |= {f"{value:.{digits}f}" for digits in range(5)} | {f"{value:.0e}", f"{value:.1e}", f"{value:,.0f}"}
    return found


class Copy(io.StringIO):
    """Keeps what is printed, and prints it."""

    def __init__(self, console: io.TextIOBase):
        super().__init__()
        self.console = console

    def write(self, text: str) -> int:
        """Print a text and keep it."""
        self.console.write(text)
        return super().write(text)
