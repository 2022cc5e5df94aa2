# --8<-- [start:setup]
"""Let a GPT write faster: a cache, batches, a draft, weights of 8 bits."""

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
LENGTH = 256  # bytes that the model reads
PROMPT = 64  # of which a prompt has so many
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


# --8<-- [start:sample]
# From language-models/gpt.py, word for word:
@torch.inference_mode()
def sample(model: nn.Module, tokens: Tensor, count: int, length: int,
           temperature: float = 1.0, seed: int = 0) -> Tensor:
    """Return (n,) tokens with `count` more; the model reads `length` of them.

    A temperature, above 0, makes likely tokens likelier if it is below 1.
    """
    model.eval()
    random = torch.Generator().manual_seed(seed)
    for _ in range(count):
        logits = model(tokens[None, -length:].to(device))[0, -1]  # (v,)
        chances = (logits / temperature).softmax(dim=0).cpu()  # (v,)
        drawn = torch.multinomial(chances, 1, generator=random)  # (1,)
        tokens = torch.cat([tokens, drawn])
    return tokens
# --8<-- [end:sample]


# --8<-- [start:cache]
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


# --8<-- [start:generate]
# From language-models/generation.py, word for word:
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


# --8<-- [start:speculate]
def one_of(chances: Tensor, random: torch.Generator) -> int:
    """Draw a token by its chances, (v,), which need not sum to 1."""
    return torch.multinomial(chances.cpu(), 1, generator=random).item()


def check(
    p: Tensor, q: Tensor, guesses: list[int], random: torch.Generator
) -> list[int]:
    """Return the guesses as far as they are accepted, and one token more.

    The chances are p, (guesses + 1, v), by the model and q, (guesses, v), by
    the draft. Y. Leviathan et al., Fast inference from transformers via
    speculative decoding, 2023.
    """
    for place, guess in enumerate(guesses):
        chance = torch.rand((), generator=random).item()
        if chance * q[place, guess] >= p[place, guess]:  # not accepted
            rest = (p[place] - q[place]).clamp(min=0)  # (v,)
            return [*guesses[:place], one_of(rest, random)]
    return [*guesses, one_of(p[-1], random)]


@torch.inference_mode()
def speculate(
    model: GPT, draft: GPT, prompt: Tensor, count: int, ahead: int, seed: int
) -> tuple[Tensor, int]:
    """Continue a prompt, (n,); the draft guesses `ahead` tokens each time.

    Return (count,) tokens, and how many times the model was asked.
    """
    random = torch.Generator().manual_seed(seed)
    tokens, end = prompt.tolist(), len(prompt) + count
    caches = [Cache(one, end + ahead, torch.zeros(1, dtype=torch.long))
              for one in (model, draft)]

    def ask(number: int, text: list[int]) -> Tensor:
        new = torch.tensor([text[caches[number].length:]], device=device)
        logits = read((model, draft)[number], new, caches[number])
        return logits[0].softmax(1)  # (new, v)

    asked = 0
    while len(tokens) < end:
        guesses, q = [], []
        for _ in range(ahead):
            q.append(ask(1, tokens + guesses)[-1])
            guesses.append(one_of(q[-1], random))
        p = ask(0, tokens + guesses)[-ahead - 1:]  # (ahead + 1, v)
        tokens += check(p, torch.stack(q), guesses, random)
        asked += 1
        for cache in caches:  # what was not accepted is overwritten
            cache.length = min(cache.length, len(tokens) - 1)
    return torch.tensor(tokens[len(prompt):end]), asked
# --8<-- [end:speculate]


