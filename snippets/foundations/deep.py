# --8<-- [start:setup]
"""Train twenty layers on digits, with and without what mends depth."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:initialize]
# From foundations/deep_layers.py, word for word:
def he(outputs: int, inputs: int) -> torch.Tensor:
    """Draw weights, (outputs, inputs), that keep the size of a signal.

    K. He et al., Delving deep into rectifiers: Surpassing human-level
    performance on ImageNet classification, 2015.
    """
    return torch.randn(outputs, inputs) * math.sqrt(2 / inputs)
# --8<-- [end:initialize]


# --8<-- [start:network]
# From foundations/deep_layers.py, word for word:
class Block(nn.Module):
    """One more layer: it normalizes, cuts off below 0, and weighs."""

    def __init__(self, width: int, norm: type[nn.Module], residual: bool):
        super().__init__()
        self.norm = norm(width)
        self.linear = nn.Linear(width, width)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what follows on x, (batch, width), of the same shape."""
        change = self.linear(F.relu(self.norm(x)))
        return x + change if self.residual else change


class Network(nn.Module):
    """So many linear layers, from 64 pixels to 10 logits."""

    def __init__(
        self, depth: int = 20, norm: type[nn.Module] = nn.Identity,
        residual: bool = False, he_start: bool = False, width: int = 64,
    ):
        super().__init__()
        self.first = nn.Linear(64, width)
        self.blocks = nn.Sequential(
            *[Block(width, norm, residual) for _ in range(depth - 2)]
        )
        self.last = nn.Sequential(
            norm(width), nn.ReLU(), nn.Linear(width, 10)
        )
        for layer in self.modules() if he_start else ():
            if isinstance(layer, nn.Linear):
                layer.weight.data = he(*layer.weight.shape)
                layer.bias.data.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 10), of pixels, (batch, 64)."""
        return self.last(self.blocks(self.first(x)))


VARIANTS = {
    "plain": {},
    "He": {"he_start": True},
    "batch norm": {"norm": nn.BatchNorm1d},
    "layer norm": {"norm": nn.LayerNorm},
    "RMS norm": {"norm": nn.RMSNorm},
    "residual": {"residual": True},
    "residual, layer norm": {"residual": True, "norm": nn.LayerNorm},
    "residual, He": {"residual": True, "he_start": True},
}
# --8<-- [end:network]


# --8<-- [start:data]
def load_data() -> list[TensorDataset]:
    """Return digits to train on, to choose by and to test, of other forms.

    Each part has pixels, (count, 64), of mean 0 and deviation 1 in the part
    to train on, and labels, (count,).
    """
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels - pixels[:1157].mean(0)) / pixels[:1157].std()
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(labels)
    parts = slice(0, 1157), slice(1157, 1415), slice(1415, None)
    return [TensorDataset(x[part], y[part]) for part in parts]
# --8<-- [end:data]


# --8<-- [start:train]
def train(
    model: nn.Module, data: TensorDataset, optimizer: torch.optim.Optimizer,
    epochs: int,
) -> list[float]:
    """Train a model; return the mean loss of each epoch."""
    model.train()
    x, y = (part.to(device) for part in data.tensors)
    losses = []
    for _ in range(epochs):
        total = 0.0
        batches = torch.randperm(len(x)).split(64)[:-1]  # without the rest
        for rows in batches:
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(batches))
    return losses


@torch.inference_mode()
def evaluate(model: nn.Module, data: TensorDataset) -> float:
    """Return the share of digits that a model reads right."""
    model.eval()
    x, y = data.tensors  # (count, 64), (count,)
    return (model(x.to(device)).argmax(1).cpu() == y).float().mean().item()
# --8<-- [end:train]


# --8<-- [start:search]
RATES = {
    "SGD": (0.001, 0.003, 0.01, 0.03, 0.1),
    "Adam": (0.0001, 0.0003, 0.001, 0.003, 0.01),
}
RUNS = {name: ("SGD", options) for name, options in VARIANTS.items()} | {
    "plain, Adam": ("Adam", {}),
    "three layers": ("SGD", {"depth": 3}),
}


class Run(NamedTuple):
    """A trained network, its losses, and what it reached in validation."""

    model: nn.Module
    losses: list[float]
    valid: float


def fit(
    name: str, rate: float, data: list[TensorDataset], epochs: int, seed: int
) -> Run:
    """Train one of the variants with a learning rate."""
    torch.manual_seed(seed)
    kind, options = RUNS[name]
    model = Network(**options).to(device)
    if kind == "SGD":
        optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    else:
        optimizer = torch.optim.Adam(model.parameters(), rate)
    losses = train(model, data[0], optimizer, epochs)
    return Run(model, losses, evaluate(model, data[1]))
# --8<-- [end:search]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, epochs: int = 20) -> dict:
    """Train each variant with each rate, test the best; write into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data()
    metrics, curves = {"epochs": epochs, "test": len(data[2])}, {}
    print("                        rate  validation   test  rates that train")
    for name, (kind, _) in RUNS.items():
        runs = {rate: fit(name, rate, data, epochs, seed)
                for rate in RATES[kind]}
        rate = max(runs, key=lambda rate: runs[rate].valid)
        curves[name] = runs[rate].losses
        valid = [run.valid for run in runs.values()]
        metrics[name] = {
            "rate": rate, "tried": valid, "valid": runs[rate].valid,
            "accuracy": evaluate(runs[rate].model, data[2]),
            "rates_that_train": sum(one > 0.8 for one in valid),
        }
        print(f"{name:20} {rate:7}  {max(valid):10.1%}"
              f" {metrics[name]['accuracy']:6.1%}"
              f"  {metrics[name]['rates_that_train']} of {len(valid)}")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw(curves).savefig(out / "loss.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
COLORS = {
    "plain": "black", "He": "#e07b39", "batch norm": "#2f8fd0",
    "layer norm": "#3f9a5f", "residual": "#9b6fc4",
    "residual, layer norm": "#c4507a",
}


def draw(curves: dict[str, list[float]]) -> plt.Figure:
    """Draw the losses of each variant at its best rate."""
    figure, axes = plt.subplots(figsize=(7, 3.2))
    for name, color in COLORS.items():
        epochs = range(1, len(curves[name]) + 1)
        axes.plot(epochs, curves[name], color=color, label=name)
    axes.set(xlabel="epoch", ylabel="loss", ylim=0)
    axes.legend(frameon=False)
    return figure
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
    run(main, "deep-results")
# --8<-- [end:run]
