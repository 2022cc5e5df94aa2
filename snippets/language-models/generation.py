# --8<-- [start:setup]
"""Let a small GPT write: ways to pick the next token, measured."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
LENGTH = 256  # bytes that the model reads
PROMPT = 64  # of which a prompt has so many
SIZES = {"vocabulary_size": 256, "hidden_size": 128,
         "num_layers": 3, "num_heads": 2}
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


# --8<-- [start:train]
# From language-models/gpt.py, word for word:
def draw_batch(tokens: Tensor, size: int,
               length: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets, each (size, length), out of (n,) tokens.

    They begin anywhere. The target at a position is the token after it.
    """
    if len(tokens) <= length:
        raise ValueError(f"{len(tokens)} tokens are too few: {length} + 1")
    starts = torch.randint(len(tokens) - length, (size, 1))
    pieces = tokens[starts + torch.arange(length + 1)]  # (size, length + 1)
    return pieces[:, :-1].to(device), pieces[:, 1:].to(device)


def train(model: GPT, tokens: Tensor, steps: int, batch_size: int, length: int,
          rate: float = 0.02,
          watch: Callable[[int], None] = lambda step: None) -> list[float]:
    """Train on (n,) tokens; return the loss of each step, in nats a token.

    `watch` is called after each tenth of the steps. The matrices of the
    blocks learn by Muon: K. Jordan et al., 2024.
    """
    optimizers = [
        torch.optim.Muon(model.blocks.parameters(), rate),
        torch.optim.AdamW([model.embedding.weight, model.head.weight],
                          rate / 2, betas=(0.9, 0.95), weight_decay=0),
    ]
    schedules = [torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
                 for optimizer in optimizers]
    losses = []
    for step in range(1, steps + 1):
        model.train()
        inputs, targets = draw_batch(tokens, batch_size, length)
        logits = model(inputs)  # (batch_size, length, v)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        model.zero_grad()
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules):
            optimizer.step()
            schedule.step()
        losses.append(loss.item())
        if step * 10 // steps > (step - 1) * 10 // steps:
            watch(step)
    return losses
# --8<-- [end:train]


# --8<-- [start:cache]
# From language-models/generation_speed.py, word for word:
class Cache:
    """The keys and values of the tokens that a model has read.

    There is room for (batch, room) tokens. The first tokens of a row are
    no text, as many as `padding`, (batch,), says.
    """

    def __init__(self, model: GPT, room: int, padding: Tensor):
        layers, heads = len(model.blocks), model.blocks[0].attention.num_heads
        size = model.embedding.embedding_dim // heads
        like = model.embedding.weight
        self.stored = like.new_zeros(
            layers, 2, len(padding), heads, room, size
        )
        self.padding = padding.to(like.device)
        self.length = 0  # tokens read so far


def read(model: GPT, tokens: Tensor, cache: Cache) -> Tensor:
    """Return logits, (batch, time, v), of the (batch, time) tokens to come.

    They follow those in the cache, which takes them in.
    """
    end = cache.length + tokens.shape[1]
    places = torch.arange(end, device=tokens.device)  # (end,)
    now = places[cache.length:]  # (time,)
    hidden = places > now[:, None]  # the future, (time, end)
    hidden = hidden | (places < cache.padding[:, None, None])
    angles = now[:, None] * model.speed  # (time, pairs)
    x = normalize(model.embedding(tokens))  # (batch, time, hidden)
    for block, stored in zip(model.blocks, cache.stored):
        x = x + attend(block.attention, normalize(x), angles, stored, hidden)
        x = x + block.down(F.relu(block.up(normalize(x))).square())
    cache.length = end
    return model.head(normalize(x))


def attend(
    layer: Attention, x: Tensor, angles: Tensor, stored: Tensor,
    hidden: Tensor,
) -> Tensor:
    """Return (batch, time, hidden) of x, the same; keep keys and values.

    stored: (2, batch, heads, room, size); hidden: (batch, time, end), what
    a position may not look at.
    """
    q, k, v = (
        part(x).unflatten(2, (layer.num_heads, -1)).transpose(1, 2)
        for part in (layer.query, layer.key, layer.value)
    )  # each (batch, heads, time, size)
    q, k = rotate(normalize(torch.stack([q, k])), angles)
    end = hidden.shape[2]
    stored[0, :, :, end - x.shape[1]:end] = k
    stored[1, :, :, end - x.shape[1]:end] = v
    k, v = stored[:, :, :, :end]  # each (batch, heads, end, size)
    scores = q @ k.mT / math.sqrt(q.shape[3])  # (batch, heads, time, end)
    lowest = torch.finfo(scores.dtype).min  # with -inf, padding becomes NaN
    weights = scores.masked_fill(hidden[:, None], lowest).softmax(dim=3)
    mixed = (weights @ v).transpose(1, 2)  # (batch, time, heads, size)
    return layer.output(mixed.flatten(2))
