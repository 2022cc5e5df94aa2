# --8<-- [start:setup]
"""From GPT-2 to the networks of today, one change at a time."""

import json
import math
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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


# --8<-- [start:norm]
# From language-models/modern_layers.py, word for word:
class RMSNorm(nn.Module):
    """Scale each vector to a root mean square of 1, then each number.

    B. Zhang and R. Sennrich, Root mean square layer normalization, 2019.
    """

    def __init__(self, size: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., size) of the same."""
        square = x.square().mean(-1, keepdim=True)  # (..., 1)
        return x * (square + self.eps).rsqrt() * self.weight
# --8<-- [end:norm]


# --8<-- [start:rotary]
# From language-models/modern_layers.py, word for word:
def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair of numbers of x, (..., time, size), by its angle.

    J. Su et al., RoFormer: enhanced Transformer with rotary position
    embedding, 2021. The pair of a number is half a vector away. The angles
    are (time, size / 2).
    """
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)  # each (..., time, size / 2)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
# --8<-- [end:rotary]


# --8<-- [start:plain]
# From language-models/modern_layers.py, word for word:
class PlainMLP(nn.Module):
    """Two matrices with GELU between them, as in GPT-2."""

    def __init__(self, hidden_size: int, inner_size: int):
        super().__init__()
        self.up_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.down_proj = nn.Linear(inner_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., hidden) of the same."""
        return self.down_proj(F.gelu(self.up_proj(x)))
# --8<-- [end:plain]


# --8<-- [start:gated]
# From language-models/modern_layers.py, word for word:
class GatedMLP(nn.Module):
    """SwiGLU: what one matrix finds passes a gate that another one opens.

    N. Shazeer, GLU variants improve Transformer, 2020.
    """

    def __init__(self, hidden_size: int, inner_size: int):
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, inner_size, bias=False)
        self.down_proj = nn.Linear(inner_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., hidden) of the same."""
        gate = F.silu(self.gate_proj(x))  # (..., inner)
        return self.down_proj(gate * self.up_proj(x))
# --8<-- [end:gated]


