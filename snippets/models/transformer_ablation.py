# --8<-- [start:setup]
"""What does a Transformer lose without positions, heads, warm-up or the causal mask?"""

import argparse
import json
import math
import random
import re
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from babel.dates import format_date
from torch import nn

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
PAD, START, END = range(3)
LANGUAGES = ("zh", "en")
STYLES = ("full", "long", "medium", "short")
# --8<-- [end:setup]


# --8<-- [start:variant]
class Variant(NamedTuple):
    """How a training is to run; the defaults leave nothing out."""

    positions: bool = True
    num_heads: int = 4
    warmup: float = 0.1  # share of the steps
    causal: bool = True


VARIANTS = {
    "complete": Variant(),
    "without positions": Variant(positions=False),
    "one head": Variant(num_heads=1),
    "without warm-up": Variant(warmup=0),
    "without causal mask": Variant(causal=False),
}
# --8<-- [end:variant]


# --8<-- [start:data]
class Data(NamedTuple):
    """Examples as tokens, (source, target) each, and the names of the tokens."""

    train: list[tuple[list[int], list[int]]]
    test: list[tuple[list[int], list[int]]]
    names: list[str]


def write(days: list[date]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield every day in all styles and both directions as pieces of text."""
    for day in days:
        for style in STYLES:
            texts = [" ".join(format_date(day, style, to).split()) for to in LANGUAGES]
            zh, en = (re.findall("[A-Za-z]+|.", text) for text in texts)
            yield ["<en>", style, *zh], en
            yield ["<zh>", style, *en], zh


def load_data(train_days: int = 8000, test_days: int = 100, seed: int = 0) -> Data:
    """Return examples of days that are divided before they are written down."""
    days = [date(1970, 1, 1) + timedelta(number) for number in range(29_220)]
    random.Random(seed).shuffle(days)
    train = list(write(days[test_days : test_days + train_days]))
    test = list(write(days[:test_days]))
    pieces = sorted({piece for pair in train for side in pair for piece in side})
    names = ["<pad>", "<start>", "<end>", *pieces]
    numbers = {name: number for number, name in enumerate(names)}
    tokens = [
        [tuple([numbers[piece] for piece in side] for side in pair) for pair in part]
        for part in (train, test)
    ]
    return Data(*tokens, names)


def pad(rows: list[list[int]]) -> torch.Tensor:
    """Return rows of tokens as one tensor, (rows, longest), filled up with PAD."""
    longest = max(map(len, rows))
    filled = [row + [PAD] * (longest - len(row)) for row in rows]
    return torch.tensor(filled, device=device)
# --8<-- [end:data]


# --8<-- [start:model]
class Transformer(nn.Module):
    """The lesson's model, in which a variant can switch parts off."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, variant: Variant
    ):
        super().__init__()
        self.variant, self.scale = variant, math.sqrt(hidden_size)
        self.embedding = nn.Embedding(input_size, hidden_size)
        nn.init.normal_(self.embedding.weight, std=1 / self.scale)
        angle = torch.arange(64)[:, None] * torch.exp(
            -math.log(10000) / hidden_size * torch.arange(0, hidden_size, 2)
        )
        table = torch.stack([angle.sin(), angle.cos()], 2).flatten(1)  # (64, hidden)
        self.register_buffer("table", table * variant.positions, persistent=False)
        sizes = 4 * hidden_size, 0.0  # feed-forward, dropout
        order = {"batch_first": True, "norm_first": True}
        encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(hidden_size, variant.num_heads, *sizes, **order),
            num_layers, norm=nn.LayerNorm(hidden_size), enable_nested_tensor=False,
        )
        self.body = nn.Transformer(
            hidden_size, variant.num_heads, num_layers, num_layers, *sizes,
            custom_encoder=encoder, **order,
        )
        self.projection = nn.Linear(hidden_size, input_size)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Turn tokens, (batch, length), into vectors, (batch, length, hidden)."""
        return self.embedding(tokens) * self.scale + self.table[: tokens.shape[1]]

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, target length, vocabulary)."""
        length = target.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=target.device)
        future = future.triu(1)
        hidden = self.body(
            self.embed(source), self.embed(target),
            tgt_mask=future & self.variant.causal, tgt_key_padding_mask=target == PAD,
            src_key_padding_mask=source == PAD, memory_key_padding_mask=source == PAD,
        )
        return self.projection(hidden)
# --8<-- [end:model]


# --8<-- [start:train]
def rate(step: int, steps: int, warmup: float) -> float:
    """Return the share of the highest learning rate: a rise, if asked, and a fall."""
    rise = max(1, int(warmup * steps))
    return min((step + 1) / rise, (steps - step) / (steps - rise + 1))


def train(model: Transformer, examples: list, steps: int, size: int = 128) -> float:
    """Train with teacher forcing; return the mean loss of the last tenth of it."""
    optimizer = torch.optim.AdamW(model.parameters(), 0.003, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate(step, steps, model.variant.warmup)
    )
    model.train()
    losses = []
    for _ in range(steps):
        batch = random.sample(examples, size)
        source = pad([given for given, _ in batch])  # (batch, source length)
        target = pad([[START, *wanted, END] for _, wanted in batch])
        logits = model(source, target[:, :-1])  # (batch, target length, vocabulary)
        loss = F.cross_entropy(
            logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses[-max(1, steps // 10) :]))
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(model: Transformer, examples: list, longest: int = 30) -> dict[str, float]:
    """Return the shares of right next tokens and of right translations (greedy)."""
    model.eval()
    source = pad([given for given, _ in examples])
    target = pad([[START, *wanted, END] for _, wanted in examples])
    guessed = model(source, target[:, :-1]).argmax(2)  # each after the right beginning
    real = target[:, 1:] != PAD
    tokens = (guessed == target[:, 1:])[real].float().mean().item()

    made = target[:, :1]  # from here on the model sees only what it wrote itself
    while made.shape[1] < longest and not (made == END).any(1).all():
        made = torch.cat([made, model(source, made)[:, -1:].argmax(2)], dim=1)
    right = []
    for row, (_, wanted) in zip(made[:, 1:].tolist(), examples):
        right.append(row[: len(wanted) + 1] == [*wanted, END])
    return {"tokens": tokens, "exact": float(np.mean(right))}
# --8<-- [end:evaluate]


# --8<-- [start:main]
def main(
    out: Path, steps: int = 500, train_days: int = 8000, test_days: int = 100
) -> dict:
    """Train every variant alike; write metrics.json into `out` and return it."""
    data = load_data(train_days, test_days)
    print(f"{len(data.test):,} test dates, both directions; {steps} steps for each\n")
    print(f"{'':20} training loss  next token right  translation right", flush=True)
    metrics = {}
    for name, variant in VARIANTS.items():
        torch.manual_seed(0)
        random.seed(0)
        model = Transformer(len(data.names), 64, 2, variant).to(device)
        started = time.perf_counter()
        loss = train(model, data.train, steps)
        key = name.replace(" ", "_").replace("-", "_")
        metrics[key] = {
            "loss": loss, **evaluate(model, data.test),
            "seconds": time.perf_counter() - started,
        }
        print(f"{name:20}{loss:14.4f}{metrics[key]['tokens']:18.1%}"
              f"{metrics[key]['exact']:19.1%}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("transformer_ablation-results")
    )
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    main(options.out)
# --8<-- [end:main]
