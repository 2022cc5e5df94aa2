# --8<-- [start:setup]
"""Compare multi-head, grouped-query, multi-query and latent attention."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

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


# --8<-- [start:grouped]
def weigh(scores: Tensor) -> Tensor:
    """Return weights, (..., time, past), of scores of the same shape.

    The queries are those of the last `time` positions of `past`.
    """
    time, past = scores.shape[-2:]
    mask = torch.ones(time, past, dtype=torch.bool, device=scores.device)
    return scores.masked_fill(mask.triu(past - time + 1),
                              -math.inf).softmax(dim=-1)


class GroupedAttention(nn.Module):
    """Attention in which groups of heads share their keys and values.

    J. Ainslie et al., GQA: Training generalized multi-query Transformer
    models from multi-head checkpoints, 2023. One group is multi-query
    attention, as many as heads is multi-head attention.
    """

    def __init__(self, hidden_size: int, num_heads: int, num_groups: int):
        super().__init__()
        if hidden_size % (2 * num_heads) or num_heads % num_groups:
            raise ValueError(
                f"{num_groups} groups must divide {num_heads} heads, and "
                f"twice these the hidden size, {hidden_size}")
        self.num_groups, self.size = num_groups, hidden_size // num_heads
        self.rotary_size = self.size
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key, self.value = (
            nn.Linear(hidden_size, num_groups * self.size, bias=False)
            for _ in range(2))
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)

    def remember(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return what to keep, (batch, time, kept), of (batch, time, hidden).

        These are the turned keys and the values; angles: (time, size / 2).
        """
        k = self.key(x).unflatten(2, (self.num_groups, -1)).transpose(1, 2)
        k = rotate(k, angles)  # (batch, groups, time, size)
        return torch.cat([k.transpose(1, 2).flatten(2), self.value(x)], dim=2)

    def forward(self, x: Tensor, angles: Tensor,
                kept: Tensor | None = None) -> Tensor:
        """Return (batch, time, hidden) of the same.

        `kept`, (batch, past, kept), is of all positions up to the last.
        """
        kept = self.remember(x, angles) if kept is None else kept
        k, v = (
            part.unflatten(2, (self.num_groups, 1, -1)).permute(0, 2, 3, 1, 4)
            for part in kept.chunk(2, dim=2)
        )  # each (batch, groups, 1, past, size)
        q = self.query(x).unflatten(2, (self.num_groups, -1, self.size))
        q = rotate(q.permute(0, 2, 3, 1, 4), angles)
        weights = weigh(q @ k.mT / math.sqrt(self.size))
        mixed = weights @ v  # (batch, groups, heads, time, size)
        return self.output(mixed.permute(0, 3, 1, 2, 4).flatten(2))
# --8<-- [end:grouped]


