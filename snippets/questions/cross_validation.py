# --8<-- [start:setup]
"""Cross-validation: how far off an estimate is, and how it can be fooled."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline


def load_data(seed: int) -> list[np.ndarray]:
    """Return 150 digits, (150, 64), that we own, 1,647 of the world; labels of both."""
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
    """Estimate the accuracy from a fifth of images, (count, 64), that is set aside."""
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return model.fit(train, train_labels).score(test, test_labels)


def folds(
    model: ClassifierMixin, images: np.ndarray, labels: np.ndarray, seed: int,
    count: int,
) -> float:
    """Estimate the accuracy on images, (rows, 64), by cross-validation, written out.

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


def errors(draws: int) -> dict[str, list[float]]:
    """Return estimate minus truth of each way, for many draws of 150 digits.

    The truth is the accuracy, on the rest, of a model trained on all 150.
    """
    found = {name: [] for name in ESTIMATES}
    model = KNeighborsClassifier(3)
    for seed in range(draws):
        images, world, labels, world_labels = load_data(seed)
        truth = model.fit(images, labels).score(world, world_labels)
        for name, estimate in ESTIMATES.items():
            found[name].append(estimate(model, images, labels, seed) - truth)
    return found
# --8<-- [end:estimates]


# --8<-- [start:fooled]
def fooled(seed: int, inside: bool) -> float:
    """Return what 5 folds claim for labels that are coin flips: the truth is 0.5.

    Of 2,000 random features the 20 that fit the labels best are kept: chosen from all
    rows before the folds are made, or `inside` each fold, from its training rows.
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
        features = choose.fit_transform(features, labels)  # has seen every label
    splitter = StratifiedKFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(model, features, labels, cv=splitter).mean())
# --8<-- [end:fooled]


# --8<-- [start:main]
def main(out: Path, draws: int = 30) -> dict:
    """Measure both; write metrics.json into `out` and return what it holds."""
    metrics = {"errors": {}, "fooled": {}}
    print("estimate minus truth, in percentage points")
    for name, values in errors(draws).items():
        value = metrics["errors"][name] = {
            "bias": 100 * float(np.mean(values)),
            "spread": 100 * float(np.std(values, ddof=1)),
            "worst": 100 * float(np.abs(values).max()),
        }
        print(f"  {name:15} on average {value['bias']:+.1f}, standard deviation "
              f"{value['spread']:.1f}, at worst {value['worst']:.1f}")
    print("labels are coin flips; 5 folds claim")
    for name, inside in (("chosen before", False), ("chosen inside", True)):
        claims = [fooled(seed, inside) for seed in range(draws // 2)]
        value = metrics["fooled"][name] = {
            "mean": float(np.mean(claims)), "spread": float(np.std(claims, ddof=1))
        }
        print(f"  {name:15} {value['mean']:.3f} ± {value['spread']:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("cross_validation-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
