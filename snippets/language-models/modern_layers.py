# --8<-- [start:setup]
"""The parts that separate today's language models from GPT-2."""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
# --8<-- [end:setup]


# --8<-- [start:norm]
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


# --8<-- [start:muon]
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


# --8<-- [start:main]
def main(out: Path, size: int = 96, heads: int = 4) -> dict:
    """Measure what each part is made for; return the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    metrics = {}
    x = 3 + 2 * torch.randn(1000, size)  # (1000, size)
    y = RMSNorm(size)(x)  # (1000, size)
    metrics["rms"] = {
        name: one.square().mean(1).sqrt().mean().item()
        for name, one in (("before", x), ("after", y))}
    q, k = torch.randn(2, 1, size // heads).expand(2, 64, -1)
    angles = torch.arange(64)[:, None] / torch.logspace(0, 3, q.shape[1] // 2)
    scores = rotate(q, angles) @ rotate(k, angles).T  # (64, 64)
    metrics["rotary"] = {
        f"{t} to {s}": scores[t, s].item()
        for t, s in ((5, 2), (6, 3), (60, 57), (60, 2))}
    metrics["parameters"] = {
        name: sum(one.numel() for one in mlp.parameters()) for name, mlp in (
            ("GELU", PlainMLP(size, 4 * size)),
            ("SwiGLU", GatedMLP(size, 8 * size // 3)))}
    metrics["cached"] = {
        str(few): 2 * GroupedAttention(
            size, heads, few, size // heads, True).k_proj.out_features
        for few in (heads, heads // 2, 1)}
    step = torch.randn(size, 4) @ torch.randn(4, size)  # (size, size)
    step += 0.3 * torch.randn(size, size)  # 4 loud directions, many faint
    before, after = (torch.linalg.svdvals(one)
                     for one in (step, orthogonalize(step)))  # each (size,)
    metrics["muon"] = {
        name: (one[0] / one.median()).item()
        for name, one in (("before", before), ("after", after))}
    for name, found in metrics.items():
        told = ", ".join(f"{key}: {one:.5g}" for key, one in found.items())
        print(f"{name:12}{told}")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot(before, after, out / "muon.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def plot(before: Tensor, after: Tensor, file: Path) -> None:
    """Draw the singular values, each (size,), of a step with and without."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.semilogy(before / before[0], color="#2f8fd0", label="gradient")
    axes.semilogy(after, color="#e07b39", label="made orthogonal")
    axes.set(xlabel="direction", ylabel="singular value")
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
    run(main, "modern_layers-results")
# --8<-- [end:run]
