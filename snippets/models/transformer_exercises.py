# --8<-- [start:setup]
"""The answers to the exercises on the Transformer, worked out by running them."""

import argparse
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
# --8<-- [end:setup]


# --8<-- [start:scale]
def largest_weight(
    size: int, scaled: bool, keys: int = 20, trials: int = 2000
) -> float:
    """Return the mean of the largest attention weight for random queries and keys."""
    query, key = torch.randn(trials, 1, size), torch.randn(trials, keys, size)
    scores = (query @ key.transpose(1, 2)).squeeze(1)  # (trials, keys)
    weights = (scores / math.sqrt(size) if scaled else scores).softmax(1)
    return weights.amax(1).mean().item()
# --8<-- [end:scale]


# --8<-- [start:order]
def moved(causal: bool, length: int = 8) -> float:
    """Return how much shuffling the input changes a layer's output, shuffled alike."""
    layer = nn.TransformerEncoderLayer(32, 4, dropout=0.0, batch_first=True)
    x = torch.randn(1, length, 32)  # (batch, length, hidden): without positions
    mask = torch.ones(length, length, dtype=torch.bool).triu(1) & causal
    order = torch.arange(length).flip(0)  # the same tokens, back to front
    before, after = layer(x, src_mask=mask), layer(x[:, order], src_mask=mask)
    return (before[:, order] - after).abs().max().item()
# --8<-- [end:order]


# --8<-- [start:empty]
def attend_to_nothing() -> tuple[bool, bool]:
    """Let a query look nowhere; return whether answer and gradient are not numbers."""
    scores, value = torch.zeros(2, 3), torch.randn(3, 4, requires_grad=True)
    hidden = torch.tensor([[False, False, True], [True, True, True]])  # (queries, keys)
    found = scores.masked_fill(hidden, -math.inf).softmax(1) @ value  # (queries, 4)
    found[0].sum().backward()  # the loss asks for the healthy query only
    return found[1].isnan().all().item(), value.grad.isnan().any().item()
# --8<-- [end:empty]


# --8<-- [start:cost]
def shares(length: int, hidden_size: int = 64) -> float:
    """Return the share of a layer's multiply-adds that lies in scores and weighting."""
    attention = nn.MultiheadAttention(hidden_size, 4, batch_first=True)
    feed = nn.Sequential(
        nn.Linear(hidden_size, 4 * hidden_size), nn.Linear(4 * hidden_size, hidden_size)
    )
    x = torch.randn(1, length, hidden_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        feed(attention(x, x, x)[0])
    modules = [*attention.parameters(), *feed.parameters()]
    linear = 2 * length * sum(p.numel() for p in modules if p.dim() == 2)
    return 1 - linear / counter.get_total_flops()
# --8<-- [end:cost]


# --8<-- [start:cache]
def cached(layer: nn.MultiheadAttention, x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Run causal self-attention on x, (batch, length, hidden), one position at a time.

    Keys and values of the past are kept. Return the output and how many positions
    were projected.
    """
    weights, biases = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
    keys, values, outputs, projected = [], [], [], 0
    for position in range(x.shape[1]):
        now = x[:, position : position + 1]  # (batch, 1, hidden)
        query, key, value = (
            F.linear(now, weight, bias)
            .unflatten(2, (layer.num_heads, -1))
            .transpose(1, 2)  # (batch, heads, 1, size)
            for weight, bias in zip(weights, biases)
        )
        projected += 1
        keys.append(key)
        values.append(value)
        found = F.scaled_dot_product_attention(
            query, torch.cat(keys, dim=2), torch.cat(values, dim=2)
        )
        outputs.append(layer.out_proj(found.transpose(1, 2).flatten(2)))
    return torch.cat(outputs, dim=1), projected


def again(layer: nn.MultiheadAttention, x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Do the same to (batch, length, hidden), running the whole past every time."""
    outputs, projected = [], 0
    for length in range(1, x.shape[1] + 1):
        start = x[:, :length]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        outputs.append(layer(start, start, start, attn_mask=mask)[0][:, -1:])
        projected += length
    return torch.cat(outputs, dim=1), projected
# --8<-- [end:cache]


# --8<-- [start:main]
def main(out: Path) -> dict:
    """Answer all exercises; write metrics.json into `out` and return what it holds."""
    torch.manual_seed(0)
    metrics = {"scale": {}, "order": {}, "cost": {}}
    for size in (4, 64, 1024):
        scaled, bare = largest_weight(size, True), largest_weight(size, False)
        metrics["scale"][f"size_{size}"] = {"scaled": scaled, "bare": bare}
        print(f"heads of {size}: largest weight {scaled:.2f} scaled, {bare:.2f} bare")
    for name in ("free", "causal"):
        metrics["order"][name] = moved(name == "causal") > 1e-4
        print(f"{name} self-attention sees the order: {metrics['order'][name]}")
    answer, gradient = attend_to_nothing()
    metrics["empty"] = {"answer_nan": answer, "gradient_nan": gradient}
    print(f"every key hidden: answer not a number {answer}, gradient {gradient}")
    for length in (16, 128, 384, 1024, 4096):
        metrics["cost"][f"length_{length}"] = shares(length)
        print(f"length {length}: {shares(length):.1%} of the work lies in the scores")
    layer, x = nn.MultiheadAttention(32, 4, batch_first=True), torch.randn(2, 40, 32)
    (kept, few), (whole, many) = cached(layer, x), again(layer, x)
    metrics["cache"] = {
        "equal": torch.allclose(kept, whole, atol=1e-5), "kept": few, "again": many
    }
    print(f"40 tokens one by one: {few} positions projected with a cache, "
          f"{many} without; equal outputs: {metrics['cache']['equal']}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("transformer_exercises-results")
    )
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    main(options.out)
# --8<-- [end:main]
