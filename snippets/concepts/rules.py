# --8<-- [start:setup]
"""Check rules of thumb on models of all sizes, built without memory."""

import json
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
# --8<-- [end:setup]


# --8<-- [start:published]
class Published(NamedTuple):
    """A model as its authors describe it.

    Of a mixture of experts, the parameters are those that a token uses.
    """

    parameters: float
    layers: int
    width: int
    tokens: float | None  # read in training, where the paper says so


PUBLISHED = {
    "BERT-Large": Published(340e6, 24, 1024, None),
    "GPT-2": Published(1.542e9, 48, 1600, None),
    "GPT-3": Published(175e9, 96, 12288, 300e9),
    "PaLM": Published(540e9, 118, 18432, 780e9),
    "Chinchilla": Published(70e9, 80, 8192, 1.4e12),
    "Llama 2": Published(70e9, 80, 8192, 2e12),
    "Llama 3": Published(405e9, 126, 16384, 15.6e12),
    "DeepSeek-V3": Published(37e9, 61, 7168, 14.8e12),
}


def rules(model: Published) -> dict[str, float]:
    """Return the parameters by 12 l d^2, and all training's FLOPs by 6 N D."""
    found = {"by_12ld2": 12 * model.layers * model.width**2}
    found["share"] = found["by_12ld2"] / model.parameters
    if model.tokens:
        found["training"] = 6 * model.parameters * model.tokens
        found["tokens_per_parameter"] = model.tokens / model.parameters
    return found
# --8<-- [end:published]


