# --8<-- [start:setup]
"""Search: a grid against random draws, with the same number of trials."""

import argparse
import json
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

# The range of each setting; trials are spread evenly over its logarithm.
RANGES = {"gamma": (1e-6, 1e1), "penalty": (1e-1, 1e4), "components": (4, 64)}


def load_data(seed: int) -> list[np.ndarray]:
    """Return 240 digits for training, 400 for choosing, the rest for the test.

    Of each the principal components, (count, 64), found on the 240, and the labels.
    """
    digits = load_digits()
    images, rest, labels, rest_labels = train_test_split(
        digits.data, digits.target, train_size=240,
        stratify=digits.target, random_state=seed,
    )
    rotate = PCA().fit(images)  # turns the axes: the first hold most of the variance
    images, rest = rotate.transform(images), rotate.transform(rest)
    check, test = slice(400), slice(400, None)
    return [
        images, labels, rest[check], rest_labels[check], rest[test], rest_labels[test]
    ]
# --8<-- [end:setup]


# --8<-- [start:trials]
Setting = dict[str, float]


def place(share: dict[str, float]) -> Setting:
    """Turn shares from 0 to 1 into settings, evenly on a logarithmic scale."""
    return {
        name: float(low * (high / low) ** share[name])
        for name, (low, high) in RANGES.items()
    }


def grid(points: int) -> list[Setting]:
    """Return all combinations of `points` values each: points ** 3 trials."""
    shares = [(2 * point + 1) / (2 * points) for point in range(points)]
    return [place(dict(zip(RANGES, chosen))) for chosen in product(shares, repeat=3)]


def draw_at_random(trials: int, seed: int) -> list[Setting]:
    """Return settings of which each value is drawn on its own."""
    random = np.random.default_rng(seed)
    return [place(dict(zip(RANGES, random.random(3)))) for _ in range(trials)]


def fit(setting: Setting, images: np.ndarray, labels: np.ndarray) -> Callable:
    """Train a support vector machine on the first components of (count, 64).

    Return a function that gives its accuracy on other images and labels.
    """
    kept = round(setting["components"])
    machine = SVC(gamma=setting["gamma"], C=setting["penalty"])
    machine.fit(images[:, :kept], labels)
    return lambda other, other_labels: machine.score(other[:, :kept], other_labels)


def search(trials: list[Setting], seed: int) -> tuple[float, float]:
    """Choose by the validation part; return its accuracy and that on the test part."""
    images, labels, check, check_labels, test, test_labels = load_data(seed)
    accuracies = [fit(setting, images, labels) for setting in trials]
    scores = [accuracy(check, check_labels) for accuracy in accuracies]
    best = int(np.argmax(scores))
    return scores[best], accuracies[best](test, test_labels)
# --8<-- [end:trials]


# --8<-- [start:figure]
def importance(seed: int, trials: int = 100) -> dict[str, list[tuple[float, float]]]:
    """Return (value, validation accuracy) of random trials, setting by setting."""
    images, labels, check, check_labels, *_ = load_data(seed)
    settings = draw_at_random(trials, seed=1000)
    scores = [fit(one, images, labels)(check, check_labels) for one in settings]
    return {
        name: [(one[name], score) for one, score in zip(settings, scores)]
        for name in RANGES
    }


def draw(found: dict, file: Path) -> None:
    """Draw the accuracy of every trial against each of its settings."""
    figure, panels = plt.subplots(1, 3, figsize=(7.5, 2.6), sharey=True)
    for axes, (name, pairs) in zip(panels, found.items()):
        values, scores = zip(*pairs)
        axes.scatter(values, 100 * np.array(scores), s=9, color="#3d85c6")
        axes.set(xscale="log", xlabel=name)
    panels[0].set_ylabel("validation accuracy, %")
    figure.savefig(file)
    plt.close(figure)
# --8<-- [end:figure]


# --8<-- [start:main]
def main(out: Path, seeds: int = 10) -> dict:
    """Compare both searches; write the results into `out` and return them."""
    metrics = {}
    for points in (2, 3):
        trials = points ** 3
        ways = {
            "grid": lambda seed: grid(points),
            "random": lambda seed: draw_at_random(trials, seed),
        }
        for name, way in ways.items():
            pairs = [search(way(seed), seed) for seed in range(seeds)]
            chosen, true = np.array(pairs).T  # (seeds), (seeds)
            value = metrics.setdefault(f"trials_{trials}", {})[name] = {
                "validation": float(chosen.mean()), "mean": float(true.mean()),
                "spread": float(true.std(ddof=1)), "worst": float(true.min()),
            }
            print(f"{trials} trials, {name:6}: validation {value['validation']:.3f}, "
                  f"test {value['mean']:.3f} ± {value['spread']:.3f}, "
                  f"worst {value['worst']:.3f}")
    defaults = []
    for seed in range(seeds):
        images, labels, _, _, test, test_labels = load_data(seed)
        defaults.append(SVC().fit(images, labels).score(test, test_labels))
    metrics["defaults"] = {
        "mean": float(np.mean(defaults)), "spread": float(np.std(defaults, ddof=1))
    }
    print(f"scikit-learn's defaults, no search: test {np.mean(defaults):.3f}")
    out.mkdir(parents=True, exist_ok=True)
    draw(importance(seed=0), out / "settings.svg")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("search-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
