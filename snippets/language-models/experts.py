# --8<-- [start:setup]
"""Train small mixtures of experts, balanced or not, beside dense networks."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:docstrings]
# From language-models/tokenizer.py, word for word:
import ast
import importlib.util
import warnings
import zlib
from collections.abc import Iterator

PACKAGES = ("numpy", "scipy", "sklearn", "sympy", "torch")  # BSD licenses


def folder_of(package: str) -> Path:
    """Return where a package lies, without importing it.

    Raises ModuleNotFoundError where it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None:
        raise ModuleNotFoundError(f"{package} is missing: install it by pip")
    return Path(found.origin).parent


def docstrings() -> Iterator[list[str]]:
    """Yield the docstrings of one file of the packages after the other.

    The order of the files is fixed, and mixes the packages. A docstring is
    left out where half of its lines or more stood in those before.
    """
    files = {}
    for package in PACKAGES:
        for file in sorted((root := folder_of(package)).rglob("*.py")):
            files[f"{package}/{file.relative_to(root).as_posix()}"] = file
    seen: set[str] = set()
    for name in sorted(files, key=lambda name: zlib.crc32(name.encode())):
        if "/tests/" in name:
            continue
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(files[name].read_text(encoding="utf-8"))
        texts = []
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node) or ""
                lines = {line.strip() for line in text.splitlines()}
                if len(lines - seen) > len(lines) / 2:
                    texts.append(text)
                seen |= lines
        if texts:
            yield texts
# --8<-- [end:docstrings]


# --8<-- [start:data]
# From language-models/gpt.py, word for word:
class TextError(ValueError):
    """There is not enough text; the message says where."""


def load_data(folder: Path | None = None,
              size: int = 5_000_000) -> dict[str, Tensor]:
    """Return the bytes of the parts train, valid and test, each (n,).

    They are about `size` bytes of docstrings, a file of Python in one part
    alone; or the .txt files in a folder, whose last tenth is divided between
    valid and test. Raises TextError for less than 20,000 bytes there.
    """
    parts = {"train": b"", "valid": b"", "test": b""}
    if folder is None:
        for number, texts in enumerate(docstrings()):
            part = {8: "valid", 9: "test"}.get(number % 10, "train")
            parts[part] += "\n\n".join([*texts, ""]).encode()
            if sum(map(len, parts.values())) >= size:
                break
    else:
        files = sorted(folder.glob("*.txt"))
        text = b"".join(file.read_bytes() for file in files)
        if len(text) < 20_000:
            raise TextError(f"{folder}: its .txt files hold {len(text):,} "
                            "bytes; at least 20,000 are needed")
        cuts = 0, len(text) * 9 // 10, len(text) * 19 // 20, len(text)
        for part, start, end in zip(parts, cuts, cuts[1:]):
            parts[part] = text[start:end]
    return {part: torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
            for part, text in parts.items()}
# --8<-- [end:data]


