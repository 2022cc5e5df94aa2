# --8<-- [start:setup]
"""Search: a grid against random draws, with the same number of trials."""

import json
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
    """Return 240 digits to train, 400 to choose, the rest to test; labels.

    Of each the principal components, (count, 64), found on the 240.
    """
    digits = load_digits()
    images, rest, labels, rest_labels = train_test_split(
        digits.data, digits.target, train_size=240,
        stratify=digits.target, random_state=seed,
    )
    rotate = PCA().fit(images)  # the first axes hold most of the variance
    images, rest = rotate.transform(images), rotate.transform(rest)
    return [
        images, labels, rest[:400], rest_labels[:400],
        rest[400:], rest_labels[400:],
    ]
# --8<-- [end:setup]


# --8<-- [start:settings]
Setting = dict[str, float]


def place(share: dict[str, float]) -> Setting:
    """Turn shares from 0 to 1 into settings, evenly on a log scale."""
    return {
        name: float(low * (high / low) ** share[name])
        for name, (low, high) in RANGES.items()
    }


def grid(points: int) -> list[Setting]:
    """Return all combinations of `points` values each: points ** 3 trials."""
    shares = [(2 * point + 1) / (2 * points) for point in range(points)]
    return [
        place(dict(zip(RANGES, chosen)))
        for chosen in product(shares, repeat=3)
    ]


def draw_at_random(trials: int, seed: int) -> list[Setting]:
    """Return settings of which each value is drawn on its own."""
    random = np.random.default_rng(seed)
    return [
        place(dict(zip(RANGES, random.random(3)))) for _ in range(trials)
    ]
# --8<-- [end:settings]


# --8<-- [start:trials]
def fit(setting: Setting, images: np.ndarray, labels: np.ndarray) -> Callable:
    """Train a machine on the first components of (count, 64).

    Return a function that gives its accuracy on other images and labels.
    """
    kept = round(setting["components"])
    machine = SVC(gamma=setting["gamma"], C=setting["penalty"])
    machine.fit(images[:, :kept], labels)
    return lambda other, right: machine.score(other[:, :kept], right)


def search(trials: list[Setting], seed: int) -> tuple[float, float]:
    """Choose by the validation part; return the accuracy there and in test."""
    images, labels, check, check_labels, test, test_labels = load_data(seed)
    accuracies = [fit(setting, images, labels) for setting in trials]
    scores = [accuracy(check, check_labels) for accuracy in accuracies]
    best = int(np.argmax(scores))
    return scores[best], accuracies[best](test, test_labels)


def defaults(seed: int) -> float:
    """Return the test accuracy of scikit-learn's settings, unsearched."""
    images, labels, _, _, test, test_labels = load_data(seed)
    return SVC().fit(images, labels).score(test, test_labels)
# --8<-- [end:trials]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, splits: int = 10) -> dict:
    """Compare both searches; write the results into `out`, return them."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + splits)
    metrics = {}
    for points in (2, 3):
        trials = points ** 3
        ways = {
            "grid": lambda _: grid(points),
            "random": lambda seed: draw_at_random(trials, seed),
        }
        for name, way in ways.items():
            pairs = [search(way(one), one) for one in seeds]
            chosen, true = np.array(pairs).T  # (splits,), (splits,)
            value = metrics.setdefault(f"trials_{trials}", {})[name] = {
                "validation": float(chosen.mean()), "mean": float(true.mean()),
                "spread": float(true.std(ddof=1)), "worst": float(true.min()),
            }
            print(f"{trials} trials, {name:6}: "
                  f"validation {value['validation']:.3f}, "
                  f"test {value['mean']:.3f} ± {value['spread']:.3f}, "
                  f"worst {value['worst']:.3f}")
    plain = [defaults(one) for one in seeds]
    metrics["defaults"] = {
        "mean": float(np.mean(plain)), "spread": float(np.std(plain, ddof=1))
    }
    print(f"scikit-learn's defaults, no search: test {np.mean(plain):.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    draw(importance(seeds.start), out / "settings.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
Pairs = list[tuple[float, float]]


def importance(seed: int, trials: int = 100) -> dict[str, Pairs]:
    """Return each setting's values with the validation accuracy of trials."""
    images, labels, check, check_labels, *_ = load_data(seed)
    settings = draw_at_random(trials, seed + 1000)
    scores = [
        fit(one, images, labels)(check, check_labels) for one in settings
    ]
    return {
        name: [(one[name], score) for one, score in zip(settings, scores)]
        for name in RANGES
    }


def draw(found: dict[str, Pairs], file: Path) -> None:
    """Draw the accuracy of every trial against each of its settings."""
    figure, panels = plt.subplots(1, 3, figsize=(7.5, 2.6), sharey=True)
    for axes, (name, pairs) in zip(panels, found.items()):
        values, scores = zip(*pairs)
        axes.scatter(values, 100 * np.array(scores), s=9, color="#3d85c6")
        axes.set(xscale="log", xlabel=name)
    panels[0].set_ylabel("validation accuracy, %")
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
    run(main, "search-results")
# --8<-- [end:run]
