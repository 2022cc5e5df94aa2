# --8<-- [start:setup]
"""Translate what CLDR writes in Chinese and English, in both directions."""

import itertools
import json
import math
import random
import re
import time
import warnings
from collections import Counter, namedtuple
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from babel import Locale
from babel.dates import format_date, format_interval, format_time
from babel.numbers import format_currency
from babel.units import format_unit
from matplotlib.colors import LinearSegmentedColormap
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn
from torch.utils.data import DataLoader

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
Pair = tuple[list[int], list[int]]  # the tokens of a source and of its target
# --8<-- [end:setup]


# --8<-- [start:phrases]
Phrase = namedtuple("Phrase", "kind style to given wanted")
WRITE: dict[str, Callable] = {  # a thing, in a style and a language, as text
    "dates": format_date,
    "times": lambda moment, style, to: format_time(moment, style, locale=to),
    "intervals": lambda two, _, to: format_interval(*two, "yMMMd", locale=to),
    "quantities": lambda amount, style, to: format_unit(
        *amount, style if to == "en" else "short", locale=to
    ),
    "currencies": lambda amount, style, to: format_currency(
        *amount, locale=to,
        format_type="name" if style == "long" else "standard",
    ),
    "names": lambda name, _, to: getattr(Locale(to), name[0])[name[1]],
}
STYLES = {
    "dates": ["full", "long", "medium", "short"], "times": ["medium", "short"],
    "intervals": ["medium"], "quantities": ["long", "short"],
    "currencies": ["long", "short"], "names": ["long"],
}


def phrases(kind: str, things: list) -> Iterator[Phrase]:
    """Yield all things in all styles, into English and into Chinese."""
    for thing in things:
        for style in STYLES[kind]:
            texts = (WRITE[kind](thing, style, to) for to in ("zh", "en"))
            zh, en = (" ".join(text.split()) for text in texts)  # plain spaces
            yield Phrase(kind, style, "en", zh, en)
            yield Phrase(kind, style, "zh", en, zh)
# --8<-- [end:phrases]


# --8<-- [start:things]
UNITS = """length-kilometer length-meter mass-gram mass-kilogram volume-liter
temperature-celsius speed-kilometer-per-hour duration-hour""".split()
CURRENCIES = "CNY USD EUR GBP JPY KRW INR AUD CAD CHF BRL RUB".split()


def names() -> list[tuple[str, str]]:
    """Return (list, code) of the names that have one translation only."""
    found = [(part, code) for part in ("territories", "languages")
             for code in sorted(getattr(Locale("zh"), part))
             if code in getattr(Locale("en"), part)]
    pairs = list(phrases("names", found))  # each in both directions
    often = Counter(one.given for one in pairs)
    return [name for name, *texts in zip(found, pairs[::2], pairs[1::2])
            if all(often[one.given] == 1 for one in texts)]


def amounts(
    most: int, digits: int, units: list[str], choose: random.Random
) -> list[tuple[float, str]]:
    """Return 10,000 times (number, unit), with these decimals or none."""
    sizes = [10 ** choose.uniform(0, most) for _ in range(10_000)]
    return [(round(size, choose.choice((0, digits))), choose.choice(units))
            for size in sizes]


