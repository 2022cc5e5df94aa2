# --8<-- [start:setup]
"""The parts of a Transformer from scratch, held equal to PyTorch's own."""

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.colors import LinearSegmentedColormap
from torch import nn
# --8<-- [end:setup]


# --8<-- [start:attention]
def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    hidden: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weighted values, (..., queries, size), and weights, (..., queries, keys).

    Query: (..., queries, size); key and value: (..., keys, size). `hidden` is True
    where a query must not look. Ashish Vaswani et al., Attention is all you need, 2017.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)  # (..., queries, keys)
    weights = scores.softmax(-1)  # each row sums to 1
    return weights @ value, weights
# --8<-- [end:attention]


# --8<-- [start:masks]
def causal_mask(length: int) -> torch.Tensor:
    """Return (length, length), True where the key lies in the query's future."""
    return torch.ones(length, length, dtype=torch.bool).triu(1)


def padding_mask(tokens: torch.Tensor, pad: int = 0) -> torch.Tensor:
    """Return (batch, 1, 1, length), True at padding; it fits every head and query."""
    return (tokens == pad)[:, None, None, :]
# --8<-- [end:masks]


# --8<-- [start:multi_head]
class MultiHeadAttention(nn.Module):
    """Attention in several heads; parameters are named as in nn.MultiheadAttention."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(f"{hidden_size} cannot be split into {num_heads} heads")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * hidden_size))
        self.out_proj = nn.Linear(hidden_size, hidden_size)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(
        self, query: torch.Tensor, memory: torch.Tensor,
        hidden: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Let (batch, queries, hidden) look at (batch, keys, hidden).

        Return the result, shaped like the query, and the weights of every head,
        (batch, heads, queries, keys).
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias)  # (batch, length, hidden)
            .unflatten(-1, (self.num_heads, -1))  # (batch, length, heads, size)
            .transpose(1, 2)  # (batch, heads, length, size)
            for x, weight, bias in zip((query, memory, memory), weights, biases)
        )
        found, weights = attention(q, k, v, hidden)  # (batch, heads, queries, size)
        return self.out_proj(found.transpose(1, 2).flatten(2)), weights
# --8<-- [end:multi_head]


# --8<-- [start:positions]
def positional_encoding(length: int, hidden_size: int) -> torch.Tensor:
    """Return (length, hidden): a sine and a cosine of the position for each rate."""
    if hidden_size % 2:
        raise ValueError(f"sines and cosines come in pairs; {hidden_size} is odd")
    position = torch.arange(length)[:, None]  # (length, 1)
    even = torch.arange(0, hidden_size, 2)  # (hidden / 2,)
    angle = position * torch.exp(-math.log(10000) / hidden_size * even)
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
# --8<-- [end:positions]


# --8<-- [start:normalization]
class LayerNorm(nn.Module):
    """Give every position mean 0 and variance 1, then scale and shift each number.

    Jimmy Lei Ba, Jamie Ryan Kiros and Geoffrey E. Hinton, Layer normalization, 2016.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalize the last dimension of x, (..., hidden)."""
        variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.weight + self.bias
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

    def forward(
        self, x: torch.Tensor, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return (batch, length, hidden), every position having seen the others."""
        x = self.norm1(x + self.self_attn(x, x, hidden)[0])
        return self.norm2(x + self.linear2(F.relu(self.linear1(x))))
# --8<-- [end:encoder]


# --8<-- [start:decoder]
class DecoderLayer(nn.Module):
    """Like the encoder's layer, with a look at the encoder's output in between."""

    def __init__(self, hidden_size: int, num_heads: int):
        super().__init__()
        self.self_attn = MultiHeadAttention(hidden_size, num_heads)
        self.multihead_attn = MultiHeadAttention(hidden_size, num_heads)
        self.linear1 = nn.Linear(hidden_size, 4 * hidden_size)
        self.linear2 = nn.Linear(4 * hidden_size, hidden_size)
        self.norm1, self.norm2 = LayerNorm(hidden_size), LayerNorm(hidden_size)
        self.norm3 = LayerNorm(hidden_size)

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor,
        hidden: torch.Tensor | None = None, memory_hidden: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return x, (batch, length, hidden), after it has seen the memory too."""
        x = self.norm1(x + self.self_attn(x, x, hidden)[0])
        x = self.norm2(x + self.multihead_attn(x, memory, memory_hidden)[0])
        return self.norm3(x + self.linear2(F.relu(self.linear1(x))))
# --8<-- [end:decoder]


# --8<-- [start:whole]
class Stack(nn.Module):
    """Several layers of one kind, and a normalization after the last."""

    def __init__(self, layers: list[nn.Module], hidden_size: int):
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), LayerNorm(hidden_size)

    def forward(self, x: torch.Tensor, *others: torch.Tensor | None) -> torch.Tensor:
        """Pass x, (batch, length, hidden), through all layers."""
        for layer in self.layers:
            x = layer(x, *others)
        return self.norm(x)


class EncoderDecoder(nn.Module):
    """Encoder and decoder; its parameters are named as in nn.Transformer."""

    def __init__(self, hidden_size: int, num_layers: int, num_heads: int):
        super().__init__()
        sizes = hidden_size, num_heads
        encoders = [EncoderLayer(*sizes) for _ in range(num_layers)]
        decoders = [DecoderLayer(*sizes) for _ in range(num_layers)]
        self.encoder = Stack(encoders, hidden_size)
        self.decoder = Stack(decoders, hidden_size)

    def forward(
        self, source: torch.Tensor, target: torch.Tensor,
        source_hidden: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (batch, target length, hidden); no position sees its future."""
        memory = self.encoder(source, source_hidden)
        future = causal_mask(target.shape[1]).to(target.device)
        return self.decoder(target, memory, future, source_hidden)
