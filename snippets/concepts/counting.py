# --8<-- [start:setup]
"""Count the parameters, the arithmetic and the memory of models, small and large."""

import argparse
import json
import sys
from collections.abc import Callable
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


# --8<-- [start:small]
class ConvNet(nn.Sequential):
    """Two convolutions, two full layers: (batch, 3, 32, 32) to (batch, 10)."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 8 * 8, 128), nn.ReLU(), nn.Linear(128, 10),
        )


class LSTMClassifier(nn.Module):
    """Two LSTM layers of 256 units over embeddings of 100 numbers, then ten classes."""

    def __init__(self, vocabulary: int = 100):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 100)
        self.lstm = nn.LSTM(100, 256, num_layers=2, batch_first=True)
        self.output = nn.Linear(256, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 10), of tokens, (batch, time)."""
        hidden, _ = self.lstm(self.embedding(tokens))  # (batch, time, 256)
        return self.output(hidden[:, -1])
# --8<-- [end:small]


# --8<-- [start:translator]
class Translator(nn.Module):
    """A small Transformer with encoder and decoder, over one vocabulary."""

    def __init__(self, vocabulary: int = 200, width: int = 128, layers: int = 2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.transformer = nn.Transformer(
            width, 4, layers, layers, 4 * width, dropout=0.0, batch_first=True
        )
        self.output = nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, time, vocabulary), of pairs, (batch, 2, time)."""
        source, target = self.embedding(tokens).unbind(1)  # (batch, time, width) each
        return self.output(self.transformer(source, target))
# --8<-- [end:translator]


# --8<-- [start:language_model]
class LanguageModel(nn.Module):
    """A decoder as GPT-2 and GPT-3 have it; the output shares the embedding's weights.

    Alec Radford et al., Language models are unsupervised multitask learners, 2019.
    """

    def __init__(
        self, vocabulary: int, context: int, width: int, layers: int, heads: int
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        for table in (self.embedding, self.position):
            nn.init.normal_(table.weight, std=0.02)  # PyTorch's 1 is too large to share
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, time, vocabulary), of tokens, (batch, time)."""
        time = tokens.shape[1]
        future = torch.ones(time, time, dtype=torch.bool, device=tokens.device).triu(1)
        x = self.embedding(tokens) + self.position.weight[:time]  # (batch, time, width)
        x = self.layers(x, mask=future, is_causal=True)  # (batch, time, width)
        return F.linear(x, self.embedding.weight)
# --8<-- [end:language_model]


# --8<-- [start:arithmetic]
def parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns; shared ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """Return the multiply-adds of a forward pass over x, (batch, ...), and of a step.

    Counted are matrix products and convolutions, which are nearly all of the work.
    Model and x lie on the device `meta`, where tensors have shapes but no data.
    """
    # attention by its plain formula, of products that the counter knows
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        output = model(x)
        forward = counter.get_total_flops()
        output.sum().backward()
    return forward // 2, counter.get_total_flops() // 2  # an addition is a FLOP too
# --8<-- [end:arithmetic]


# --8<-- [start:activations]
def size(tensors: list[torch.Tensor]) -> int:
    """Return the bytes of tensors of any shape; those that share memory count once."""
    memory = [tensor.untyped_storage() for tensor in tensors]
    return sum({part.data_ptr(): part.nbytes() for part in memory}.values())


