# --8<-- [start:setup]
"""Choosing: a linear model, trees and a network on tables and images."""

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
from torch.utils.data import DataLoader, TensorDataset

DATA = {
    "tumors (30 columns)": load_breast_cancer,
    "wines (13 columns)": load_wine,
    "digits (64 pixels)": load_digits,
}


def load_data(name: str, seed: int) -> list[np.ndarray]:
    """Return features, (rows, columns), of both parts, and labels, (rows,)."""
    data = DATA[name]()
    return train_test_split(
        data.data, data.target, test_size=0.3,
        stratify=data.target, random_state=seed,
    )
# --8<-- [end:setup]


# --8<-- [start:network]
class Network:
    """A network of 64 hidden units with scikit-learn's `fit` and `score`."""

    def __init__(self, epochs: int = 40):
        self.epochs = epochs

    def fit(self, table: np.ndarray, labels: np.ndarray) -> "Network":
        """Train on (rows, columns): all that a library's `fit` hides."""
        torch.manual_seed(0)
        x = torch.tensor(table, dtype=torch.float32)  # (rows, columns)
        y = torch.tensor(labels)  # (rows,)
        classes = int(y.max()) + 1
        self.model = nn.Sequential(
            nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, classes)
        )
        loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.003)
        for _ in range(self.epochs):
            for batch, answers in loader:
                optimizer.zero_grad()  # gradients add up until cleared
                F.cross_entropy(self.model(batch), answers).backward()
                optimizer.step()
        return self

    @torch.inference_mode()
    def score(self, table: np.ndarray, labels: np.ndarray) -> float:
        """Return the accuracy on (rows, columns)."""
        logits = self.model(torch.tensor(table, dtype=torch.float32))
        guesses = logits.argmax(1)  # (rows,)
        return float((guesses.numpy() == labels).mean())


LEARNERS = {
    "linear": lambda: LogisticRegression(max_iter=1000),
    "100 trees": lambda: RandomForestClassifier(100, random_state=0),
    "network": lambda: Network(),
}
# --8<-- [end:network]


# --8<-- [start:main]
def compare(data: str, seeds: range) -> dict[str, list[float]]:
    """Return the accuracies of the majority class and of all learners."""
    scores = {name: [] for name in ["majority", *LEARNERS]}
    for seed in seeds:
        train, test, labels, test_labels = load_data(data, seed)
        commonest = np.bincount(labels).argmax()
        scores["majority"].append((test_labels == commonest).mean())
        scale = StandardScaler().fit(train)
        train, test = scale.transform(train), scale.transform(test)
        for name, learner in LEARNERS.items():
            model = learner().fit(train, labels)
            scores[name].append(model.score(test, test_labels))
    return scores


def main(out: Path, seed: int = 0, splits: int = 5) -> dict:
    """Measure all learners; write metrics.json into `out`, return it."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + splits)
    metrics = {}
    for data in DATA:
        print(data)
        metrics[data] = {}
        for name, values in compare(data, seeds).items():
            mean, spread = np.mean(values), np.std(values, ddof=1)
            metrics[data][name] = {
                "mean": float(mean), "spread": float(spread)
            }
            print(f"  {name:9} {mean:.3f} ± {spread:.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    return metrics
# --8<-- [end:main]


# --8<-- [start:command_line]
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("framework-results"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args([] if "ipykernel" in sys.modules else None)
    main(given.out, given.seed)
# --8<-- [end:command_line]