# --8<-- [start:model]
# From language-models/gpt.py, word for word:
def normalize(x: Tensor) -> Tensor:
    """Give each vector, (..., size), the mean 0 and the variance 1."""
    return F.layer_norm(x, x.shape[-1:])


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair of numbers of x, (..., time, size), by its angle.

    J. Su et al., RoFormer: enhanced Transformer with rotary position
    embedding, 2021. The pair of a number is half a vector away. The angles
    are (time, size / 2).
    """
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)  # each (..., time, size / 2)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Each position gathers from itself and the positions before it."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(4))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; angles: (time, size/2)."""
        q, k, v = (
            layer(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )  # each (batch, heads, time, size)
        q, k = rotate(normalize(q), angles), rotate(normalize(k), angles)
        scores = q @ k.mT / math.sqrt(q.shape[3])  # (batch, heads, time, time)
        future = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(dim=3)
        mixed = (weights @ v).transpose(1, 2)  # (batch, time, heads, size)
        return self.output(mixed.flatten(2))


class Block(nn.Module):
    """Attention, then a small network at each position by itself."""

    def __init__(self, hidden_size: int, num_heads: int, dropout: float):
        super().__init__()
        self.attention = Attention(hidden_size, num_heads)
        self.up = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.down = nn.Linear(4 * hidden_size, hidden_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; angles: (time, size/2)."""
        x = x + self.dropout(self.attention(normalize(x), angles))
        wide = self.up(normalize(x))  # (batch, time, 4 * hidden)
        return x + self.dropout(self.down(F.relu(wide).square()))


class GPT(nn.Module):
    """A decoder-only Transformer that predicts the next token."""

    def __init__(self, vocabulary_size: int, hidden_size: int,
                 num_layers: int, num_heads: int, dropout: float = 0.0):
        super().__init__()
        if hidden_size % (2 * num_heads):
            raise ValueError(f"{num_heads} heads need a hidden size that "
                             f"{2 * num_heads} divides, not {hidden_size}")
        self.embedding = nn.Embedding(vocabulary_size, hidden_size)
        self.blocks = nn.ModuleList(
            Block(hidden_size, num_heads, dropout) for _ in range(num_layers))
        self.head = nn.Linear(hidden_size, vocabulary_size, bias=False)
        pairs = hidden_size // num_heads // 2  # in a head
        speed = 10000 ** -(torch.arange(pairs) / pairs)  # (pairs,)
        self.register_buffer("speed", speed, persistent=False)
        for block in self.blocks:  # at first a block changes nothing
            nn.init.zeros_(block.attention.output.weight)
            nn.init.zeros_(block.down.weight)
        nn.init.zeros_(self.head.weight)  # and all tokens are equally likely

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, vocabulary), of (batch, time) tokens.

        Those at a position are for the token after it.
        """
        time = torch.arange(tokens.shape[1], device=tokens.device)  # (time,)
        angles = time[:, None] * self.speed  # (time, pairs): radians
        x = normalize(self.embedding(tokens))  # (batch, time, hidden)
        for block in self.blocks:
            x = block(x, angles)
        return self.head(normalize(x))
# --8<-- [end:model]


# --8<-- [start:experts]
class FeedForward(nn.Module):
    """The small network of a block, of any width."""

    def __init__(self, hidden_size: int, width: int):
        super().__init__()
        self.up = nn.Linear(hidden_size, width, bias=False)
        self.down = nn.Linear(width, hidden_size, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., hidden) of (..., hidden)."""
        return self.down(F.relu(self.up(x)).square())


class Experts(nn.Module):
    """Several small networks; each token passes through a few of them.

    N. Shazeer et al., Outrageously large neural networks: The
    sparsely-gated mixture-of-experts layer, 2017.
    """

    def __init__(self, hidden_size: int, width: int, num_experts: int,
                 num_chosen: int):
        super().__init__()
        if not 1 <= num_chosen <= num_experts:
            raise ValueError(f"of {num_experts} experts a token can have 1 "
                             f"to {num_experts}, not {num_chosen}")
        self.num_chosen = num_chosen
        self.router = nn.Linear(hidden_size, num_experts, bias=False)
        self.experts = nn.ModuleList(
            FeedForward(hidden_size, width) for _ in range(num_experts))
        self.register_buffer("bias", torch.zeros(num_experts))

    def route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return probabilities, (n, experts), of n tokens, (n, hidden).

        Then which experts they get, and by which gates: each (n, chosen).
        """
        scores = self.router(x) / math.sqrt(x.shape[1])
        scores = scores.softmax(dim=1)  # (n, experts)
        chosen = (scores + self.bias).topk(self.num_chosen, dim=1).indices
        gates = scores.gather(1, chosen)  # (n, chosen), without the bias
        if self.num_chosen > 1:  # a single one would always be 1
            gates = gates / gates.sum(dim=1, keepdim=True)
        return scores, chosen, gates

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; keep what was chosen."""
        tokens = x.flatten(0, 1)  # (n, hidden)
        scores, self.chosen, gates = self.route(tokens)
        mixed = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            row, column = (self.chosen == number).nonzero(as_tuple=True)
            answer = gates[row, column, None] * expert(tokens[row])
            mixed = mixed.index_add(0, row, answer)
        self.probability = scores.mean(dim=0)  # (experts,)
        return mixed.view_as(x)

    def load(self) -> Tensor:
        """Return the share of the last tokens that each has, (experts,)."""
        counts = self.chosen.flatten().bincount(minlength=len(self.experts))
        return counts / counts.sum()
# --8<-- [end:experts]


# --8<-- [start:network]
class FeedBlock(nn.Module):
    """A block of the GPT with another small network."""

    def __init__(self, hidden_size: int, num_heads: int, feed: nn.Module):
        super().__init__()
        self.attention, self.feed = Attention(hidden_size, num_heads), feed
        nn.init.zeros_(self.attention.output.weight)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return (batch, time, hidden) of the same; angles: (time, size/2)."""
        x = x + self.attention(normalize(x), angles)
        return x + self.feed(normalize(x))


class ExpertGPT(GPT):
    """The GPT with one wide network in each block, or with experts.

    `feed` is the width, or the width, number and chosen ones of experts.
    """

    def __init__(self, vocabulary_size: int, hidden_size: int,
                 num_layers: int, num_heads: int, feed: tuple[int, ...]):
        super().__init__(vocabulary_size, hidden_size, num_layers, num_heads)
        kind = Experts if len(feed) > 1 else FeedForward
        self.blocks = nn.ModuleList(
            FeedBlock(hidden_size, num_heads, kind(hidden_size, *feed))
            for _ in range(num_layers))

    def sparse(self) -> list[Experts]:
        """Return the layers that have experts."""
        return [block.feed for block in self.blocks
                if isinstance(block.feed, Experts)]

    def active(self) -> int:
        """Return how many parameters a token passes through."""
        total = sum(one.numel() for one in self.parameters())
        for layer in self.sparse():
            one = sum(part.numel() for part in layer.experts[0].parameters())
            total -= (len(layer.experts) - layer.num_chosen) * one
        return total
# --8<-- [end:network]


# --8<-- [start:balance]
def balance_loss(layer: Experts) -> Tensor:
    """Return a scalar: 1 for even loads, as a rule more for others.

    W. Fedus et al., Switch Transformers: Scaling to trillion parameter
    models with simple and efficient sparsity, 2022.
    """
    return len(layer.experts) * (layer.load() * layer.probability).sum()


@torch.no_grad()
def move_bias(layer: Experts, step: float) -> None:
    """Lower the bias of the experts that have too much, raise the others'.

    L. Wang et al., Auxiliary-loss-free load balancing strategy for
    mixture-of-experts, 2024.
    """
    load = layer.load()  # (experts,)
    layer.bias += step * (load.mean() - load).sign()
# --8<-- [end:balance]


# --8<-- [start:train]
def train(model: GPT, tokens: Tensor, steps: int, rate: float,
          batch_size: int, length: int,
          penalty: Callable[[], Tensor | float] = lambda: 0.0,
          after: Callable[[], None] = lambda: None) -> None:
    """Train on (n,) tokens by AdamW; the rates fall to 0 in a line.

    The two tables have four times the rate. `penalty` is added to the loss
    of a step, `after` called behind it. Raises ValueError for a short text.
    """
    if len(tokens) <= length:
        raise ValueError(f"{len(tokens)} tokens are too few: {length} + 1")
    tables = [model.embedding.weight, model.head.weight]
    optimizer = torch.optim.AdamW(
        [{"params": model.blocks.parameters()},
         {"params": tables, "lr": 4 * rate}],
        rate, betas=(0.9, 0.95), weight_decay=0, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
    model.train()
    for _ in range(steps):
        starts = torch.randint(len(tokens) - length, (batch_size, 1))
        pieces = tokens[starts + torch.arange(length + 1)].to(device)
        logits = model(pieces[:, :-1])  # (batch_size, length, v)
        loss = F.cross_entropy(logits.flatten(0, 1), pieces[:, 1:].flatten())
        loss = loss + penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        after()
# --8<-- [end:train]


# --8<-- [start:evaluate]
# From language-models/gpt.py, word for word:
@torch.inference_mode()
def evaluate(model: nn.Module, tokens: Tensor, length: int) -> float:
    """Return the mean loss in nats of all (n,) tokens but the first.

    The model reads `length` tokens at a time, and knows nothing of those
    before; each loss counts once.
    """
    model.eval()
    rest = -(len(tokens) - 1) % length  # to fill the last row
    inputs = F.pad(tokens[:-1], (0, rest)).view(-1, length)
    targets = F.pad(tokens[1:], (0, rest), value=-100).view(-1, length)
    total = 0.0
    for some, wanted in zip(inputs.split(64), targets.split(64)):
        logits = model(some.to(device)).flatten(0, 1)  # (rows, v)
        total += F.cross_entropy(
            logits, wanted.flatten().to(device), ignore_index=-100,
            reduction="sum").item()
    return total / (len(tokens) - 1)


def bits(nats: float) -> float:
    """Turn a loss in nats into one in bits."""
    return nats / math.log(2)
# --8<-- [end:evaluate]


# --8<-- [start:loads]
@torch.inference_mode()
def loads(model: ExpertGPT, tokens: Tensor) -> Tensor:
    """Return the share of (n,) tokens of each expert, (layers, experts)."""
    model.eval()
    model(tokens[:len(tokens) // LENGTH * LENGTH].view(-1, LENGTH).to(device))
    return torch.stack([layer.load() for layer in model.sparse()]).cpu()
# --8<-- [end:loads]


# --8<-- [start:choose]
def choose(build: Callable[[], nn.Module],
           fit: Callable[[nn.Module, float], None], rates: tuple[float, ...],
           data: dict[str, Tensor], length: int,
           seed: int) -> tuple[nn.Module, dict]:
    """Build and fit a network with each rate; return the best and its losses.

    The best is that of the part valid, (n,) tokens, the first of equals.
    """
    tried, best = {}, math.inf
    for rate in rates:
        torch.manual_seed(seed)
        model = build().to(device)
        started = time.process_time()
        fit(model, rate)
        seconds = time.process_time() - started
        valid = tried[str(rate)] = bits(evaluate(model, data["valid"], length))
        if valid < best:
            best, kept = valid, model
            found = {"rate": rate, "valid": valid, "cpu_seconds": seconds}
    return kept, found | {
        "test": bits(evaluate(kept, data["test"], length)), "tried": tried,
        "parameters": sum(one.numel() for one in kept.parameters()),
    }
# --8<-- [end:choose]


# --8<-- [start:main]
LENGTH = 64  # bytes that the model reads
BATCH = 16
SIZES = {"vocabulary_size": 256, "hidden_size": 32,
         "num_layers": 2, "num_heads": 2}
RATES = (0.005, 0.01, 0.02, 0.04)  # that --tune tries


class Setting(NamedTuple):
    """A network and its training, at the rate that was best in `tune`."""

    feed: tuple[int, ...]
    rate: float
    weight: float = 0.0  # of the balance loss
    bias_step: float = 0.0


SETTINGS = {
    "dense": Setting((128,), 0.02),
    "no balancing": Setting((64, 8, 2), 0.02),
    "balance loss": Setting((64, 8, 2), 0.02, weight=0.01),
    "bias": Setting((64, 8, 2), 0.01, bias_step=0.002),
    "wide": Setting((512,), 0.02),
}


def fit(model: ExpertGPT, setting: Setting, tokens: Tensor, rate: float,
        steps: int) -> None:
    """Train on (n,) tokens, with what balances the experts."""
    layers = model.sparse()
    train(model, tokens, steps, rate, BATCH, LENGTH,
          lambda: setting.weight * sum(map(balance_loss, layers)),
          lambda: [move_bias(one, setting.bias_step) for one in layers])


def main(out: Path, seed: int = 0, folder: Path | None = None,
         size: int = 1_000_000, steps: int = 450, tune: bool = False) -> dict:
    """Train all networks, and write what came of it into `out`.

    To `tune`, each tries all rates; its best in validation counts.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    print("              rate  parameters   active  CPU s  valid   test"
          "  largest  unused")
    metrics, shares = {}, {}
    for name, setting in SETTINGS.items():
        model, found = choose(
            lambda: ExpertGPT(**SIZES, feed=setting.feed),
            lambda model, rate: fit(model, setting, data["train"], rate,
                                    steps),
            RATES if tune else (setting.rate,), data, LENGTH, seed)
        found["active"] = model.active()
        told = ""
        if model.sparse():
            shares[name] = loads(model, data["test"])  # (layers, experts)
            largest, unused = shares[name].max().item(), shares[name] < 0.01
            found |= {"largest": largest, "unused": int(unused.sum())}
            told = f"{largest:9.1%}{found['unused']:8}"
        metrics[name.replace(" ", "_")] = found
        print(f"{name:13}{found['rate']:5}{found['parameters']:12,}"
              f"{found['active']:9,}{found['cpu_seconds']:7.1f}"
              f"{found['valid']:7.3f}{found['test']:7.3f}{told}", flush=True)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot(shares, out / "load.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def plot(shares: dict[str, Tensor], file: Path) -> None:
    """Draw the share of each expert, (layers, experts), the largest first."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, panels = plt.subplots(1, len(shares), figsize=(7, 2.6),
                                  sharey=True, layout="constrained")
    for axes, (name, share) in zip(panels, shares.items()):
        largest_first = (100 * share).sort(dim=1, descending=True).values
        for layer, heights in enumerate(largest_first.tolist()):
            places = [one + 0.4 * layer - 0.2 for one in range(len(heights))]
            axes.bar(places, heights, 0.4, label=f"layer {layer + 1}")
        axes.axhline(100 / share.shape[1], color="gray", linestyle=":")
        axes.set(title=name, xticks=[], xlabel="experts")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("% of choices")
    panels[0].legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)
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
    run(
        main, "experts-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
        tune={"action": "store_true", "default": argparse.SUPPRESS,
              "help": "let each network try all rates"},
    )
# --8<-- [end:run]