# --8<-- [start:language_model]
class LanguageModel(nn.Module):
    """A decoder as GPT-2 and GPT-3 have it; embedding and output are one.

    Alec Radford et al., Language models are unsupervised multitask
    learners, 2019.
    """

    def __init__(
        self, vocabulary: int, context: int, width: int, layers: int,
        heads: int,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        for table in (self.embedding, self.position):
            # PyTorch's 1 is too large for a matrix that is the output too
            nn.init.normal_(table.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, time, vocabulary), of (batch, time)."""
        time = tokens.shape[1]
        mask = torch.ones(time, time, dtype=torch.bool, device=tokens.device)
        x = self.embedding(tokens) + self.position.weight[:time]
        x = self.layers(x, mask=mask.triu(1), is_causal=True)
        return F.linear(x, self.embedding.weight)  # x: (batch, time, width)
# --8<-- [end:language_model]


# --8<-- [start:arithmetic]
# From concepts/counting.py, word for word:
def parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; shared ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """Return the multiply-adds of a forward pass and of a training step.

    Counted are matrix products and convolutions: nearly all of the work.
    Model and x, (batch, ...), lie on the device `meta`, where tensors have
    shapes but no data.
    """
    # attention by its plain formula, of products that the counter knows
    plain = sdpa_kernel(SDPBackend.MATH)
    with plain, FlopCounterMode(display=False) as counter:
        output = model(x)
        forward = counter.get_total_flops()
        output.sum().backward()
        step = counter.get_total_flops()
    return forward // 2, step // 2  # an addition is a FLOP too
# --8<-- [end:arithmetic]


# --8<-- [start:giants]
def on_paper(
    vocabulary: int, context: int, width: int, layers: int, heads: int
) -> dict[str, float]:
    """Count a language model that need not fit into any memory."""
    with torch.device("meta"):
        model = LanguageModel(vocabulary, context, width, layers, heads)
        tokens = torch.zeros(1, context, dtype=torch.long)
    _, step = multiply_adds(model, tokens)
    counted = parameters(model)
    return {
        "parameters": counted,
        "by_12ld2_over_counted": 12 * layers * width**2 / counted,
        "step": step,
        "counted_over_6nd": 2 * step / (6 * counted * context),
        "gigabytes_to_answer": 2 * counted / 1e9,
        "gigabytes_to_train": 16 * counted / 1e9,
    }


WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
CONTEXTS = (128, 1024, 8192)


def sweep(layers: int = 8) -> dict[str, dict[str, float]]:
    """Return what is counted over 6 N D, for each context and width."""
    found = {}
    for context in CONTEXTS:
        found[str(context)] = {}
        for width in WIDTHS:
            counted = on_paper(50257, context, width, layers, width // 64)
            found[str(context)][str(width)] = counted["counted_over_6nd"]
    return found
# --8<-- [end:giants]


# --8<-- [start:main]
def main(out: Path) -> dict:
    """Count everything; write figures and numbers into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    metrics = {
        "giants": {
            "small": on_paper(200, 64, 128, 2, 4),
            "GPT-2": on_paper(50257, 1024, 1600, 48, 25),
            "GPT-3": on_paper(50257, 2048, 12288, 96, 96),
        },
        "misses": sweep(),
        "published": {
            name: rules(model) for name, model in PUBLISHED.items()
        },
    }
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    report(metrics)
    draw_scale(out)
    draw_rule(metrics["misses"], out)
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw_scale(out: Path) -> None:
    """Draw the parameters and the training tokens of published models."""
    figure, axes = plt.subplots(figsize=(6.4, 4))
    span = np.array([1e10, 1e12])  # parameters
    axes.plot(span, 20 * span, color="gray")
    axes.text(1.2e10, 3e11, "20 tokens a parameter", rotation=27)
    for power in (23, 24, 25):
        tokens = 10.0**power / (6 * span)
        axes.plot(span, tokens, color="gray", linestyle=":")
        left = max(1.1e10, 10.0**power / (6 * 3e13))  # where the line enters
        at = left, 10.0**power / (6 * left)
        axes.text(*at, f" $10^{{{power}}}$ FLOPs")
    for name, model in PUBLISHED.items():
        if model.tokens:
            place = model.parameters, model.tokens
            axes.plot(*place, "o", color="#2f8fd0")
            shift = (6, -12) if name == "Chinchilla" else (6, 5)
            axes.annotate(name, place, shift, textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlim=span, ylim=(1e11, 5e13))
    axes.set(xlabel="parameters that a token uses", ylabel="training tokens")
    figure.savefig(out / "scale.svg")
    plt.close(figure)


def draw_rule(misses: dict[str, dict[str, float]], out: Path) -> None:
    """Draw what is counted over 6 N D against the width."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    colors = ("#2f8fd0", "#e07b39", "#3a9d5d")
    for (context, values), color in zip(misses.items(), colors):
        axes.plot(
            WIDTHS, list(values.values()), "o-", color=color,
            label=f"{int(context):,} tokens",
        )
    axes.axhline(1, color="gray", linewidth=1)
    axes.set(xscale="log", yscale="log")
    axes.set(xlabel="width d", ylabel="counted / 6ND")
    axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    axes.set_yticks([1, 2, 5], ["1", "2", "5"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(out / "rule.svg")
    plt.close(figure)
# --8<-- [end:figures]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what was counted."""
    print("published    12ld^2/N  6ND in FLOPs  tokens a parameter")
    for name, found in metrics["published"].items():
        print(f"{name:12} {found['share']:8.3f}", end="")
        if "training" in found:
            print(f" {found['training']:13.2e}", end="")
            print(f" {found['tokens_per_parameter']:19.1f}", end="")
        print()
    print("\ncounted          parameters  12ld^2/N  FLOPs/6ND  GB to train")
    for name, found in metrics["giants"].items():
        ratios = found["by_12ld2_over_counted"], found["counted_over_6nd"]
        print("{:10} {:16,}".format(name, found["parameters"]), end="")
        print(" {:9.3f} {:10.3f}".format(*ratios), end="")
        print(f" {found['gigabytes_to_train']:12,.2f}")
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
    run(main, "rules-results")
# --8<-- [end:run]
