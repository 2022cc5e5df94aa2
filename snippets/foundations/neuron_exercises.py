# --8<-- [start:setup]
"""The answers to the exercises on the first network, worked out."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_iris
from torch import nn

Function = Callable[[float], float]
# --8<-- [end:setup]


# --8<-- [start:check]
def check(function: Function, slope: Function) -> str:
    """Compare a slope with small differences; say where it is wrong."""
    for x in np.linspace(-3, 3, 12).tolist():
        expected = (function(x + 1e-5) - function(x - 1e-5)) / 2e-5
        if not abs(slope(x) - expected) < 1e-6:
            return f"wrong at {x:.2f}: {slope(x):.4f}, not {expected:.4f}"
    return "right"
# --8<-- [end:check]


# --8<-- [start:step]
def step() -> tuple[float, float]:
    """Return w and b after one step from 0 with the rate 0.1."""
    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    error = 0 * x + 0 - y  # (2,)
    return -0.1 * np.mean(2 * error * x), -0.1 * np.mean(2 * error)
# --8<-- [end:step]


# --8<-- [start:slopes]
def sigmoid(x: float) -> float:
    """Squash any number to one between 0 and 1."""
    return 1 / (1 + math.exp(-x))


def sigmoid_slope(x: float) -> float:
    """Return the slope of sigmoid."""
    return sigmoid(x) * (1 - sigmoid(x))


def relu(x: float) -> float:
    """Keep what is positive."""
    return max(0.0, x)


def relu_slope(x: float) -> float:
    """Return the slope of relu."""
    return 1.0 if x > 0 else 0.0
# --8<-- [end:slopes]


# --8<-- [start:center]
def steps_needed(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Return the largest rate that works, and how many steps it then takes.

    x and y have the shape (count,). Half of that rate is used, until the
    loss is within 1% of the lowest one.
    """
    curvature = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]])
    largest = 2 / np.linalg.eigvalsh(curvature).max()
    lowest = np.mean((np.polyval(np.polyfit(x, y, 1), x) - y) ** 2)
    w, b, steps = 0.0, 0.0, 0
    while np.mean((w * x + b - y) ** 2) > 1.01 * lowest:
        error = w * x + b - y  # (count,)
        w -= largest / 2 * np.mean(2 * error * x)
        b -= largest / 2 * np.mean(2 * error)
        steps += 1
    return float(largest), steps
# --8<-- [end:center]


# --8<-- [start:xor]
def learns_xor(units: int, seed: int, steps: int) -> bool:
    """Tell whether a network with so many hidden units learns XOR."""
    x = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    y = torch.tensor([[0.0], [1], [1], [0]])  # (4, 1)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, units), nn.Tanh(), nn.Linear(units, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        return bool(((model(x) > 0) == (y > 0)).all())
# --8<-- [end:xor]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, starts: int = 20, steps: int = 200) -> dict:
    """Answer all exercises; write metrics.json into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    w, b = step()
    print(f"1. w = {w:.2f}, b = {b:.2f}")

    print("2. sigmoid:", check(sigmoid, sigmoid_slope))
    print("   ReLU:", check(relu, relu_slope))

    sizes = load_iris().data  # (150, 4)
    x, y = sizes[:, 2], sizes[:, 3]
    metrics = {"step": [w, b], "starts": starts, "center": {}}
    for name, lengths in (("as measured", x), ("centered", x - x.mean())):
        largest, needed = steps_needed(lengths, y)
        metrics["center"][name] = {"largest": largest, "steps": needed}
        print(f"3. {name}: rates up to {largest:.3f}, {needed} steps")

    metrics["xor"] = {}
    for units in (1, 2, 3, 4):
        first = seed * starts  # other starts for each seed
        learned = [
            learns_xor(units, start, steps)
            for start in range(first, first + starts)
        ]
        metrics["xor"][str(units)] = sum(learned)
        print(f"4. hidden units: {units}; XOR learned: {sum(learned)} times")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
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
    run(main, "neuron_exercises-results")
# --8<-- [end:run]
