# --8<-- [start:setup]
"""Train a Transformer to translate what CLDR knows between Chinese and English."""

import argparse
import copy
import json
import logging
import math
import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from datetime import time as clock
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from babel import Locale
from babel.dates import format_date, format_interval, format_time
from babel.numbers import format_currency
from babel.units import format_unit
from matplotlib.colors import LinearSegmentedColormap
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn
from torch.nn.utils import parametrize

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:positions]
class PositionalEncoding(nn.Module):
    """Sines and cosines of the position, added to the embeddings.

    Ashish Vaswani et al., Attention is all you need, 2017.
    """

    def __init__(self, hidden_size: int, longest: int = 256):
        super().__init__()
        position = torch.arange(longest)[:, None]  # (longest, 1)
        even = torch.arange(0, hidden_size, 2)  # (hidden / 2,)
        angle = position * torch.exp(-math.log(10000) / hidden_size * even)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        self.register_buffer("table", table, persistent=False)  # (longest, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the first rows of the table to x, (batch, length, hidden)."""
        return x + self.table[: x.shape[1]]
# --8<-- [end:positions]


# --8<-- [start:model]
PAD, START, END, UNKNOWN = range(4)  # the first tokens of the vocabulary


class Transformer(nn.Module):
    """Encoder and decoder over one vocabulary of `input_size` tokens."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, num_heads: int
    ):
        super().__init__()
        self.scale = math.sqrt(hidden_size)
        self.embedding = nn.Embedding(input_size, hidden_size)
        nn.init.normal_(self.embedding.weight, std=1 / self.scale)
        self.pos_encoding = PositionalEncoding(hidden_size)
        sizes = hidden_size, num_heads, 4 * hidden_size  # the last: feed-forward
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

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Turn tokens, (batch, length), into vectors, (batch, length, hidden)."""
        return self.pos_encoding(self.embedding(tokens) * self.scale)

    def encode(self, source: torch.Tensor) -> torch.Tensor:
        """Return the memory, (batch, length, hidden), of source tokens."""
        return self.encoder(self.embed(source), src_key_padding_mask=source == PAD)

    def decode(
        self, target: torch.Tensor, memory: torch.Tensor, source: torch.Tensor
    ) -> torch.Tensor:
        """Return (batch, length, hidden): what each target token leads to."""
        length = target.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=target.device)
        return self.decoder(
            self.embed(target), memory, tgt_mask=future.triu(1),
            tgt_key_padding_mask=target == PAD, memory_key_padding_mask=source == PAD,
        )

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, length, vocabulary), of the token after each token."""
        return self.projection(self.decode(target, self.encode(source), source))
# --8<-- [end:model]


# --8<-- [start:pairs]
class Pair(NamedTuple):
    """One thing, written in Chinese and in English, in a style of CLDR."""

    kind: str
    style: str
    zh: str
    en: str


def pair(kind: str, style: str, write: Callable[[str], str]) -> Pair:
    """Return what `write` makes of a thing for each locale, with ordinary spaces."""
    zh, en = (" ".join(write(locale).split()) for locale in ("zh", "en"))
    return Pair(kind, style, zh, en)


def dates(days: list[date]) -> Iterator[Pair]:
    """Yield every day in the four styles of CLDR."""
    for day in days:
        for style in ("full", "long", "medium", "short"):
            yield pair("dates", style, lambda locale: format_date(day, style, locale))


def times(moments: list[clock], often: int, choose: random.Random) -> Iterator[Pair]:
    """Yield every time of day without seconds, and `often` times with seconds."""
    for moment in moments:
        for style in ("short", *["medium"] * often):
            exact = moment.replace(second=choose.randrange(60))
            yield pair(
                "times", style, lambda locale: format_time(exact, style, locale=locale)
            )
# --8<-- [end:pairs]


# --8<-- [start:intervals]
def intervals(
    days: list[date], moments: list[clock], count: int, choose: random.Random
) -> Iterator[Pair]:
    """Yield `count` different intervals between days, and as many between times."""
    for values, style, skeleton, reach in (
        (sorted(days), "medium", "yMMMd", 40), (sorted(moments), "short", "hm", 400)
    ):
        ends = set()
        while len(ends) < count:
            first = choose.randrange(len(values) - 1)
            last = min(first + choose.randint(1, reach), len(values) - 1)
            ends.add((values[first], values[last]))
        for first, last in sorted(ends):
            yield pair(
                "intervals", style,
                lambda locale: format_interval(first, last, skeleton, locale=locale),
            )
# --8<-- [end:intervals]


# --8<-- [start:amounts]
UNITS = (
    "length-kilometer length-meter length-centimeter length-mile mass-kilogram "
    "mass-gram volume-liter temperature-celsius speed-kilometer-per-hour "
    "duration-day duration-hour duration-minute duration-week energy-kilowatt-hour"
).split()
CURRENCIES = "CNY USD EUR GBP JPY KRW INR AUD CAD CHF BRL RUB".split()


def quantities(values: list[tuple]) -> Iterator[Pair]:
    """Yield every (number, unit) in the long and in the short style.

    Where Babel has no long form it writes the unit's key; the short one stands in.
    """
    for number, unit in values:
        for style in ("long", "short"):
            def write(locale: str) -> str:
                text = format_unit(number, unit, style, locale=locale)
                short = format_unit(number, unit, "short", locale=locale)
                return short if unit in text else text

            yield pair("quantities", style, write)


def currencies(values: list[tuple]) -> Iterator[Pair]:
    """Yield every (amount, currency) with its sign and with its name."""
    for amount, code in values:
        for style, kind in (("short", "standard"), ("long", "name")):
            yield pair("currencies", style, lambda locale: format_currency(
                amount, code, locale=locale, format_type=kind
            ))
# --8<-- [end:amounts]


# --8<-- [start:names]
def names() -> list[Pair]:
    """Return the names of territories and languages that have one translation only."""
    found = []
    for style in ("territories", "languages"):
        lists = {locale: getattr(Locale(locale), style) for locale in ("zh", "en")}
        for code in sorted(lists["zh"].keys() & lists["en"].keys()):
            found.append(pair("names", style, lambda locale: lists[locale][code]))
    often = Counter(text for one in found for text in (one.zh, one.en))
    return [one for one in found if often[one.zh] == often[one.en] == 1]


def things(choose: random.Random) -> list[list]:
    """Return days, times of day, (number, unit), (amount, currency), and names."""
    days = [date(1970, 1, 1) + timedelta(number) for number in range(29_220)]  # to 2049
    moments = [clock(minute // 60, minute % 60) for minute in range(1440)]
    numbers = [round(10 ** choose.uniform(0, 4), 1) for _ in range(10_000)]
    measures = [(int(x) if x % 2 < 1 else x, choose.choice(UNITS)) for x in numbers]
    amounts = [round(10 ** choose.uniform(0, 5), 2) for _ in range(10_000)]
    prices = [(x, choose.choice(CURRENCIES)) for x in amounts]
    return [days, moments, measures, prices, names()]
# --8<-- [end:names]


# --8<-- [start:split]
def load_data(share: float = 1, seed: int = 0) -> dict[str, list[Pair]]:
    """Return the pairs for training, validation and test; `share` makes them fewer.

    Days, minutes, amounts and names are divided first and written down afterwards, so
    what is tested never occurs in training, in no style and in no direction.
    """
    choose = random.Random(seed)
    kinds = [list(dict.fromkeys(values)) for values in things(choose)]
    for values in kinds:
        choose.shuffle(values)
    pairs, used = {}, set()
    cuts = {"test": (0, 0.1), "validation": (0.1, 0.2), "train": (0.2, 1)}
    for part, (first, last) in cuts.items():
        days, moments, measures, prices, known = (
            values[int(first * len(values)) : int(last * len(values))]
            for values in kinds
        )
        most, between, often = (5000, 5000, 6) if part == "train" else (200, 100, 2)
        most, between = int(share * most), int(share * between)
        found = dict.fromkeys([
            *dates(days[:most]), *times(moments[:most], often, choose),
            *intervals(days, moments, between, choose), *quantities(measures[:most]),
            *currencies(prices[:most]), *known[:most],
        ])
        pairs[part] = [one for one in found if not {one.zh, one.en} & used]
        used |= {text for one in found for text in (one.zh, one.en)}
    return pairs
# --8<-- [end:split]


# --8<-- [start:tokens]
WORD = "[A-Za-z]{2,} ?"  # with the space behind it, if there is one


class Vocabulary:
    """Frequent English words are one token each; all else is split into characters."""

    def __init__(self, pairs: list[Pair], often: int = 100):
        texts = [text for one in pairs for text in (one.zh, one.en)]
        counts = Counter(word for one in texts for word in re.findall(WORD, one))
        words = sorted(word for word, count in counts.items() if count >= often)
        styles = sorted({one.style for one in pairs})
        marks = ["<pad>", "<start>", "<end>", "<unknown>", "<zh>", "<en>"]
        marks += [f"<{style}>" for style in styles]
        characters = sorted(set("".join(texts)))
        self.names = list(dict.fromkeys([*marks, *words, *characters]))
        self.numbers = {name: number for number, name in enumerate(self.names)}
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        self.pieces = re.compile("|".join([*longest_first, "."]))

    def encode(self, text: str, *marks: str) -> list[int]:
        """Return the numbers of the marks and then of the text's pieces."""
        names = [f"<{mark}>" for mark in marks] + self.pieces.findall(text)
        return [self.numbers.get(name, UNKNOWN) for name in names]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens up to the end mark."""
        if END in tokens:
            tokens = tokens[: tokens.index(END)]
        return "".join(self.names[token] for token in tokens)
# --8<-- [end:tokens]


# --8<-- [start:batches]
class Example(NamedTuple):
    """A pair in one direction: its tokens, and the right answer as text."""

    kind: str
    to: str
    source: list[int]
    target: list[int]
    given: str
    wanted: str


def examples(pairs: list[Pair], vocabulary: Vocabulary) -> list[Example]:
    """Return each pair in both directions; language and style wanted stand in front."""
    found = []
    for kind, style, zh, en in pairs:
        for to, given, wanted in (("en", zh, en), ("zh", en, zh)):
            source = vocabulary.encode(given, to, style)
            target = vocabulary.encode(wanted)
            found.append(Example(kind, to, source, target, given, wanted))
    return found


def pad(rows: list[list[int]]) -> torch.Tensor:
    """Return rows of tokens as one tensor, (rows, longest), filled up with PAD."""
    longest = max(map(len, rows))
    filled = [row + [PAD] * (longest - len(row)) for row in rows]
    return torch.tensor(filled, device=device)


def batches(found: list[Example], size: int) -> Iterator[list[Example]]:
    """Yield all examples once, in random batches of similar length."""
    mixed = random.sample(found, len(found))
    mixed.sort(key=lambda one: (len(one.source), len(one.target)))  # keeps ties mixed
    parts = [mixed[start : start + size] for start in range(0, len(mixed), size)]
    random.shuffle(parts)
    yield from parts
# --8<-- [end:batches]


# --8<-- [start:step]
def rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: a tenth rises, the rest falls."""
    warmup = max(1, steps // 10)
    return min((step + 1) / warmup, (steps - step) / (steps - warmup + 1))


def teacher_forced(model: nn.Module, batch: list[Example]) -> torch.Tensor:
    """Return the mean loss of a token, a scalar, after the right ones before it."""
    source = pad([one.source for one in batch])  # (batch, source length)
    target = pad([[START, *one.target, END] for one in batch])  # (batch, 1 + length)
    logits = model(source, target[:, :-1])  # (batch, length, vocabulary)
    wanted = target[:, 1:]  # the same, one step on
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD)
# --8<-- [end:step]


