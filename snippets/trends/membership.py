# --8<-- [start:setup]
"""Membership inference: a model gives away who trained it."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

DELTA = 1e-5


def load_data(seed: int) -> list[Tensor]:
    """Return pixels, (count, 64), and labels of members and strangers.

    There are 898 and 899. Every tenth label of both is wrong: a model can
    know it only by heart.
    """
    digits = load_digits()
    split = train_test_split(
        digits.data / 16, digits.target, test_size=0.5,
        stratify=digits.target, random_state=seed,
    )
    images, strangers, labels, stranger_labels = map(torch.tensor, split)
    for part in (labels, stranger_labels):
        part[::10] = (part[::10] + 1 + seed % 9) % 10
    return [images.float(), labels, strangers.float(), stranger_labels]
# --8<-- [end:setup]


# --8<-- [start:train]
def network(seed: int) -> nn.Sequential:
    """Return an untrained network for (batch, 64)."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def train(images: Tensor, labels: Tensor, seed: int, epochs: int) -> nn.Module:
    """Train on (count, 64) as usual, with no thought of privacy."""
    model = network(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    return model
# --8<-- [end:train]


# --8<-- [start:private]
def train_privately(
    images: Tensor, labels: Tensor, seed: int, steps: int, noise: float
) -> nn.Module:
    """Train on (count, 64) by noisy sums of clipped gradients.

    Each person's gradient is shortened to length 1; the sum gets Gaussian
    noise with `noise` as its standard deviation. Every step uses all data.
    Martín Abadi et al., Deep learning with differential privacy, 2016.
    """
    model = network(seed)
    weights = {
        name: weight.detach() for name, weight in model.named_parameters()
    }
    velocity = {
        name: torch.zeros_like(weight) for name, weight in weights.items()
    }

    def loss(weights: dict, image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, weights, image[None])  # (1, 10)
        return F.cross_entropy(logits, label[None])

    one_each = vmap(grad(loss), (None, 0, 0))
    for _ in range(steps):
        gradients = one_each(weights, images, labels)  # (count, ...) each
        squares = sum(
            one.flatten(1).pow(2).sum(1) for one in gradients.values()
        )
        factor = (1 / squares.sqrt()).clamp(max=1)  # (count,)
        for name, one in gradients.items():
            total = torch.tensordot(factor, one, dims=1)
            total += noise * torch.randn_like(total)
            velocity[name] = 0.9 * velocity[name] + total / len(images)
            weights[name] = weights[name] - 0.5 * velocity[name]
    model.load_state_dict(weights)
    return model


def epsilon(steps: int, noise: float) -> float:
    """Return the epsilon that goes with DELTA.

    One step is rho-zero-concentrated private, rho = 1 / (2 noise ** 2), and
    rhos add up. Mark Bun and Thomas Steinke, Concentrated differential
    privacy: Simplifications, extensions, and lower bounds, 2016.
    """
    rho = steps / (2 * noise**2)
    return rho + 2 * math.sqrt(rho * math.log(1 / DELTA))
# --8<-- [end:private]


# --8<-- [start:attack]
@torch.inference_mode()
def losses(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of each image with its label, (count,)."""
    return F.cross_entropy(model(images), labels, reduction="none")


def attack(model: nn.Module, data: list[Tensor]) -> dict:
    """Guess membership by the loss alone: the smaller, the likelier.

    Return the area under the curve (0.5 is guessing), the share of members
    found while one stranger in a hundred is accused, and the accuracy on
    rightly labeled strangers. `data` holds images, (count, 64), and labels,
    (count,), of members and of strangers.
    Samuel Yeom et al., Privacy risk in machine learning: Analyzing the
    connection to overfitting, 2018.
    """
    images, labels, strangers, stranger_labels = data
    score = -torch.cat([
        losses(model, images, labels),
        losses(model, strangers, stranger_labels),
    ])
    member = np.repeat([1, 0], [len(images), len(strangers)])
    places = [np.arange(len(images)), np.arange(len(strangers))]
    wrong = np.concatenate(places) % 10 == 0
    accused, found, _ = roc_curve(member, score)
    right = torch.arange(len(strangers)) % 10 > 0
    guesses = model(strangers[right]).argmax(1)
    correct = (guesses == stranger_labels[right]).float()
    return {
        "area": float(roc_auc_score(member, score)),
        "area_wrong_labels": float(roc_auc_score(member[wrong], score[wrong])),
        "found_at_1_percent": float(np.interp(0.01, accused, found)),
        "accuracy": correct.mean().item(),
        "curve": (accused, found),
    }
# --8<-- [end:attack]


# --8<-- [start:main]
def main(
    out: Path, seed: int = 0, runs: int = 5, epochs: int = 150, steps: int = 60
) -> dict:
    """Attack three models for each seed; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    first = 1000 * seed + 10  # settings were tried on the seeds below 10
    ways = {
        "stopped early": lambda *given: train(*given, max(1, epochs // 15)),
        "trained to the end": lambda *given: train(*given, epochs),
        "private": lambda *given: train_privately(*given, steps, noise=10.0),
    }
    metrics = {"epsilon": epsilon(steps, noise=10.0), "delta": DELTA}
    print(f"private: epsilon {metrics['epsilon']:.1f} at delta {DELTA}")
    curves = {}
    for name, way in ways.items():
        attacks = []
        for one in range(first, first + runs):
            data = load_data(one)
            attacks.append(attack(way(*data[:2], one), data))
        curves[name] = [found.pop("curve") for found in attacks][0]
        print(name)
        metrics[name] = {}
        for key in attacks[0]:
            values = [found[key] for found in attacks]
            mean, spread = np.mean(values), np.std(values, ddof=1)
            metrics[name][key] = {"mean": float(mean), "spread": float(spread)}
            print(f"  {key.replace('_', ' '):19} {mean:.3f} ± {spread:.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    draw(curves, out / "attack.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw(curves: dict, file: Path) -> None:
    """Draw the members found against the strangers accused."""
    figure, axes = plt.subplots(figsize=(4.5, 3.6))
    colors = ("#e07b39", "#c0392b", "#3d85c6")
    for (name, curve), color in zip(curves.items(), colors):
        axes.plot(*curve, color=color, label=name)
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
    axes.set(xlabel="strangers accused", ylabel="members found")
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
    run(main, "membership-results")
# --8<-- [end:run]
