# --8<-- [start:setup]
"""Measure two small language models on the same text and questions."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
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


# --8<-- [start:encode]
# From language-models/bpe.py, word for word:
def encode(word: str, merges: list[str]) -> str:
    """Return the tokens of a word: apply all merges in their order."""
    for number, pair in enumerate(merges):
        word = word.replace(pair, chr(256 + number))
    return word
# --8<-- [end:encode]


# --8<-- [start:tokens]
class Tokenizer:
    """Turns bytes into tokens, with merges learned from a text."""

    def __init__(self, text: bytes, size: int):
        self.merges = train_naively(Counter(split(text)), size)
        self.known: dict[str, str] = {}  # pieces that were merged before

    def __call__(self, text: bytes) -> list[int]:
        """Return the tokens of a text; without merges they are its bytes."""
        tokens = []
        for piece in split(text):
            if piece not in self.known:
                self.known[piece] = encode(piece, self.merges)
            tokens += map(ord, self.known[piece])
        return tokens
# --8<-- [end:tokens]


# --8<-- [start:losses]
@torch.inference_mode()
def token_losses(
    model: nn.Module, tokens: Tensor, length: int, stride: int
) -> Tensor:
    """Return the loss in nats of each of (n,) tokens but the first, (n - 1,).

    The model reads windows of `length` tokens, each `stride` tokens after
    the one before, and in each only the last `stride` predictions count.
    """
    model.eval()
    count = len(tokens) - 1
    ends = torch.arange(stride, count + stride, stride)[:, None]
    places = (ends - length).clamp(min=0) + torch.arange(length)
    counted = (places >= ends - stride) & (places < ends.clamp(max=count))
    losses = torch.empty(count)
    for some, mask in zip(places.split(64), counted.split(64)):
        read = some.clamp(max=count - 1)  # (windows, length)
        logits = model(tokens[read].to(device))  # (windows, length, v)
        nats = F.cross_entropy(
            logits.mT, tokens[read + 1].to(device), reduction="none"
        ).cpu()  # (windows, length)
        losses[some[mask]] = nats[mask]
    return losses


def perplexity(losses: Tensor) -> float:
    """Return the perplexity of tokens from their losses in nats, (n,)."""
    return losses.mean().exp().item()
# --8<-- [end:losses]


# --8<-- [start:averages]
def averages(losses: Tensor, text: Tensor) -> dict[str, float]:
    """Return the perplexity from the same losses, averaged in three ways.

    The text, (n,) bytes, has losses (n - 1,). Only the first way, over all
    bytes, is right. The others average over the paragraphs first.
    """
    breaks = (text[:-1] == 10) & (text[1:] == 10)  # (n - 1,): empty lines
    paragraph = breaks.long().cumsum(0)  # (n - 1,)
    means = paragraph.bincount(losses) / paragraph.bincount()
    return {
        "bytes": perplexity(losses), "paragraphs": perplexity(means),
        "perplexities": means.exp().mean().item(),
    }
# --8<-- [end:averages]


# --8<-- [start:questions]
LENGTH = 128  # tokens that a model reads


class Question(NamedTuple):
    """A text, four texts that could follow, and which of them does."""

    prompt: bytes
    answers: list[bytes]
    right: int


def make_questions(text: bytes, count: int, seed: int) -> list[Question]:
    """Return `count` questions on a text, or as many as it has.

    A line breaks off at a word; the right answer is its rest, of 17 to 51
    bytes with the space before and the end of the line. The wrong ones are
    the rests of three other lines.
    """
    random = np.random.default_rng(seed)
    found = list(re.finditer(
        rb"(?m)^[^\n]{20,40}\w( [A-Za-z][^\n]{14,48}\n)", text
    ))
    rests = sorted({match[1] for match in found})
    questions = []
    for at in sorted(random.permutation(len(found))[:count]):
        start, answer = found[at].start(1), found[at][1]
        drawn = [rests[n] for n in random.permutation(len(rests))[:4]]
        answers = [rest for rest in drawn if rest != answer][:3]
        answers.insert(right := int(random.integers(4)), answer)
        prompt = text[max(0, start - LENGTH + 51):start]
        questions.append(Question(prompt, answers, right))
    return questions
# --8<-- [end:questions]


# --8<-- [start:score]
@torch.inference_mode()
def score(
    model: nn.Module, prompts: list[list[int]], answers: list[list[int]]
) -> Tensor:
    """Return the log-probability of each answer behind its prompt, (n,).

    It is the sum of those of the answer's tokens, in nats.
    """
    model.eval()
    sums = []
    for at in range(0, len(prompts), 64):
        both = list(zip(prompts[at:at + 64], answers[at:at + 64]))
        tokens = nn.utils.rnn.pad_sequence(
            [torch.tensor(one + two) for one, two in both], batch_first=True
        )  # (some, time)
        logits = model(tokens[:, :-1].to(device))  # (some, time - 1, v)
        nats = F.cross_entropy(
            logits.mT, tokens[:, 1:].to(device), reduction="none"
        ).cpu()  # (some, time - 1)
        place = torch.arange(1, tokens.shape[1])  # (time - 1,)
        first = torch.tensor([[len(one)] for one, _ in both])  # (some, 1)
        last = torch.tensor([[len(one + two)] for one, two in both])
        sums.append(-nats.where((place >= first) & (place < last), 0).sum(1))
    return torch.cat(sums)
# --8<-- [end:score]


# --8<-- [start:choose]
def choose(
    model: nn.Module, encode: Callable[[bytes], list[int]],
    questions: list[Question],
) -> dict[str, Tensor]:
    """Return a score of each answer, (questions, 4), in several ways."""
    texts = [text for one in questions for text in one.answers]
    answers = [encode(text) for text in texts]
    prompts = [encode(one.prompt) for one in questions for _ in one.answers]
    total = score(model, prompts, answers)  # (questions * 4,)
    alone = score(model, [encode(b"\n")] * len(answers), answers)
    sizes = torch.tensor([len(one) for one in texts])
    scores = {
        "total": total,
        "token": total / torch.tensor([len(one) for one in answers]),
        "byte": total / sizes,
        "gain": total - alone,  # what the prompt adds
        "alone": alone,  # the prompt is not read at all
        "longest": sizes,
    }
    return {name: one.view(-1, 4) for name, one in scores.items()}


def grade(scores: Tensor, questions: list[Question]) -> np.ndarray:
    """Return 1 where the best score, of (n, 4), is the right one's, (n,)."""
    right = torch.tensor([one.right for one in questions])  # (n,)
    return (scores.argmax(1) == right).double().numpy()
