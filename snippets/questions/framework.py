# --8<-- [start:setup]
"""Choosing: a linear model, trees and a network on two tables and on images."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

DATA = {
    "tumors (30 columns)": load_breast_cancer,
    "wines (13 columns)": load_wine,
    "digits (64 pixels)": load_digits,
}


def load_data(name: str, seed: int) -> list[np.ndarray]:
    """Return features (rows, columns) and labels (rows): train, test, train, test."""
    data = DATA[name]()
    return train_test_split(
        data.data, data.target, test_size=0.3, stratify=data.target, random_state=seed
    )
# --8<-- [end:setup]


# --8<-- [start:network]
class Network:
    """A network of 64 hidden units with the methods of scikit-learn's classifiers."""

    def __init__(self, epochs: int = 40):
        self.epochs = epochs

    def fit(self, table: np.ndarray, labels: np.ndarray) -> "Network":
        """Train on (rows, columns): here is all that a library's `fit` hides."""
        torch.manual_seed(0)
        x = torch.tensor(table, dtype=torch.float32)  # (rows, columns)
        y = torch.tensor(labels)  # (rows)
        classes = int(y.max()) + 1
        self.model = nn.Sequential(
            nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, classes)
        )
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.003)
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(x)).split(32):
                optimizer.zero_grad()  # gradients add up until they are cleared
                F.cross_entropy(self.model(x[chosen]), y[chosen]).backward()
                optimizer.step()
        return self

    @torch.inference_mode()
    def score(self, table: np.ndarray, labels: np.ndarray) -> float:
        """Return the accuracy on (rows, columns)."""
        guesses = self.model(torch.tensor(table, dtype=torch.float32)).argmax(1)
        return float((guesses.numpy() == labels).mean())


LEARNERS = {
    "linear": lambda: LogisticRegression(max_iter=1000),
    "100 trees": lambda: RandomForestClassifier(100, random_state=0),
    "network": lambda: Network(),
}
# --8<-- [end:network]


# --8<-- [start:main]
def main(out: Path, seeds: int = 5) -> dict:
    """Measure all learners; write metrics.json into `out` and return what it holds."""
    metrics = {}
    for data in DATA:
        print(data)
        metrics[data] = {}
        scores = {name: [] for name in ["majority", *LEARNERS]}
        for seed in range(seeds):
            train, test, labels, test_labels = load_data(data, seed)
            commonest = np.bincount(labels).argmax()
            scores["majority"].append((test_labels == commonest).mean())
            scale = StandardScaler().fit(train)
            for name, learner in LEARNERS.items():
                model = learner().fit(scale.transform(train), labels)
                scores[name].append(model.score(scale.transform(test), test_labels))
        for name, values in scores.items():
            value = metrics[data][name] = {
                "mean": float(np.mean(values)), "spread": float(np.std(values, ddof=1))
            }
            print(f"  {name:9} {value['mean']:.3f} ± {value['spread']:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("framework-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
