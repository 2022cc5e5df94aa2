# --8<-- [start:setup]
"""What mends depth, written out; signal and gradient, layer by layer."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
# --8<-- [end:setup]


# --8<-- [start:initialize]
def he(outputs: int, inputs: int) -> torch.Tensor:
    """Draw weights, (outputs, inputs), that keep the size of a signal.

    K. He et al., Delving deep into rectifiers: Surpassing human-level
    performance on ImageNet classification, 2015.
    """
    return torch.randn(outputs, inputs) * math.sqrt(2 / inputs)
# --8<-- [end:initialize]


# --8<-- [start:batch]
class BatchNorm(nn.Module):
    """S. Ioffe and C. Szegedy, Batch normalization: Accelerating deep network
    training by reducing internal covariate shift, 2015.
    """

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize each unit of x, (batch, width), over the batch."""
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = x.mean(0), x.var(0, correction=0)  # (width,)
            with torch.no_grad():  # what evaluation will use
                self.running_mean.lerp_(mean, 0.1)
                self.running_var.lerp_(x.var(0), 0.1)
        x = (x - mean) / (variance + 1e-5).sqrt()
        return x * self.weight + self.bias
# --8<-- [end:batch]


# --8<-- [start:layer]
class LayerNorm(nn.Module):
    """J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization, 2016."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize each row of x, (..., width), over its units."""
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x * self.weight + self.bias


class RMSNorm(nn.Module):
    """B. Zhang and R. Sennrich, Root mean square layer normalization, 2019."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale each row of x, (..., width), to a root mean square of 1."""
        tiny = torch.finfo(x.dtype).eps
        square = x.square().mean(-1, keepdim=True)
        return x / (square + tiny).sqrt() * self.weight
# --8<-- [end:layer]


# --8<-- [start:network]
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


# --8<-- [start:measure]
def size(x: torch.Tensor) -> float:
    """Return the root mean square of a tensor of any shape."""
    return x.square().mean().sqrt().item()


def by_layer(
    model: Network, x: torch.Tensor, y: torch.Tensor
) -> dict[str, list[float]]:
    """Return what becomes of pixels, (batch, 64), with labels, (batch,).

    Behind each layer but the last: the size of the signal, the share of it
    that differs between the images, and the size of the gradient, relative to
    that behind the last of these layers.
    """
    states = [model.first(x)]
    for block in model.blocks:
        states.append(block(states[-1]))
    loss = F.cross_entropy(model.last(states[-1]), y)
    gradients = torch.autograd.grad(loss, states)
    end = size(gradients[-1])
    return {
        "signal": [size(state) for state in states],
        "difference": [size(s - s.mean(0)) / size(s) for s in states],
        "gradient": [size(gradient) / end for gradient in gradients],
    }
# --8<-- [end:measure]


# --8<-- [start:main]
def same_as_pytorch() -> dict[str, float]:
    """Return by how much each method differs from PyTorch's own."""
    x = torch.randn(32, 64) * 3 + 1
    pairs = {
        "batch norm": (BatchNorm(64), nn.BatchNorm1d(64)),
        "layer norm": (LayerNorm(64), nn.LayerNorm(64)),
        "RMS norm": (RMSNorm(64), nn.RMSNorm(64)),
    }
    found = {
        name: (ours(x) - theirs(x)).abs().max().item()
        for name, (ours, theirs) in pairs.items()
    }
    state = torch.get_rng_state()
    ours = he(64, 32)
    torch.set_rng_state(state)  # the same random numbers again
    theirs = nn.init.kaiming_normal_(torch.empty(64, 32), nonlinearity="relu")
    return found | {"He": (ours - theirs).abs().max().item()}


def main(out: Path, seed: int = 0, draws: int = 10) -> dict:
    """Compare with PyTorch, measure by layer, draw; write into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    metrics = {"off": same_as_pytorch()}
    for name, off in metrics["off"].items():
        print(f"{name:10} differs from PyTorch's by at most {off:.0e}")
    pixels, labels = load_digits(return_X_y=True)
    x = torch.tensor(pixels[:256] - pixels[:1157].mean(0))  # (256, 64)
    x, y = x / pixels[:1157].std(), torch.tensor(labels[:256])
    print(f"{'':20} {'signal':>8} {'differs':>9} {'gradient':>9}")
    for name, options in VARIANTS.items():
        runs = [
            by_layer(Network(**options).double(), x, y) for _ in range(draws)
        ]
        metrics[name] = {
            key: torch.tensor([run[key] for run in runs]).log().mean(0)
            .exp().tolist() for key in runs[0]
        }  # over networks, the geometric mean
        signal, difference, gradient = metrics[name].values()
        print(f"{name:20} {signal[-1]:8.2g} {difference[-1]:9.1e}"
              f" {gradient[0]:9.1e}")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw(metrics).savefig(out / "by_layer.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
COLORS = {
    "plain": "black", "He": "#e07b39", "batch norm": "#2f8fd0",
    "layer norm": "#3f9a5f", "residual": "#9b6fc4",
    "residual, layer norm": "#c4507a",
}


def draw(metrics: dict) -> plt.Figure:
    """Draw what was measured behind each layer."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharex=True)
    titles = {
        "signal": "size of the signal",
        "difference": "share that differs",
        "gradient": "size of the gradient",
    }
    for ax, (key, title) in zip(axes, titles.items()):
        for name, color in COLORS.items():
            values = metrics[name][key]
            layers = range(1, len(values) + 1)
            ax.semilogy(layers, values, color=color, label=name)
        ax.set(xlabel="layer", title=title, xticks=(1, 10, 19))
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
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
    run(main, "deep_layers-results")
# --8<-- [end:run]
