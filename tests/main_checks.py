"""What the `main` of every program must pass, whatever test runs it: the shares that it prints are among the metrics that it returns."""

import contextlib
import functools
import inspect
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import page_checks

from tooling.results import numbers


def watched_main(main: Callable, file: Path) -> Callable:
    """Return a `main` that is held to it. `file` is that of its program."""

    @functools.wraps(main)
    def run(*given, **named) -> object:
        printed = Copy(sys.stdout)
        with contextlib.redirect_stdout(printed):
            found = main(*given, **named)
        if "out" in inspect.signature(main).parameters:
            measured = [number for _, number in numbers(json.loads(json.dumps(found, default=float)))]
            wrong = page_checks.unmeasured(printed.getvalue(), measured)
            assert not wrong, f"{file} prints {', '.join(wrong)}, which is no metric that `main` returns"
        return found

    return run


class Copy(io.StringIO):
    """Keeps what is printed, and prints it."""

    def __init__(self, console: io.TextIOBase):
        super().__init__()
        self.console = console

    def write(self, text: str) -> int:
        """Print a text and keep it."""
        self.console.write(text)
        return super().write(text)
