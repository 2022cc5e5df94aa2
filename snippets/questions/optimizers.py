# --8<-- [start:setup]
"""Optimizers: SGD, momentum, Adam and AdamW written out and compared."""

import json
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

RATES = [10 ** (exponent / 2) for exponent in range(-8, 2)]  # 0.0001 to 3.2
# --8<-- [end:setup]


# --8<-- [start:data]
def load_data() -> list[Tensor]:
    """Return pixels, (count, 64), and labels: to train, choose and test.

    1,078 digits train, 359 choose, 360 test.
    """
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    rows = np.arange(len(labels))
    rest, test = train_test_split(
        rows, test_size=360, stratify=labels, random_state=0
    )
    train, check = train_test_split(
        rest, test_size=359, stratify=labels[rest], random_state=0
    )
    parts = (train, check, test)
    return [part[rows] for rows in parts for part in (images, labels)]
# --8<-- [end:data]


# --8<-- [start:rules]
def sgd(weight: Tensor, gradient: Tensor, memory: dict, rate: float) -> None:
    """Stochastic gradient descent: Robbins and Monro, 1951.

    Weight and gradient are of any shape, the same.
    """
    weight -= rate * gradient


def momentum(
    weight: Tensor, gradient: Tensor, memory: dict, rate: float
) -> None:
    """Keep nine tenths of the velocity, shaped like the weight: Polyak, 1964.
    """
    memory["velocity"] = 0.9 * memory.get("velocity", 0) + gradient
    weight -= rate * memory["velocity"]


def adam(weight: Tensor, gradient: Tensor, memory: dict, rate: float) -> None:
    """Divide the mean gradient by its typical size: Kingma and Ba, 2015.

    Both averages are shaped like the weight.
    """
    step = memory["step"] = memory.get("step", 0) + 1
    memory["mean"] = 0.9 * memory.get("mean", 0) + 0.1 * gradient
    memory["square"] = 0.999 * memory.get("square", 0) + 0.001 * gradient**2
    mean = memory["mean"] / (1 - 0.9**step)  # both averages began at 0
    square = memory["square"] / (1 - 0.999**step)
    weight -= rate * mean / (square.sqrt() + 1e-8)


def adamw(
    weight: Tensor, gradient: Tensor, memory: dict, rate: float
) -> None:
    """Shrink the weight apart from the gradient: Loshchilov and Hutter, 2019.

    Both are of any shape, the same.
    """
    weight *= 1 - rate * 0.01
    adam(weight, gradient, memory, rate)


RULES = {"SGD": sgd, "momentum": momentum, "Adam": adam, "AdamW": adamw}
# --8<-- [end:rules]


# --8<-- [start:train]
def train(
    rule: Callable, rate: float, images: Tensor, labels: Tensor, seed: int,
    epochs: int,
) -> nn.Module:
    """Train a small network on (count, 64) in batches of 64."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    memories = [{} for _ in model.parameters()]
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(64):
            model.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            with torch.no_grad():
                for weight, memory in zip(model.parameters(), memories):
                    rule(weight, weight.grad, memory, rate)
    return model


@torch.inference_mode()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy on (count, 64)."""
    return (model(images).argmax(1) == labels).float().mean().item()
# --8<-- [end:train]


# --8<-- [start:main]
def compare(rule: Callable, seeds: range, epochs: int) -> dict:
    """Choose the best rate on the validation part; test it on fresh seeds."""
    images, labels, check, check_labels, test, test_labels = load_data()

    def trained(rate: float, seed: int) -> nn.Module:
        return train(rule, rate, images, labels, seed, epochs)

    tried = range(seeds.start + 100, seeds.start + 103)  # not used again
    scores = [
        float(np.mean([
            evaluate(trained(rate, seed), check, check_labels)
            for seed in tried
        ])) for rate in RATES
    ]
    best = RATES[int(np.argmax(scores))]
    results = [
        evaluate(trained(best, seed), test, test_labels) for seed in seeds
    ]
    return {
        "rate": best, "mean": float(np.mean(results)),
        "spread": float(np.std(results, ddof=1)), "validation": scores,
        "good_rates": sum(score >= max(scores) - 0.01 for score in scores),
    }


def main(out: Path, seed: int = 0, epochs: int = 10, runs: int = 5) -> dict:
    """Choose a rate for each rule, test it; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + runs)
    images, labels, check, check_labels, test, test_labels = load_data()
    linear = LogisticRegression(max_iter=1000).fit(images, labels)
    metrics = {"epochs": epochs, "linear": linear.score(test, test_labels)}
    for name, rule in RULES.items():
        found = metrics[name] = compare(rule, seeds, epochs)
        print(f"{name:9} best rate {found['rate']:<7.2g} "
              f"test {found['mean']:.3f} ± {found['spread']:.3f}; "
              f"{found['good_rates']} of {len(RATES)} rates are as good")
    print(f"linear    test {metrics['linear']:.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    draw(metrics, linear.score(check, check_labels), out / "rates.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw(metrics: dict, baseline: float, file: Path) -> None:
    """Draw each rule's validation accuracy against the learning rate."""
    figure, axes = plt.subplots(figsize=(6, 3.2))
    colors = ("#8e6cc0", "#e07b39", "#3d85c6", "#4f9d4f")
    styles = ("-", "-", "-", ":")
    for name, color, style in zip(RULES, colors, styles):
        values = [100 * score for score in metrics[name]["validation"]]
        axes.plot(RATES, values, style, marker="o", markersize=4,
                  color=color, label=name)
    axes.axhline(100 * baseline, color="gray", linewidth=1, linestyle="--")
    axes.set(xscale="log", xlabel="learning rate")
    axes.set_ylabel("validation accuracy, %")
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
    run(main, "optimizers-results")
# --8<-- [end:run]
