# --8<-- [start:setup]
"""Splitting: how much accuracy copies on both sides of a split pretend."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.neighbors import KNeighborsClassifier

COPIES = 4


def load_data(seed: int) -> list[np.ndarray]:
    """Return 600 digits, (600, 8, 8), that we own, 1,197 of the world; labels."""
    digits = load_digits()
    return train_test_split(
        digits.images, digits.target, train_size=600,
        stratify=digits.target, random_state=seed,
    )


def copy(images: np.ndarray, seed: int) -> np.ndarray:
    """Return four noisy copies of each image: (count, 8, 8) -> (4 count, 8, 8)."""
    copies = np.repeat(images, COPIES, axis=0)
    return copies + np.random.default_rng(seed).normal(0, 1.5, copies.shape)
# --8<-- [end:setup]


# --8<-- [start:ways]
def copies_first(images: np.ndarray, labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Copy (count, 8, 8), then split at random: copies land on both sides."""
    images, labels = copy(images, seed), np.repeat(labels, COPIES)
    return train_test_split(images, labels, test_size=0.2, random_state=seed)


def by_group(images: np.ndarray, labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Copy (count, 8, 8), then split: all copies of one digit stay on one side."""
    groups = np.repeat(np.arange(len(images)), COPIES)
    images, labels = copy(images, seed), np.repeat(labels, COPIES)
    splitter = GroupShuffleSplit(1, test_size=0.2, random_state=seed)
    train, test = next(splitter.split(images, labels, groups))
    return [images[train], images[test], labels[train], labels[test]]


def split_first(images: np.ndarray, labels: np.ndarray, seed: int) -> list[np.ndarray]:
    """Split (count, 8, 8), then copy the training part; the test part stays."""
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return [copy(train, seed), test, np.repeat(train_labels, COPIES), test_labels]


WAYS = {"copies first": copies_first, "by group": by_group, "split first": split_first}
# --8<-- [end:ways]


# --8<-- [start:measure]
def measure(way: Callable, seed: int) -> tuple[float, float]:
    """Return the accuracy that the split claims, and that on the world's digits."""
    images, world, labels, world_labels = load_data(seed)
    train, test, train_labels, test_labels = way(images, labels, seed)
    model = KNeighborsClassifier(1).fit(train.reshape(-1, 64), train_labels)
    return (
        model.score(test.reshape(-1, 64), test_labels),
        model.score(world.reshape(-1, 64), world_labels),
    )


def rarest(stratified: bool, splits: int) -> list[int]:
    """Return how often the rarest digit occurs in each of many test parts of 60."""
    labels = load_digits().target[:300]
    counts = []
    for seed in range(splits):
        _, test = train_test_split(
            labels, test_size=60, stratify=labels if stratified else None,
            random_state=seed,
        )
        counts.append(int(np.bincount(test, minlength=10).min()))
    return counts
# --8<-- [end:measure]


# --8<-- [start:figure]
def draw(metrics: dict, file: Path) -> None:
    """Draw claimed and true accuracy of each way, with the standard deviation."""
    figure, axes = plt.subplots(figsize=(6, 2.6))
    for offset, kind, color in ((-0.2, "claimed", "#e07b39"), (0.2, "true", "#3d85c6")):
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
# --8<-- [end:figure]


# --8<-- [start:main]
def main(out: Path, seeds: int = 10) -> dict:
    """Measure all ways of splitting; write the results into `out` and return them."""
    metrics = {}
    for name, way in WAYS.items():
        pairs = np.array([measure(way, seed) for seed in range(seeds)])  # (seeds, 2)
        metrics[name] = {
            kind: {"mean": float(values.mean()), "spread": float(values.std(ddof=1))}
            for kind, values in zip(("claimed", "true"), pairs.T)
        }
        print(f"{name:13}" + "".join(
            f"  {kind} {value['mean']:.3f} ± {value['spread']:.3f}"
            for kind, value in metrics[name].items()
        ))
    metrics["rarest"] = {}
    for name, stratified in (("plain", False), ("stratified", True)):
        counts = rarest(stratified, splits=200)
        average = float(np.mean(counts))
        metrics["rarest"][name] = {"lowest": min(counts), "mean": average}
        print(f"rarest digit in a {name} test part of 60: {average:.1f} times "
              f"on average, {min(counts)} at worst")
    out.mkdir(parents=True, exist_ok=True)
    draw(metrics, out / "splitting.svg")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("splitting-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