# --8<-- [end:choose]


# --8<-- [start:exact]
NORMALS = {
    "raw": lambda text: text,
    "spaces": lambda text: text.strip(),
    "letters": lambda text: re.sub(rb"[^a-z0-9]", b"", text.lower()),
}


@torch.inference_mode()
def exact_match(
    model: nn.Module, text: bytes, count: int, seed: int
) -> dict[str, np.ndarray]:
    """Return 1 where the next word is right, (count,), by three rules.

    A model of bytes reads 64 bytes up to the end of a word, and writes what
    is likeliest. The fourth answer is what always ` the` would get.
    """
    model.eval()
    random = np.random.default_rng(seed)
    found = list(re.finditer(rb"[a-z](?=(\s{1,8}\S{1,12})\s)", text[64:]))
    found = [found[at] for at in random.permutation(len(found))[:count]]
    tokens = torch.tensor([list(text[m.end():m.end() + 64]) for m in found])
    for _ in range(21):
        logits = model(tokens.to(device))  # (n, time, v)
        best = logits[:, -1:].argmax(2).cpu()  # (n, 1)
        tokens = torch.cat([tokens, best], dim=1)
    rows = map(bytes, tokens[:, 64:].tolist())
    words = [re.match(rb"\s*\S*", row)[0] for row in rows]
    pairs = [(word, match[1]) for word, match in zip(words, found)]
    return {
        rule: np.array([normal(a) == normal(b) for a, b in pairs]) * 1.0
        for rule, normal in NORMALS.items()
    } | {"the": np.array([b == b" the" for _, b in pairs]) * 1.0}
