# --8<-- [start:setup]
"""Quantization: what weights of few bits save in memory and cost."""

import copy
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

BITS = (8, 6, 5, 4, 3, 2)


def load_data(seed: int = 0) -> list[Tensor]:
    """Return pixels, (count, 64), and labels: 1,257 train, 540 test."""
    digits = load_digits()
    split = train_test_split(
        digits.data / 16, digits.target, test_size=0.3,
        stratify=digits.target, random_state=seed,
    )
    images, test, labels, test_labels = map(torch.tensor, split)
    return [images.float(), labels, test.float(), test_labels]
# --8<-- [end:setup]


# --8<-- [start:train]
def train(
    images: Tensor, labels: Tensor, seed: int, epochs: int
) -> nn.Sequential:
    """Train a network of 64, 128, 128 and 10 units on (count, 64)."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
        nn.Linear(128, 10),
    )
    data = TensorDataset(images, labels)
    loader = DataLoader(data, batch_size=64, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
    for _ in range(epochs):
        for x, y in loader:  # (batch, 64), (batch,)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model


@torch.inference_mode()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy on (count, 64)."""
    return (model(images).argmax(1) == labels).float().mean().item()
# --8<-- [end:train]


# --8<-- [start:quantize]
def quantize(
    weight: Tensor, bits: int, by_row: bool
) -> tuple[Tensor, Tensor]:
    """Return whole numbers, (rows, columns), and what turns them back.

    The numbers lie from -m to m with m = 2 ** (bits - 1) - 1. One scale
    serves the whole matrix, shape (1, 1), or one each row, shape (rows, 1).
    """
    size = weight.abs()
    largest = size.amax(dim=1, keepdim=True) if by_row else size.max()
    scale = (largest.reshape(-1, 1) / (2 ** (bits - 1) - 1)).clamp(min=1e-12)
    return (weight / scale).round().to(torch.int8), scale


def pack(numbers: Tensor, bits: int) -> np.ndarray:
    """Write whole numbers, (rows, columns), into bytes without gaps."""
    shifted = numbers.flatten().to(torch.int16) + 2 ** (bits - 1)  # all >= 0
    shifted = shifted.to(torch.uint8).numpy()  # (count,)
    digits = np.unpackbits(shifted[:, None], axis=1)  # (count, 8)
    return np.packbits(digits[:, 8 - bits:])


def unpack(stored: np.ndarray, bits: int, shape: torch.Size) -> Tensor:
    """Return the whole numbers, (rows, columns), that `pack` wrote."""
    digits = np.unpackbits(stored, count=shape.numel() * bits)
    digits = digits.reshape(-1, bits)  # (count, bits)
    padded = np.pad(digits, ((0, 0), (8 - bits, 0)))  # (count, 8)
    numbers = torch.from_numpy(np.packbits(padded, axis=1)).to(torch.int16)
    return (numbers - 2 ** (bits - 1)).reshape(shape)
# --8<-- [end:quantize]


# --8<-- [start:compress]
def compress(
    model: nn.Sequential, bits: int, by_row: bool
) -> tuple[nn.Sequential, int]:
    """Return a copy that runs on restored weights, and the bytes they took.

    Biases stay as they are, with 4 bytes each, like the scales.
    """
    small = copy.deepcopy(model)
    size = 0
    for layer in small:
        if isinstance(layer, nn.Linear):
            numbers, scale = quantize(layer.weight.detach(), bits, by_row)
            stored = pack(numbers, bits)
            layer.weight.data = unpack(stored, bits, numbers.shape) * scale
            size += stored.nbytes + 4 * (scale.numel() + layer.bias.numel())
    return small, size
# --8<-- [end:compress]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, runs: int = 5, epochs: int = 30) -> dict:
    """Train, then quantize in all ways; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + runs)
    images, labels, test, test_labels = load_data(seed)
    linear = LogisticRegression(max_iter=1000).fit(images, labels)
    models = [train(images, labels, one, epochs) for one in seeds]
    full = [evaluate(model, test, test_labels) for model in models]
    held = 4 * sum(weight.numel() for weight in models[0].parameters())
    metrics = {
        "linear": linear.score(test, test_labels),
        "full": {
            "bytes": held, "mean": float(np.mean(full)),
            "spread": float(np.std(full, ddof=1)),
        },
    }
    print(f"linear model, 32 bits: {metrics['linear']:.3f}")
    print(f"network, 32 bits: {held:,} bytes, {np.mean(full):.3f}")
    ways = (("one scale a matrix", False), ("one scale a row", True))
    for name, by_row in ways:
        metrics[name] = {}
        for bits in BITS:
            small = [compress(model, bits, by_row) for model in models]
            held = small[0][1]
            scores = [evaluate(model, test, test_labels) for model, _ in small]
            mean, spread = np.mean(scores), np.std(scores, ddof=1)
            metrics[name][f"bits_{bits}"] = {
                "bytes": held, "mean": float(mean), "spread": float(spread)
            }
            print(f"{name}, {bits} bits: {held:6,} bytes, "
                  f"{mean:.3f} ± {spread:.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    draw(metrics, out / "quantization.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw(metrics: dict, file: Path) -> None:
    """Draw the accuracy against the bits of a weight."""
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    colors = {"one scale a matrix": "#e07b39", "one scale a row": "#3d85c6"}
    for name, color in colors.items():
        values = [metrics[name][f"bits_{bits}"] for bits in BITS]
        axes.errorbar(
            BITS, [100 * value["mean"] for value in values],
            [100 * value["spread"] for value in values],
            color=color, marker="o", capsize=3, label=name,
        )
    full = 100 * metrics["full"]["mean"]
    axes.axhline(full, color="gray", linewidth=1, linestyle="--")
    axes.set(xlabel="bits of a weight", ylabel="test accuracy, %", xticks=BITS)
    axes.legend(frameon=False, loc="lower right")
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
    run(main, "quantization-results")
# --8<-- [end:run]
