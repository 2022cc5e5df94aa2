# --8<-- [start:setup]
"""Choosing: a linear model, trees and a network on tables and images."""

import json
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
    run(main, "framework-results")
# --8<-- [end:run]
