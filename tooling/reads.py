"""Which files are read while something is made: what was made holds until one of them changes.

Python tells of every file that is opened and of every folder that is listed; `Path.is_file` is asked to tell too. This
module stays when `mkdocs serve` reads the others anew, for what listens to Python cannot be taken away again.
"""

import contextlib
import functools
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
# What is made, brought by others, or told by a version (see `kept.state`).
OTHERS = {".cache", ".git", ".venv", "node_modules", "site", "__pycache__"}

Reads = dict[tuple[str, str], str]  # how, and what: "file" or "folder" or "is", a path below the root

_open: list[set[tuple[str, str]]] = []
_thread = 0
_prefix = str(ROOT) + os.sep


def _note(how: str, path: object) -> None:
    """Write down a path below the root."""
    if _open and isinstance(path, (str, os.PathLike)) and threading.get_ident() == _thread:
        whole = os.path.abspath(path)
        if whole.startswith(_prefix) and OTHERS.isdisjoint(parts := whole[len(_prefix):].split(os.sep)):
            _open[-1].add((how, "/".join(parts)))


def _listen(event: str, arguments: tuple) -> None:
    """Hear of what Python does."""
    if event == "open":
        _note("file", arguments[0])
    elif event in ("os.listdir", "os.scandir"):
        _note("folder", arguments[0])


sys.addaudithook(_listen)


def _is_file(path: Path, *_, _is_file=Path.is_file) -> bool:
    """Tell whether a path is a file, and write down that it was asked."""
    _note("is", path)
    return _is_file(path)


@contextlib.contextmanager
def recorded() -> Iterator[set[tuple[str, str]]]:
    """Write down what is read meanwhile; within another record, there too."""
    global _thread
    _thread = threading.get_ident()
    _open.append(set())
    try:
        with mock.patch.object(Path, "is_file", _is_file):
            yield _open[-1]
    finally:
        found = _open.pop()
        if _open:
            _open[-1].update(found)


def as_it_is(read: tuple[str, str]) -> str:
    """Return what tells whether a file or folder is as it was read: the hash of a file, the names in a folder."""
    how, name = read
    path = os.path.join(ROOT, name)
    try:
        if how == "is":
            return str(os.path.isfile(path))
        if how == "folder":
            return "\n".join(sorted(set(os.listdir(path)) - OTHERS))
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return "missing"


_lasting: dict[tuple[str, str], object] = {}


def follows(make: Callable[[str], object]) -> Callable[[str], object]:
    """Remember what follows from a text alone, also for a module that `mkdocs serve` reads anew."""

    @functools.wraps(make)
    def remembered(text: str) -> object:
        key = make.__qualname__, text
        if key not in _lasting:
            _lasting[key] = make(text)
        return _lasting[key]

    return remembered


def cached(make: Callable) -> Callable:
    """Remember what a function returns, as functools.cache does, and which files it read: who asks again has read them too."""
    made: dict[tuple, tuple] = {}

    @functools.wraps(make)
    def remembered(*arguments):
        if arguments not in made:
            with recorded() as read:
                made[arguments] = make(*arguments), read
        value, read = made[arguments]
        if _open:
            _open[-1].update(read)
        return value

    remembered.cache_clear = made.clear
    return remembered
