# --8<-- [start:setup]
"""Splitting: how much accuracy copies on both sides of a split pretend."""

import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy import ndarray
from sklearn.datasets import load_digits
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.neighbors import KNeighborsClassifier

COPIES = 4


def load_data(seed: int) -> list[ndarray]:
    """Return 600 digits to work with, (600, 8, 8), 1,197 others; labels."""
    digits = load_digits()
    return train_test_split(
        digits.images, digits.target, train_size=600,
        stratify=digits.target, random_state=seed,
    )


def copy(images: ndarray, seed: int) -> ndarray:
    """Copy with noise, four times: (count, 8, 8) to (4 count, 8, 8)."""
    copies = np.repeat(images, COPIES, axis=0)
    return copies + np.random.default_rng(seed).normal(0, 1.5, copies.shape)
# --8<-- [end:setup]


# --8<-- [start:ways]
def copies_first(images: ndarray, labels: ndarray, seed: int) -> list[ndarray]:
    """Copy (count, 8, 8), then split at random: copies on both sides."""
    images, labels = copy(images, seed), np.repeat(labels, COPIES)
    return train_test_split(images, labels, test_size=0.2, random_state=seed)


def by_group(images: ndarray, labels: ndarray, seed: int) -> list[ndarray]:
    """Copy (count, 8, 8), then split: copies of a digit stay together."""
    groups = np.repeat(np.arange(len(images)), COPIES)
    images, labels = copy(images, seed), np.repeat(labels, COPIES)
    splitter = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
    train, test = next(splitter.split(images, labels, groups))
    return [images[train], images[test], labels[train], labels[test]]


def split_first(images: ndarray, labels: ndarray, seed: int) -> list[ndarray]:
    """Split (count, 8, 8), then copy the training part alone."""
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    train_labels = np.repeat(train_labels, COPIES)
    return [copy(train, seed), test, train_labels, test_labels]


WAYS = {
    "copies first": copies_first, "by group": by_group,
    "split first": split_first,
}
# --8<-- [end:ways]


# --8<-- [start:measure]
def measure(way: Callable, seed: int) -> tuple[float, float]:
    """Return the accuracy that the split claims, and the true one."""
    images, world, labels, world_labels = load_data(seed)
    train, test, train_labels, test_labels = way(images, labels, seed)
    model = KNeighborsClassifier(1).fit(train.reshape(-1, 64), train_labels)
    return (
        model.score(test.reshape(-1, 64), test_labels),
        model.score(world.reshape(-1, 64), world_labels),
    )


def rarest(stratified: bool, seeds: range) -> list[int]:
    """Return how often the rarest digit occurs in test parts of 60."""
    labels = load_digits().target[:300]
    counts = []
    for seed in seeds:
        _, test = train_test_split(
            labels, test_size=60, stratify=labels if stratified else None,
            random_state=seed,
        )
        counts.append(int(np.bincount(test, minlength=10).min()))
    return counts
# --8<-- [end:measure]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, repeats: int = 10) -> dict:
    """Measure all ways of splitting; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    first = 1000 * seed
    metrics = {"rarest": {}}
    for name, way in WAYS.items():
        pairs = [measure(way, first + one) for one in range(repeats)]
        metrics[name] = {
            kind: {"mean": float(np.mean(values)),
                   "spread": float(np.std(values, ddof=1))}
            for kind, values in zip(("claimed", "true"), zip(*pairs))
        }
        parts = [
            f"  {kind} {value['mean']:.3f} ± {value['spread']:.3f}"
            for kind, value in metrics[name].items()
        ]
        print(f"{name:13}{''.join(parts)}")
    for name, stratified in (("plain", False), ("stratified", True)):
        counts = rarest(stratified, range(first, first + 200))
        average = float(np.mean(counts))
        metrics["rarest"][name] = {"lowest": min(counts), "mean": average}
        print(f"rarest digit in a {name} test part of 60: {average:.1f} times "
              f"on average, {min(counts)} at worst")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    draw(metrics, out / "splitting.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw(metrics: dict, file: Path) -> None:
    """Draw claimed and true accuracy of each way, with the deviation."""
    figure, axes = plt.subplots(figsize=(6, 2.6))
    bars = ((-0.2, "claimed", "#e07b39"), (0.2, "true", "#3d85c6"))
    for offset, kind, color in bars:
        means = [100 * metrics[name][kind]["mean"] for name in WAYS]
        spreads = [100 * metrics[name][kind]["spread"] for name in WAYS]
        places = np.arange(len(WAYS)) + offset
        axes.barh(places, means, 0.38, xerr=spreads, color=color, label=kind)
    axes.set(xlim=(88, 101), xlabel="accuracy in %", yticks=range(len(WAYS)))
    axes.set_yticklabels(WAYS)
    axes.invert_yaxis()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(file)
    plt.close(figure)
# --8<-- [end:figures]


# --8<-- [start:command_line]
# From models/cnn_layers.py, word for word:
import argparse
import contextlib
import inspect
import sys
import types


def run(
    main: types.FunctionType, folder: str, refusals: tuple = (), **more: dict
) -> None:
    """Call `main` with the options of the command line, which it checks.

    `folder` is where results go by default, `more` holds options besides
    --out and --seed. An exception out of `refusals` is told in one line.
    """
    with contextlib.suppress(AttributeError):  # a notebook shows any letter
        sys.stdout.reconfigure(errors="replace")  # and not every console
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=folder, help="folder for the results")
    if "seed" in inspect.signature(main).parameters:
        add("--seed", type=int, default=0, help="of all random numbers")
    for name, settings in more.items():
        add(f"--{name}", **settings)
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    for name, value in vars(options).items():
        least = 0 if name == "seed" else 1
        if isinstance(value, int) and not least <= value < 2**32:
            parser.error(f"--{name} {value}: at least {least}, below 2**32")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        check = options.out / ".writable"
        check.touch()
        check.unlink()
    except OSError as error:
        parser.error(f"--out {options.out}: {error.strerror}")
    before = {path: path.stat().st_mtime_ns for path in options.out.iterdir()}
    try:
        main(**vars(options))
    except refusals as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = [
            path.name for path in sorted(options.out.iterdir())
            if path.stat().st_mtime_ns != before.get(path)
        ]
        files = ", ".join(kept) or "nothing"
        sys.exit(f"\nstopped; kept in {options.out}: {files}")
    print(f"results in {options.out}")
# --8<-- [end:command_line]


# --8<-- [start:run]
if __name__ == "__main__":
    run(main, "splitting-results")
# --8<-- [end:run]