# --8<-- [start:grouped]
# From language-models/modern_layers.py, word for word:
class GroupedAttention(nn.Module):
    """Several queries share a key and a value; both may be normalized.

    J. Ainslie et al., GQA: training generalized multi-query Transformer
    models from multi-head checkpoints, 2023; A. Henry et al., Query-key
    normalization for Transformers, 2020.
    """

    def __init__(self, hidden_size: int, num_heads: int, num_key_heads: int,
                 head_size: int, normalized: bool, eps: float = 1e-6):
        super().__init__()
        self.head_size, self.group = head_size, num_heads // num_key_heads
        wide, narrow = num_heads * head_size, num_key_heads * head_size
        self.q_proj = nn.Linear(hidden_size, wide, bias=False)
        self.k_proj = nn.Linear(hidden_size, narrow, bias=False)
        self.v_proj = nn.Linear(hidden_size, narrow, bias=False)
        self.o_proj = nn.Linear(wide, hidden_size, bias=False)
        self.q_norm, self.k_norm = (
            RMSNorm(head_size, eps) if normalized else nn.Identity()
            for _ in range(2))

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """Return (batch, time, hidden) of the same, with angles or without."""
        q, k, v = (
            layer(x).unflatten(2, (-1, self.head_size)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )  # (batch, heads, time, size), (batch, key_heads, time, size)
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        k, v = (part.repeat_interleave(self.group, dim=1) for part in (k, v))
        scores = q @ k.mT / math.sqrt(self.head_size)
        future = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(dim=3)
        mixed = (weights @ v).transpose(1, 2)  # (batch, time, heads, size)
        return self.o_proj(mixed.flatten(2))
# --8<-- [end:grouped]


# --8<-- [start:design]
class Design(NamedTuple):
    """What a network has of the changes since GPT-2."""

    rms: bool = False
    rotary: bool = False
    gated: bool = False
    key_heads: int = 4
    normalized: bool = False
    untied: bool = False
    muon: bool = False


CHANGES = {
    "GPT-2": {}, "RMSNorm": {"rms": True}, "rotary": {"rotary": True},
    "SwiGLU": {"gated": True}, "grouped": {"key_heads": 2},
    "normalized": {"normalized": True}, "untied": {"untied": True},
    "Muon": {"muon": True},
}  # each to the design before it
# --8<-- [end:design]


# --8<-- [start:network]
class DesignedBlock(nn.Module):
    """Attention, then a small network at each position by itself."""

    def __init__(self, design: Design, hidden_size: int, num_heads: int):
        super().__init__()
        self.norms = nn.ModuleList(
            norm(design, hidden_size) for _ in range(2))
        self.attention = GroupedAttention(
            hidden_size, num_heads, design.key_heads,
            hidden_size // num_heads, design.normalized)
        if design.gated:  # 3 matrices of 8/3 are as large as 2 of 4
            self.mlp = GatedMLP(hidden_size, 8 * hidden_size // 3)
        else:
            self.mlp = PlainMLP(hidden_size, 4 * hidden_size)

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """Return (batch, time, hidden) of the same, with angles or without."""
        x = x + self.attention(self.norms[0](x), angles)
        return x + self.mlp(self.norms[1](x))


def norm(design: Design, size: int) -> nn.Module:
    """Return the normalization of a design."""
    return RMSNorm(size) if design.rms else nn.LayerNorm(size, bias=False)


class DesignedNetwork(nn.Module):
    """A decoder-only Transformer with as many of the changes as wanted."""

    def __init__(self, design: Design, vocabulary_size: int, hidden_size: int,
                 num_layers: int, num_heads: int, length: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, hidden_size)
        self.positions = None
        if not design.rotary:
            self.positions = nn.Embedding(length, hidden_size)
        self.blocks = nn.ModuleList(
            DesignedBlock(design, hidden_size, num_heads)
            for _ in range(num_layers))
        self.norm = norm(design, hidden_size)
        self.head = nn.Linear(hidden_size, vocabulary_size, bias=False)
        pairs = hidden_size // num_heads // 2  # in a head
        speed = 10000 ** -(torch.arange(pairs) / pairs)  # (pairs,)
        self.register_buffer("speed", speed, persistent=False)
        std = 0.02 * math.sqrt(768 / hidden_size)  # GPT-2's, at its width
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = math.sqrt(2 * num_layers) if last else 1
                nn.init.normal_(weight, std=std / scale)
        if not design.untied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (batch, time, vocabulary), of (batch, time) tokens.

        Those at a position are for the token after it.
        """
        time = torch.arange(tokens.shape[1], device=tokens.device)  # (time,)
        x, angles = self.embedding(tokens), None
        if self.positions is not None:
            x = x + self.positions(time)
        else:
            angles = time[:, None] * self.speed  # (time, pairs): radians
        for block in self.blocks:
            x = block(x, angles)
        return self.head(self.norm(x))
# --8<-- [end:network]


# --8<-- [start:muon]
# From language-models/modern_layers.py, word for word:
def orthogonalize(matrix: Tensor) -> Tensor:
    """Move the singular values of a (rows, columns) matrix to about 1.

    Five steps of a polynomial in the matrix, its coefficients by K. Jordan.
    """
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp(min=1e-7)  # no singular value exceeds 1
    for _ in range(5):
        square = x @ x.T  # (least, least): the shorter side
        x = 3.4445 * x + (2.0315 * square @ square - 4.775 * square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """K. Jordan et al., Muon: An optimizer for hidden layers in neural
    networks, 2024.

    torch.optim.Muon does the same in bfloat16: fast on a GPU, and slow on
    a processor that has to emulate it.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float):
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """Move each (rows, columns) matrix by an orthogonal one."""
        for group in self.param_groups:
            for weight in group["params"]:
                state, gradient = self.state[weight], weight.grad
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                mean = state["mean"].lerp_(gradient, 0.05)  # (rows, columns)
                ahead = orthogonalize(gradient.lerp(mean, 0.95))
                tall = max(1, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - 0.1 * group["lr"])
                weight.add_(ahead, alpha=-tall * group["lr"])
# --8<-- [end:muon]


# --8<-- [start:train]
LENGTH, BATCH_SIZE = 64, 8  # bytes that the network reads, and pieces
SIZES = {"vocabulary_size": 256, "hidden_size": 96, "num_layers": 2,
         "num_heads": 4, "length": LENGTH}


def optimizers_of(model: DesignedNetwork, rate: float,
                  muon_rate: float | None) -> list[torch.optim.Optimizer]:
    """Return AdamW for all; or for the tables, and Muon for the matrices."""
    matrices = [one for one in model.blocks.parameters() if one.dim() == 2]
    ids = set(map(id, matrices))
    others = [one for one in model.parameters() if id(one) not in ids]
    decay = [] if muon_rate else matrices
    adam = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1},
         {"params": others, "weight_decay": 0.0}][not decay:],
        lr=rate, betas=(0.9, 0.95), fused=True)
    return [adam, Muon(matrices, muon_rate)] if muon_rate else [adam]