# --8<-- [end:cache]


# --8<-- [start:filters]
def temperature(logits: Tensor, value: float) -> Tensor:
    """Return logits, (..., v), that differ more where `value` is below 1."""
    return logits / value


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest of logits, (..., v).

    A. Fan et al., Hierarchical neural story generation, 2018.
    """
    least = logits.topk(k).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < least, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest of logits, (..., v), whose chances sum to p.

    A. Holtzman et al., The curious case of neural text degeneration, 2020.
    """
    chances, order = logits.softmax(-1).sort(descending=True)  # (..., v)
    before = chances.cumsum(-1) - chances  # the sum of the likelier ones
    dropped = (before >= p).scatter(-1, order, before >= p)  # in old order
    return logits.masked_fill(dropped, -math.inf)


def min_p(logits: Tensor, share: float) -> Tensor:
    """Keep of logits, (..., v), what has this share of the highest chance.

    M. N. Nguyen et al., Turning up the heat: Min-p sampling for creative
    and coherent LLM outputs, 2025.
    """
    chances = logits.softmax(-1)
    least = share * chances.amax(-1, keepdim=True)  # (..., 1)
    return logits.masked_fill(chances < least, -math.inf)


def penalize(logits: Tensor, written: Tensor, penalty: float) -> Tensor:
    """Make tokens, (batch, n), that were written less likely to come again.

    The logits are (batch, v). N. S. Keskar et al., CTRL: A conditional
    Transformer language model for controllable generation, 2019.
    """
    found = logits.gather(1, written)  # (batch, n)
    less = torch.where(found > 0, found / penalty, found * penalty)
    return logits.scatter(1, written, less)
# --8<-- [end:filters]


# --8<-- [start:generate]
Choose = Callable[[Tensor, Tensor], Tensor]


def draw(seed: int, change: Choose = lambda logits, written: logits) -> Choose:
    """Return what draws tokens, (batch,), by changed logits, (batch, v)."""
    random = torch.Generator().manual_seed(seed)

    def choose(logits: Tensor, written: Tensor) -> Tensor:
        chances = change(logits, written).softmax(1).cpu()  # (batch, v)
        drawn = torch.multinomial(chances, 1, generator=random)
        return drawn[:, 0].to(logits.device)

    return choose


@torch.inference_mode()
def generate(
    model: GPT, prompts: list[Tensor], count: int, choose: Choose
) -> Tensor:
    """Return (batch, count) tokens that continue prompts, each (n,).

    `choose` gets logits, (batch, v), and what is written, (batch, so far).
    """
    model.eval()
    longest = max(map(len, prompts))
    padding = torch.tensor([longest - len(one) for one in prompts])
    rows = [F.pad(one, (longest - len(one), 0)) for one in prompts]
    new = torch.stack(rows).to(device)  # (batch, longest)
    cache = Cache(model, longest + count, padding)
    written = new[:, :0]
    for _ in range(count):
        logits = read(model, new, cache)[:, -1]  # (batch, v)
        new = choose(logits, written)[:, None]  # (batch, 1)
        written = torch.cat([written, new], dim=1)
    return written.cpu()
# --8<-- [end:generate]


# --8<-- [start:measure]
def words_of(text: bytes) -> list[bytes]:
    """Return the words of four letters or more, without capitals."""
    return re.findall(rb"[a-z]{4,}", text.lower())


@torch.inference_mode()
def measure(
    model: GPT, prompts: Tensor, written: Tensor, known: set[bytes]
) -> dict[str, float]:
    """Tell how likely, how correct and how various written texts are.

    The prompts are (batch, n), the texts that continue them (batch, count).
    `known` holds the words of the training text.
    """
    tokens = torch.cat([prompts, written], dim=1).to(device)
    logits = model(tokens[:, :-1])[:, prompts.shape[1] - 1:]
    loss = F.cross_entropy(logits.flatten(0, 1), written.flatten().to(device))
    texts = [bytes(row) for row in written.tolist()]
    # the first and the last word may be cut
    words = [word for text in texts for word in words_of(text)[1:-1]]
    grams = [
        [text[at:at + 8] for at in range(len(text) - 7)] for text in texts
    ]
    count = sum(map(len, grams))
    return {
        "bits": loss.item() / math.log(2),
        "words": sum(word in known for word in words) / max(1, len(words)),
        "repeats": 1 - sum(len(set(some)) for some in grams) / count,
        "variety": len({gram for some in grams for gram in some}) / count,
    }
# --8<-- [end:measure]