# --8<-- [end:exact]


# --8<-- [start:wilson]
def wilson(answers: np.ndarray) -> np.ndarray:
    """Return the interval, (2, ...), for the share of ones in (..., n).

    E. B. Wilson, Probable inference, the law of succession, and statistical
    inference, 1927. It is to hold the true share in 95 of 100 cases.
    """
    share, n = answers.mean(-1), answers.shape[-1]
    z = 1.96  # 95 % of a normal distribution lie within
    middle = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.stack([middle - half, middle + half]) / (1 + z**2 / n)
# --8<-- [end:wilson]


# --8<-- [start:main]
SIZES = {"hidden_size": 64, "num_layers": 3, "num_heads": 2}
VOCABULARIES = {"bytes": 256, "pieces": 512}


def main(
    out: Path, seed: int = 0, size: int = 2_000_000, steps: int = 300,
    count: int = 1000,
) -> dict:
    """Train and measure both; write the results into `out`; return them."""
    out.mkdir(parents=True, exist_ok=True)
    texts = {part: bytes(text.tolist())
             for part, text in load_data(size=size).items()}
    test = texts["test"][:20_000]
    questions = make_questions(texts["test"], count, seed)
    metrics, graded = {"questions": len(questions)}, {}
    for name, tokens in VOCABULARIES.items():
        encode = Tokenizer(texts["train"][:50_000], tokens)
        torch.manual_seed(seed)
        model = GPT(tokens, **SIZES).to(device)
        read = torch.tensor(encode(texts["train"]))  # (n,)
        train(model, read, steps, 16, LENGTH)
        part = torch.tensor(encode(test))  # (m,)
        losses = token_losses(model, part, LENGTH, LENGTH)  # (m - 1,)
        whole = bits(losses.sum().item())
        metrics[name] = {
            "perplexity": perplexity(losses), "token": whole / len(losses),
            "byte": whole / (len(test) - 1), "word": whole / len(test.split()),
        }
        scores = choose(model, encode, questions)
        graded[name] = {way: grade(one, questions)
                        for way, one in scores.items()}
        if name == "bytes":
            metrics["averages"] = averages(losses, part)
            for kind, share in (("blocks", 1), ("overlap", 4)):
                metrics[kind] = {f"read_{length}": bits(token_losses(
                    model, part, length, length // share
                ).mean().item()) for length in (8, 16, 32, 64, 128, 256)}
            graded["exact"] = exact_match(model, texts["test"], 300, seed)
            short = scores["total"].argmax(1) == scores["longest"].argmin(1)
            metrics["shortest"] = short.double().mean().item()
    metrics["right"] = {name: {
        way: dict(zip(("share", "low", "high"), (one.mean(), *wilson(one))))
        for way, one in ways.items()
    } for name, ways in graded.items()}
    report(metrics)
    plot(metrics, out / "context.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print the losses, and the shares of right answers with intervals."""
    print("         perplexity  bits a token  a byte  a word")
    for name in VOCABULARIES:
        m = metrics[name]
        print(f"{name:8} {m['perplexity']:10.2f} {m['token']:13.3f} "
              f"{m['byte']:7.3f} {m['word']:7.2f}")
    print("\nright                95 % interval")
    for name, ways in metrics["right"].items():
        for way, m in ways.items():
            print(f"{name:6} {way:8} {m['share']:6.1%} {m['low']:6.1%} to "
                  f"{m['high']:.1%}")


def plot(metrics: dict, file: Path) -> None:
    """Draw the loss over what the model reads."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for kind, color in (("blocks", "#2f8fd0"), ("overlap", "#e07b39")):
        axes.plot([name[5:] for name in metrics[kind]],
                  metrics[kind].values(), "o-", color=color, label=kind)
    axes.set(xlabel="bytes that the model reads", ylabel="bits a byte")
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
    run(main, "evaluation-results", (ModuleNotFoundError,))
# --8<-- [end:run]