# --8<-- [start:latent]
class LatentAttention(nn.Module):
    """Attention whose keys and values are made of one short vector.

    A. Liu et al., DeepSeek-V2: A strong, economical, and efficient
    mixture-of-experts language model, 2024. Queries are not compressed.
    """

    def __init__(self, hidden_size: int, num_heads: int, latent_size: int,
                 rotary_size: int):
        super().__init__()
        if hidden_size % num_heads or rotary_size % 2:
            raise ValueError(
                f"{num_heads} heads must divide the hidden size, "
                f"{hidden_size}, and 2 the turned numbers, {rotary_size}")
        self.num_heads, self.size = num_heads, hidden_size // num_heads
        self.rotary_size = rotary_size
        self.parts = [latent_size, rotary_size]  # of what is kept
        self.query = nn.Linear(
            hidden_size, num_heads * (self.size + rotary_size), bias=False)
        self.compress = nn.Linear(hidden_size, sum(self.parts), bias=False)
        self.key, self.value = (
            nn.Linear(latent_size, hidden_size, bias=False) for _ in range(2))
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)
        self.absorb = False

    def remember(self, x: Tensor, angles: Tensor) -> Tensor:
        """Return what to keep, (batch, time, kept), of (batch, time, hidden).

        It is the latent vector, and a key for all heads that is turned.
        """
        latent, key = self.compress(x).split(self.parts, dim=2)
        return torch.cat([normalize(latent), rotate(key, angles)], dim=2)

    def forward(self, x: Tensor, angles: Tensor,
                kept: Tensor | None = None) -> Tensor:
        """Return (batch, time, hidden) of the same.

        `kept`, (batch, past, kept), is of all positions up to the last.
        """
        kept = self.remember(x, angles) if kept is None else kept
        latent, key = kept[:, None].split(self.parts, dim=3)
        q = self.query(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        q = q / math.sqrt(q.shape[3])  # (batch, heads, time, both)
        q, turned = q.split([self.size, self.rotary_size], dim=3)
        distance = rotate(turned, angles) @ key.mT
        read = self.absorbed if self.absorb else self.plain
        mixed = read(q, latent, distance)  # (batch, heads, time, size)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def plain(self, q: Tensor, latent: Tensor, distance: Tensor) -> Tensor:
        """Return (batch, heads, time, size): make all keys and values anew.

        latent: (batch, 1, past, latent), distance: scores by position.
        """
        k, v = (
            layer(latent[:, 0]).unflatten(2, (self.num_heads, -1))
            .transpose(1, 2) for layer in (self.key, self.value)
        )  # each (batch, heads, past, size)
        return weigh(q @ k.mT + distance) @ v

    def absorbed(self, q: Tensor, latent: Tensor, distance: Tensor) -> Tensor:
        """Return the same (batch, heads, time, size) of latents alone."""
        key, value = (
            layer.weight.unflatten(0, (self.num_heads, -1))
            for layer in (self.key, self.value)
        )  # each (heads, size, latent)
        weights = weigh(q @ key @ latent.mT + distance)
        return weights @ latent @ value.mT
# --8<-- [end:latent]


# --8<-- [start:network]
class CachedBlock(nn.Module):
    """A block of the GPT with any attention, which may read a cache."""

    def __init__(self, attention: nn.Module, hidden_size: int, width: int):
        super().__init__()
        self.attention = attention
        self.up = nn.Linear(hidden_size, width, bias=False)
        self.down = nn.Linear(width, hidden_size, bias=False)
        nn.init.zeros_(attention.output.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, angles: Tensor,
                kept: Tensor | None = None) -> Tensor:
        """Return (batch, time, hidden) of the same; see the attention."""
        x = x + self.attention(normalize(x), angles, kept)
        return x + self.down(F.relu(self.up(normalize(x))).square())


class CachedGPT(GPT):
    """The GPT with the attention that `make` returns, and a cache.

    The small networks are so wide that its size is that of the GPT.
    """

    def __init__(self, vocabulary_size: int, hidden_size: int,
                 num_layers: int, num_heads: int,
                 make: Callable[[], nn.Module]):
        super().__init__(vocabulary_size, hidden_size, num_layers, num_heads)
        block, attention = (
            sum(one.numel() for one in part.parameters())
            for part in (self.blocks[0], make()))
        width = (block - attention) // (2 * hidden_size)
        self.blocks = nn.ModuleList(CachedBlock(make(), hidden_size, width)
                                    for _ in range(num_layers))
        pairs = self.blocks[0].attention.rotary_size // 2
        speed = 10000 ** -(torch.arange(pairs) / pairs)  # (pairs,)
        self.register_buffer("speed", speed, persistent=False)

    @torch.inference_mode()
    def read(self, tokens: Tensor, cache: list[Tensor]) -> Tensor:
        """Return logits, (batch, time, v), of the next (batch, time) tokens.

        `cache` has what each block kept, (batch, past, kept); it is empty
        at first, and grows.
        """
        past = cache[0].shape[1] if cache else 0
        places = torch.arange(past, past + tokens.shape[1], device=device)
        angles = places[:, None] * self.speed  # (time, pairs)
        x = normalize(self.embedding(tokens))  # (batch, time, hidden)
        for number, block in enumerate(self.blocks):
            new = block.attention.remember(normalize(x), angles)
            if past:
                cache[number] = torch.cat([cache[number], new], dim=1)
            else:
                cache.append(new)
            x = block(x, angles, cache[number])
        return self.head(normalize(x))
# --8<-- [end:network]


# --8<-- [start:train]
# From language-models/experts.py, word for word:
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


# --8<-- [start:choose]
# From language-models/experts.py, word for word:
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


# --8<-- [start:measure]
LENGTH = 64  # bytes that the model reads
BATCH = 16
SIZES = {"vocabulary_size": 256, "hidden_size": 64,
         "num_layers": 2, "num_heads": 4}
RATES = (0.005, 0.01, 0.02)  # that --tune tries
SETTINGS = {  # an attention, its sizes, and the rate that was best
    "multi-head": (GroupedAttention, (4,), 0.01),
    "grouped, 2": (GroupedAttention, (2,), 0.01),
    "multi-query": (GroupedAttention, (1,), 0.01),
    "latent, 48": (LatentAttention, (48, 16), 0.01),
    "latent, 16": (LatentAttention, (16, 16), 0.01),
}


def build(kind: type[nn.Module], more: tuple[int, ...]) -> CachedGPT:
    """Return a new network with a kind of attention."""
    size, heads = SIZES["hidden_size"], SIZES["num_heads"]
    return CachedGPT(**SIZES, make=lambda: kind(size, heads, *more))


def kept_bytes(model: CachedGPT, tokens: Tensor) -> float:
    """Return the bytes of cache a token, of (n,) tokens, in bfloat16."""
    cache: list[Tensor] = []
    model.read(tokens[None].to(device), cache)
    numbers = sum(one.numel() for one in cache)
    return numbers / len(tokens) * torch.bfloat16.itemsize
# --8<-- [end:measure]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, folder: Path | None = None,
         size: int = 1_000_000, steps: int = 300, tune: bool = False) -> dict:
    """Train with each attention, and write what came of it into `out`.

    To `tune`, each tries all rates; its best in validation counts.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    print("             rate  parameters  bytes  CPU s  valid   test")
    metrics = {}
    for name, (kind, more, rate) in SETTINGS.items():
        model, found = choose(
            lambda: build(kind, more),
            lambda model, rate: train(model, data["train"], steps, rate,
                                      BATCH, LENGTH),
            RATES if tune else (rate,), data, LENGTH, seed)
        found["bytes"] = kept_bytes(model, data["test"][:LENGTH])
        metrics[name] = found
        print(f"{name:12}{found['rate']:5}{found['parameters']:12,}"
              f"{found['bytes']:7.0f}{found['cpu_seconds']:7.1f}"
              f"{found['valid']:7.3f}{found['test']:7.3f}", flush=True)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot(metrics, out / "cache.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def plot(metrics: dict[str, dict], file: Path) -> None:
    """Draw the loss over the bytes of cache a token."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for latent, color in ((False, "#2f8fd0"), (True, "#e07b39")):
        names = [name for name in metrics
                 if name.startswith("latent") == latent]
        x, y = ([metrics[name][key] for name in names]
                for key in ("bytes", "test"))
        axes.plot(x, y, "o-", color=color)
        for name, across, up in zip(names, x, y):
            axes.annotate(name, (across, up), (0, 7),
                          textcoords="offset points", ha="center")
    axes.set(xscale="log", xlabel="bytes of cache a token",
             ylabel="bits a byte")
    axes.set_xticks(sorted({one["bytes"] for one in metrics.values()}))
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.minorticks_off()
    axes.margins(0.1, 0.2)
    axes.spines[["top", "right"]].set_visible(False)
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
        main, "experts_latent-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
        tune={"action": "store_true", "default": argparse.SUPPRESS,
              "help": "let each network try all rates"},
    )
# --8<-- [end:run]
