# --8<-- [start:setup]
"""Cleaning: what missing values and wrong labels cost, and what helps."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy import ndarray
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

MISSING = -999.0  # how the damaged table writes "not known"


def load_data(seed: int) -> list[ndarray]:
    """Return features, (rows, 30), of both parts, and labels, (rows,)."""
    table = load_breast_cancer()  # 569 tumors, measured; 357 of them benign
    return train_test_split(
        table.data, table.target, test_size=0.3,
        stratify=table.target, random_state=seed,
    )


def lose(table: ndarray, share: float, random: np.random.Generator) -> ndarray:
    """Return (rows, columns) with a random share of the values MISSING."""
    return np.where(random.random(table.shape) < share, MISSING, table)
# --8<-- [end:setup]


# --8<-- [start:examine]
def examine(table: ndarray) -> dict[str, int]:
    """Count what is worth a look in a table, (rows, columns)."""
    values, counts = np.unique(table, return_counts=True)
    spread = np.abs(table - np.median(table, axis=0))
    typical = np.median(spread, axis=0).clip(min=1e-12)
    return {
        "rows": len(table),
        "repeated_rows": len(table) - len(np.unique(table, axis=0)),
        "constant_columns": int((table == table[0]).all(axis=0).sum()),
        "commonest_value": int(values[counts.argmax()]),
        "times_commonest_value": int(counts.max()),
        "far_out_values": int((spread > 20 * typical).sum()),
        "complete_rows": int((table != MISSING).all(axis=1).sum()),
    }
# --8<-- [end:examine]


# --8<-- [start:repairs]
def classifier() -> Pipeline:
    """Return a linear classifier that scales by what it was fitted on."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def left_alone(
    train: ndarray, labels: ndarray, test: ndarray, test_labels: ndarray
) -> float:
    """Return the accuracy on (rows, 30) if -999 passes for a measurement."""
    return classifier().fit(train, labels).score(test, test_labels)


def rows_dropped(
    train: ndarray, labels: ndarray, test: ndarray, test_labels: ndarray
) -> float:
    """Train on complete rows, (rows, 30); fill the test part's gaps."""
    complete = (train != MISSING).all(axis=1)
    if len(set(labels[complete])) < 2:
        return float((test_labels == np.bincount(labels).argmax()).mean())
    filled = SimpleImputer(missing_values=MISSING, strategy="median")
    filled.fit(train)
    model = classifier().fit(train[complete], labels[complete])
    return model.score(filled.transform(test), test_labels)


def median(
    train: ndarray, labels: ndarray, test: ndarray, test_labels: ndarray
) -> float:
    """Fill gaps in (rows, 30) with the median of their column in `train`."""
    fill = SimpleImputer(missing_values=MISSING, strategy="median")
    model = make_pipeline(fill, classifier()).fit(train, labels)
    return model.score(test, test_labels)


def neighbors(
    train: ndarray, labels: ndarray, test: ndarray, test_labels: ndarray
) -> float:
    """Fill gaps in (rows, 30) with the mean of five similar training rows."""
    gaps = FunctionTransformer(lambda x: np.where(x == MISSING, np.nan, x))
    fill = make_pipeline(gaps, StandardScaler(), KNNImputer(n_neighbors=5))
    model = make_pipeline(fill, classifier()).fit(train, labels)
    return model.score(test, test_labels)


REPAIRS = {
    "left alone": left_alone, "rows dropped": rows_dropped,
    "median": median, "neighbors": neighbors,
}
# --8<-- [end:repairs]


# --8<-- [start:labels]
NOISE = (0.0, 0.1, 0.2, 0.3, 0.4)


def nearest(count: int) -> Pipeline:
    """Return a classifier that asks as many nearest neighbors."""
    return make_pipeline(StandardScaler(), KNeighborsClassifier(count))


LEARNERS = {
    "linear": classifier,
    "1 neighbor": lambda: nearest(1),
    "25 neighbors": lambda: nearest(25),
}


def with_wrong_labels(name: str, share: float, seed: int) -> float:
    """Return the accuracy after training with a share of wrong labels."""
    train, test, labels, test_labels = load_data(seed)
    wrong = np.random.default_rng(seed).random(len(labels)) < share
    model = LEARNERS[name]().fit(train, np.where(wrong, 1 - labels, labels))
    return model.score(test, test_labels)  # on right labels
# --8<-- [end:labels]


# --8<-- [start:main]
def summary(values: list[float]) -> dict[str, float]:
    """Return mean and standard deviation."""
    spread = float(np.std(values, ddof=1))
    return {"mean": float(np.mean(values)), "spread": spread}


def main(out: Path, seed: int = 0, splits: int = 10) -> dict:
    """Measure repairs and wrong labels; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + splits)
    scores = {name: [] for name in ["majority", "undamaged", *REPAIRS]}
    for split in seeds:
        train, test, labels, test_labels = load_data(split)
        commonest = np.bincount(labels).argmax()
        scores["majority"].append((test_labels == commonest).mean())
        undamaged = classifier().fit(train, labels)
        scores["undamaged"].append(undamaged.score(test, test_labels))
        random = np.random.default_rng(split)
        train, test = lose(train, 0.1, random), lose(test, 0.1, random)
        for name, repair in REPAIRS.items():
            scores[name].append(repair(train, labels, test, test_labels))
    metrics = {
        "damaged_table": examine(train),
        "missing": {name: summary(found) for name, found in scores.items()},
        "noise": {
            name: [
                summary([with_wrong_labels(name, share, one) for one in seeds])
                for share in NOISE
            ] for name in LEARNERS
        },
    }
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    report(metrics)
    draw(metrics["noise"], out / "wrong_labels.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def report(metrics: dict) -> None:
    """Print what was found and measured."""
    print("the damaged training part")
    for name, count in metrics["damaged_table"].items():
        print(f"  {name.replace('_', ' '):22} {count:,}")
    for name, value in metrics["missing"].items():
        print(f"{name:13} {value['mean']:.3f} ± {value['spread']:.3f}")
    print(f"wrong labels  {'   '.join(f'{share:.0%}' for share in NOISE)}")
    for name, values in metrics["noise"].items():
        means = [f"{value['mean']:.3f}" for value in values]
        print(f"{name:13} {' '.join(means)}")


def draw(noise: dict, file: Path) -> None:
    """Draw each learner's accuracy against the share of wrong labels."""
    figure, axes = plt.subplots(figsize=(6, 3))
    colors = ("#3d85c6", "#e07b39", "#4f9d4f")
    for (name, values), color in zip(noise.items(), colors):
        axes.errorbar(
            [100 * share for share in NOISE],
            [100 * value["mean"] for value in values],
            [100 * value["spread"] for value in values],
            color=color, label=name, capsize=3,
        )
    axes.set_xlabel("wrong labels in the training part, %")
    axes.set_ylabel("test accuracy, %")
    axes.legend(frameon=False)
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
    run(main, "cleaning-results")
# --8<-- [end:run]
