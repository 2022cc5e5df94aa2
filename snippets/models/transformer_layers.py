# --8<-- [start:setup]
"""The parts of a Transformer from scratch, held equal to PyTorch's own."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor, nn
# --8<-- [end:setup]


# --8<-- [start:attention]
def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return weighted values, (..., n, size), and weights, (..., n, m).

    Query: (..., n, size); key and value: (..., m, size). `mask` is True where
    a query must not look.

    Ashish Vaswani et al., Attention is all you need, 2017.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask, -math.inf)  # (..., n, m)
    weights = scores.softmax(-1)  # each row sums to 1
    return weights @ value, weights
# --8<-- [end:attention]


# --8<-- [start:masks]
def causal_mask(length: int) -> Tensor:
    """Return (length, length), True where the key lies in the future."""
    return torch.ones(length, length, dtype=torch.bool).triu(1)


def padding_mask(tokens: Tensor, pad: int = 0) -> Tensor:
    """Return (batch, 1, 1, length), True at padding, for any head and query.

    `tokens` is (batch, length).
    """
    return (tokens == pad)[:, None, None, :]
# --8<-- [end:masks]


# --8<-- [start:multi_head]
class MultiHeadAttention(nn.Module):
    """Attention in heads; parameters named as in nn.MultiheadAttention."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"{num_heads} heads do not divide {hidden_size}")
        self.num_heads = num_heads
        weight = torch.empty(3 * hidden_size, hidden_size)  # W^Q, W^K, W^V
        self.in_proj_weight = nn.Parameter(nn.init.xavier_uniform_(weight))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * hidden_size))
        self.out_proj = nn.Linear(hidden_size, hidden_size)  # W^O

    def forward(
        self, query: Tensor, memory: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Let (batch, n, hidden) look at (batch, m, hidden).

        Return the result, shaped like the query, and the weights of every
        head, (batch, heads, n, m).
        """
        weights = self.in_proj_weight.chunk(3)
        biases = self.in_proj_bias.chunk(3)
        given = query, memory, memory
        q, k, v = (
            F.linear(x, weight, bias)  # (batch, length, hidden)
            .unflatten(-1, (self.num_heads, -1))  # (batch, length, heads, s)
            .transpose(1, 2)  # (batch, heads, length, s)
            for x, weight, bias in zip(given, weights, biases)
        )
        found, weights = attention(q, k, v, mask)  # (batch, heads, n, s)
        return self.out_proj(found.transpose(1, 2).flatten(2)), weights
# --8<-- [end:multi_head]


# --8<-- [start:positions]
def positional_encoding(length: int, hidden_size: int) -> Tensor:
    """Return (length, hidden): sines and cosines of each position."""
    if hidden_size % 2:
        raise ValueError(f"sine and cosine are a pair; {hidden_size} is odd")
    position = torch.arange(length)[:, None]  # (length, 1)
    even = torch.arange(0, hidden_size, 2)  # (hidden / 2,)
    angle = position * torch.exp(-math.log(10000) / hidden_size * even)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
# --8<-- [end:positions]


# --8<-- [start:normalization]
class LayerNorm(nn.Module):
    """Give every position mean 0 and variance 1, then scale and shift.

    Jimmy Lei Ba, Jamie Ryan Kiros and Geoffrey E. Hinton, Layer
    normalization, 2016.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension of x, (..., hidden)."""
        variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
        x = (x - mean) / torch.sqrt(variance + 1e-5)
        return x * self.weight + self.bias
# --8<-- [end:normalization]


# --8<-- [start:encoder]
class EncoderLayer(nn.Module):
    """Self-attention, then two linear layers, each added to its input."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.self_attn = MultiHeadAttention(hidden_size, num_heads)
        self.linear1 = nn.Linear(hidden_size, 4 * hidden_size)
        self.linear2 = nn.Linear(4 * hidden_size, hidden_size)
        self.norm1, self.norm2 = LayerNorm(hidden_size), LayerNorm(hidden_size)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (batch, m, hidden), each position informed by the others."""
        x = self.norm1(x + self.self_attn(x, x, mask)[0])
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))
# --8<-- [end:encoder]


# --8<-- [start:decoder]
class DecoderLayer(nn.Module):
    """Like the encoder's, with a look at the encoder's output in between."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.self_attn = MultiHeadAttention(hidden_size, num_heads)
        self.multihead_attn = MultiHeadAttention(hidden_size, num_heads)
        self.linear1 = nn.Linear(hidden_size, 4 * hidden_size)
        self.linear2 = nn.Linear(4 * hidden_size, hidden_size)
        self.norm1, self.norm2 = LayerNorm(hidden_size), LayerNorm(hidden_size)
        self.norm3 = LayerNorm(hidden_size)

    def forward(
        self, x: Tensor, memory: Tensor,
        mask: Tensor | None = None, memory_mask: Tensor | None = None,
    ) -> Tensor:
        """Return x, (batch, n, hidden), informed by (batch, m, hidden)."""
        x = self.norm1(x + self.self_attn(x, x, mask)[0])
        x = self.norm2(x + self.multihead_attn(x, memory, memory_mask)[0])
        return self.norm3(x + self.linear2(F.relu(self.linear1(x))))
# --8<-- [end:decoder]


# --8<-- [start:whole]
class Stack(nn.Module):
    """Several layers of one kind, and a normalization after the last."""

    def __init__(self, layers: list[nn.Module], hidden_size: int):
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), LayerNorm(hidden_size)

    def forward(self, x: Tensor, *others: Tensor | None) -> Tensor:
        """Pass x, (batch, length, hidden), through all layers."""
        for layer in self.layers:
            x = layer(x, *others)
        return self.norm(x)


