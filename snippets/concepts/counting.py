# --8<-- [start:setup]
"""Count the parameters, the arithmetic and the memory of small models."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
# --8<-- [end:setup]


# --8<-- [start:small]
class ConvNet(nn.Sequential):
    """Two convolutions, two full layers: (batch, 3, 32, 32) to (batch, 10)."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 8 * 8, 128), nn.ReLU(),
            nn.Linear(128, 10),
        )


class LSTMClassifier(nn.Module):
    """Two LSTM layers of 256 units over embeddings of 100, ten classes."""

    def __init__(self, vocabulary: int = 100):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 100)
        self.lstm = nn.LSTM(100, 256, num_layers=2, batch_first=True)
        self.output = nn.Linear(256, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 10), of tokens, (batch, time)."""
        hidden, _ = self.lstm(self.embedding(tokens))  # (batch, time, 256)
        return self.output(hidden[:, -1])
# --8<-- [end:small]


# --8<-- [start:translator]
class Translator(nn.Module):
    """A small Transformer with encoder and decoder, over one vocabulary."""

    def __init__(
        self, vocabulary: int = 200, width: int = 128, layers: int = 2
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.transformer = nn.Transformer(
            width, 4, layers, layers, 4 * width, dropout=0.0, batch_first=True
        )
        self.output = nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, time, vocabulary), of (batch, 2, time)."""
        pairs = self.embedding(tokens)  # (batch, 2, time, width)
        source, target = pairs.unbind(1)  # (batch, time, width) each
        return self.output(self.transformer(source, target))
# --8<-- [end:translator]


# --8<-- [start:arithmetic]
def parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; shared ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """Return the multiply-adds of a forward pass and of a training step.

    Counted are matrix products and convolutions: nearly all of the work.
    Model and x, (batch, ...), lie on the device `meta`, where tensors have
    shapes but no data.
    """
    # attention by its plain formula, of products that the counter knows
    plain = sdpa_kernel(SDPBackend.MATH)
    with plain, FlopCounterMode(display=False) as counter:
        output = model(x)
        forward = counter.get_total_flops()
        output.sum().backward()
        step = counter.get_total_flops()
    return forward // 2, step // 2  # an addition is a FLOP too
# --8<-- [end:arithmetic]


# --8<-- [start:activations]
def size(tensors: list[torch.Tensor]) -> int:
    """Return the bytes of tensors of any shape; shared memory counts once."""
    memory = [tensor.untyped_storage() for tensor in tensors]
    return sum({part.data_ptr(): part.nbytes() for part in memory}.values())


def forward_pass(
    model: nn.Module, x: torch.Tensor
) -> tuple[torch.Tensor, int]:
    """Return a loss of x, (batch, ...), and the bytes of activations kept."""
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept)
    with hooks:
        loss = model(x).float().logsumexp(-1).mean()
    weights = list(model.parameters())  # kept too, but no activations
    return loss, size(kept + weights) - size(weights)
# --8<-- [end:activations]


# --8<-- [start:memory]
def memory(
    model: nn.Module, x: torch.Tensor, mixed: bool = False
) -> dict[str, int]:
    """Return the bytes of weights, gradients, Adam and activations of a step.

    A step reads x, (batch, ...). `mixed` computes with weights of 16 bits
    and keeps a copy of 32 bits to update.
    Diederik Kingma and Jimmy Ba, Adam: A method for stochastic
    optimization, 2015.
    Paulius Micikevicius et al., Mixed precision training, 2018.
    """
    weights = list(model.parameters())
    copies = []
    if mixed:
        copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
        model.bfloat16()
        x = x.bfloat16() if x.is_floating_point() else x
    loss, activations = forward_pass(model, x)
    loss.backward()
    gradients = [weight.grad for weight in weights]
    for copy, gradient in zip(copies, gradients):
        copy.grad = gradient.float()
    optimizer = torch.optim.Adam(copies or weights)
    optimizer.step()
    states = [
        value for state in optimizer.state.values()
        for value in state.values()
    ]
    return {
        "weights": size(weights), "gradients": size(gradients),
        "optimizer": size(copies + states), "activations": activations,
    }
# --8<-- [end:memory]


# --8<-- [start:lessons]
LESSONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "CNN": (ConvNet, (3, 32, 32)),
    "LSTM": (LSTMClassifier, (20,)),
    "Transformer": (Translator, (2, 20)),
}


def count(
    make: Callable[[], nn.Module], shape: tuple[int, ...], batch: int = 64
) -> dict:
    """Return what a model takes: for one sample, and for a batch."""
    x = torch.zeros(batch, *shape)
    x = x if make is ConvNet else x.long()  # the others read tokens
    with torch.device("meta"):
        forward, step = multiply_adds(make(), x[:1].to("meta"))
    learned = parameters(make())
    found = {
        "parameters": learned, "forward": forward, "step": step,
        "uses": forward / learned, "step_over_forward": step / forward,
        "memory": memory(make(), x), "mixed": memory(make(), x, mixed=True),
    }
    for kind in ("memory", "mixed"):
        held = sum(found[kind].values()) - found[kind]["activations"]
        found[f"{kind}_per_parameter"] = held / learned
    return found
# --8<-- [end:lessons]


# --8<-- [start:main]
def main(out: Path) -> dict:
    """Count everything; write the numbers into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    metrics = {
        name: count(make, shape) for name, (make, shape) in LESSONS.items()
    }
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    report(metrics)
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what was counted."""
    print("of one sample  parameters    forward  training step")
    for name, found in metrics.items():
        counts = [found[key] for key in ("parameters", "forward", "step")]
        print("{:12} {:12,} {:10,} {:14,}".format(name, *counts))
    print("\nKB for a batch of 64  weights  gradients  optimizer  activations")
    for name, found in metrics.items():
        for kind, title in (("memory", "32 bits"), ("mixed", "mixed")):
            held = [f"{part / 1e3:9,.0f}" for part in found[kind].values()]
            print(f"{name:12} {title:7} {'  '.join(held)}")
    print("\nbytes a parameter, without activations  32 bits   mixed")
    for name, found in metrics.items():
        both = found["memory_per_parameter"], found["mixed_per_parameter"]
        print("{:38} {:8.3f} {:7.3f}".format(name, *both))
# --8<-- [end:report]


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
    run(main, "counting-results")
# --8<-- [end:run]
