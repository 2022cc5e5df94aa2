# --8<-- [start:setup]
"""Recall a token after a distance: convolution, recurrence and attention compared."""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

SYMBOLS = 16  # the alphabet of the task
accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:data]
def load_data(
    count: int, distance: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random symbols, (count, distance + 1), and the first of each, (count,).

    A model answers at the last position, so the answer lies `distance` steps back.
    """
    x = torch.randint(SYMBOLS, (count, distance + 1), generator=generator)
    return x.to(device), x[:, 0].to(device)
# --8<-- [end:data]


# --8<-- [start:convolution]
class ConvNet(nn.Module):
    """Five causal convolutions of width 3, each added to what it read.

    With `dilated`, layer i skips 2**i positions between the three that it reads, as in
    Aaron van den Oord et al., WaveNet: A generative model for raw audio, 2016.
    """

    def __init__(self, hidden: int = 52, dilated: bool = False):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.layers = nn.ModuleList(
            nn.Conv1d(hidden, hidden, 3, dilation=2**i if dilated else 1)
            for i in range(5)
        )
        self.output = nn.Linear(hidden, SYMBOLS)
        nn.init.normal_(self.output.weight, std=0.02)  # at first all symbols are alike

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, symbols), of symbols, (batch, time)."""
        x = self.embedding(x).transpose(1, 2)  # (batch, hidden, time)
        for layer in self.layers:
            past = F.pad(x, (2 * layer.dilation[0], 0))  # zeros before the start
            x = x + F.relu(layer(past))  # (batch, hidden, time)
        return self.output(x[:, :, -1])

    def reach(self) -> int:
        """Return how far back the last output can see."""
        return sum(2 * layer.dilation[0] for layer in self.layers)
# --8<-- [end:convolution]


# --8<-- [start:recurrence]
class Recurrent(nn.Module):
    """One LSTM layer, read from left to right; `keep` biases it to keep its state.

    Felix Gers, Jürgen Schmidhuber and Fred Cummins, Learning to forget, 2000.
    """

    def __init__(self, hidden: int = 70, keep: float | None = None):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        if keep is not None:  # the gates: input, forget, cell, output
            nn.init.constant_(self.lstm.bias_hh_l0[hidden : 2 * hidden], keep)
        self.output = nn.Linear(hidden, SYMBOLS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, symbols), of symbols, (batch, time)."""
        states, _ = self.lstm(self.embedding(x))  # (batch, time, hidden)
        return self.output(states[:, -1])
# --8<-- [end:recurrence]


# --8<-- [start:attention]
class Transformer(nn.Module):
    """Two layers of self-attention with sinusoidal positions.

    Ashish Vaswani et al., Attention is all you need, 2017.
    """

    def __init__(self, hidden: int = 40, longest: int = 4096):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        rates = torch.exp(-math.log(10_000) / hidden * torch.arange(0, hidden, 2))
        angles = torch.arange(longest)[:, None] * rates  # (longest, hidden / 2)
        table = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
        self.register_buffer("positions", table, persistent=False)  # (longest, hidden)
        layer = nn.TransformerEncoderLayer(
            hidden, 4, 4 * hidden, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.output = nn.Linear(hidden, SYMBOLS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, symbols), of symbols, (batch, time)."""
        x = self.embedding(x) + self.positions[: x.shape[1]]  # (batch, time, hidden)
        return self.output(self.layers(x)[:, -1])


MODELS = {
    "CNN": ConvNet,
    "dilated CNN": lambda: ConvNet(dilated=True),
    "LSTM": Recurrent,
    "LSTM, biased": lambda: Recurrent(keep=4.0),
    "Transformer": Transformer,
}
# --8<-- [end:attention]


# --8<-- [start:train]
def train(
    model: nn.Module, distance: int, most: int, rate: float = 0.003
) -> tuple[int, float]:
    """Train on fresh sequences, 32 a step, until 99.5 % of validation are recalled.

    Return the steps it took, at most `most`, and the seconds. Of 0.001, 0.003 and
    0.01, this learning rate suits all models best on validation sequences.
    """
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.02, total_iters=50)
    started = time.perf_counter()
    for step in range(1, most + 1):
        model.train()
        x, y = load_data(32, distance, generator)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warm_up.step()
        if step % 25 == 0 and evaluate(model, distance, seed=1, count=500) >= 0.995:
            break
    return step, time.perf_counter() - started


@torch.inference_mode()
def evaluate(model: nn.Module, distance: int, seed: int, count: int = 2000) -> float:
    """Return the share of sequences of a seed of their own whose first symbol the model recalls."""
    model.eval()
    x, y = load_data(count, distance, torch.Generator().manual_seed(seed))
    return (model(x).argmax(1) == y).float().mean().item()
# --8<-- [end:train]


