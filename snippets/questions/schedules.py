# --8<-- [start:setup]
"""Schedules: constant, step, cosine and one-cycle on one network."""

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

PEAKS = (0.03, 0.1, 0.3, 0.6)


def load_data() -> list[Tensor]:
    """Return pixels (count, 64) and labels: 1,078 train, 359 choose, 360 test."""
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    rows = np.arange(len(labels))
    rest, test = train_test_split(rows, test_size=360, stratify=labels, random_state=0)
    train, check = train_test_split(
        rest, test_size=359, stratify=labels[rest], random_state=0
    )
    return [part[rows] for rows in (train, check, test) for part in (images, labels)]
# --8<-- [end:setup]


# --8<-- [start:schedules]
def constant(done: float) -> float:
    """Return 1: the learning rate stays at its peak. `done` runs from 0 to 1."""
    return 1.0


def step(done: float) -> float:
    """Divide the rate by ten after half and after three quarters of the training."""
    return 0.1 ** ((done >= 0.5) + (done >= 0.75))


def cosine(done: float) -> float:
    """Fall along half a cosine, from 1 to 0: Loshchilov and Hutter, 2017."""
    return (1 + math.cos(math.pi * done)) / 2


def one_cycle(done: float) -> float:
    """Rise from 1/25 to 1 in three tenths of the time, then fall to nearly 0.

    After Smith and Topin, 2017, in the shape that PyTorch gives it by default.
    """
    if done < 0.3:
        return 1 / 25 + (1 - 1 / 25) * cosine(1 - done / 0.3)
    return 4e-6 + (1 - 4e-6) * cosine((done - 0.3) / 0.7)


SCHEDULES = {
    "constant": constant, "step": step, "cosine": cosine, "one-cycle": one_cycle
}
# --8<-- [end:schedules]


# --8<-- [start:train]
def train(
    schedule: Callable[[float], float], peak: float, images: Tensor, labels: Tensor,
    seed: int, epochs: int,
) -> nn.Module:
    """Train on (count, 64) in batches of 16, setting the rate at each."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=peak, momentum=0.9)
    batches = [
        batch for _ in range(epochs) for batch in torch.randperm(len(images)).split(16)
    ]
    for number, chosen in enumerate(batches):
        optimizer.param_groups[0]["lr"] = peak * schedule(number / len(batches))
        optimizer.zero_grad()
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return model


@torch.inference_mode()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return accuracy and cross entropy on (count, 64)."""
    logits = model(images)  # (count, 10)
    right = (logits.argmax(1) == labels).float().mean().item()
    return right, F.cross_entropy(logits, labels).item()
# --8<-- [end:train]


# --8<-- [start:figure]
def draw(file: Path) -> None:
    """Draw the four schedules."""
    figure, axes = plt.subplots(figsize=(6, 2.6))
    done = np.linspace(0, 1, 400, endpoint=False)
    colors = ("#8e6cc0", "#e07b39", "#3d85c6", "#4f9d4f")
    for (name, schedule), color in zip(SCHEDULES.items(), colors):
        rates = [schedule(part) for part in done]
        axes.plot(100 * done, rates, color=color, label=name)
    axes.set(xlabel="training done, %", ylabel="learning rate / peak")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file)
    plt.close(figure)
# --8<-- [end:figure]


# --8<-- [start:main]
def main(out: Path, epochs: int = 4, seeds: int = 5) -> dict:
    """Choose a peak for each schedule, then test it; write results, return them."""
    images, labels, check, check_labels, test, test_labels = load_data()
    linear = LogisticRegression(max_iter=1000).fit(images, labels)
    metrics = {"epochs": epochs, "linear": linear.score(test, test_labels)}
    for name, schedule in SCHEDULES.items():
        losses = [  # on the validation part, of two seeds that are not used again
            np.mean([
                evaluate(train(schedule, peak, images, labels, seed, epochs),
                         check, check_labels)[1] for seed in (100, 101)
            ]) for peak in PEAKS
        ]
        best = PEAKS[int(np.argmin(losses))]
        results = np.array([
            evaluate(
                train(schedule, best, images, labels, seed, epochs), test, test_labels
            ) for seed in range(seeds)
        ])  # (seeds, 2)
        (mean, loss), (spread, loss_spread) = results.mean(0), results.std(0, ddof=1)
        metrics[name] = {
            "peak": best, "mean": float(mean), "spread": float(spread),
            "loss": float(loss), "loss_spread": float(loss_spread),
        }
        print(f"{name:9} peak {best:<5} test accuracy {mean:.3f} ± {spread:.3f}, "
              f"cross entropy {loss:.3f} ± {loss_spread:.3f}")
    print(f"linear    test accuracy {metrics['linear']:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    draw(out / "schedules.svg")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("schedules-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
