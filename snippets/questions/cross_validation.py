# --8<-- [start:setup]
"""Cross-validation: how far off an estimate is, and how it can be fooled."""

import json
from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline


def load_data(seed: int) -> list[np.ndarray]:
    """Return 150 digits to work with, (150, 64), 1,647 others; labels."""
    digits = load_digits()
    return train_test_split(
        digits.data, digits.target, train_size=150,
        stratify=digits.target, random_state=seed,
    )
# --8<-- [end:setup]


# --8<-- [start:estimates]
def held_out(
    model: ClassifierMixin, images: np.ndarray, labels: np.ndarray, seed: int
) -> float:
    """Estimate the accuracy from a fifth of the images, (count, 64)."""
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return model.fit(train, train_labels).score(test, test_labels)


def folds(
    model: ClassifierMixin, images: np.ndarray, labels: np.ndarray, seed: int,
    count: int,
) -> float:
    """Estimate the accuracy on (rows, 64) by cross-validation.

    Each of `count` parts is the test part once; the others train.
    """
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    scores = []
    for train, test in splitter.split(images, labels):
        model.fit(images[train], labels[train])
        scores.append(model.score(images[test], labels[test]))
    return float(np.mean(scores))


ESTIMATES = {
    "held-out fifth": held_out,
    "5 folds": lambda *given: folds(*given, count=5),
    "10 folds": lambda *given: folds(*given, count=10),
}


def errors(draws: int, first: int = 0) -> dict[str, list[float]]:
    """Return estimate minus truth of each way, for many draws of 150 digits.

    The truth is the accuracy, on the rest, of a model trained on all 150.
    """
    found = {name: [] for name in ESTIMATES}
    model = KNeighborsClassifier(3)
    for seed in range(first, first + draws):
        images, world, labels, world_labels = load_data(seed)
        truth = model.fit(images, labels).score(world, world_labels)
        for name, estimate in ESTIMATES.items():
            found[name].append(estimate(model, images, labels, seed) - truth)
    return found
# --8<-- [end:estimates]


# --8<-- [start:fooled]
def fooled(seed: int, inside: bool) -> float:
    """Return what 5 folds claim for coin flips as labels: the truth is 0.5.

    Of 2,000 random features the 20 that fit the labels best are kept: chosen
    from all rows before the folds are made, or `inside` each fold, from its
    training rows.
    """
    random = np.random.default_rng(seed)
    features = random.normal(size=(60, 2000))
    labels = np.arange(60) % 2
    random.shuffle(labels)
    choose = SelectKBest(f_classif, k=20)
    if inside:
        model = make_pipeline(choose, LogisticRegression())
    else:
        model = LogisticRegression()
        features = choose.fit_transform(features, labels)  # sees every label
    splitter = StratifiedKFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(model, features, labels, cv=splitter).mean())
# --8<-- [end:fooled]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, draws: int = 30) -> dict:
    """Measure both; write metrics.json into `out`, return what it holds."""
    out.mkdir(parents=True, exist_ok=True)
    first = 1000 * seed
    metrics = {"errors": {}, "fooled": {}}
    print("estimate minus truth, in percentage points")
    for name, values in errors(draws, first).items():
        value = metrics["errors"][name] = {
            "bias": 100 * float(np.mean(values)),
            "spread": 100 * float(np.std(values, ddof=1)),
            "worst": 100 * float(np.abs(values).max()),
        }
        print(f"  {name:15} on average {value['bias']:+.1f}, "
              f"standard deviation {value['spread']:.1f}, "
              f"at worst {value['worst']:.1f}")
    print("labels are coin flips; 5 folds claim")
    for name, inside in (("chosen before", False), ("chosen inside", True)):
        claims = [fooled(first + one, inside) for one in range(draws // 2)]
        mean, spread = np.mean(claims), np.std(claims, ddof=1)
        metrics["fooled"][name] = {
            "mean": float(mean), "spread": float(spread)
        }
        print(f"  {name:15} {mean:.3f} ± {spread:.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    return metrics
# --8<-- [end:main]


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
    run(main, "cross_validation-results")
# --8<-- [end:run]
