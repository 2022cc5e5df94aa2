# --8<-- [start:setup]
"""Cleaning: what missing values and wrong labels cost, and what repairs them."""

import argparse
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

MISSING = -999.0  # how the damaged table writes "not known"


def load_data(seed: int) -> list[np.ndarray]:
    """Return features (rows, 30) and labels (rows): train, test, train, test."""
    table = load_breast_cancer()  # 569 tumors, measured; 357 of them benign
    return train_test_split(
        table.data, table.target, test_size=0.3,
        stratify=table.target, random_state=seed,
    )


def lose(table: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Return a table, (rows, columns), with a random share of its values as MISSING."""
    return np.where(random.random(table.shape) < share, MISSING, table)
# --8<-- [end:setup]


# --8<-- [start:inspect]
def inspect(table: np.ndarray) -> dict[str, int]:
    """Count what should be looked at in a table, (rows, columns), before training."""
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
# --8<-- [end:inspect]


# --8<-- [start:repairs]
def classifier() -> Pipeline:
    """Return a linear classifier that scales its features by what it was fitted on."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def left_alone(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Return the test accuracy on (rows, 30) if -999 is taken for a measurement."""
    return classifier().fit(train, labels).score(test, test_labels)


def rows_dropped(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Train on complete ones of (rows, 30); fill the test part: all need answers."""
    complete = (train != MISSING).all(axis=1)
    if len(set(labels[complete])) < 2:
        return float((test_labels == np.bincount(labels).argmax()).mean())
    filled = SimpleImputer(missing_values=MISSING, strategy="median").fit(train)
    model = classifier().fit(train[complete], labels[complete])
    return model.score(filled.transform(test), test_labels)


def median(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Fill every gap in (rows, 30) with the median of its column in `train`."""
    fill = SimpleImputer(missing_values=MISSING, strategy="median")
    return make_pipeline(fill, classifier()).fit(train, labels).score(test, test_labels)


def neighbors(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Fill every gap in (rows, 30) with the mean of five similar training rows."""
    gaps = FunctionTransformer(lambda table: np.where(table == MISSING, np.nan, table))
    fill = make_pipeline(gaps, StandardScaler(), KNNImputer(n_neighbors=5))
    return make_pipeline(fill, classifier()).fit(train, labels).score(test, test_labels)


REPAIRS = {
    "left alone": left_alone, "rows dropped": rows_dropped,
    "median": median, "neighbors": neighbors,
}
# --8<-- [end:repairs]


# --8<-- [start:labels]
NOISE = (0.0, 0.1, 0.2, 0.3, 0.4)
LEARNERS = {
    "linear": classifier,
    "1 neighbor": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(1)),
    "25 neighbors": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(25)),
}


def with_wrong_labels(name: str, share: float, seed: int) -> float:
    """Return the accuracy on right labels after training with a share of wrong ones."""
    train, test, labels, test_labels = load_data(seed)
    wrong = np.random.default_rng(seed).random(len(labels)) < share
    model = LEARNERS[name]().fit(train, np.where(wrong, 1 - labels, labels))
    return model.score(test, test_labels)


def draw(noise: dict, file: Path) -> None:
    """Draw the accuracy of each learner against the share of wrong labels."""
    figure, axes = plt.subplots(figsize=(6, 3))
    for (name, values), color in zip(noise.items(), ("#3d85c6", "#e07b39", "#4f9d4f")):
        means = [100 * value["mean"] for value in values]
        spreads = [100 * value["spread"] for value in values]
        shares = [100 * share for share in NOISE]
        axes.errorbar(shares, means, spreads, color=color, label=name, capsize=3)
    axes.set(xlabel="wrong labels in the training part, %", ylabel="test accuracy, %")
    axes.legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)
# --8<-- [end:labels]


# --8<-- [start:main]
def summary(values: list[float]) -> dict[str, float]:
    """Return mean and standard deviation."""
    return {"mean": float(np.mean(values)), "spread": float(np.std(values, ddof=1))}


def main(out: Path, seeds: int = 10) -> dict:
    """Measure repairs and wrong labels; write the results into `out`, return them."""
    found = {name: [] for name in ["majority", "undamaged", *REPAIRS]}
    for seed in range(seeds):
        train, test, labels, test_labels = load_data(seed)
        found["majority"].append((test_labels == np.bincount(labels).argmax()).mean())
        undamaged = classifier().fit(train, labels)
        found["undamaged"].append(undamaged.score(test, test_labels))
        random = np.random.default_rng(seed)
        train, test = lose(train, 0.1, random), lose(test, 0.1, random)
        for name, repair in REPAIRS.items():
            found[name].append(repair(train, labels, test, test_labels))
    metrics = {"damaged_table": inspect(train)}
    print("the damaged training part")
    for name, count in metrics["damaged_table"].items():
        print(f"  {name.replace('_', ' '):22} {count:,}")
    metrics["missing"] = {name: summary(values) for name, values in found.items()}
    metrics["noise"] = {
        name: [summary([with_wrong_labels(name, share, seed) for seed in range(seeds)])
               for share in NOISE]
        for name in LEARNERS
    }
    for name, value in metrics["missing"].items():
        print(f"{name:13} {value['mean']:.3f} ± {value['spread']:.3f}")
    print(f"wrong labels  {'   '.join(f'{share:.0%}' for share in NOISE)}")
    for name, values in metrics["noise"].items():
        print(f"{name:13} {' '.join(format(value['mean'], '.3f') for value in values)}")
    out.mkdir(parents=True, exist_ok=True)
    draw(metrics["noise"], out / "wrong_labels.svg")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("cleaning-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