def take_step(model: DesignedNetwork, optimizers: list[torch.optim.Optimizer],
              pieces: Tensor) -> None:
    """Learn from pieces of text, (batch_size, length + 1)."""
    inputs, targets = pieces[:, :-1], pieces[:, 1:]
    logits = model(inputs).flatten(0, 1)  # (batch_size * length, v)
    loss = F.cross_entropy(logits, targets.flatten())
    model.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()


def train(design: Design, tokens: Tensor, steps: int, rate: float,
          muon_rate: float | None, seed: int) -> DesignedNetwork:
    """Return a network trained on (n,) tokens.

    Each design gets the same pieces of the text in the same order. The rates
    rise for a twentieth of the steps, then fall to 0 in a straight line.
    """
    torch.manual_seed(seed)
    model = DesignedNetwork(design, **SIZES).to(device)
    optimizers = optimizers_of(model, rate, muon_rate)
    rise = max(1, steps // 20)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        (step + 1) / rise, (steps - step) / (steps - rise + 1)))
        for optimizer in optimizers]
    places = torch.arange(LENGTH + 1)
    chance = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        starts = torch.randint(len(tokens) - LENGTH, (BATCH_SIZE, 1),
                               generator=chance)
        take_step(model, optimizers, tokens[starts + places].to(device))
        for schedule in schedules:
            schedule.step()
    return model
# --8<-- [end:train]


