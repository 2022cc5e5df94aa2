# --8<-- [start:setup]
"""Recall over a distance: convolution, recurrence, attention compared."""

import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.optim.lr_scheduler import LinearLR

SYMBOLS, BATCH = 16, 32  # the alphabet of the task, sequences a step
accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:data]
def load_data(
    count: int, distance: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random symbols, (count, distance + 1), and the first, (count,).

    A model answers at the last position: the answer lies `distance` back.
    """
    x = torch.randint(SYMBOLS, (count, distance + 1), generator=generator)
    return x.to(device), x[:, 0].to(device)
# --8<-- [end:data]


# --8<-- [start:convolution]
class ConvNet(nn.Module):
    """Five causal convolutions of width 3, each added to what it read.

    With `dilated`, layer i reads every 2**i-th position, as in Aaron van den
    Oord et al., WaveNet: A generative model for raw audio, 2016.
    """

    def __init__(self, hidden: int = 52, dilated: bool = False):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.layers = nn.ModuleList(
            nn.Conv1d(hidden, hidden, 3, dilation=2**i if dilated else 1)
            for i in range(5)
        )
        self.output = nn.Linear(hidden, SYMBOLS)
        nn.init.normal_(self.output.weight, std=0.02)  # no answer preferred

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, symbols), of symbols, (batch, time)."""
        x = self.embedding(x).transpose(1, 2)  # (batch, hidden, time)
        for layer in self.layers:
            past = F.pad(x, (2 * layer.dilation[0], 0))  # zeros before
            x = x + F.relu(layer(past))  # (batch, hidden, time)
        return self.output(x[:, :, -1])

    def reach(self) -> int:
        """Return how far back the last output can see."""
        return sum(2 * layer.dilation[0] for layer in self.layers)
# --8<-- [end:convolution]


# --8<-- [start:recurrence]
class Recurrent(nn.Module):
    """One LSTM layer; `keep` is the bias that makes it keep its state.

    F. A. Gers, J. Schmidhuber and F. Cummins, Learning to forget: continual
    prediction with LSTM, 2000.
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
        rates = 10_000 ** (-torch.arange(0, hidden, 2) / hidden)
        angles = torch.arange(longest)[:, None] * rates
        table = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
        self.register_buffer("positions", table, persistent=False)
        layer = nn.TransformerEncoderLayer(
            hidden, 4, 4 * hidden, dropout=0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, 2, enable_nested_tensor=False
        )
        self.output = nn.Linear(hidden, SYMBOLS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, symbols), of symbols, (batch, time)."""
        x = self.embedding(x) + self.positions[: x.shape[1]]
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
def train(model: nn.Module, distance: int, most: int, seed: int = 0) -> int:
    """Train until 99.5 % of validation are recalled; return the steps taken.

    Of 0.001, 0.003 and 0.01, this learning rate suits all models best on
    validation sequences.
    """
    generator = torch.Generator().manual_seed(3 * seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    warm_up = LinearLR(optimizer, 0.02, total_iters=50)
    for step in range(1, most + 1):
        model.train()
        x, y = load_data(BATCH, distance, generator)
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warm_up.step()
        if step % 25 == 0:
            if evaluate(model, distance, 3 * seed + 1, count=500) >= 0.995:
                break
    return step


@torch.inference_mode()
def evaluate(
    model: nn.Module, distance: int, seed: int, count: int = 2000
) -> float:
    """Return the share of sequences of a seed that the model recalls."""
    model.eval()
    x, y = load_data(count, distance, torch.Generator().manual_seed(seed))
    return (model(x).argmax(1) == y).float().mean().item()
# --8<-- [end:train]


# --8<-- [start:baseline]
def baseline(distance: int, count: int, seed: int = 0) -> float:
    """Return the recall of logistic regression after `count` sequences.

    It has a weight for each symbol at each position, and shares none.
    """
    def part(count: int, seed: int) -> tuple:
        x, y = load_data(count, distance, torch.Generator().manual_seed(seed))
        places = F.one_hot(x, SYMBOLS).flatten(1)  # (count, time * symbols)
        return places.cpu().numpy(), y.cpu().numpy()

    model = LogisticRegression().fit(*part(count, 3 * seed))
    return model.score(*part(2000, 3 * seed + 2))
# --8<-- [end:baseline]


# --8<-- [start:recall]
def recall(distances: list[int], most: int, seed: int = 0) -> dict[str, dict]:
    """Train each model anew for each distance; return what it reaches."""
    found = {}
    print("\nrecalled, and steps needed, at a distance of")
    print(f"{'':12}" + "".join(f"{distance:>11}" for distance in distances))
    for name, make in MODELS.items():
        print(f"{name:12}", end="", flush=True)
        found[name] = {}
        for distance in distances:
            torch.manual_seed(seed)
            model = make().to(device)
            steps = train(model, distance, most, seed)
            share = evaluate(model, distance, 3 * seed + 2)
            found[name][str(distance)] = {"accuracy": share, "steps": steps}
            needed = f"{steps:3}" if steps < most else "  -"
            print(f"{share:7.1%} {needed}", end="", flush=True)
        print()
    return found
# --8<-- [end:recall]


# --8<-- [start:timing]
def step_seconds(lengths: list[int], repeats: int) -> dict[str, dict]:
    """Return the shortest time of a step on 8 sequences of each length."""
    torch.set_num_threads(1)  # so that the time counts the arithmetic
    clock = time.perf_counter if accelerator else time.process_time
    found = {}
    for name, make in MODELS.items():
        model = make().to(device)
        found[name] = {}
        for length in lengths:
            x, y = load_data(8, length - 1, torch.Generator())
            times = []
            for _ in range(repeats):
                started = clock()
                F.cross_entropy(model(x), y).backward()
                if accelerator:
                    torch.accelerator.synchronize()
                times.append(clock() - started)
            found[name][f"{length}_seconds"] = min(times)
    return found
# --8<-- [end:timing]


# --8<-- [start:main]
DISTANCES, LENGTHS = [2, 4, 8, 16, 32, 64], [64, 128, 256, 512, 1024]
COUNTS = [400, 800, 1600]


def main(
    out: Path, seed: int = 0, distances: list[int] = DISTANCES,
    lengths: list[int] = LENGTHS, most: int = 400, repeats: int = 5,
) -> dict:
    """Train, measure, draw; write all into `out`, return the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    models = {name: make() for name, make in MODELS.items()}
    sizes = {name: sum(weights.numel() for weights in model.parameters())
             for name, model in models.items()}
    for name, size in sizes.items():
        print(f"{name:12} {size:7,} parameters")
    metrics = {
        "parameters": sizes,
        "reach": {name: models[name].reach() for name in list(models)[:2]},
        "guessing": 1 / SYMBOLS,
        "most_steps": most,
        "most_sequences": BATCH * most,
        "recall": recall(distances, most, seed),
        "baseline": {str(count): baseline(distances[-1], count, seed)
                     for count in COUNTS},
        "step": step_seconds(lengths, repeats),
    }
    print(f"\nlogistic regression at a distance of {distances[-1]}:")
    for count, share in metrics["baseline"].items():
        print(f"{share:7.1%} recalled after {count} sequences")
    print("\ntime of a training step, relative to the first, at a length of")
    print(f"{'':12}" + "".join(f"{length:8}" for length in lengths))
    for name, times in metrics["step"].items():
        first, *_ = times.values()
        shares = "".join(f"{seconds / first:8.1f}"
                         for seconds in times.values())
        print(f"{name:12}{shares}")
    text = json.dumps(metrics, indent=2)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")
    draw_recall(metrics["recall"], distances, out / "recall.svg")
    draw_time(metrics["step"], lengths, out / "time.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
STYLES = {
    "CNN": ("#2f8fd0", "o-"), "dilated CNN": ("#2f8fd0", "s--"),
    "LSTM": ("#e07b39", "o-"), "LSTM, biased": ("#e07b39", "s--"),
    "Transformer": ("#3a9d5d", "^-"),
}


def lines(axes: plt.Axes, x: list[int], values: dict[str, list]) -> None:
    """Draw a line for each model over x, on a logarithmic axis."""
    for name, y in values.items():
        color, style = STYLES[name]
        axes.plot(x, y, style, color=color, label=name)
    axes.set_xscale("log")
    axes.set_xticks(x, [str(number) for number in x])
    axes.minorticks_off()
    axes.legend(frameon=False)


def draw_recall(found: dict, distances: list[int], file: Path) -> None:
    """Draw the accuracy of each model against the distance."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    shares = {name: [100 * trial["accuracy"] for trial in trials.values()]
              for name, trials in found.items()}
    lines(axes, distances, shares)
    axes.axhline(100 / SYMBOLS, color="gray", linewidth=1, linestyle=":")
    axes.text(distances[0], 100 / SYMBOLS + 2, "guessing")
    axes.set(xlabel="distance in steps", ylabel="recalled in %", ylim=(0, 104))
    figure.savefig(file)
    plt.close(figure)


def draw_time(seconds: dict, lengths: list[int], file: Path) -> None:
    """Draw the time of a step against the length, relative to the shortest."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    shares = {name: [time / list(times.values())[0] for time in times.values()]
              for name, times in seconds.items() if name != "LSTM, biased"}
    lines(axes, lengths, shares)
    axes.set(xlabel="length of the sequence", yscale="log",
             ylabel="time of a step, relative")
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    axes.minorticks_off()
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
    run(main, "overview-results")
# --8<-- [end:run]