# --8<-- [start:train]
def train(
    model: Transformer, found: list[Example], steps: int,
    watch: Callable[[], float], highest: float = 0.003, size: int = 64,
) -> tuple[list[float], list[tuple[int, float]]]:
    """Return the loss of each step, and ten times (step, what `watch` returned)."""
    optimizer = torch.optim.AdamW(model.parameters(), highest, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: rate(n, steps))
    losses, watched = [], []
    while len(losses) < steps:
        for batch in batches(found, size):
            model.train()
            loss = teacher_forced(model, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % max(1, steps // 10) == 0:
                watched.append((len(losses), watch()))
                mean = np.mean(losses[-max(1, steps // 10) :])
                print(f"  step {len(losses):5}: loss {mean:.4f}, "
                      f"validation dates {watched[-1][1]:.1%}", flush=True)
            if len(losses) == steps:
                break
    return losses, watched
# --8<-- [end:train]


# --8<-- [start:greedy]
@torch.inference_mode()
def greedy(
    model: Transformer, sources: list[list[int]], longest: int = 40
) -> list[list[int]]:
    """Translate by the most likely token at every step."""
    model.eval()
    source = pad(sources)  # (batch, source length)
    memory = model.encode(source)
    target = torch.full((len(sources), 1), START, device=device)
    ended = torch.zeros(len(sources), dtype=torch.bool, device=device)
    while target.shape[1] < longest and not ended.all():
        last = model.decode(target, memory, source)[:, -1]  # (batch, hidden)
        likeliest = model.projection(last).argmax(1)  # (batch,)
        likeliest[ended] = END
        target = torch.cat([target, likeliest[:, None]], dim=1)
        ended |= likeliest == END
    return target[:, 1:].tolist()
# --8<-- [end:greedy]


# --8<-- [start:beam]
@torch.inference_mode()
def beam(
    model: Transformer, sources: list[list[int]], width: int = 4, longest: int = 40
) -> list[list[int]]:
    """Keep the `width` most likely beginnings at every step; return the likeliest."""
    model.eval()
    source = pad(sources).repeat_interleave(width, dim=0)  # (batch * width, length)
    memory = model.encode(source)
    target = torch.full((len(source), 1), START, device=device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=device)
    scores = torch.full((len(sources), width), -math.inf, device=device)
    scores[:, 0] = 0  # at first all beginnings are equal: keep one
    first_row = torch.arange(len(sources), device=device)[:, None] * width
    while target.shape[1] < longest and not ended.all():
        last = model.decode(target, memory, source)[:, -1]  # (batch * width, hidden)
        gains = model.projection(last).log_softmax(1)
        gains[ended] = -math.inf  # what has ended goes on with END, free of charge
        gains[ended, END] = 0
        total = scores.view(-1, 1) + gains  # (batch * width, vocabulary)
        scores, best = total.view(len(sources), -1).topk(width)  # (batch, width)
        parent = (first_row + best // total.shape[1]).flatten()
        token = (best % total.shape[1]).flatten()
        target = torch.cat([target[parent], token[:, None]], dim=1)
        ended = ended[parent] | (token == END)
    return target[::width, 1:].tolist()  # topk puts the likeliest first
# --8<-- [end:beam]


# --8<-- [start:evaluate]
def translate(
    model: Transformer, vocabulary: Vocabulary, found: list[Example],
    search: Callable = greedy, size: int = 250,
) -> list[str]:
    """Return the translation of each example, in order."""
    order = sorted(range(len(found)), key=lambda row: len(found[row].source))
    answers = [""] * len(found)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        made = search(model, [found[row].source for row in rows])
        for row, tokens in zip(rows, made):
            answers[row] = vocabulary.decode(tokens)
    return answers


def evaluate(found: list[Example], answers: list[str]) -> dict[str, dict[str, float]]:
    """Return the share of answers right to the last character, by language and kind."""
    right: dict[str, dict[str, list[bool]]] = {"en": {}, "zh": {}}
    for one, answer in zip(found, answers):
        right[one.to].setdefault(one.kind, []).append(answer == one.wanted)
    return {
        to: {kind: float(np.mean(values)) for kind, values in kinds.items()}
        for to, kinds in right.items()
    }
# --8<-- [end:evaluate]


# --8<-- [start:nearest]
def nearest(known: list[Example], found: list[Example]) -> list[str]:
    """Copy for each example the answer to the most similar known source: a baseline.

    Similar is what shares many characters, pairs and triples of them; the language, the
    kind and the style agree.
    """
    def group(one: Example) -> tuple:
        return one.to, one.kind, one.source[1]  # source[1] is the mark of the style

    answers = {}
    for key in sorted({group(one) for one in found}):
        mine = [one for one in known if group(one) == key]
        asked = [one for one in found if group(one) == key]
        table = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False)
        rows = table.fit_transform(one.given for one in mine)  # (known, features)
        likeness = table.transform(one.given for one in asked) @ rows.T
        for one, best in zip(asked, np.asarray(likeness.argmax(1)).flatten()):
            answers[one.to, one.given, key] = mine[best].wanted
    return [answers[one.to, one.given, group(one)] for one in found]
# --8<-- [end:nearest]


# --8<-- [start:look]
class Step(nn.Module):
    """One step of a translation, with all that the decoder looks at."""

    def __init__(self, model: Transformer):
        super().__init__()
        self.model = model

    def forward(
        self, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what comes after `target`, (batch, length), and why.

        That is the logarithms of the probabilities, (batch, vocabulary), and the
        cross-attention, (batch, layers, heads, length, source length). Nothing is padded.
        """
        model, memory, seen = self.model, self.model.encode(source), []
        length = target.shape[1]
        future = torch.ones(length, length, dtype=torch.bool, device=target.device)
        x = model.embed(target)  # (batch, length, hidden)
        for layer in model.decoder.layers:  # as each computes, and keeping the weights
            y = layer.norm1(x)
            x = x + layer.self_attn(y, y, y, attn_mask=future.triu(1))[0]
            found, weights = layer.multihead_attn(
                layer.norm2(x), memory, memory, average_attn_weights=False
            )
            x = x + found
            x = x + layer.linear2(F.relu(layer.linear1(layer.norm3(x))))
            seen.append(weights)
        last = model.decoder.norm(x[:, -1])  # (batch, hidden)
        return model.projection(last).log_softmax(1), torch.stack(seen, dim=1)
# --8<-- [end:look]


# --8<-- [start:figures]
def draw_attention(
    model: Transformer, vocabulary: Vocabulary, one: Example, file: Path
) -> None:
    """Draw, for each token of a translation, where in the source the decoder looked."""
    model.eval()
    with torch.inference_mode():  # of the last layer, the mean of its heads
        seen = Step(model)(pad([one.source]), pad([[START, *one.target]]))[1]
    weights = seen[0, -1].mean(0).cpu().numpy()  # (target, source length)
    blue = LinearSegmentedColormap.from_list("blue", ["#2f8fd000", "#2f8fd0"])
    names = [[vocabulary.names[token].replace(" ", "␣") for token in tokens]
             for tokens in (one.source, [*one.target, END])]
    fig, ax = plt.subplots(figsize=(7.5, 5), layout="constrained")
    ax.pcolormesh(weights, cmap=blue, vmin=0, edgecolors="#80808040", linewidth=0.5)
    ax.invert_yaxis()
    ax.set_xticks(np.arange(len(names[0])) + 0.5, names[0])
    ax.set_yticks(np.arange(len(names[1])) + 0.5, names[1])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    with warnings.catch_warnings():  # the reader's browser has Chinese letters
        warnings.filterwarnings("ignore", message="Glyph")
        fig.savefig(file)


def draw_training(
    losses: list[float], watched: list[tuple[int, float]], file: Path
) -> None:
    """Draw the loss, 100 points, and the share of validation dates that are right."""
    fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
    parts = np.array_split(losses, min(100, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    axes[0].semilogy(ends, [part.mean() for part in parts], color="#2f8fd0")
    axes[0].set(xlabel="step", ylabel="training loss")
    axes[1].plot(*zip(*watched), color="#e07b39", marker="o")
    axes[1].set(xlabel="step", ylabel="validation dates right", ylim=(0, 1.03))
    for ax in axes:
        ax.grid(color="gray", alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(file)
# --8<-- [end:figures]


# --8<-- [start:eight_bits]
class EightBits(nn.Module):
    """Gives a weight, (rows, columns), from whole numbers of 8 bits, scaled by row."""

    def forward(self, whole: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the weight of whole numbers, (rows, columns), and scales, (rows, 1)."""
        return whole * scale

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the whole numbers and the scales that give nearly this weight."""
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        return (weight / scale).round().to(torch.int8), scale


def shrink(model: nn.Module) -> nn.Module:
    """Return a copy whose tables of weights take 8 bits a number instead of 32."""
    small = copy.deepcopy(model).eval().requires_grad_(False)
    for layer in list(small.modules()):
        for name, weight in list(layer.named_parameters(recurse=False)):
            if weight.dim() == 2:
                parametrize.register_parametrization(layer, name, EightBits())
    return small
# --8<-- [end:eight_bits]


# --8<-- [start:export]
def export(small: Transformer, out: Path) -> None:
    """Write one step of translation as ONNX, for any batch and any lengths."""
    for name in ("torch.onnx", "onnxscript"):  # they tell of steps, not of faults
        logging.getLogger(name).setLevel(logging.ERROR)
    batch, given, written = map(torch.export.Dim, ("batch", "given", "written"))
    rows = torch.full((2, 12), START, dtype=torch.int32)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            Step(small).cpu().eval(), (rows, rows[:, :7].clone()), out / "model.onnx",
            input_names=["source", "target"], output_names=["logarithms", "attention"],
            dynamic_shapes=({0: batch, 1: given}, {0: batch, 1: written}),
            dynamo=True, external_data=False, verbose=False,
        )


@torch.inference_mode()
def live(
    small: Transformer, vocabulary: Vocabulary, found: list[Example], count: int = 12
) -> dict:
    """Return what the page needs beside the model: tokens, and samples of each kind.

    A sample has the probability of each token of its translation, to compare with.
    """
    samples, choose = [], random.Random(0)
    for kind in sorted({one.kind for one in found}):
        mine = [one for one in found if one.kind == kind]
        for one in choose.sample(mine, min(count, len(mine))):
            (tokens,) = greedy(small, [one.source])
            tokens = tokens[: tokens.index(END) + 1] if END in tokens else tokens
            logits = small(pad([one.source]), pad([[START, *tokens[:-1]]]))[0]
            shares = logits.softmax(1)[range(len(tokens)), tokens]
            samples.append({
                "kind": kind, "to": one.to, "given": one.given, "wanted": one.wanted,
                "style": vocabulary.names[one.source[1]].strip("<>"),
                "answer": vocabulary.decode(tokens), "probabilities": shares.tolist(),
            })
    return {"names": vocabulary.names, "samples": samples}
# --8<-- [end:export]


# --8<-- [start:report]
def report(parts: dict[str, list[Example]], answers: dict[str, list[str]]) -> dict:
    """Print how many of each kind are right; return the shares."""
    exact = {name: evaluate(parts["test"], found) for name, found in answers.items()}
    counts = Counter(one.kind for one in parts["test"] if one.to == "en")
    for to, title in (("en", "Chinese to English"), ("zh", "English to Chinese")):
        print(f"\n{title:20}{'pairs':>8}" + "".join(f"{name:>10}" for name in answers))
        for kind, count in counts.items():
            shares = "".join(f"{exact[name][to][kind]:10.1%}" for name in answers)
            print(f"{kind:20}{count:8,}{shares}")
    print("\nSome of the mistakes of greedy search, names left aside:")
    wrong = [
        (one, answer) for one, answer in zip(parts["test"], answers["greedy"])
        if answer != one.wanted and one.kind != "names"
    ]
    for one, answer in random.Random(0).sample(wrong, min(5, len(wrong))):
        print(f"  {one.given} -> {answer}, not {one.wanted}")
    return {"exact": exact, "counts": dict(counts)}
# --8<-- [end:report]


# --8<-- [start:main]
def main(out: Path, steps: int = 2500, share: float = 1) -> dict:
    """Train, test and draw; write metrics.json into `out` and return what it holds."""
    torch.manual_seed(0)
    random.seed(0)
    pairs = load_data(share)
    vocabulary = Vocabulary(pairs["train"])
    parts = {name: examples(found, vocabulary) for name, found in pairs.items()}
    model = Transformer(len(vocabulary.names), 64, num_layers=2, num_heads=4).to(device)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{len(parts['train']):,} training examples, {len(vocabulary.names)} tokens, "
          f"{parameters:,} parameters")
    watched_dates = [one for one in parts["validation"] if one.kind == "dates"][::8]

    def watch() -> float:
        found = translate(model, vocabulary, watched_dates)
        right = [a == one.wanted for a, one in zip(found, watched_dates)]
        return float(np.mean(right))

    started = time.perf_counter()
    losses, watched = train(model, parts["train"], steps, watch)
    seconds = time.perf_counter() - started
    print(f"trained in {seconds:.0f} s")
    answers, spent = {}, {}
    for search in (greedy, beam):
        started = time.perf_counter()
        answers[search.__name__] = translate(model, vocabulary, parts["test"], search)
        spent[search.__name__] = {"seconds": time.perf_counter() - started}
    answers["nearest"] = nearest(parts["train"], parts["test"])
    small = shrink(model)
    again = translate(small, vocabulary, parts["test"])
    equal = np.mean([a == b for a, b in zip(again, answers["greedy"])])
    seen = [one for one in parts["train"] if one.kind == "names"][:400]
    metrics = {
        **report(parts, answers), "steps": steps, "parameters": parameters,
        "vocabulary": len(vocabulary.names), "train_examples": len(parts["train"]),
        "names_seen": evaluate(seen, translate(model, vocabulary, seen)),
        "train_seconds": seconds, "search": spent,
        "live": {"exact": evaluate(parts["test"], again), "equal": float(equal)},
    }
    into = {to: kinds["names"] for to, kinds in metrics["names_seen"].items()}
    print(f"names seen in training: {into['en']:.1%} right into English, "
          f"{into['zh']:.1%} into Chinese")
    out.mkdir(parents=True, exist_ok=True)
    full = next(one for one in parts["test"] if one.kind == "dates" and one.to == "en")
    draw_attention(model, vocabulary, full, out / "attention.svg")
    draw_training(losses, watched, out / "training.svg")
    page = live(small, vocabulary, parts["test"])
    (out / "live.json").write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")
    export(small, out)
    metrics["live"]["bytes"] = (out / "model.onnx").stat().st_size
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("transformer-results"))
    parser.add_argument("--steps", type=int, default=2500, help="batches of training")
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    main(options.out, options.steps)
# --8<-- [end:main]
