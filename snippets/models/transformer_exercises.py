# --8<-- [start:setup]
"""The answers to the exercises on the Transformer, found by running them."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
# --8<-- [end:setup]


# --8<-- [start:scale]
def largest_weight(
    size: int, scaled: bool, keys: int = 20, trials: int = 2000
) -> float:
    """Return the mean of the largest weight, queries and keys at random."""
    query, key = torch.randn(trials, 1, size), torch.randn(trials, keys, size)
    scores = (query @ key.transpose(1, 2)).squeeze(1)  # (trials, keys)
    weights = (scores / math.sqrt(size) if scaled else scores).softmax(1)
    return weights.amax(1).mean().item()
# --8<-- [end:scale]


# --8<-- [start:order]
def moved(causal: bool, length: int = 8) -> float:
    """Return what turning the input round changes in the output so turned."""
    layer = nn.TransformerEncoderLayer(32, 4, dropout=0.0, batch_first=True)
    x = torch.randn(1, length, 32)  # (batch, length, hidden), no positions
    mask = torch.ones(length, length, dtype=torch.bool).triu(1) & causal
    order = torch.arange(length).flip(0)  # the same tokens, back to front
    before, after = layer(x, src_mask=mask), layer(x[:, order], src_mask=mask)
    return (before[:, order] - after).abs().max().item()
# --8<-- [end:order]


# --8<-- [start:empty]
def attend_to_nothing() -> dict[str, bool]:
    """Hide every key of a query; return whether nan comes of it, by way."""
    scores, value = torch.zeros(2, 3), torch.randn(3, 4, requires_grad=True)
    mask = torch.tensor([[False, False, True], [True, True, True]])  # (n, m)
    by_hand = scores.masked_fill(mask, -math.inf).softmax(1) @ value  # (n, 4)
    by_hand[0].sum().backward()  # the loss asks for the healthy query only
    x, hidden = torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool)
    heads = nn.MultiheadAttention(4, 1, batch_first=True)
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
    found = {
        "softmax by hand": by_hand[1], "its gradient": value.grad,
        "scaled_dot_product_attention":
            F.scaled_dot_product_attention(x, x, x, ~hidden),
        "MultiheadAttention": heads(x, x, x, hidden)[0],
        "MultiheadAttention, need_weights=False":
            heads(x, x, x, hidden, need_weights=False)[0],
        "encoder layer in training": layer(x, src_key_padding_mask=hidden),
    }
    with torch.inference_mode():
        name = "encoder layer in eval() and inference_mode"
        found[name] = layer.eval()(x, src_key_padding_mask=hidden)
    return {name: found.isnan().any().item() for name, found in found.items()}
# --8<-- [end:empty]


# --8<-- [start:cost]
def shares(length: int, hidden_size: int = 64) -> float:
    """Return the share of a layer's multiply-adds in scores and weighting."""
    attention = nn.MultiheadAttention(hidden_size, 4, batch_first=True)
    feed = nn.Sequential(
        nn.Linear(hidden_size, 4 * hidden_size),
        nn.Linear(4 * hidden_size, hidden_size),
    )
    x = torch.randn(1, length, hidden_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        feed(attention(x, x, x)[0])
    weights = [*attention.parameters(), *feed.parameters()]
    linear = 2 * length * sum(p.numel() for p in weights if p.dim() == 2)
    return 1 - linear / counter.get_total_flops()
# --8<-- [end:cost]


# --8<-- [start:cache]
def cached(layer: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, int]:
    """Let each of x, (batch, length, hidden), look at its past, one by one.

    Keys and values are kept. Return the output, and how many positions were
    projected.
    """
    weights = layer.in_proj_weight.chunk(3)
    biases = layer.in_proj_bias.chunk(3)
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


def again(layer: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, int]:
    """Do the same to (batch, length, hidden), the whole past every time."""
    outputs, projected = [], 0
    for length in range(1, x.shape[1] + 1):
        start = x[:, :length]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        outputs.append(layer(start, start, start, attn_mask=mask)[0][:, -1:])
        projected += length
    return torch.cat(outputs, dim=1), projected
# --8<-- [end:cache]


# --8<-- [start:main]
def main(out: Path, seed: int = 0) -> dict:
    """Answer all exercises; write metrics.json to `out` and return it."""
    torch.manual_seed(seed)
    metrics = {"scale": {}, "order": {}, "cost": {}}
    for size in (4, 64, 1024):
        found = {"scaled": largest_weight(size, True),
                 "bare": largest_weight(size, False)}
        metrics["scale"][f"size_{size}"] = found
        print(f"heads of {size}: largest weight {found['scaled']:.2f} scaled, "
              f"{found['bare']:.2f} bare")
    for name in ("free", "causal"):
        seen = metrics["order"][name] = moved(name == "causal") > 1e-4
        print(f"{name} self-attention sees the order: {seen}")
    metrics["empty"] = attend_to_nothing()
    for name, lost in metrics["empty"].items():
        print(f"every key hidden, {name}: {'nan' if lost else 'finite'}")
    for length in (16, 128, 384, 1024, 4096):
        share = metrics["cost"][f"length_{length}"] = shares(length)
        print(f"length {length}: {share:.1%} of the work lies in the scores")
    layer = nn.MultiheadAttention(32, 4, batch_first=True)
    x = torch.randn(2, 40, 32)
    (kept, few), (whole, many) = cached(layer, x), again(layer, x)
    equal = torch.allclose(kept, whole, atol=1e-5)
    metrics["cache"] = {"equal": equal, "kept": few, "again": many}
    print(f"40 tokens: {few} positions projected with a cache, {many} "
          f"without; equal: {equal}")
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


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
    run(main, "transformer_exercises-results")
# --8<-- [end:run]
