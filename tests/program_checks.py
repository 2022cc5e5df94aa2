"""What every program that writes metrics must pass, run small.

    check_program(program, run, {"train": Part(2, "accuracy"), "test": Part(3, "accuracy")})

`run(out)` runs its `main` small, with the results in the folder `out`, and returns the metrics. It is run again from other
random numbers and in other batches of evaluation: all must come out the same. Then the labels of one part after the other are
altered, and what moves has to be what is declared.
"""

import contextlib
import fnmatch
import hashlib
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from tooling.lessons import RESULTS, ROOT

FIGURES = ".svg"  # a PNG is of what a live model needs
Run = Callable[[Path], Mapping]
Found = dict[str, object]


class Part(NamedTuple):
    """A part of the data: where its labels are, and which metrics and files move with them, by patterns parted by spaces.

    `labels` is their place in what `load_data` returns, or a function that wraps what it takes into altered ones and gets a
    MonkeyPatch. Nothing else than `must` and `may` moves.
    """

    labels: int | str | Callable[[pytest.MonkeyPatch], None]
    must: str
    may: str = ""


def leaves(metrics: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield the metrics by their path, such as cnn.accuracy."""
    if isinstance(metrics, (Mapping, list, tuple)):
        for key, value in metrics.items() if isinstance(metrics, Mapping) else enumerate(metrics):
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, metrics


def outcome(run: Run, unsteady: str, again: bool = False) -> Found:
    """Run a program; return its metrics by path and its files by name, but for times and what else is never the same.

    The folder of its results is not there yet, nor the one above it; the second run finds it.
    """
    with tempfile.TemporaryDirectory() as root, plt.rc_context({"svg.hashsalt": "0"}), mock.patch.dict(os.environ, {"SOURCE_DATE_EPOCH": "0"}):
        folder = Path(root) / "new" / "results"
        if again:
            folder.mkdir(parents=True)
        returned = run(folder)
        found = dict(leaves(returned))
        metrics = folder / "metrics.json"
        assert metrics.is_file(), "`main` writes no metrics.json"
        told, written = dict(leaves(json.loads(json.dumps(returned, default=float)))), dict(leaves(json.loads(metrics.read_text(encoding="utf-8"))))
        assert not moved(told, written), f"metrics.json is not what `main` returns: {', '.join(sorted(moved(told, written)))}"
        for file in folder.iterdir():
            if file.name != "metrics.json":
                found[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    plt.close("all")
    return {name: value for name, value in found.items() if not matches(name, f"*seconds* {unsteady}")}


def matches(name: str, patterns: str) -> bool:
    """Tell whether one of the patterns, parted by spaces, is that of a name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split())


def moved(before: Found, after: Found) -> set[str]:
    """Return what differs by more than rounding, or is there once only."""
    def alike(one: object, other: object) -> bool:
        numbers = isinstance(one, (float, np.floating)) and isinstance(other, (float, np.floating))
        return bool(np.isclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True)) if numbers else one == other

    return {name for name in before.keys() | after.keys() if name not in before or name not in after or not alike(before[name], after[name])}


