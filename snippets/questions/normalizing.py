# --8<-- [start:setup]
"""Normalizing: what the scale of features decides, and whose statistics."""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

LEARNERS = {
    "3 nearest neighbors": lambda: KNeighborsClassifier(3),
    "support vector machine": lambda: SVC(),
    "linear, by gradient descent":
        lambda: SGDClassifier("log_loss", random_state=0),
    "decision tree": lambda: DecisionTreeClassifier(random_state=0),
}


def load_data(seed: int) -> list[np.ndarray]:
    """Return 13 measurements of wines, (rows, 13), and growers, (rows,)."""
    wine = load_wine()  # 178 wines of three growers
    return train_test_split(
        wine.data, wine.target, test_size=0.3,
        stratify=wine.target, random_state=seed,
    )
# --8<-- [end:setup]


# --8<-- [start:scales]
def as_measured(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return a table, (rows, columns), as it is."""
    return table


def standardized(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Shift and scale (rows, columns) by mean and deviation in `train`."""
    return (table - train.mean(axis=0)) / train.std(axis=0).clip(min=1e-12)


def between_0_and_1(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Scale (rows, columns) so that columns of `train` run from 0 to 1."""
    low, high = train.min(axis=0), train.max(axis=0)
    return (table - low) / (high - low).clip(min=1e-12)


SCALES = {
    "as measured": as_measured, "between 0 and 1": between_0_and_1,
    "standardized": standardized,
}


def condition(table: np.ndarray) -> float:
    """Return the largest eigenvalue of the covariance over the smallest.

    Gradient descent on squared errors needs a number of steps in proportion
    to it. The table is (rows, columns).
    """
    values = np.linalg.eigvalsh(np.cov(table.T))  # (columns,), ascending
    return float(values[-1] / values[0])
# --8<-- [end:scales]


# --8<-- [start:statistics]
def whose_statistics(seed: int) -> dict[str, float]:
    """Return a machine's accuracy for three sources of the constants."""
    train, test, labels, test_labels = load_data(seed)
    model = SVC().fit(standardized(train, train), labels)
    ours, theirs = standardized(train, test), standardized(test, test)
    right = []
    for grower in np.unique(test_labels):  # whose wines arrive together
        delivery = test[test_labels == grower]
        guesses = model.predict(standardized(delivery, delivery))
        right.append(guesses == grower)
    return {
        "of the training part": model.score(ours, test_labels),
        "of the test part": model.score(theirs, test_labels),
        "of each delivery": float(np.concatenate(right).mean()),
    }
# --8<-- [end:statistics]


# --8<-- [start:main]
def summary(values: list[float]) -> dict[str, float]:
    """Return mean and standard deviation."""
    spread = float(np.std(values, ddof=1))
    return {"mean": float(np.mean(values)), "spread": spread}


def main(out: Path, seed: int = 0, splits: int = 20) -> dict:
    """Measure scales and statistics; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + splits)
    data = [load_data(one) for one in seeds]
    metrics = {"condition": {}, "accuracy": {}}
    metrics["majority"] = summary([
        (test_labels == np.bincount(labels).argmax()).mean()
        for _, _, labels, test_labels in data
    ])
    for scale, change in SCALES.items():
        first = change(data[0][0], data[0][0])
        metrics["condition"][scale] = condition(first)
        metrics["accuracy"][scale] = {
            name: summary([
                learner().fit(change(train, train), labels)
                .score(change(train, test), test_labels)
                for train, test, labels, test_labels in data
            ]) for name, learner in LEARNERS.items()
        }
    sources = [whose_statistics(one) for one in seeds]
    metrics["statistics"] = {
        name: summary([source[name] for source in sources])
        for name in sources[0]
    }
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    report(metrics)
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what was measured."""
    majority = metrics["majority"]["mean"]
    print(f"always the commonest grower: {majority:.3f}")
    for scale, found in metrics["accuracy"].items():
        number = metrics["condition"][scale]
        print(f"{scale}: condition number {number:,.0f}")
        for name, value in found.items():
            print(f"  {name:28} {value['mean']:.3f} ± {value['spread']:.3f}")
    print("support vector machine, standardized by the statistics")
    for name, value in metrics["statistics"].items():
        print(f"  {name:28} {value['mean']:.3f} ± {value['spread']:.3f}")
# --8<-- [end:report]


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
    run(main, "normalizing-results")
# --8<-- [end:run]