# --8<-- [start:quantize]
class EightBit(nn.Module):
    """A linear layer, (out, in), of whole numbers from -127 to 127."""

    def __init__(self, weight: Tensor, by_row: bool):
        super().__init__()
        largest = weight.abs().amax(1 if by_row else (0, 1), keepdim=True)
        scale = largest.clamp(min=1e-12) / 127  # (out, 1) by row, or (1, 1)
        numbers = (weight / scale).round().to(torch.int8)  # like weight
        self.register_buffer("scale", scale)
        self.register_buffer("numbers", numbers)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out) of (..., in)."""
        return F.linear(x, self.numbers.to(x.dtype)) * self.scale[:, 0]


def shrink(model: GPT, by_row: bool = True) -> GPT:
    """Return a copy whose linear layers have 8 bits a weight."""
    small = copy.deepcopy(model)
    for layer in list(small.modules()):
        for name, child in layer.named_children():
            if isinstance(child, nn.Linear):
                setattr(layer, name, EightBit(child.weight.detach(), by_row))
    return small


def size_of(model: GPT) -> int:
    """Return how many bytes the weights of a model take."""
    return sum(one.nbytes for one in model.state_dict().values())
# --8<-- [end:quantize]


# --8<-- [start:speed]
def timed(call: Callable) -> tuple:
    """Return what a function returns, and the seconds of the best of 5."""
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        found = call()
        if accelerator:
            torch.accelerator.synchronize()
        best = min(best, time.perf_counter() - start)
    return found, best


def bandwidth() -> float:
    """Return the seconds that it takes to read a byte of the memory."""
    matrix = torch.ones(16_384, 16_384, device=device)  # 1 GB
    return timed(lambda: matrix @ matrix[0])[1] / matrix.nbytes


@torch.inference_mode()
def step(model: GPT, batch: int = 1, length: int = 16) -> float:
    """Return the seconds in which each text gets one token more.

    The texts have `length` tokens before it.
    """
    cache = Cache(model, length + 1, torch.zeros(batch, dtype=torch.long))
    token = torch.zeros(batch, 1, dtype=torch.long, device=device)

    def steps() -> None:
        for _ in range(8):
            cache.length = length
            read(model, token, cache)

    return timed(steps)[1] / 8
# --8<-- [end:speed]


# --8<-- [start:compare]
AHEAD = (1, 2, 4, 8)  # tokens that the draft guesses


@torch.inference_mode()
def compare_ways(model: GPT, draft: GPT, text: Tensor, seed: int) -> dict:
    """Time ways to continue pieces of (n,) tokens; tell if they agree."""
    prompt, count = text[:PROMPT], LENGTH - PROMPT
    prompts = [text[len(text) * number // 20:][:1 + 4 * number]
               for number in range(16)]

    def write(some: list[Tensor]) -> Tensor:
        return generate(model, some, LENGTH // 2,
                        lambda logits, written: logits.argmax(1))

    found = {name: timed(way) for name, way in {
        "anew": lambda: sample(
            model, prompt, count, LENGTH, seed=seed)[PROMPT:],
        "cache": lambda: generate(model, [prompt], count, draw(seed))[0],
        "apart": lambda: torch.cat([write([one]) for one in prompts]),
        "batch": lambda: write(prompts),
    }.items()}
    metrics = {
        name: {"seconds": seconds / tokens.numel(), "tokens": tokens.numel()}
        for name, (tokens, seconds) in found.items()
    }
    for name, other in (("cache", "anew"), ("batch", "apart")):
        metrics[name]["same"] = int((found[name][0] == found[other][0]).sum())
    whole = text[None, :LENGTH].to(device)
    metrics["last_anew"] = {"seconds": timed(lambda: model(whole))[1]}
    metrics["last_cache"] = {"seconds": step(model, length=LENGTH - 1)}
    for ahead in AHEAD:
        (_, asked), seconds = timed(
            lambda: speculate(model, draft, prompt, count, ahead, seed))
        metrics[f"ahead_{ahead}"] = {"seconds": seconds / count,
                                     "tokens a pass": count / asked}
    return metrics


def compare_bits(model: GPT, text: Tensor) -> dict:
    """Tell bytes, loss on (n,) tokens, and seconds, with 8 bits a weight."""
    ways = {"32_bits": model, "8_bits": shrink(model),
            "8_bits_one_scale": shrink(model, by_row=False)}
    return {
        name: {"seconds": step(one), "bytes": size_of(one),
               "loss": bits(evaluate(one, text, LENGTH))}
        for name, one in ways.items()
    }


def compare_large(model: GPT) -> dict:
    """Time steps of a model, and what it takes to read the memory."""
    found = {"memory": {"seconds": bandwidth()}}
    for name, change in (("32", lambda: model), ("8", lambda: shrink(model)),
                         ("16", model.bfloat16)):
        one = change()
        found[f"large_{name}"] = {"seconds": step(one), "bytes": size_of(one)}
        found[f"large_{name}_batch"] = {"seconds": step(one, 16) / 16}
    return found
# --8<-- [end:compare]


# --8<-- [start:main]
SIZES = ((128, 3), (64, 1))  # hidden size and layers of model and draft


def main(
    out: Path, seed: int = 0, folder: Path | None = None,
    size: int = 5_000_000, steps: int = 650, wide: int = 1024,
) -> dict:
    """Train a model and a draft, time how they write; write into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    models, metrics = [], {}
    for name, sizes in zip(("model", "draft"), SIZES):
        print(f"training the {name}", flush=True)
        torch.set_float32_matmul_precision("medium")  # faster in training
        torch.manual_seed(seed)
        one = GPT(256, *sizes, num_heads=2).to(device)
        train(one, data["train"], steps, 8, LENGTH)
        torch.set_float32_matmul_precision("highest")  # exact in comparison
        loss = bits(evaluate(one, data["test"], LENGTH))
        metrics[name] = {"seconds": step(one), "loss": loss}
        models.append(one)
    metrics |= compare_ways(*models, data["test"], seed)
    metrics |= compare_bits(models[0], data["test"])
    large = GPT(256, wide, num_layers=8, num_heads=8).to(device).eval()
    metrics |= compare_large(large)
    report(metrics)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict[str, dict]) -> None:
    """Print what was measured; what took seconds, as so many a second."""
    for name, row in metrics.items():
        told = [f"{key} {round(value, 3 if value < 100 else None):,}"
                for key, value in row.items() if key != "seconds"]
        print(f"{name:17} {1 / row['seconds']:14,.0f} a second  ", *told)
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
        main, "generation_speed-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
    )
# --8<-- [end:run]
