# --8<-- [start:setup]
"""Fit a scaling law to small GPTs, and predict a larger one with it."""

import json
import math
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import least_squares
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


# --8<-- [start:sizes]
# From language-models/scaling_law.py, word for word:
LENGTH, BATCH = 64, 32  # bytes in a sequence, sequences in a batch


class Size(NamedTuple):
    """How large a GPT over bytes is."""

    layers: int
    hidden: int

    @property
    def heads(self) -> int:
        """Return how many heads it has, of some 32 numbers each."""
        return max(1, self.hidden // 32)

    @property
    def inner(self) -> int:
        """Return its parameters without the tables for input and output."""
        return 12 * self.layers * self.hidden**2

    @property
    def parameters(self) -> int:
        """Return all its parameters."""
        return self.inner + 2 * 256 * self.hidden

    @property
    def flops(self) -> int:
        """Return the FLOPs of training on one byte, but for the optimizer's.

        Three passes, one forward and two backward, with two FLOPs for each
        weight of a matrix, and those of the attention between positions.
        """
        weights = self.inner + 256 * self.hidden
        return 3 * (2 * weights + 4 * self.layers * LENGTH * self.hidden)


SIZES = [Size(*one) for one in (
    (1, 4), (1, 8), (1, 12), (1, 16), (1, 24), (2, 24), (2, 32), (2, 40),
    (2, 56), (3, 64), (4, 80), (5, 128))]
# --8<-- [end:sizes]


# --8<-- [start:train]
def orthogonal(x: Tensor) -> Tensor:
    """Return about the nearest matrix with orthogonal rows or columns.

    All are (m, n). By the iteration of K. Jordan et al., Muon, 2024.
    """
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.T).T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T  # (m, m)
        x = 3.4445 * x + (2.0315 * square @ square - 4.775 * square) @ x
    return x


