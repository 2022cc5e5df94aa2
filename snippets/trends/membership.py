# --8<-- [start:setup]
"""Membership inference: a model gives away who trained it, and what helps."""

import argparse
import json
import math
import sys
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
    """Return pixels, (count, 64), and labels of 898 members and 899 strangers.

    Every tenth label of both is wrong: a model can know it only by heart.
    """
    digits = load_digits()
    split = train_test_split(
        digits.data / 16, digits.target, test_size=0.5,
        stratify=digits.target, random_state=seed,
    )
    images, strangers, labels, stranger_labels = map(torch.tensor, split)
    labels[::10] = (labels[::10] + 1 + seed % 9) % 10
    stranger_labels[::10] = (stranger_labels[::10] + 1 + seed % 9) % 10
    return [images.float(), labels, strangers.float(), stranger_labels]


def network(seed: int) -> nn.Sequential:
    """Return an untrained network for (batch, 64)."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
# --8<-- [end:setup]


# --8<-- [start:train]
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
    """Train on (count, 64) by noisy sums of clipped gradients: Abadi et al., 2016.

    Each person's gradient is shortened to length 1; the sum gets Gaussian noise with
    `noise` as its standard deviation. Every step uses all data.
    """
    model = network(seed)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    velocity = {name: torch.zeros_like(weight) for name, weight in weights.items()}

    def loss(weights: dict, image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, weights, image[None])  # (1, 10)
        return F.cross_entropy(logits, label[None])

    for _ in range(steps):
        gradients = vmap(grad(loss), (None, 0, 0))(weights, images, labels)
        squares = sum(one.flatten(1).pow(2).sum(1) for one in gradients.values())
        factor = (1 / squares.sqrt()).clamp(max=1)  # (count,)
        for name, one in gradients.items():  # (count, rows, columns) or (count, rows)
            total = torch.tensordot(factor, one, dims=1)
            total += noise * torch.randn_like(total)
            velocity[name] = 0.9 * velocity[name] + total / len(images)
            weights[name] = weights[name] - 0.5 * velocity[name]
    model.load_state_dict(weights)
    return model


def epsilon(steps: int, noise: float) -> float:
    """Return the epsilon that goes with DELTA: Bun and Steinke, 2016.

    One step is rho-zero-concentrated private, rho = 1 / (2 noise ** 2); rhos add up.
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
    """Guess membership by the loss alone: Yeom et al., 2018. The smaller, the likelier.

    Return the area under the curve (0.5 is guessing), the share of members found while
    one stranger in a hundred is accused, and the accuracies on rightly labeled images.
    `data` holds images, (count, 64), and labels, (count,), of members, of strangers.
    """
    images, labels, strangers, stranger_labels = data
    score = -torch.cat([losses(model, images, labels),
                        losses(model, strangers, stranger_labels)])
    member = np.repeat([1, 0], [len(images), len(strangers)])
    places = np.concatenate([np.arange(len(images)), np.arange(len(strangers))])
    wrong = places % 10 == 0
    accused, found, _ = roc_curve(member, score)
    right = torch.arange(len(strangers)) % 10 > 0
    guesses = model(strangers[right]).argmax(1)
    return {
        "area": float(roc_auc_score(member, score)),
        "area_wrong_labels": float(roc_auc_score(member[wrong], score[wrong])),
        "found_at_1_percent": float(np.interp(0.01, accused, found)),
        "accuracy": (guesses == stranger_labels[right]).float().mean().item(),
        "curve": (accused, found),
    }
# --8<-- [end:attack]


# --8<-- [start:main]
def main(out: Path, seeds: int = 5, epochs: int = 150, steps: int = 60) -> dict:
    """Attack three models for each seed; write the results into `out`, return them."""
    ways = {
        "stopped early": lambda x, y, seed: train(x, y, seed, max(1, epochs // 15)),
        "trained to the end": lambda x, y, seed: train(x, y, seed, epochs),
        "private": lambda x, y, seed: train_privately(x, y, seed, steps, noise=10.0),
    }
    metrics = {"epsilon": epsilon(steps, noise=10.0), "delta": DELTA}
    print(f"private training: epsilon {metrics['epsilon']:.1f} at delta {DELTA}")
    figure, axes = plt.subplots(figsize=(4.5, 3.6))
    for (name, way), color in zip(ways.items(), ("#e07b39", "#c0392b", "#3d85c6")):
        attacks = []
        for seed in range(10, 10 + seeds):  # not those that settings were tried on
            data = load_data(seed)
            attacks.append(attack(way(*data[:2], seed), data))
        axes.plot(*attacks[0].pop("curve"), color=color, label=name)
        metrics[name] = {
            key: {"mean": float(np.mean([one[key] for one in attacks])),
                  "spread": float(np.std([one[key] for one in attacks], ddof=1))}
            for key in attacks[0]
        }
        print(name)
        for key, value in metrics[name].items():
            label = key.replace("_", " ")
            print(f"  {label:19} {value['mean']:.3f} ± {value['spread']:.3f}")
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
    axes.set(xlabel="strangers accused", ylabel="members found")
    axes.legend(frameon=False)
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "attack.svg")
    plt.close(figure)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("membership-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
