# --8<-- [start:setup]
"""Learn two numbers by hand, then a network, in NumPy and in PyTorch."""

import copy
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_iris, make_moons
from torch import nn
# --8<-- [end:setup]


# --8<-- [start:flowers]
def load_flowers() -> tuple[np.ndarray, np.ndarray]:
    """Return the length and width in cm of 150 petals, each (150,)."""
    sizes = load_iris().data  # (150, 4)
    return sizes[:, 2], sizes[:, 3]
# --8<-- [end:flowers]


# --8<-- [start:loss]
def line_loss(w: float, b: float, x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean squared error of w * x + b; x and y are (count,)."""
    return np.mean((w * x + b - y) ** 2)
# --8<-- [end:loss]


# --8<-- [start:gradient]
def line_gradient(
    w: float, b: float, x: np.ndarray, y: np.ndarray
) -> tuple[float, float]:
    """Return the slopes of line_loss in w and in b; x and y are (count,)."""
    error = w * x + b - y  # (count,)
    return np.mean(2 * error * x), np.mean(2 * error)
# --8<-- [end:gradient]


# --8<-- [start:descend]
def descend(
    x: np.ndarray, y: np.ndarray, rate: float, steps: int = 200
) -> np.ndarray:
    """Return w and b before each step and after the last, (steps + 1, 2).

    x and y have the shape (count,).
    """
    w, b = 0.0, 0.0
    path = [(w, b)]
    for _ in range(steps):
        slope_w, slope_b = line_gradient(w, b, x, y)
        w, b = w - rate * slope_w, b - rate * slope_b
        path.append((w, b))
    return np.array(path)
# --8<-- [end:descend]


# --8<-- [start:rates]
RATES = {"too small": 0.0005, "right": 0.05, "too large": 0.06}


def largest_rate(x: np.ndarray) -> float:
    """Return the rate above which the descent runs away; x is (count,).

    It is 2 divided by the loss's largest curvature in any direction.
    """
    curvature = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]])
    return 2 / np.linalg.eigvalsh(curvature).max()
# --8<-- [end:rates]


# --8<-- [start:data]
def load_data(seed: int = 0) -> tuple[np.ndarray, ...]:
    """Return points to train on and their labels, then those to test.

    The points of two moons, (200, 2) and (1000, 2), are blurred by a noise
    of 0.2. The labels, (200, 1) and (1000, 1), name the moon, 0 or 1.
    """
    x, y = make_moons(1200, noise=0.2, random_state=seed)
    y = y[:, None].astype(float)  # (1200, 1)
    return x[:200], y[:200], x[200:], y[200:]
# --8<-- [end:data]


# --8<-- [start:forward]
Numbers = list[np.ndarray]  # weights and biases, layer by layer


def forward(numbers: Numbers, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a network makes of points, (batch, 2).

    These are the hidden values, (batch, units), and the probabilities of
    label 1, (batch, 1). The numbers have the shapes (units, 2), (units,),
    (1, units) and (1,).
    """
    w1, b1, w2, b2 = numbers
    hidden = np.tanh(x @ w1.T + b1)  # (batch, units)
    score = hidden @ w2.T + b2  # (batch, 1)
    return hidden, 1 / (1 + np.exp(-score))
# --8<-- [end:forward]


# --8<-- [start:backward]
def backward(numbers: Numbers, x: np.ndarray, y: np.ndarray) -> Numbers:
    """Return the gradient of the cross entropy, shaped like the numbers.

    The points are (batch, 2), the labels (batch, 1).
    """
    w1, b1, w2, b2 = numbers
    hidden, p = forward(numbers, x)
    by_score = (p - y) / len(x)  # (batch, 1)
    by_hidden = by_score @ w2  # (batch, units)
    by_sum = by_hidden * (1 - hidden**2)  # (batch, units), before the tanh
    return [by_sum.T @ x, by_sum.sum(0), by_score.T @ hidden, by_score.sum(0)]
# --8<-- [end:backward]


# --8<-- [start:by_hand]
def train_by_hand(
    numbers: Numbers, x: np.ndarray, y: np.ndarray, rate: float, steps: int
) -> Numbers:
    """Return the numbers after some steps, shaped like those given.

    The points are (batch, 2), the labels (batch, 1).
    """
    for _ in range(steps):
        slopes = backward(numbers, x, y)
        numbers = [one - rate * slope for one, slope in zip(numbers, slopes)]
    return numbers
# --8<-- [end:by_hand]


# --8<-- [start:network]
def network(units: int, activation: type[nn.Module]) -> nn.Sequential:
    """Return a network from 2 inputs over a hidden layer to one score."""
    return nn.Sequential(
        nn.Linear(2, units), activation(), nn.Linear(units, 1)
    ).double()  # as exact as NumPy
# --8<-- [end:network]


# --8<-- [start:train]
def train(
    model: nn.Module, x: np.ndarray, y: np.ndarray, rate: float, steps: int
) -> list[float]:
    """Train on points, (batch, 2), with labels, (batch, 1).

    Return the loss before each step.
    """
    x, y = torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    model.train()
    losses = []
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(model: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of points, (batch, 2), that get their label.

    The labels have the shape (batch, 1). A score above 0 means label 1.
    """
    model.eval()
    return ((model(torch.tensor(x)) > 0).numpy() == y).mean().item()
# --8<-- [end:evaluate]


# --8<-- [start:main]
RATE = 0.5
TITLES = {
    "neuron": "one neuron", "linear": "8 units, no tanh",
    "network": "8 units, tanh",
}


def main(out: Path, seed: int = 0, steps: int = 2000) -> dict:
    """Fit a line, train three networks, and write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    flowers = load_flowers()
    paths = {name: descend(*flowers, rate) for name, rate in RATES.items()}
    draw_line(paths["right"], *flowers).savefig(out / "line.svg")
    draw_valley(paths, *flowers).savefig(out / "valley.svg")

    x, y, *test = load_data(seed)
    torch.manual_seed(seed)
    models = {
        "neuron": nn.Linear(2, 1).double(),
        "linear": network(8, nn.Identity),
        "network": network(8, nn.Tanh),
    }
    model, stages, before = models["network"], {}, 0
    start = [one.detach().numpy().copy() for one in model.parameters()]
    by_hand = train_by_hand(start, x, y, RATE, steps)
    for step in (steps // 100, steps // 10, steps):
        train(model, x, y, RATE, step - before)
        stages[f"{step} steps"], before = copy.deepcopy(model), step
    for name in ("neuron", "linear"):
        train(models[name], x, y, RATE, steps)
    metrics = line_metrics(paths, *flowers) | {
        "points": len(x), "steps": steps,
        "apart": max(
            np.abs(one - other.detach().numpy()).max().item()
            for one, other in zip(by_hand, model.parameters())
        ),
        **{name: evaluate(one, *test) for name, one in models.items()},
    }
    report(metrics)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_panels(stages, x, y).savefig(out / "learning.svg")
    titled = {TITLES[name]: one for name, one in models.items()}
    draw_panels(titled, x, y).savefig(out / "boundaries.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def line_metrics(
    paths: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray
) -> dict:
    """Return what the descents, each (steps + 1, 2), came to.

    Beside them stands the best line, by algebra; x and y are (count,).
    """
    w, b = np.polyfit(x, y, 1)
    found = {"best": {"w": w, "b": b, "loss": line_loss(w, b, x, y)}}
    for name, path in paths.items():
        w, b = path[-1]
        found[name.replace(" ", "_")] = {
            "w": w, "b": b, "loss": line_loss(w, b, x, y)
        }
    return {
        "flowers": len(x), "first_loss": line_loss(0, 0, x, y),
        "largest_rate": largest_rate(x), "line": found,
    }


def report(metrics: dict) -> None:
    """Print what was learned."""
    print(f"a line through {metrics['flowers']} petals: w, b and the loss")
    for name, line in metrics["line"].items():
        form = "10.4f" if line["loss"] < 1000 else "10.0e"
        numbers = [format(line[key], form) for key in ("w", "b", "loss")]
        print(f"  {name.replace('_', ' '):9}", *numbers)
    print(f"rates above {metrics['largest_rate']:.4f} run away")
    print("test points on the right side")
    for name, title in TITLES.items():
        print(f"  {title:16} {metrics[name]:6.1%}")
    print(f"NumPy and PyTorch end {metrics['apart']:.0e} apart, at most")
# --8<-- [end:report]


# --8<-- [start:pictures]
ORANGE, BLUE, GREEN = "#e07b39", "#2f8fd0", "#3f9a5f"


def draw_line(path: np.ndarray, x: np.ndarray, y: np.ndarray) -> plt.Figure:
    """Draw x and y, (count,), and the line along a path, (steps + 1, 2)."""
    fig, ax = plt.subplots(figsize=(7, 3.4))
    ax.scatter(x, y, s=12, color="gray", alpha=0.6, linewidth=0)
    ends = np.array([0.0, 7.5])
    for step, opacity in ((1, 0.3), (3, 0.5), (20, 0.7), (len(path) - 1, 1)):
        w, b = path[step]
        label = "1 step" if step == 1 else f"{step} steps"
        ax.plot(ends, w * ends + b, color=BLUE, alpha=opacity, label=label)
    ax.set(xlabel="petal length, cm", ylabel="petal width, cm", ylim=(-0.7, 3))
    ax.legend(frameon=False)
    return fig


def draw_valley(
    paths: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray
) -> plt.Figure:
    """Draw the loss over w and b, and paths, (steps + 1, 2), through it.

    x and y have the shape (count,).
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    w, b = np.meshgrid(np.linspace(-0.3, 1.1, 120), np.linspace(-0.5, 0.3, 90))
    errors = w[..., None] * x + b[..., None] - y  # (90, 120, count)
    left.contour(
        w, b, (errors**2).mean(2), np.geomspace(0.05, 20, 10),
        colors="gray", linewidths=0.6, alpha=0.6,
    )
    for name, color in zip(reversed(paths), (ORANGE, BLUE, GREEN)):
        path, shown = paths[name], 12 if name == "too large" else None
        left.plot(*path[:shown].T, ".-", color=color, markersize=4, lw=1)
        losses = [line_loss(*point, x, y) for point in path]
        right.semilogy(losses, color=color, label=f"{name}: {RATES[name]}")
    left.set(xlim=(-0.3, 1.1), ylim=(-0.5, 0.3), xlabel="w", ylabel="b")
    right.set(xlabel="step", ylabel="loss", ylim=(0.03, 100))
    right.legend(frameon=False)
    return fig


def draw_panels(
    models: dict[str, nn.Module], x: np.ndarray, y: np.ndarray
) -> plt.Figure:
    """Draw where each model parts points, (count, 2), of labels (count, 1)."""
    fig, axes = plt.subplots(1, len(models), figsize=(9, 2.8), sharey=True)
    u, v = np.meshgrid(np.linspace(-1.8, 2.8, 93), np.linspace(-1.3, 1.8, 63))
    grid = torch.tensor(np.stack([u, v], 2)).flatten(0, 1)  # (5859, 2)
    for ax, (title, model) in zip(axes, models.items()):
        with torch.inference_mode():
            score = model(grid).numpy().reshape(u.shape)  # (63, 93)
        ax.contourf(
            u, v, score, [-1e9, 0, 1e9], colors=[ORANGE, BLUE], alpha=0.2
        )
        for label, color, shape in ((0, ORANGE, "o"), (1, BLUE, "s")):
            chosen = x[y[:, 0] == label]
            ax.scatter(*chosen.T, s=8, color=color, marker=shape, linewidth=0)
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return fig
# --8<-- [end:pictures]


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
    run(main, "neuron-results")
# --8<-- [end:run]