# --8<-- [start:flops]
def flops_of(design: Design) -> int:
    """Return the operations of one step, the optimizer included.

    PyTorch counts a multiplication and an addition for each pair of numbers
    that a matrix product multiplies; nothing else is counted.
    """
    model = DesignedNetwork(design, **SIZES).to(device)
    optimizers = optimizers_of(model, 1e-3, 1e-3 if design.muon else None)
    pieces = torch.zeros(BATCH_SIZE, LENGTH + 1, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        take_step(model, optimizers, pieces.to(device))
    return counter.get_total_flops()
# --8<-- [end:flops]


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


# --8<-- [start:main]
RATES, MUON_RATES = (0.0015, 0.003, 0.006), (0.01, 0.02, 0.04)


class Tried(NamedTuple):
    """What one training came to, in bits a byte, and its time."""

    valid: float
    test: float
    cpu_seconds: float


def measure(design: Design, data: dict[str, Tensor], steps: int,
            rates: tuple[float, float | None], seed: int) -> Tried:
    """Train once on (n,) tokens, and measure on both other parts."""
    started = time.process_time()
    model = train(design, data["train"], steps, *rates, seed)
    seconds = time.process_time() - started
    valid, test = (bits(evaluate(model, data[part][:60_000], LENGTH))
                   for part in ("valid", "test"))
    return Tried(valid, test, seconds)


def compare(design: Design, data: dict[str, Tensor], steps: int,
            adam_rate: float, seeds: list[int]) -> tuple[float, dict]:
    """Choose the rate of a design with the first seed, then take them all.

    Each part of the data is (n,) tokens. Muon leaves to AdamW `adam_rate`.
    """
    settings = [(rate, None) for rate in RATES]
    if design.muon:
        settings = [(adam_rate, rate) for rate in MUON_RATES]
    tried = {rates: measure(design, data, steps, rates, seeds[0])
             for rates in settings}
    rates = min(tried, key=lambda rates: tried[rates].valid)
    runs = [tried[rates], *(measure(design, data, steps, rates, seed)
                            for seed in seeds[1:])]
    return rates[0], {
        "steps": steps, "rate": rates[1] or rates[0],
        "valid": [one.valid for one in tried.values()],
        "cpu_seconds": statistics.fmean(one.cpu_seconds for one in runs),
        "test": summary([one.test for one in runs]),
    }


def summary(values: list[float]) -> dict:
    """Return values with their mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "spread": deviation,
            "runs": values}


def main(out: Path, seed: int = 0, folder: Path | None = None,
         size: int = 2_000_000, steps: int = 400, seeds: int = 5) -> dict:
    """Give each design what `steps` of GPT-2 cost; return the metrics.

    What a change gains is told seed by seed: both networks of a pair read
    the same pieces of the text.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    budget = steps * flops_of(Design())
    numbers = list(range(1000 * seed, 1000 * seed + seeds))
    print("            parameters  steps    rate  CPU s  bits a byte   gained")
    design, rate, metrics, last = Design(), 0.0, {}, []
    for name, change in CHANGES.items():
        design = design._replace(**change)
        cost = flops_of(design)
        rate, found = compare(
            design, data, round(budget / cost), rate, numbers)
        model = DesignedNetwork(design, **SIZES)
        found["parameters"] = sum(one.numel() for one in model.parameters())
        found["flops"], runs = cost, found["test"]["runs"]
        found["gain"] = summary([a - b for a, b in zip(last or runs, runs)])
        metrics[name], last = found, runs
        test, gain = (f"{found[key]['mean']:.3f} ± {found[key]['spread']:.3f}"
                      for key in ("test", "gain"))
        print(f"{name:12}{found['parameters']:10,}{found['steps']:7}"
              f"{found['rate']:8}{found['cpu_seconds']:7.1f}  {test}  {gain}",
              flush=True)
    first = metrics["GPT-2"]["test"]["runs"]
    metrics["all"] = summary([a - b for a, b in zip(first, last)])
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot({name: metrics[name] for name in CHANGES}, out / "gains.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def plot(metrics: dict[str, dict], file: Path) -> None:
    """Draw each run as a point, and their means, with what they gain."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, both = plt.subplots(
        1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
    for axes, key, label in zip(both, ("test", "gain"), (
            "bits a byte", "bits a byte gained")):
        for place, found in enumerate(metrics.values()):
            if key == "gain" and not place:
                continue  # nothing comes before it
            runs = found[key]["runs"]
            axes.plot(runs, [place] * len(runs), "o", color="#2f8fd0",
                      alpha=0.5, markeredgewidth=0)
            axes.plot(found[key]["mean"], place, "|", color="#e07b39",
                      markersize=16, markeredgewidth=2.5)
        axes.set(xlabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    both[0].set_yticks(range(len(metrics)), list(metrics))
    both[0].invert_yaxis()
    both[1].axvline(0, color="gray", linewidth=1)
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
        main, "modern-results", (TextError, ModuleNotFoundError),
        seeds={"type": int, "default": 5, "help": "of each design"},
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
    )
# --8<-- [end:run]