def forward_pass(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return a loss, a scalar, and the bytes of activations kept to go backward."""
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(x).float().logsumexp(-1).mean()
    weights = list(model.parameters())  # they are kept too, but are no activations
    return loss, size(kept + weights) - size(weights)
# --8<-- [end:activations]


# --8<-- [start:memory]
def memory(model: nn.Module, x: torch.Tensor, mixed: bool = False) -> dict[str, int]:
    """Return the bytes of weights, gradients, Adam's numbers and activations of a step.

    A step reads x, (batch, ...). `mixed` computes with weights of 16 bits and keeps a
    copy of 32 bits to update.
    Diederik Kingma and Jimmy Ba, Adam: A method for stochastic optimization, 2015.
    Paulius Micikevicius et al., Mixed precision training, 2018.
    """
    weights = list(model.parameters())
    copies = []
    if mixed:
        copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
        model.bfloat16()
        x = x.bfloat16() if x.is_floating_point() else x
    loss, activations = forward_pass(model, x)
    loss.backward()
    gradients = [weight.grad for weight in weights]
    for copy, gradient in zip(copies, gradients):
        copy.grad = gradient.float()
    optimizer = torch.optim.Adam(copies or weights)
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    return {
        "weights": size(weights), "gradients": size(gradients),
        "optimizer": size(copies + states), "activations": activations,
    }
# --8<-- [end:memory]


# --8<-- [start:published]
class Published(NamedTuple):
    """A model as its authors describe it; a mixture of experts by what a token uses."""

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
    """Return the parameters by 12 l d², and the FLOPs of all training by 6 N D."""
    found = {"by_12ld2": 12 * model.layers * model.width**2}
    found["share"] = found["by_12ld2"] / model.parameters
    if model.tokens:
        found["training"] = 6 * model.parameters * model.tokens
        found["tokens_per_parameter"] = model.tokens / model.parameters
    return found
# --8<-- [end:published]


# --8<-- [start:lessons]
LESSONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "CNN": (ConvNet, (3, 32, 32)),
    "LSTM": (LSTMClassifier, (20,)),
    "Transformer": (Translator, (2, 20)),
}


def count_lessons(batch: int = 64) -> dict[str, dict]:
    """Return what the models of the lessons take: for one sample, and for a batch."""
    found = {}
    for name, (make, shape) in LESSONS.items():
        x = torch.zeros(batch, *shape)
        x = x if make is ConvNet else x.long()  # the others read tokens
        with torch.device("meta"):
            forward, step = multiply_adds(make(), x[:1].to("meta"))
        model = make()
        found[name] = {
            "parameters": parameters(model), "forward": forward, "step": step,
            "uses": forward / parameters(model), "step_over_forward": step / forward,
            "memory": memory(model, x), "mixed": memory(make(), x, mixed=True),
        }
        for kind in ("memory", "mixed"):
            held = sum(found[name][kind].values()) - found[name][kind]["activations"]
            found[name][f"{kind}_per_parameter"] = held / parameters(model)
    return found
# --8<-- [end:lessons]


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
        "gigabytes_to_train": 16 * counted / 1e9,
    }


WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
CONTEXTS = (128, 1024, 8192)


def sweep(layers: int = 8) -> dict[str, dict[str, float]]:
    """Return the arithmetic counted over 6 N D, for each context and each width."""
    found = {}
    for context in CONTEXTS:
        found[str(context)] = {}
        for width in WIDTHS:
            counted = on_paper(50257, context, width, layers, width // 64)
            found[str(context)][str(width)] = counted["counted_over_6nd"]
    return found
# --8<-- [end:giants]


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


def draw_rule(misses: dict[str, dict[str, float]], out: Path) -> None:
    """Draw the counted arithmetic over 6 N D against the width, for each context."""
    figure, axes = plt.subplots(figsize=(6.4, 3.2))
    colors = ("#2f8fd0", "#e07b39", "#3a9d5d")
    for (context, values), color in zip(misses.items(), colors):
        label = f"{int(context):,} tokens"
        axes.plot(WIDTHS, list(values.values()), "o-", color=color, label=label)
    axes.axhline(1, color="gray", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="width d", ylabel="counted / 6ND")
    axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
    axes.set_yticks([1, 2, 5], ["1", "2", "5"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(out / "rule.svg")
# --8<-- [end:figures]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what was counted."""
    print("of one sample  parameters    forward  training step")
    for name, found in metrics["lessons"].items():
        counts = [found[key] for key in ("parameters", "forward", "step")]
        print("{:12} {:12,} {:10,} {:14,}".format(name, *counts))
    print("\nKB for a batch of 64  weights  gradients  optimizer  activations")
    for name, found in metrics["lessons"].items():
        for kind, title in (("memory", "32 bits"), ("mixed", "mixed")):
            held = [f"{part / 1e3:9,.0f}" for part in found[kind].values()]
            print(f"{name:12} {title:7} {'  '.join(held)}")
    print("\nbytes a parameter, without activations  32 bits   mixed")
    for name, found in metrics["lessons"].items():
        both = found["memory_per_parameter"], found["mixed_per_parameter"]
        print("{:38} {:8.3f} {:7.3f}".format(name, *both))
    print("\ncounted           parameters  12ld²/N  FLOPs/6ND  GB to train")
    for name, found in metrics["giants"].items():
        ratios = found["by_12ld2_over_counted"], found["counted_over_6nd"]
        print("{:10} {:17,}".format(name, found["parameters"]), end="")
        print(" {:8.3f} {:10.3f}".format(*ratios), end="")
        print(f" {found['gigabytes_to_train']:12,.2f}")
    print("\npublished     12ld²/N  6ND in FLOPs  tokens a parameter")
    for name, found in metrics["published"].items():
        print(f"{name:12} {found['share']:8.3f}", end="")
        if "training" in found:
            print(f" {found['training']:13.2e}", end="")
            print(f" {found['tokens_per_parameter']:19.1f}", end="")
        print()
# --8<-- [end:report]


# --8<-- [start:main]
def main(out: Path) -> dict:
    """Count everything, print it, write figures and numbers into the folder `out`."""
    torch.manual_seed(0)
    metrics = {
        "lessons": count_lessons(),
        "giants": {
            "small": on_paper(200, 64, 128, 2, 4),
            "GPT-2": on_paper(50257, 1024, 1600, 48, 25),
            "GPT-3": on_paper(50257, 2048, 12288, 96, 96),
        },
        "misses": sweep(),
        "published": {name: rules(model) for name, model in PUBLISHED.items()},
    }
    report(metrics)
    out.mkdir(parents=True, exist_ok=True)
    draw_scale(out)
    draw_rule(metrics["misses"], out)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("counting-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