def scatter(seed: int) -> None:
    """Begin all random numbers that programs share elsewhere."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextlib.contextmanager
def other_batches(size: int = 7) -> Iterator[None]:
    """Let what is read in order, as evaluation does, come in batches of another size, which divides few counts."""
    begin = DataLoader.__init__

    def changed(loader: DataLoader, dataset: object, batch_size: int = 1, shuffle: bool | None = None, *others, **named) -> None:
        kept = shuffle or others or named.get("sampler") or named.get("batch_sampler")
        begin(loader, dataset, batch_size if kept else size, shuffle, *others, **named)

    with mock.patch.object(DataLoader, "__init__", changed):
        yield


def altered(labels: object) -> object:
    """Return other labels: the last class for most, of texts and tokens the same backward; of (images, labels) the second."""
    if isinstance(labels, TensorDataset):
        return TensorDataset(labels.tensors[0], altered(labels.tensors[1]))
    if isinstance(labels, list) and isinstance(labels[0], (tuple, list)):
        return [type(row)._make(other) if hasattr(row, "_make") else other for row in labels for other in [(*row[:-1], row[-1][::-1])]]
    if isinstance(labels, list):
        return altered(np.array(labels)).tolist()
    # three of four become the last class: also where all get one answer, it is right of another share; and no class is lost
    other = labels + 0
    other[1::4] = other[2::4] = other[3::4] = labels.max()
    return other


def altering(program: ModuleType, place: int | str, patch: pytest.MonkeyPatch) -> None:
    """Let `load_data` return altered labels at a place: a position, a key, or the name of a field."""
    load = program.load_data

    def load_data(*given, **named) -> object:
        data = load(*given, **named)
        if hasattr(data, "_replace"):
            return data._replace(**{place: altered(getattr(data, place))})
        changed = dict(data) if isinstance(data, dict) else list(data)
        if isinstance(data, tuple) and isinstance(data[0], dict):  # the parts, and more
            return {**data[0], place: altered(data[0][place])}, *data[1:]
        changed[place] = altered(data[place])
        return changed

    patch.setattr(program, "load_data", load_data)


def check_program(program: ModuleType, run: Run, parts: Mapping[str, Part] = {}, unsteady: str = "") -> None:
    """Hold a program to its seed, to answers that no batch changes, and to what it measures on which part."""
    scatter(1)
    first = outcome(run, unsteady)
    check_kept(program, first, unsteady)
    check_repeatable(run, first, unsteady)
    for name, part in parts.items():
        check_part(program, run, first, name, part, unsteady)


def check_kept(program: ModuleType, found: Found, unsteady: str = "") -> None:
    """The program draws what is stored for its pages, no less and no more, and keeps what its live model is made of."""
    name = program.__watch__.file.relative_to("snippets").with_suffix("").as_posix()
    made = {file for file in found if file.endswith(FIGURES)}
    stored = {path.name for path in (RESULTS / name).iterdir() if path.name.endswith(FIGURES) and not matches(path.name, unsteady)} if (RESULTS / name).is_dir() else made
    assert made == stored, f"snippets/{name}.py draws {sorted(made)}, docs/results/{name} holds {sorted(stored)}: did it lose one, or are its results older?"
    live = ROOT / "tooling" / "live" / f"{name}.py"
    if live.is_file() and "weights" in live.read_text(encoding="utf-8"):
        assert "weights.pt" in found, f"snippets/{name}.py does not write weights.pt, of which tooling/live/{name}.py makes its live model"


def check_repeatable(run: Run, first: Found, unsteady: str = "") -> None:
    """Another run gives the same, begun with other random numbers, and with its answers taken in other batches."""
    scatter(2)
    with other_batches():
        differ = moved(first, outcome(run, unsteady, again=True))
    if differ:  # which of the two was it?
        scatter(2)
        apart = moved(first, outcome(run, unsteady))
        assert not apart, f"two runs with one seed differ in {', '.join(sorted(apart))}: something draws random numbers before its seed is set"
        raise AssertionError(f"in other batches, evaluation gives other {', '.join(sorted(differ))}: is a mean taken over batches of unequal size?")


def check_part(program: ModuleType, run: Run, first: Found, name: str, part: Part, unsteady: str = "") -> None:
    """With the labels of a part altered, all that must move does, and nothing else but what may."""
    with pytest.MonkeyPatch.context() as patch:
        part.labels(patch) if callable(part.labels) else altering(program, part.labels, patch)
        scatter(1)
        found = moved(first, outcome(run, unsteady))
    for pattern in part.must.split():
        meant = {one for one in first if matches(one, pattern)}
        assert meant, f"no metric or file is called {pattern}"
        assert meant <= found, f"other labels in the part `{name}` leave {', '.join(sorted(meant - found))} as it was: is it measured on another part?"
    extra = {one for one in found if not matches(one, f"{part.must} {part.may}")}
    assert not extra, f"other labels in the part `{name}` change {', '.join(sorted(extra))}, which has nothing to do with them"