# --8<-- [end:whole]


# --8<-- [start:compare]
@torch.no_grad()
def compare(seed: int = 0) -> dict[str, float]:
    """Return the largest difference to PyTorch's for each part, with equal weights."""
    torch.manual_seed(seed)
    x, y = torch.randn(3, 9, 32), torch.randn(3, 7, 32)  # (batch, length, hidden)
    tokens = torch.ones(3, 9, dtype=torch.long)
    tokens[1, 6:] = 0  # the second source is three tokens shorter
    q, k, v = torch.randn(3, 2, 4, 7, 8)  # each (batch, heads, length, size)
    theirs = {
        "attention": F.scaled_dot_product_attention(q, k, v, attn_mask=~causal_mask(7)),
        "layer normalization": F.layer_norm(x, (32,)),
    }
    ours = {"attention": attention(q, k, v, causal_mask(7))[0],
            "layer normalization": LayerNorm(32)(x)}
    padded = {"key_padding_mask": tokens == 0}
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    theirs["multi-head attention"] = reference(y, x, x, **padded)[0]
    own = MultiHeadAttention(32, 4)
    own.load_state_dict(reference.state_dict())
    ours["multi-head attention"] = own(y, x, padding_mask(tokens))[0]

    reference = nn.Transformer(32, 4, 2, 2, 128, dropout=0.0, batch_first=True)
    own = EncoderDecoder(32, 2, 4)
    own.load_state_dict(reference.state_dict())
    theirs["encoder and decoder"] = reference(
        x, y, tgt_mask=causal_mask(7), src_key_padding_mask=tokens == 0,
        memory_key_padding_mask=tokens == 0,
    )
    ours["encoder and decoder"] = own(x, y, padding_mask(tokens))
    return {name: (ours[name] - theirs[name]).abs().max().item() for name in ours}
# --8<-- [end:compare]


# --8<-- [start:figures]
def draw_positions(file: Path, length: int = 64, hidden_size: int = 64) -> None:
    """Draw the encoding of 64 positions, and how alike two positions are."""
    table = positional_encoding(length, hidden_size)  # (length, hidden)
    shades = ["#2f8fd0", "#80808000", "#e07b39"]  # -1, 0, 1
    colors = LinearSegmentedColormap.from_list("signs", shades)
    fig, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained")
    axes[0].imshow(table.T.numpy(), cmap=colors, vmin=-1, vmax=1, aspect="auto")
    axes[0].set(xlabel="position", ylabel="number in the vector")
    for start, color in ((0, "#2f8fd0"), (20, "#e07b39"), (40, "#3f9a5f")):
        axes[1].plot(table @ table[start], color=color, label=f"with position {start}")
    axes[1].set(xlabel="position", ylabel="dot product", ylim=(10, 44))
    axes[1].legend(frameon=False)
    fig.savefig(file)


def draw_masks(file: Path) -> None:
    """Draw what a query may look at: the padding mask, the causal mask, and both."""
    tokens = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    padding = padding_mask(tokens)[0, 0].expand(7, 7)  # (queries, keys)
    causal = causal_mask(7)
    shown = {"padding": padding, "causal": causal, "both": padding | causal}
    colors = LinearSegmentedColormap.from_list("seen", ["#2f8fd0", "#80808030"])
    fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.9), layout="constrained")
    for ax, (title, mask) in zip(axes, shown.items()):
        seen = mask.float().numpy()
        ax.pcolormesh(seen, cmap=colors, edgecolors="gray", linewidth=0.5)
        ax.set(title=title, xlabel="key", aspect="equal", xticks=[], yticks=[])
        ax.invert_yaxis()
    axes[0].set_ylabel("query")
    fig.savefig(file)
# --8<-- [end:figures]


# --8<-- [start:main]
def main(out: Path) -> dict:
    """Compare all parts with PyTorch's; write figures and metrics.json into `out`."""
    differences = compare()
    for name, difference in differences.items():
        print(f"{name}: differs from PyTorch's by {difference:.1e} at most")
    model = EncoderDecoder(hidden_size=64, num_layers=2, num_heads=4)
    count = {
        "encoder_layer": sum(p.numel() for p in model.encoder.layers[0].parameters()),
        "decoder_layer": sum(p.numel() for p in model.decoder.layers[0].parameters()),
        "whole": sum(p.numel() for p in model.parameters()),
    }
    print(f"2 + 2 layers of 64 numbers: {count['whole']:,} parameters")
    metrics = {"equal": max(differences.values()) < 1e-5, "parameters": count}
    out.mkdir(parents=True, exist_ok=True)
    draw_positions(out / "positions.svg")
    draw_masks(out / "masks.svg")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("transformer_layers-results"))
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    main(options.out)
# --8<-- [end:main]
