# --8<-- [start:setup]
"""Doubt a benchmark: its interval, its secrecy, and its judge."""

import json
import math
import re
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


# --8<-- [start:questions]
# From language-models/evaluation.py, word for word:
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
# From language-models/evaluation.py, word for word:
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
# From language-models/evaluation.py, word for word:
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


# --8<-- [start:wilson]
# From language-models/evaluation.py, word for word:
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


# --8<-- [start:bootstrap]
def bootstrap(
    answers: np.ndarray, random: np.random.Generator, times: int = 1000
) -> np.ndarray:
    """Return the interval, (2,), for the share of ones in (n,) answers.

    B. Efron, Bootstrap methods: another look at the jackknife, 1979: the
    answers are drawn anew from themselves, and 95 of 100 shares lie in it.
    """
    n = len(answers)
    shares = answers[random.integers(n, size=(times, n))].mean(1)  # (times,)
    return np.quantile(shares, [0.025, 0.975])


def draw(count: int, random: np.random.Generator, run: int = 1) -> np.ndarray:
    """Return the numbers of 100 out of `count` questions, (1000, 100).

    With a `run` of 10 they are ten times ten questions that are neighbors.
    """
    starts = random.integers(count - run + 1, size=(1000, 100 // run, 1))
    return (starts + np.arange(run)).reshape(1000, 100)


def coverage(intervals: np.ndarray, truth: float) -> float:
    """Return the share of the intervals, (2, n), that hold the truth."""
    low, high = intervals
    return ((low <= truth) & (truth <= high)).mean()
# --8<-- [end:bootstrap]


# --8<-- [start:difference]
def difference(
    one: np.ndarray, other: np.ndarray, paired: bool
) -> np.ndarray:
    """Return the interval, (2, ...), for how much `one` is better.

    Both hold the answers, (..., n), to the same questions, 1 for right ones.
    What a pair differs by varies less than two models do by themselves.
    """
    if paired:
        variance = (one - other).var(-1)
    else:
        variance = one.var(-1) + other.var(-1)
    half = 1.96 * np.sqrt(variance / one.shape[-1])
    middle = one.mean(-1) - other.mean(-1)
    return np.stack([middle - half, middle + half])
# --8<-- [end:difference]


# --8<-- [start:intervals]
def intervals(
    half: np.ndarray, whole: np.ndarray, random: np.random.Generator
) -> dict:
    """Draw benchmarks of 100 questions; tell how good the intervals are.

    The answers of a model halfway through its training and at its end are
    (n,), in the order in which the questions stand in the text.
    """
    easy = (np.arange(10_000) < 9_800) * 1.0  # a model that fails in 2 %
    found = {}
    for name, pool, run in (
        ("whole", whole, 1), ("easy", easy, 1), ("neighbors", whole, 10),
    ):
        drawn = pool[draw(len(pool), random, run=run)]  # (1000, 100)
        ends = {"wilson": wilson(drawn), "bootstrap": np.stack(
            [bootstrap(one, random) for one in drawn], axis=1)}
        found[name] = {"share": pool.mean()} | {
            rule: {"coverage": coverage(one, pool.mean()),
                   "width": (one[1] - one[0]).mean()}
            for rule, one in ends.items()
        }
    picks = draw(len(whole), random)
    one, other = whole[picks], half[picks]  # each (1000, 100)
    swap = random.random(one.shape) < 0.5  # then neither is the better
    found["pair"] = {"half": half.mean(), "whole": whole.mean()}
    for name, paired in (("unpaired", False), ("paired", True)):
        low, high = difference(one, other, paired)
        none = difference(np.where(swap, other, one),
                          np.where(swap, one, other), paired)
        found["pair"][name] = {
            "width": (high - low).mean(), "found": (low > 0).mean(),
            "false": 1 - coverage(none, 0),
        }
    return found
# --8<-- [end:intervals]


# --8<-- [start:plant]
def edit(text: bytes) -> bytes:
    """Swap the first two of every three words of a line."""
    return re.sub(rb"(\S+) (\S+) (\S+)", rb"\2 \1 \3", text)


def plant(text: bytes, items: list[bytes], seed: int) -> bytes:
    """Put each item behind some paragraph of a text, drawn by chance."""
    random = np.random.default_rng(seed)
    paragraphs = text.split(b"\n\n")
    places = random.integers(len(paragraphs), size=len(items))
    for item, at in zip(items, places):
        paragraphs[at] += b"\n\n" + item.rstrip()
    return b"\n\n".join(paragraphs)
# --8<-- [end:plant]


# --8<-- [start:overlap]
def longest_runs(
    train: bytes, texts: list[bytes], most: int = 13
) -> np.ndarray:
    """Return how many words in a row each text shares with `train`, (n,).

    More than `most` are not looked for.
    """
    words, found = train.split(), np.zeros(len(texts), int)
    for size in range(1, most + 1):
        known = set(zip(*(words[at:] for at in range(size))))
        for number, text in enumerate(texts):
            own = text.split()
            if known & set(zip(*(own[at:] for at in range(size)))):
                found[number] = size
    return found
# --8<-- [end:overlap]


# --8<-- [start:suspicion]
def neighbor(text: bytes, random: np.random.Generator) -> bytes:
    """Swap two words of a text that stand side by side."""
    parts = re.split(rb"(\s+)", text.strip())  # words, and what is between
    at = 2 * random.integers(len(parts) // 2)
    parts[at], parts[at + 2] = parts[at + 2], parts[at]
    return b"".join(parts)


def suspicion(
    model: nn.Module, texts: list[bytes], seed: int, times: int = 4
) -> dict[str, np.ndarray]:
    """Return how much each text seems to be known, (n,), by two rules.

    One is its log-probability a byte. The other is by how much that exceeds
    the mean of changed texts: J. Mattern et al., Membership inference attacks
    against language models via neighbourhood comparison, 2023.
    """
    random = np.random.default_rng(seed)
    changed = [neighbor(text, random) for text in texts for _ in range(times)]
    both = [text.strip() for text in texts] + changed
    sizes = torch.tensor([len(text) for text in both])
    scores = score(model, [[10]] * len(both), [list(one) for one in both])
    own, others = (scores / sizes).split([len(texts), len(changed)])
    return {
        "likelihood": own.numpy(),
        "neighbors": (own - others.view(-1, times).mean(1)).numpy(),
    }
# --8<-- [end:suspicion]


# --8<-- [start:judge]
def judge(
    better: np.ndarray, longer: np.ndarray, random: np.random.Generator,
    skill: float = 0.8, place: float = 0.2, length: float = 0.2,
) -> np.ndarray:
    """Return 1 where the answer that is shown first wins, (n,).

    `better` and `longer`, (n,), hold 1 where it is better or longer than the
    second. The judge takes the first with probability `place` whatever it
    says, the longer with `length`; else the better with `skill`.
    """
    draw, eye = random.random((2, len(better)))
    seen = np.where(eye < skill, better, 1 - better)
    return np.select([draw < place, draw < place + length], [1, longer], seen)


def both_orders(
    better: np.ndarray, longer: np.ndarray, random: np.random.Generator
) -> dict[str, float]:
    """Return the share that A wins, shown first, second, and on average.

    `better` and `longer`, (n,), hold 1 where A's answer is.
    """
    first = judge(better, longer, random)
    second = 1 - judge(1 - better, 1 - longer, random)  # 1 where A wins
    return {
        "truth": better.mean(), "first": first.mean(),
        "second": second.mean(), "average": (first + second).mean() / 2,
        "bias": first.mean() - second.mean(),
        "agree": (first == second).mean(),
    }
# --8<-- [end:judge]


# --8<-- [start:main]
SIZES = {"hidden_size": 64, "num_layers": 3, "num_heads": 2}
COPIES = {"once": 1, "four": 4, "sixteen": 16, "edited": 16, "clean": 0}
EACH = 40  # questions of each group that is planted


def main(
    out: Path, seed: int = 0, size: int = 2_000_000, steps: int = 400,
    count: int = 1000,
) -> dict:
    """Plant, train and doubt; write the results into `out`; return them."""
    out.mkdir(parents=True, exist_ok=True)
    parts = load_data(size=size)
    random = np.random.default_rng(seed)
    questions = make_questions(bytes(parts["test"].tolist()), count, seed)
    texts = [one.prompt + one.answers[one.right] for one in questions]
    cuts = EACH * np.arange(1, len(COPIES))
    groups = dict(zip(
        COPIES, np.split(random.permutation(len(questions)), cuts)
    ))
    items = [edit(texts[n]) if name == "edited" else texts[n]
             for name, copies in COPIES.items()
             for n in groups[name] for _ in range(copies)]
    groups["clean"].sort()  # as they stand in the text
    train_text = plant(bytes(parts["train"][:800_000].tolist()), items, seed)
    torch.manual_seed(seed)
    model = GPT(256, **SIZES).to(device)
    tokens = torch.tensor(list(train_text))
    pool = [questions[n] for n in groups["clean"]]
    halfway = []

    def watch(step: int) -> None:
        if 2 * step >= steps and not halfway:
            halfway.append(grade(choose(model, list, pool)["gain"], pool))

    train(model, tokens, steps, 16, LENGTH, watch=watch)
    scores = choose(model, list, questions)  # (questions, 4) each
    graded = grade(scores["gain"], questions)
    right = torch.tensor([one.right for one in questions])
    losses = -bits(scores["byte"].gather(1, right[:, None]))[:, 0].numpy()
    runs = longest_runs(train_text, texts)
    signs = suspicion(model, texts, seed)
    known, rest = np.array_split(random.permutation(groups["clean"]), 2)
    metrics = {"each": EACH, "text": len(train_text), "groups": {}, "runs": {}}
    for name, some in groups.items():
        metrics["groups"][name] = {
            "loss": float(losses[some].mean()),
            **dict(zip(("accuracy", "low", "high"), (
                graded[some].mean(), *wilson(graded[some])))),
            **{rule: float((sign[rest if name == "clean" else some]
                            > np.quantile(sign[known], 0.95)).mean())
               for rule, sign in signs.items()},
        }
        metrics["runs"][name] = {
            f"words_{n}": (runs[some] >= n).mean() for n in range(1, 14)}
    metrics |= intervals(halfway[0], graded[groups["clean"]], random)
    better, longer = random.random((2, 1000))
    metrics["judge"] = {name: both_orders(
        (better < 0.6) * 1.0, (longer < share) * 1.0, random
    ) for name, share in (("alike", 0.5), ("shorter", 0.1))}
    report(metrics)
    plot(metrics, out / "runs.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what came of each doubt."""
    print("benchmarks of 100     true  held by Wilson, by bootstrap")
    for name in ("whole", "easy", "neighbors"):
        m = metrics[name]
        print(f"{name:18} {m['share']:7.1%} "
              f"{m['wilson']['coverage']:15.1%} "
              f"{m['bootstrap']['coverage']:13.1%}")
    for name in ("unpaired", "paired"):
        m = metrics["pair"][name]
        print(f"{name:9} width {m['width']:.3f}, gain found {m['found']:.1%},"
              f" no gain yet found {m['false']:.1%}")
    print("\nplanted   bits/byte     right  accused by likelihood, neighbors")
    for name, m in metrics["groups"].items():
        print(f"{name:9} {m['loss']:9.3f} {m['accuracy']:9.1%} "
              f"{m['likelihood']:14.1%} {m['neighbors']:10.1%}")
    print("\nA wins         truth   first  second  average")
    for name, m in metrics["judge"].items():
        print(f"{name:12}", *(f"{m[way]:7.1%}" for way in (
            "truth", "first", "second", "average")))


def plot(metrics: dict, file: Path) -> None:
    """Draw how many items share n words in a row with the training text."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for name in ("clean", "once", "edited"):
        shares = [100 * n for n in metrics["runs"][name].values()]
        axes.plot(range(1, 14), shares, "o-", label=name)
    axes.set(xlabel="words in a row", ylabel="accused, %")
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
    run(main, "benchmarks-results", (ModuleNotFoundError,))
# --8<-- [end:run]