# --8<-- [start:recall]
def recall(distances: list[int], most: int) -> dict[str, dict[str, dict]]:
    """Train each model anew for each distance; return what it reaches and needs."""
    found: dict[str, dict[str, dict]] = {}
    print("\nrecalled, and steps needed, at a distance of")
    print(f"{'':12}" + "".join(f"{distance:>11}" for distance in distances))
    for name, make in MODELS.items():
        print(f"{name:12}", end="", flush=True)
        found[name] = {}
        for distance in distances:
            torch.manual_seed(0)
            model = make().to(device)
            steps, seconds = train(model, distance, most)
            accuracy = evaluate(model, distance, seed=2)
            found[name][str(distance)] = {
                "accuracy": accuracy, "steps": steps, "seconds": seconds
            }
            needed = f"{steps:3}" if steps < most else "  -"
            print(f"{accuracy:7.1%} {needed}", end="", flush=True)
        print()
    return found
# --8<-- [end:recall]


# --8<-- [start:timing]
def step_seconds(lengths: list[int], repeats: int) -> dict[str, dict[str, float]]:
    """Return the shortest time of a training step on 8 sequences of each length."""
    found = {}
    generator = torch.Generator().manual_seed(3)
    for name, make in MODELS.items():
        model = make().to(device)
        found[name] = {}
        for length in lengths:
            x, y = load_data(8, length - 1, generator)
            times = []
            for _ in range(repeats):
                started = time.perf_counter()
                F.cross_entropy(model(x), y).backward()
                if accelerator:
                    torch.accelerator.synchronize()
                times.append(time.perf_counter() - started)
            found[name][f"{length}_seconds"] = min(times)
    return found
# --8<-- [end:timing]


# --8<-- [start:figures]
STYLES = {
    "CNN": ("#2f8fd0", "o-"), "dilated CNN": ("#2f8fd0", "s--"),
    "LSTM": ("#e07b39", "o-"), "LSTM, biased": ("#e07b39", "s--"),
    "Transformer": ("#3a9d5d", "^-"),
}


def lines(axes: plt.Axes, x: list[int], values: dict[str, list[float]]) -> None:
    """Draw a line for each model over x, on a logarithmic axis with its own ticks."""
    for name, y in values.items():
        color, style = STYLES[name]
        axes.plot(x, y, style, color=color, label=name)
    axes.set_xscale("log")
    axes.set_xticks(x, [str(number) for number in x])
    axes.minorticks_off()
    axes.grid(color="gray", alpha=0.25)


def draw_recall(
    found: dict[str, dict[str, dict]], distances: list[int], out: Path
) -> None:
    """Draw the accuracy of each model against the distance."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    lines(axes, distances, {
        name: [100 * trial["accuracy"] for trial in trials.values()]
        for name, trials in found.items()
    })
    axes.axhline(100 / SYMBOLS, color="gray", linewidth=1, linestyle=":")
    axes.text(distances[0], 100 / SYMBOLS + 2, "guessing")
    axes.set(xlabel="distance in steps", ylabel="recalled in %", ylim=(0, 104))
    axes.legend(frameon=False)
    figure.savefig(out / "recall.svg")


def draw_time(
    seconds: dict[str, dict[str, float]], lengths: list[int], out: Path
) -> None:
    """Draw the time of a step against the length, as a multiple of the shortest."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    lines(axes, lengths, {
        name: [time / list(times.values())[0] for time in times.values()]
        for name, times in seconds.items() if name != "LSTM, biased"
    })
    axes.set(xlabel="length of the sequence", ylabel="time of a step, relative")
    axes.set_yscale("log")
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(out / "time.svg")
# --8<-- [end:figures]


# --8<-- [start:main]
DISTANCES, LENGTHS = [2, 4, 8, 16, 32, 64], [64, 128, 256, 512, 1024]


def main(
    out: Path, distances: list[int] = DISTANCES, lengths: list[int] = LENGTHS,
    most: int = 400, repeats: int = 3,
) -> dict:
    """Train, measure and draw; write everything into the folder `out` and return it."""
    models = {name: make() for name, make in MODELS.items()}
    metrics = {
        "parameters": {
            name: sum(parameter.numel() for parameter in model.parameters())
            for name, model in models.items()
        },
        "reach": {name: models[name].reach() for name in ("CNN", "dilated CNN")},
        "guessing": 1 / SYMBOLS,
        "most_steps": most,
    }
    for name, count in metrics["parameters"].items():
        print(f"{name:12} {count:7,} parameters")
    metrics["recall"] = recall(distances, most)
    metrics["step"] = step_seconds(lengths, repeats)
    print("\ntime of a training step, relative to the shortest, at a length of")
    print(f"{'':12}" + "".join(f"{length:8}" for length in lengths))
    for name, times in metrics["step"].items():
        first, *_ = times.values()
        print(f"{name:12}" + "".join(f"{t / first:8.1f}" for t in times.values()))
    out.mkdir(parents=True, exist_ok=True)
    draw_recall(metrics["recall"], distances, out)
    draw_time(metrics["step"], lengths, out)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("overview-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