# --8<-- [start:main]
METHODS: dict[str, tuple[Callable, tuple]] = {  # from freer to stricter
    "temperature": (temperature, (0.9, 0.8, 0.6, 0.4)),
    "top-k": (top_k, (20, 10, 5, 2)),
    "top-p": (top_p, (0.95, 0.9, 0.8, 0.6)),
    "min-p": (min_p, (0.01, 0.02, 0.1, 0.3)),
}


def ways() -> dict[str, Choose]:
    """Return what each way of choosing does to logits."""
    found = {
        "as it is": lambda logits, written: logits,
        "the likeliest": lambda logits, written: top_k(logits, 1),
        "the likeliest, penalty 1.2": lambda logits, written: top_k(
            penalize(logits, written, 1.2), 1),
        "temperature 0.6, penalty 1.2": lambda logits, written: temperature(
            penalize(logits, written, 1.2), 0.6),
    }
    for name, (change, values) in METHODS.items():
        for value in values:
            found[f"{name} {value}"] = (
                lambda logits, written, change=change, value=value:
                change(logits, value)
            )
    return found


def main(
    out: Path, seed: int = 0, folder: Path | None = None,
    size: int = 5_000_000, steps: int = 650, count: int = 64,
) -> dict:
    """Train, continue `count` texts in each way, and write into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("medium")  # faster where bfloat16 is
    model = GPT(**SIZES).to(device)
    print(f"training on {len(data['train']):,} bytes", flush=True)
    train(model, data["train"], steps, 8, LENGTH)
    torch.set_float32_matmul_precision("highest")
    known = set(words_of(bytes(data["train"].tolist())))
    starts = torch.linspace(0, len(data["test"]) - LENGTH, count).long()
    texts = data["test"][starts[:, None] + torch.arange(LENGTH)]
    prompts, real = texts.split([PROMPT, LENGTH - PROMPT], dim=1)
    metrics = {"texts": count, "written": LENGTH - PROMPT}
    metrics["real text"] = measure(model.eval(), prompts, real, known)
    samples = {"real text": real[0]}
    for name, change in ways().items():
        written = generate(model, list(prompts), LENGTH - PROMPT,
                           draw(seed, change))
        metrics[name] = measure(model, prompts, written, known)
        samples[name] = written[0]
    report(metrics, prompts[0], samples)
    metrics["alike"] = {
        name: compare(metrics, name, "real text") for name in METHODS
    }
    metrics["instead of a penalty"] = compare(
        metrics, "temperature", "temperature 0.6, penalty 1.2")
    for name, words in metrics["alike"].items():
        print(f"as various as real text by {name:11} {words:6.1%} words")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot(metrics, out / "choices.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def curve(metrics: dict, method: str) -> tuple[list[float], list[float]]:
    """Return the variety and the words of all values of a method."""
    names = [f"{method} {value}" for value in METHODS[method][1]]
    rows = [metrics[name] for name in ("as it is", *names)]
    return [row["variety"] for row in rows], [row["words"] for row in rows]


def compare(metrics: dict, method: str, other: str) -> float:
    """Return the share of words where a method is as various as another."""
    variety, words = map(np.array, curve(metrics, method))
    order = variety.argsort()
    wanted = metrics[other]["variety"]
    return float(np.interp(wanted, variety[order], words[order]))


def report(metrics: dict, prompt: Tensor, samples: dict) -> None:
    """Print what was measured, and how a prompt, (n,), goes on."""
    print(f"{'':28}   bits  words  repeats  variety")
    for name in samples:
        row = metrics[name]
        print(f"{name:28} {row['bits']:6.2f} {row['words']:6.1%} "
              f"{row['repeats']:8.1%} {row['variety']:8.1%}")
    names = ("real text", "as it is", "the likeliest", "temperature 0.6")
    shown = {"prompt": prompt[-44:]}
    shown |= {name: samples[name][:44] for name in names}
    for name, text in shown.items():
        line = bytes(text.tolist()).decode(errors="replace")
        line = line.replace("\n", "⏎").replace("\ufffd", "?")
        line = "".join(one if one.isprintable() else "?" for one in line)
        print(f"{name:28} {line}")


def plot(metrics: dict, file: Path) -> None:
    """Draw the share of words against the variety, for all methods."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, color in zip(METHODS, ("#2f8fd0", "#e07b39", "#3a9d5d",
                                     "#a45fc0")):
        variety, words = map(np.array, curve(metrics, name))
        axes.plot(100 * variety, 100 * words, "o-", color=color, label=name)
    for name, mark in (("real text", "*"), ("the likeliest", "s")):
        row = metrics[name]
        axes.plot(100 * row["variety"], 100 * row["words"], mark, ms=11,
                  color="gray", label=name)
    axes.set(xlabel="different pieces of 8 bytes, %",
             ylabel="words of the training text, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
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
        main, "generation-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
    )
# --8<-- [end:run]
