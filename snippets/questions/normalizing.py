# --8<-- [start:setup]
"""Normalizing: what the scale of features decides, and whose statistics to use."""

import argparse
import json
import sys
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
    "linear, by gradient descent": lambda: SGDClassifier("log_loss", random_state=0),
    "decision tree": lambda: DecisionTreeClassifier(random_state=0),
}


def load_data(seed: int) -> list[np.ndarray]:
    """Return 13 measurements of each wine, (rows, 13), and its grower, (rows)."""
    wine = load_wine()  # 178 wines of three growers
    return train_test_split(
        wine.data, wine.target, test_size=0.3, stratify=wine.target, random_state=seed
    )
# --8<-- [end:setup]


# --8<-- [start:scales]
def as_measured(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return a table, (rows, columns), as it is."""
    return table


def standardized(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Shift and scale a table, (rows, columns), by mean and deviation in `train`."""
    return (table - train.mean(axis=0)) / train.std(axis=0).clip(min=1e-12)


def between_0_and_1(train: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Scale a table, (rows, columns): a column of `train` runs from 0 to 1 then."""
    low, high = train.min(axis=0), train.max(axis=0)
    return (table - low) / (high - low).clip(min=1e-12)


SCALES = {
    "as measured": as_measured, "between 0 and 1": between_0_and_1,
    "standardized": standardized,
}


def condition(table: np.ndarray) -> float:
    """Return the largest over the smallest eigenvalue of the columns' covariance.

    Gradient descent on squared errors needs a number of steps in proportion to it. The
    table is (rows, columns).
    """
    values = np.linalg.eigvalsh(np.cov(table.T))  # (columns), ascending
    return float(values[-1] / values[0])
# --8<-- [end:scales]


# --8<-- [start:statistics]
def whose_statistics(seed: int) -> dict[str, float]:
    """Return a support vector machine's accuracy for three sources of the constants."""
    train, test, labels, test_labels = load_data(seed)
    model = SVC().fit(standardized(train, train), labels)
    growers = np.unique(test_labels)
    one_by_one = [test_labels == grower for grower in growers]
    return {
        "of the training part": model.score(standardized(train, test), test_labels),
        "of the test part": model.score(standardized(test, test), test_labels),
        "of each delivery": float(np.concatenate([
            model.predict(standardized(test[rows], test[rows])) == test_labels[rows]
            for rows in one_by_one  # the wines of one grower arrive together
        ]).mean()),
    }
# --8<-- [end:statistics]


# --8<-- [start:main]
def summary(values: list[float]) -> dict[str, float]:
    """Return mean and standard deviation."""
    return {"mean": float(np.mean(values)), "spread": float(np.std(values, ddof=1))}


def main(out: Path, seeds: int = 20) -> dict:
    """Measure scales and statistics; write the results into `out`, return them."""
    data = [load_data(seed) for seed in range(seeds)]
    metrics = {"condition": {}, "accuracy": {}}
    metrics["majority"] = summary([
        (test_labels == np.bincount(labels).argmax()).mean()
        for _, _, labels, test_labels in data
    ])
    print(f"always the commonest grower: {metrics['majority']['mean']:.3f}")
    for scale, change in SCALES.items():
        metrics["condition"][scale] = condition(change(data[0][0], data[0][0]))
        print(f"{scale}: condition number {metrics['condition'][scale]:,.0f}")
        metrics["accuracy"][scale] = {}
        for name, learner in LEARNERS.items():
            value = metrics["accuracy"][scale][name] = summary([
                learner().fit(change(train, train), labels)
                .score(change(train, test), test_labels)
                for train, test, labels, test_labels in data
            ])
            print(f"  {name:28} {value['mean']:.3f} ± {value['spread']:.3f}")
    sources = [whose_statistics(seed) for seed in range(seeds)]
    print("support vector machine, standardized by the statistics")
    metrics["statistics"] = {
        name: summary([source[name] for source in sources]) for name in sources[0]
    }
    for name, value in metrics["statistics"].items():
        print(f"  {name:28} {value['mean']:.3f} ± {value['spread']:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("normalizing-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