class EncoderDecoder(nn.Module):
    """Encoder and decoder; parameters named as in nn.Transformer."""

    def __init__(self, hidden_size: int, num_layers: int, num_heads: int):
        super().__init__()
        sizes = hidden_size, num_heads
        encoders = [EncoderLayer(*sizes) for _ in range(num_layers)]
        decoders = [DecoderLayer(*sizes) for _ in range(num_layers)]
        self.encoder = Stack(encoders, hidden_size)
        self.decoder = Stack(decoders, hidden_size)

    def forward(
        self, source: Tensor, target: Tensor, source_mask: Tensor | None = None
    ) -> Tensor:
        """Return (batch, n, hidden) for sources of (batch, m, hidden)."""
        memory = self.encoder(source, source_mask)
        future = causal_mask(target.shape[1]).to(target.device)
        return self.decoder(target, memory, future, source_mask)
# --8<-- [end:whole]


# --8<-- [start:compare]
@torch.no_grad()
def compare() -> dict[str, float]:
    """Return each part's largest difference to PyTorch's, weights equal."""
    x = torch.randn(3, 9, 32)  # (batch, m, d)
    y = torch.randn(3, 7, 32)  # (batch, n, d)
    tokens = torch.ones(3, 9, dtype=torch.long)
    tokens[1, 6:] = 0  # the second source is three tokens shorter
    padding, future = tokens == 0, causal_mask(7)
    q, k, v = torch.randn(3, 3, 4, 7, 8)  # each (batch, heads, n, s)
    theirs = {
        "attention": F.scaled_dot_product_attention(q, k, v, ~future),
        "layer normalization": F.layer_norm(x, (32,)),
    }
    ours = {
        "attention": attention(q, k, v, future)[0],
        "layer normalization": LayerNorm(32)(x),
    }
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    own = MultiHeadAttention(32, 4)
    own.load_state_dict(reference.state_dict())
    theirs["heads"] = reference(y, x, x, key_padding_mask=padding)[0]
    ours["heads"] = own(y, x, padding_mask(tokens))[0]

    reference = nn.Transformer(32, 4, 2, 2, 128, 0.0, batch_first=True)
    own = EncoderDecoder(32, 2, 4)
    own.load_state_dict(reference.state_dict())
    theirs["encoder and decoder"] = reference(
        x, y, tgt_mask=future,
        src_key_padding_mask=padding, memory_key_padding_mask=padding,
    )
    ours["encoder and decoder"] = own(x, y, padding_mask(tokens))
    return {
        name: (ours[name] - theirs[name]).abs().max().item() for name in ours
    }
# --8<-- [end:compare]


# --8<-- [start:main]
def main(out: Path, seed: int = 0) -> dict:
    """Compare all parts with PyTorch's; write metrics and figures to `out`."""
    torch.manual_seed(seed)
    differences = compare()
    for name, difference in differences.items():
        print(f"{name}: differs from PyTorch's by {difference:.1e} at most")
    model = EncoderDecoder(hidden_size=64, num_layers=2, num_heads=4)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"2 + 2 layers of 64 numbers: {parameters:,} parameters")
    metrics = {
        "equal": max(differences.values()) < 1e-5, "parameters": parameters,
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_masks(out / "masks.svg")
    draw_positions(out / "positions.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw_masks(file: Path) -> None:
    """Draw what a query may look at: by padding, causal mask, and both."""
    tokens = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    padding = padding_mask(tokens)[0, 0].expand(7, 7)  # (queries, keys)
    causal = causal_mask(7)
    shown = {"padding": padding, "causal": causal, "both": padding | causal}
    shades = ["#2f8fd0", "#80808030"]  # seen, hidden
    colors = LinearSegmentedColormap.from_list("seen", shades)
    fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.9), layout="constrained")
    for ax, (title, mask) in zip(axes, shown.items()):
        ax.pcolormesh(mask.float().numpy(), cmap=colors, edgecolors="gray")
        ax.set(title=title, xlabel="key", aspect="equal", xticks=[], yticks=[])
        ax.invert_yaxis()
    axes[0].set_ylabel("query")
    fig.savefig(file)


def draw_positions(file: Path) -> None:
    """Draw the encoding of 64 positions, and how alike two positions are."""
    table = positional_encoding(64, 64).numpy()  # (length, hidden)
    shades = ["#2f8fd0", "#80808000", "#e07b39"]  # -1, 0, 1
    colors = LinearSegmentedColormap.from_list("signs", shades)
    fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained")
    axes[0].imshow(table.T, cmap=colors, vmin=-1, vmax=1, aspect="auto")
    axes[0].set(xlabel="position", ylabel="number in the vector")
    for start, color in ((0, "#2f8fd0"), (20, "#e07b39"), (40, "#3f9a5f")):
        label = f"with position {start}"
        axes[1].plot(table @ table[start], color=color, label=label)
    axes[1].set(xlabel="position", ylabel="dot product", ylim=(10, 44))
    axes[1].legend(frameon=False)
    fig.savefig(file)
# --8<-- [end:figures]


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
    run(main, "transformer_layers-results")
# --8<-- [end:run]