def intervals(
    days: list[datetime], count: int, choose: random.Random
) -> list[tuple]:
    """Return pairs of days, in 80 years at most half a year apart."""
    days, found = sorted(days), []
    for _ in range(count):
        first = choose.randrange(len(days) - 1)
        last = first + choose.randint(1, max(1, len(days) // 160))
        found.append((days[first], days[min(last, len(days) - 1)]))
    return found
# --8<-- [end:things]


# --8<-- [start:split]
def load_data(share: float = 1, seed: int = 0) -> dict[str, list[Phrase]]:
    """Return the phrases of each part; `share` makes them fewer.

    Days, times, amounts and names are divided before they are written.
    """
    choose, start = random.Random(seed), datetime(1970, 1, 1)
    things = {
        "dates": [start + timedelta(days=n) for n in range(29_220)],  # to 2049
        "times": [start + timedelta(seconds=n) for n in range(86_400)],
        "quantities": amounts(4, 1, UNITS, choose),
        "currencies": amounts(5, 2, CURRENCIES, choose), "names": names(),
    }
    for values in things.values():
        choose.shuffle(values)
    parts, used = {}, set()
    cuts = {"test": (0, 0.1), "validation": (0.1, 0.2), "train": (0.2, 1)}
    for part, (first, last) in cuts.items():
        own = {
            kind: values[int(first * len(values)) : int(last * len(values))]
            for kind, values in things.items()
        }
        most = int(share * (5000 if part == "train" else 200))
        own["intervals"] = intervals(own["dates"], most, choose)
        written = (phrases(kind, own[kind][:most]) for kind in WRITE)
        found = dict.fromkeys(itertools.chain(*written))
        parts[part] = [one for one in found
                       if not {one.given, one.wanted} & used]
        used |= {one.given for one in found}
    return parts
# --8<-- [end:split]


# --8<-- [start:tokens]
UNKNOWN = 3  # the token of a character that training never showed


class Vocabulary:
    """Frequent English words are a token each, and so is each character."""

    def __init__(self, phrases: list[Phrase], often: int = 100):
        texts = [one.given for one in phrases]
        counts = Counter(re.findall("[A-Za-z]{2,} ?", "\n".join(texts)))
        words = sorted(word for word, n in counts.items() if n >= often)
        marks = ["pad", "start", "end", "unknown", "zh", "en"]
        marks += sorted({one.style for one in phrases})
        characters = sorted(set("".join(texts)))
        self.names = [*(f"<{mark}>" for mark in marks), *words, *characters]
        self.numbers = {name: number for number, name in enumerate(self.names)}
        longest_first = sorted(words, key=len, reverse=True)
        self.pieces = re.compile("|".join([*longest_first, "."]))

    def encode(self, text: str, *marks: str) -> list[int]:
        """Return the tokens of the marks and then of the text's pieces."""
        names = [f"<{mark}>" for mark in marks] + self.pieces.findall(text)
        return [self.numbers.get(name, UNKNOWN) for name in names]

    def pair(self, one: Phrase) -> tuple[list[int], list[int]]:
        """Return the source (language, style, text) and the target."""
        source = self.encode(one.given, one.to, one.style)
        return source, self.encode(one.wanted)

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.names[token] for token in tokens)
# --8<-- [end:tokens]


# --8<-- [start:batches]
# From models/transformer.py, word for word:
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
# From models/transformer.py, word for word:
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
# From models/transformer.py, word for word:
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
# From models/transformer.py, word for word:
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
# From models/transformer.py, word for word:
def evaluate(model: nn.Module, pairs: list[Pair]) -> float:
    """Return the share of pairs translated right to the last token."""
    sources, targets = zip(*pairs)
    found = greedy(model, pad(sources))
    return sum(a == b for a, b in zip(found, targets)) / len(pairs)
# --8<-- [end:evaluate]


# --8<-- [start:beam]
@torch.inference_mode()
def beam(
    model: nn.Module, source: Tensor, width: int = 4, longest: int = 40
) -> list[list[int]]:
    """Translate (batch, m), keeping the `width` likeliest beginnings."""
    model.eval()
    source = source.repeat_interleave(width, dim=0)  # (batch * width, m)
    memory = model.encode(source)
    target = torch.full((len(source), 1), START, device=source.device)
    scores = torch.full((len(source) // width, width), -math.inf).to(device)
    scores[:, 0] = 0  # at first all beginnings are equal: keep one
    first_row = torch.arange(0, len(source), width, device=device)[:, None]
    while target.shape[1] < longest and not (target == END).any(1).all():
        last = model.decode(target, memory, source)[:, -1]
        gains = model.projection(last).log_softmax(1)  # (batch * width, V)
        ended = (target == END).any(1)
        gains[ended] = -math.inf  # what has ended goes on with END for free
        gains[ended, END] = 0
        total = (scores.view(-1, 1) + gains).view(len(scores), -1)
        scores, best = total.topk(width)  # (batch, width)
        parent = (first_row + best // gains.shape[1]).flatten()
        token = (best % gains.shape[1]).view(-1, 1)
        target = torch.cat([target[parent], token], dim=1)
    rows = target[::width, 1:].tolist()  # topk puts the likeliest first
    return [row[: (row + [END]).index(END)] for row in rows]
# --8<-- [end:beam]


# --8<-- [start:translate]
def translate(
    model: nn.Module, vocabulary: Vocabulary, pairs: list[Pair],
    search: Callable = greedy,
) -> list[str]:
    """Return the translation of each pair's source."""
    answers = []
    for start in range(0, len(pairs), 250):
        source, _ = collate(pairs[start : start + 250])
        answers += map(vocabulary.decode, search(model, source))
    return answers


def exact(asked: list[Phrase], answers: list[str]) -> dict[str, dict]:
    """Return the share right to the last character, by language and kind."""
    right = {"en": {}, "zh": {}}
    for one, answer in zip(asked, answers):
        right[one.to].setdefault(one.kind, []).append(answer == one.wanted)
    return {
        to: {kind: sum(row) / len(row) for kind, row in kinds.items()}
        for to, kinds in right.items()
    }
# --8<-- [end:translate]


# --8<-- [start:baseline]
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def exchange(answer: str, known: str, given: str) -> str:
    """Put the numbers of `given` in the place of those of `known`."""
    numbers = dict(zip(NUMBER.findall(known), NUMBER.findall(given)))
    return NUMBER.sub(lambda n: numbers.get(n[0], n[0]), answer)


def memory(known: list[Phrase], asked: list[Phrase]) -> list[str]:
    """Take the translation of the most similar text; exchange its numbers."""
    answers = [""] * len(asked)
    for group in {one[:3] for one in asked}:  # kind, style, language
        mine = [one for one in known if one[:3] == group]
        places = [n for n, one in enumerate(asked) if one[:3] == group]
        table = TfidfVectorizer(analyzer="char", ngram_range=(1, 3))
        rows = table.fit_transform(one.given for one in mine)
        alike = table.transform(asked[n].given for n in places) @ rows.T
        for n, best in zip(places, alike.argmax(1).flat):
            old = mine[best]
            answers[n] = exchange(old.wanted, old.given, asked[n].given)
    return answers
# --8<-- [end:baseline]


# --8<-- [start:main]
def main(
    out: Path, seed: int = 0, steps: int = 2500, share: float = 1
) -> dict:
    """Train and test; write weights, metrics and a figure to `out`."""
    torch.manual_seed(seed)
    parts = load_data(share, seed)
    test, vocabulary = parts["test"], Vocabulary(parts["train"])
    pairs = {part: list(map(vocabulary.pair, parts[part])) for part in parts}
    loader = DataLoader(pairs["train"], 64, shuffle=True, collate_fn=collate)
    model = Transformer(len(vocabulary.names), 64, num_layers=2, num_heads=4)
    started, some = time.perf_counter(), pairs["validation"][::11]
    train(model.to(device), loader, steps, lambda: evaluate(model, some))
    metrics = {
        "train_seconds": time.perf_counter() - started, "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": len(vocabulary.names), "train_pairs": len(pairs["train"]),
    }
    answers = {
        "memory": memory(parts["train"], test),
        "greedy": translate(model, vocabulary, pairs["test"]),
        "beam": translate(model, vocabulary, pairs["test"], beam),
    }
    metrics["exact"] = {name: exact(test, answers[name]) for name in answers}
    out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), out / "weights.pt")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    report(metrics, test, answers["greedy"])
    file = out / "attention.svg"
    draw_attention(model, *pairs["test"][0], vocabulary.names, file)
    return metrics
# --8<-- [end:main]


# --8<-- [start:look]
# From models/transformer.py, word for word:
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


# --8<-- [start:report]
def report(metrics: dict, asked: list[Phrase], answers: list[str]) -> None:
    """Print how much of each kind is right, and some mistakes."""
    print(f"\nlearned from {metrics['train_pairs']:,} pairs, "
          f"trained in {metrics['train_seconds']:.0f} s")
    print(f"\n{'right':24}" + "".join(map("{:>9}".format, metrics["exact"])))
    counts = Counter((one.to, one.kind) for one in asked)
    for (to, kind), count in sorted(counts.items()):
        shares = [found[to][kind] for found in metrics["exact"].values()]
        print(f"{count:4} {kind:11} into {to}"
              + "".join(map("{:9.1%}".format, shares)))
    wrong = [f"  {one.given} -> {answer}, not {one.wanted}"
             for one, answer in zip(asked, answers) if answer != one.wanted]
    print("\nSome mistakes of greedy search:")
    print("\n".join(random.Random(0).sample(wrong, min(8, len(wrong)))))
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
    run(main, "translation-results")
# --8<-- [end:run]
