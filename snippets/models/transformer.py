# --8<-- [start:setup]
"""Train a Transformer to translate dates between Chinese and English."""

import itertools
import json
import math
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from babel.dates import format_date, get_month_names
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor, nn
from torch.utils.data import DataLoader

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:data]
Pair = tuple[list[int], list[int]]  # the tokens of a source and of its target


def write(days: list[date]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield every day in four styles, into English and into Chinese."""
    for day in days:
        for style in ("full", "long", "medium", "short"):
            texts = (format_date(day, style, to) for to in ("zh", "en"))
            zh, en = (re.findall("[A-Za-z]+|.", text) for text in texts)
            yield ["<en>", style, *zh], en
            yield ["<zh>", style, *en], zh


def load_data(
    train_days: int = 8000, seed: int = 0
) -> tuple[dict[str, list[Pair]], list[str]]:
    """Return the pairs of each part, and the piece that each token is.

    Days are divided first and written down afterwards.
    """
    days = [date(1970, 1, 1) + timedelta(n) for n in range(29_220)]  # to 2049
    random.Random(seed).shuffle(days)
    texts = {
        "train": list(write(days[125 : 125 + train_days])),
        "validation": list(write(days[100:125])),
        "test": list(write(days[:100])),
    }
    known = {one for pair in texts["train"] for side in pair for one in side}
    names = ["<pad>", "<start>", "<end>", *sorted(known)]
    numbers = {name: number for number, name in enumerate(names)}
    pairs = {
        part: [tuple([numbers[piece] for piece in side] for side in pair)
               for pair in found]
        for part, found in texts.items()
    }
    return pairs, names
# --8<-- [end:data]


# --8<-- [start:batches]
PAD, START, END = range(3)  # the first tokens of the vocabulary


def pad(rows: list[list[int]]) -> Tensor:
    """Return rows of tokens as one tensor, (rows, longest), padded."""
    rows = [torch.tensor(row, device=device) for row in rows]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def collate(pairs: list) -> tuple[Tensor, Tensor]:
    """Return sources, (batch, m), and targets between marks, (batch, n)."""
    sources, targets = zip(*pairs)
    return pad(sources), pad([[START, *row, END] for row in targets])
# --8<-- [end:batches]


# --8<-- [start:positions]
# From models/transformer_layers.py, word for word:
def positional_encoding(length: int, hidden_size: int) -> Tensor:
    """Return (length, hidden): sines and cosines of each position."""
    if hidden_size % 2:
        raise ValueError(f"sine and cosine are a pair; {hidden_size} is odd")
    position = torch.arange(length)[:, None]  # (length, 1)
    even = torch.arange(0, hidden_size, 2)  # (hidden / 2,)
    angle = position * torch.exp(-math.log(10000) / hidden_size * even)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
# --8<-- [end:positions]


# --8<-- [start:model]
class Transformer(nn.Module):
    """Encoder and decoder over one vocabulary of `input_size` tokens."""

    def __init__(self, input_size: int, hidden_size: int,
                 num_layers: int, num_heads: int):
        super().__init__()
        self.scale = math.sqrt(hidden_size)
        self.embedding = nn.Embedding(input_size, hidden_size)
        nn.init.normal_(self.embedding.weight, std=1 / self.scale)
        table = positional_encoding(256, hidden_size)
        self.register_buffer("table", table, persistent=False)
        sizes = hidden_size, num_heads, 4 * hidden_size  # last: feed-forward
        options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*sizes, **options), num_layers,
            norm=nn.LayerNorm(hidden_size), enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*sizes, **options), num_layers,
            norm=nn.LayerNorm(hidden_size),
        )
        self.projection = nn.Linear(hidden_size, input_size)

    def embed(self, tokens: Tensor) -> Tensor:
        """Turn tokens, (batch, length), into (batch, length, hidden)."""
        x = self.embedding(tokens) * self.scale
        return x + self.table[: tokens.shape[1]]

    def causal_mask(self, length: int) -> Tensor:
        """Return (length, length), True where a key lies in the future."""
        ones = torch.ones(length, length, dtype=torch.bool)
        return ones.triu(1).to(self.projection.weight.device)

    def encode(self, source: Tensor) -> Tensor:
        """Return the memory, (batch, m, hidden), of source, (batch, m)."""
        x = self.embed(source)
        return self.encoder(x, src_key_padding_mask=source == PAD)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        """Return (batch, n, hidden): what each target token leads to."""
        return self.decoder(
            self.embed(target), memory,
            tgt_mask=self.causal_mask(target.shape[1]),
            tgt_key_padding_mask=target == PAD,
            memory_key_padding_mask=source == PAD,
        )

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return logits, (batch, n, input_size), of the token after each."""
        hidden = self.decode(target, self.encode(source), source)
        return self.projection(hidden)
# --8<-- [end:model]


# --8<-- [start:train]
def rate(step: int, steps: int, warmup: float) -> float:
    """Return the share of the highest learning rate: a rise, then a fall."""
    rise = max(1, int(warmup * steps))
    return min((step + 1) / rise, (steps - step) / (steps - rise + 1))


def teacher_forced(model: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Return the mean loss, a scalar, of each token after the right ones.

    `source` is (batch, m); `target`, (batch, n), begins with START.
    """
    logits = model(source, target[:, :-1])  # (batch, n - 1, input_size)
    wanted = target[:, 1:]  # (batch, n - 1): the same, one step on
    return F.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD
    )


def train(
    model: nn.Module, loader: DataLoader, steps: int,
    watch: Callable[[], float], warmup: float = 0.1, reports: int = 10,
) -> list[float]:
    """Return the loss of each step; print now and then what `watch` finds."""
    optimizer = torch.optim.AdamW(model.parameters(), 0.003, (0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate(step, steps, warmup)
    )
    losses = []
    while len(losses) < steps:
        for source, target in itertools.islice(loader, steps - len(losses)):
            model.train()
            loss = teacher_forced(model, source, target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % math.ceil(steps / reports) == 0:
                print(f"  step {len(losses):5}: loss {losses[-1]:.4f}, "
                      f"right in validation {watch():.1%}", flush=True)
    return losses
# --8<-- [end:train]


# --8<-- [start:greedy]
@torch.inference_mode()
def greedy(
    model: nn.Module, source: Tensor, longest: int = 40
) -> list[list[int]]:
    """Translate (batch, m) by the likeliest token each time, up to END."""
    model.eval()
    memory = model.encode(source)
    target = torch.full((len(source), 1), START, device=source.device)
    while target.shape[1] < longest and not (target == END).any(1).all():
        last = model.decode(target, memory, source)[:, -1]  # (batch, hidden)
        likeliest = model.projection(last).argmax(1, keepdim=True)
        target = torch.cat([target, likeliest], dim=1)
    rows = target[:, 1:].tolist()
    return [row[: (row + [END]).index(END)] for row in rows]
# --8<-- [end:greedy]


# --8<-- [start:evaluate]
def evaluate(model: nn.Module, pairs: list[Pair]) -> float:
    """Return the share of pairs translated right to the last token."""
    sources, targets = zip(*pairs)
    found = greedy(model, pad(sources))
    return sum(a == b for a, b in zip(found, targets)) / len(pairs)
# --8<-- [end:evaluate]


# --8<-- [start:rule]
def rule(source: list[str]) -> str:
    """Translate a date in pieces by what Babel knows of both languages."""
    to, style, *pieces = source
    text = "".join(pieces)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if to == "<en>":
        year, month, day = numbers
    elif style == "short":
        month, day, year = numbers
        year += 1900 if year >= 70 else 2000  # our days: 1970 to 2049
    else:
        day, year = numbers
        months = get_month_names("abbreviated", locale="en").items()
        month = next(number for number, name in months if name in text)
    return format_date(date(year, month, day), style, to.strip("<>"))
# --8<-- [end:rule]


# --8<-- [start:main]
def main(
    out: Path, seed: int = 0, steps: int = 500, train_days: int = 8000
) -> dict:
    """Train and test; write weights, metrics and a figure to `out`."""
    torch.manual_seed(seed)
    pairs, names = load_data(train_days, seed)
    model = Transformer(len(names), 64, num_layers=2, num_heads=4).to(device)
    metrics = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(names), "train_pairs": len(pairs["train"]),
        "steps": steps, "network": {}, "rule": {},
    }
    print(f"{len(pairs['train']):,} pairs to learn from, {len(names)} tokens, "
          f"{metrics['parameters']:,} parameters")
    loader = DataLoader(pairs["train"], 128, shuffle=True, collate_fn=collate)
    started = time.perf_counter()
    train(model, loader, steps, lambda: evaluate(model, pairs["validation"]))
    metrics["train_seconds"] = time.perf_counter() - started
    print(f"trained in {metrics['train_seconds']:.0f} s\n")
    for to, first in (("en", 0), ("zh", 1)):
        asked = pairs["test"][first::2]
        text = [[[names[n] for n in side] for side in pair] for pair in asked]
        right = [rule(source) == "".join(target) for source, target in text]
        metrics["network"][to] = evaluate(model, asked)
        metrics["rule"][to] = sum(right) / len(right)
        print(f"{len(asked)} test dates into {to} right: network "
              f"{metrics['network'][to]:.1%}, rule {metrics['rule'][to]:.1%}")
    out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), out / "weights.pt")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_attention(model, *pairs["test"][0], names, out / "attention.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:look]
@torch.inference_mode()
def look(model: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Return the cross-attention, (layers, heads, n, m), of one sentence.

    `source` is (1, m) and `target` (1, n), both without padding.
    """
    seen = []

    def keep(layer: nn.Module, given: tuple, _: tuple) -> None:
        seen.append(layer.forward(*given, average_attn_weights=False)[1])

    hooks = [layer.multihead_attn.register_forward_hook(keep)
             for layer in model.eval().decoder.layers]
    model.decode(target, model.encode(source), source)
    for hook in hooks:
        hook.remove()
    return torch.cat(seen)


def draw_attention(
    model: nn.Module, source: list[int], target: list[int],
    names: list[str], file: Path,
) -> None:
    """Draw where the last layer looks for each token, its heads' mean."""
    weights = look(model, pad([source]), pad([[START, *target]]))
    weights = weights[-1].mean(0).cpu().numpy()  # (n, m)
    blue = LinearSegmentedColormap.from_list("blue", ["#2f8fd000", "#2f8fd0"])
    fig, ax = plt.subplots(figsize=(7.5, 5), layout="constrained")
    ax.pcolormesh(weights, cmap=blue, vmin=0, edgecolors="#80808040")
    ax.invert_yaxis()
    for axis, tokens in ((ax.xaxis, source), (ax.yaxis, [*target, END])):
        labels = [names[token].replace(" ", "␣") for token in tokens]
        axis.set_ticks([n + 0.5 for n in range(len(labels))], labels)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    with warnings.catch_warnings(), plt.rc_context({"svg.fonttype": "none"}):
        # text stays text: the browser has Chinese letters, this font none
        warnings.filterwarnings("ignore", message="Glyph")
        fig.savefig(file)
# --8<-- [end:look]


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
    run(main, "transformer-results")
# --8<-- [end:run]