def train(model: GPT, tokens: Tensor, steps: int, rate: float) -> None:
    """Train on (n,) tokens: the matrices of blocks by Muon, tables by AdamW.

    Both rates fall in a straight line, to zero at the last step of this run.
    """
    means = {one: torch.zeros_like(one) for one in model.blocks.parameters()}
    optimizer = torch.optim.AdamW(
        [model.embedding.weight, model.head.weight], 2 * rate, (0.9, 0.95),
        weight_decay=0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps)
    for step in range(steps):
        starts = torch.randint(len(tokens) - LENGTH, (BATCH, 1))
        pieces = tokens[starts + torch.arange(LENGTH + 1)].to(device)
        logits = model(pieces[:, :-1])  # (BATCH, LENGTH, 256)
        loss = F.cross_entropy(logits.flatten(0, 1), pieces[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        for one, mean in means.items():
            mean.lerp_(one.grad, 0.05)
            length = math.sqrt(max(1, one.shape[0] / one.shape[1]))
            one.data.sub_(orthogonal(one.grad.lerp(mean, 0.95)),
                          alpha=rate * (1 - step / steps) * length)
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


# --8<-- [start:learn]
def learn(size: Size, data: dict[str, Tensor], steps: int, rate: float,
          part: str, seed: int = 0) -> float:
    """Train a GPT on (n,) tokens; return its loss on a part, of (m,)."""
    torch.manual_seed(seed)
    model = GPT(256, size.hidden, size.layers, size.heads).to(device)
    train(model, data["train"], steps, rate)
    return evaluate(model, data[part][:MEASURED], LENGTH)
# --8<-- [end:learn]


# --8<-- [start:rates]
class Trend(NamedTuple):
    """The best rate, a power of the parameters and of the steps."""

    constant: float
    by_size: float
    by_steps: float

    def __call__(self, size: Size, steps: int) -> float:
        """Return the best rate for a size and a number of steps."""
        return math.exp(self.constant + self.by_steps * math.log(steps)
                        + self.by_size * math.log(size.parameters))


def trend_of(best: dict[tuple[Size, int], float]) -> Trend:
    """Fit the trend of the best rate by least squares of logarithms."""
    rows = [(1, math.log(size.parameters), math.log(steps))
            for size, steps in best]
    found, *_ = np.linalg.lstsq(rows, np.log(list(best.values())), rcond=None)
    return Trend(*found.tolist())
# --8<-- [end:rates]


# --8<-- [start:law]
# From language-models/scaling_law.py, word for word:
class Run(NamedTuple):
    """What a training had, and the loss on the test part."""

    size: Size
    steps: int
    loss: float

    @property
    def text(self) -> int:
        """Return how many bytes it read."""
        return self.steps * BATCH * LENGTH


class Law(NamedTuple):
    """The loss by parameters and bytes of text, in nats a byte.

    J. Hoffmann et al., Training compute-optimal large language models, 2022.
    A network of 100,000 parameters loses `by_size` for its size, training on
    a million bytes loses `by_text` for the shortness of the text.
    """

    floor: float
    by_size: float
    by_text: float
    alpha: float
    beta: float

    def __call__(self, parameters: np.ndarray | float,
                 text: np.ndarray | float) -> np.ndarray | float:
        """Return losses, (n,), of (n,) parameters and (n,) bytes of text."""
        return (self.floor + self.by_size * (parameters / 1e5) ** -self.alpha
                + self.by_text * (text / 1e6) ** -self.beta)


def fit(runs: list[Run], starts: list[Law]) -> Law:
    """Fit a law to runs, from the best of some starts.

    Differences of logarithms count by their squares up to 0.001, beyond by
    their size, as Hoffmann et al. have it. Raises ValueError for fewer than
    five runs.
    """
    if len(runs) < len(Law._fields):
        raise ValueError(f"{len(runs)} runs are too few for a law: at least "
                         f"{len(Law._fields)} are needed")
    parameters, text, losses = np.array(
        [(run.size.parameters, run.text, run.loss) for run in runs]).T

    def differences(logs: np.ndarray) -> np.ndarray:
        return np.log(Law(*np.exp(logs))(parameters, text) / losses)

    tried = [least_squares(differences, np.log(start), loss="huber",
                           f_scale=0.001) for start in starts]
    best = min(tried, key=lambda one: one.cost)
    return Law(*np.exp(best.x).tolist())
# --8<-- [end:law]


# --8<-- [start:laws]
# From language-models/scaling_law.py, word for word:
STARTS = [Law(floor, 0.3, 0.3, alpha, beta) for floor, alpha, beta
          in product((0.3, 1.0), (0.2, 0.6), (0.2, 0.6))]


def laws_of(runs: list[Run], count: int, seed: int) -> list[Law]:
    """Return the law of runs, and `count` of runs drawn with replacement.

    How far these lie apart tells how certain the first is.
    """
    law, chance = fit(runs, STARTS), np.random.default_rng(seed)
    draws = chance.integers(len(runs), size=(count, len(runs)))
    return [law, *(fit([runs[at] for at in draw], [law]) for draw in draws)]


def spread(values: list[float]) -> dict[str, float]:
    """Return the first value, and between what 95 % of the others lie."""
    low, high = np.nanpercentile(values[1:], (2.5, 97.5)).tolist()
    return {"value": float(values[0]), "low": low, "high": high}
# --8<-- [end:laws]


# --8<-- [start:best_size]
# From language-models/scaling_law.py, word for word:
def best_size(runs: list[Run]) -> float:
    """Return the parameters at which runs of one budget lose least.

    A parabola is fitted to the losses over the logarithm of the parameters.
    Where the runs do not reach past its lowest point, or are fewer than
    three, nobody knows: nan.
    """
    if len(runs) < 3:
        return math.nan
    logs = np.log([run.size.parameters for run in runs])
    bend, slope, _ = np.polyfit(logs, [run.loss for run in runs], 2)
    best = -slope / 2 / bend if bend > 0 else math.inf
    return math.exp(best) if logs[0] < best < logs[-1] else math.nan


def exponent(budgets: np.ndarray, parameters: np.ndarray) -> float:
    """Return a where (n,) parameters grow as (n,) budgets to the power a.

    Budgets whose best size nobody knows are left out; a is nan where fewer
    than two remain.
    """
    known = np.isfinite(parameters)
    if known.sum() < 2:
        return math.nan
    return float(np.polyfit(np.log(budgets)[known],
                            np.log(parameters)[known], 1)[0])
# --8<-- [end:best_size]


# --8<-- [start:optima]
# From language-models/scaling_law.py, word for word:
def optima(law: Law, budgets: np.ndarray, inner: bool) -> np.ndarray:
    """Return the parameters, (n,), at which a law loses least for budgets.

    A budget, of (n,), is 6 FLOPs for each parameter and byte. With `inner`,
    both count parameters without the tables, as Kaplan et al. do. Between
    the sizes above, the width grows as a power of them.
    """
    known = np.log([(size.inner, size.hidden) for size in SIZES])  # (12, 2)
    logs = np.linspace(known[0, 0], known[-1, 0], 2000)
    width = np.exp(np.polyval(np.polyfit(*known.T, 1), logs))  # (2000,)
    every = np.exp(logs) + 2 * 256 * width
    counted = np.exp(logs) if inner else every
    losses = law(every, budgets[:, None] / 6 / counted)  # (n, 2000)
    return counted[losses.argmin(1)]
# --8<-- [end:optima]


# --8<-- [start:tune]
MEASURED = 200_000  # bytes of a part to measure a loss on
RATES = (0.02, 0.04, 0.08, 0.16)
TUNED = (1, 5, 9), (100, 300)  # which sizes, and for how many steps
CHECKED = 10, 100  # the trend is tried here


def tune(data: dict[str, Tensor], seed: int) -> tuple[Trend, dict]:
    """Return the trend of the best rate, and losses, on (n,) tokens."""
    tried, best = {}, {}
    print("validation loss by rate" + "".join(f"{rate:8}" for rate in RATES))
    for at, steps in product(*TUNED):
        size = SIZES[at]
        losses = [learn(size, data, steps, rate, "valid", seed)
                  for rate in RATES]
        best[size, steps] = found = RATES[int(np.argmin(losses))]
        tried[f"{size.parameters} {steps}"] = {"losses": losses, "best": found}
        print(f"{size.parameters:10,} {steps:6} steps"
              + "".join(f"{loss:8.3f}" for loss in losses)
              + f"  best {found:.3f}", flush=True)
    return trend_of(best), tried
# --8<-- [end:tune]


# --8<-- [start:predict]
FEWER = (6, 8, 10)  # of the smallest sizes


def predict(runs: list[Run], laws: list[Law], size: Size) -> dict:
    """Predict the loss of a size by a law of runs, and by simpler means.

    The runs are of one length, and grow. The first law is theirs, the others
    are those of other draws. The simpler means are a straight line through
    the logarithms, and the loss of the last run.
    """
    n, text = size.parameters, runs[0].text
    line = np.polyfit(np.log([run.size.parameters for run in runs]),
                      np.log([run.loss for run in runs]), 1)
    return {
        "loss": spread([law(n, text) for law in laws]),
        "floor": spread([law(math.inf, text) for law in laws]),
        "alpha": spread([law.alpha for law in laws]),
        "fewer": {count: float(fit(runs[:count], STARTS)(n, text))
                  for count in FEWER},
        "line": math.exp(np.polyval(line, math.log(n))),
        "last": runs[-1].loss,
    }
# --8<-- [end:predict]


# --8<-- [start:profile]
BUDGETS = (1e10, 3e10, 1e11, 3e11)  # in FLOPs
FEWEST, MOST = 50, 1600  # steps


def suitable(budget: float) -> list[tuple[Size, int]]:
    """Return which sizes but the largest suit a budget, and their steps."""
    steps = [(size, round(budget / size.flops / BATCH / LENGTH))
             for size in SIZES[:-1]]
    return [(size, count) for size, count in steps if FEWEST <= count <= MOST]


# --8<-- [end:profile]


# --8<-- [start:main]
STEPS = 500  # for all twelve sizes
SEEDS = 3  # for the sizes that are tuned
DRAWN = 200  # times that runs are drawn anew


def main(out: Path, seed: int = 0, folder: Path | None = None,
         size: int = 5_000_000) -> dict:
    """Fit a law and predict; write it into `out`; return the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    trend, tried = tune(data, seed)

    def trained(one: Size, steps: int, factor: float = 1, part: str = "test",
                seed: int = seed) -> Run:
        rate = factor * trend(one, steps)
        return Run(one, steps, learn(one, data, steps, rate, part, seed))

    at, steps = CHECKED
    check = [trained(SIZES[at], steps, factor, "valid").loss
             for factor in (0.5, 1, 2)]
    print(f"{SIZES[at].parameters:10,} {steps:6} steps, half the trend, "
          "the trend, twice:", *(f"{loss:.3f}" for loss in check))
    print(f"\n{STEPS * BATCH * LENGTH:,} bytes for each size\n"
          "layers width  parameters  inner ones   rate   test", flush=True)
    *smaller, largest = SIZES
    runs = []
    for one in smaller:
        runs.append(trained(one, STEPS))
        print(row(one, trend(one, STEPS), runs[-1].loss), flush=True)
    noise = [float(np.std([runs[at].loss, *(
        trained(SIZES[at], STEPS, seed=seed + more).loss
        for more in range(1, SEEDS))], ddof=1)) for at in TUNED[0]]
    profiles = [[trained(*one) for one in suitable(budget)]
                for budget in BUDGETS]
    every = runs + [one for some in profiles for one in some]
    alone, laws = (laws_of(some, DRAWN, seed) for some in (runs, every))
    predicted = predict(runs, alone, largest)
    predicted["surface"] = float(laws[0](largest.parameters, runs[0].text))
    print(row(largest, trend(largest, STEPS), predicted["loss"]["value"]),
          "predicted", flush=True)
    measured = trained(largest, STEPS)
    print(f"{measured.loss:51.3f} measured: off by "
          f"{predicted['loss']['value'] / measured.loss - 1:+.2%}")

    budgets, chance = np.array(BUDGETS), np.random.default_rng(seed)
    shaken = [[[one._replace(loss=one.loss + chance.normal(scale=max(noise)))
                for one in some] for some in profiles] for _ in range(DRAWN)]
    best = np.array([[best_size(some) for some in other]
                     for other in (profiles, *shaken)])  # (1 + DRAWN, budgets)
    exponents = {"parabolas": spread([exponent(budgets, one) for one in best])}
    for name, inner in (("law", False), ("inner", True)):
        exponents[name] = spread([exponent(budgets, optima(
            one, budgets, inner)) for one in laws])
    print("\n   FLOPs  best parameters  bytes for each")
    for budget, one in zip(BUDGETS, best[0]):
        print(f"{budget:8.0e}  {one:15,.0f}  {budget / 6 / one**2:14.1f}")
    for name, one in exponents.items():
        print(f"exponent by {name}: {one['value']:.2f}, "
              f"{one['low']:.2f} to {one['high']:.2f}")
    metrics = {
        "train": len(data["train"]), "read": STEPS * BATCH * LENGTH,
        "rates": RATES, "trend": trend._asdict(), "tried": tried,
        "check": check, "sizes": [{
            **one.size._asdict(), "parameters": one.size.parameters,
            "inner": one.size.inner, "flops": one.size.flops,
            "rate": trend(one.size, one.steps), "loss": one.loss}
            for one in (*runs, measured)],
        "noise": noise, "predicted": predicted, "measured": measured.loss,
        "law": {name: spread([getattr(one, name) for one in laws])
                for name in Law._fields},
        "runs": len(every), "exponents": exponents,
        "profiles": [{"flops": budget, "best": float(one), "runs": len(some),
                      "bytes": budget / 6 / float(one)**2}
                     for budget, one, some
                     in zip(BUDGETS, best[0], profiles)],
    }
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot_law(runs, alone, measured, out / "law.svg")
    plot_profiles(profiles, best[0], laws[0], out / "profiles.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def row(size: Size, rate: float, loss: float) -> str:
    """Return a line of the table of sizes."""
    return (f"{size.layers:6} {size.hidden:5} {size.parameters:11,} "
            f"{size.inner:11,} {rate:6.3f} {loss:6.3f}")


def plot_law(runs: list[Run], laws: list[Law], largest: Run,
             file: Path) -> None:
    """Draw the losses of runs over parameters, and what laws say."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    x = np.geomspace(runs[0].size.parameters / 1.2,
                     largest.size.parameters * 1.5, 100)
    low, high = np.percentile([one(x, largest.text) for one in laws[1:]],
                              (2.5, 97.5), axis=0)
    axes.fill_between(x, low, high, color="#2f8fd0", alpha=0.25, lw=0)
    axes.plot(x, laws[0](x, largest.text), color="#2f8fd0", label="law")
    axes.plot([run.size.parameters for run in runs],
              [run.loss for run in runs], "o", color="#2f8fd0",
              label="what it was fitted to")
    axes.plot(largest.size.parameters, largest.loss, "D", color="#e07b39",
              label="the largest, trained afterwards")
    axes.set(xscale="log", xlabel="parameters", ylabel="nats a byte")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(file)
    plt.close(figure)


def plot_profiles(profiles: list[list[Run]], best: np.ndarray, law: Law,
                  file: Path) -> None:
    """Draw the losses of each budget, and its best size, of (budgets,)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5),
                                         layout="constrained")
    shades = plt.colormaps["viridis"](np.linspace(0.2, 0.8, len(profiles)))
    for runs, budget, shade in zip(profiles, BUDGETS, shades):
        logs, losses = np.log([run.size.parameters for run in runs]), [
            run.loss for run in runs]
        left.plot(np.exp(logs), losses, "o", color=shade,
                  label=f"{budget:.0e}")
        x = np.linspace(logs[0], logs[-1], 50)
        left.plot(np.exp(x), np.polyval(np.polyfit(logs, losses, 2), x),
                  color=shade)
    left.set(xscale="log", xlabel="parameters", ylabel="nats a byte")
    left.legend(frameon=False, title="FLOPs")
    right.plot(BUDGETS, best, "o", color="#e07b39", label="lowest point")
    budgets = np.geomspace(BUDGETS[0], BUDGETS[-1], 30)
    right.plot(budgets, optima(law, budgets, inner=False), color="#2f8fd0",
               label="law")
    right.set(xscale="log", yscale="log", xlabel="FLOPs",
              ylabel="best parameters")
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
        main, "scaling-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
    )
# --8<-- [end:run]
