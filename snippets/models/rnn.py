# --8<-- [start:setup]
"""Train an LSTM to tell which of ten languages a name is from, beside n-grams."""

import argparse
import copy
import json
import logging
import random
import sys
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from babel import Locale
from matplotlib.colors import LinearSegmentedColormap
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_sequence

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:names]
LANGUAGES = {
    "en": "English", "de": "German", "nl": "Dutch", "fr": "French",
    "es": "Spanish", "it": "Italian", "pt": "Portuguese", "pl": "Polish",
    "tr": "Turkish", "fi": "Finnish",
}


def collect_names() -> tuple[dict[str, int], int]:
    """Return each name with the number of its language, and how many were tied.

    A name that two languages share, capitals or not, has no right answer and is
    left out.
    """
    owners: dict[str, dict[int, str]] = {}  # name in small letters: language: spelling
    for label, code in enumerate(LANGUAGES):
        locale = Locale(code)
        for table in (locale.territories, locale.languages, locale.currencies):
            for name in table.values():
                owners.setdefault(name.casefold(), {}).setdefault(label, name)
    alone = [owner for owner in owners.values() if len(owner) == 1]
    names = {name: label for owner in alone for label, name in owner.items()}
    return dict(sorted(names.items())), len(owners) - len(alone)
# --8<-- [end:names]


# --8<-- [start:split]
class Data(NamedTuple):
    """Names and the numbers of their languages; how many were left out as tied."""

    train_names: list[str]
    train_labels: list[int]
    test_names: list[str]
    test_labels: list[int]
    tied: int


def load_data(seed: int = 0) -> Data:
    """Return CLDR's names, a fifth of each language's for the test."""
    names, tied = collect_names()
    train_names, test_names, train_labels, test_labels = train_test_split(
        list(names), list(names.values()), test_size=0.2,
        stratify=list(names.values()), random_state=seed,
    )
    return Data(train_names, train_labels, test_names, test_labels, tied)
# --8<-- [end:split]


# --8<-- [start:encode]
PADDING, UNKNOWN = 0, 1


def alphabet(names: list[str]) -> dict[str, int]:
    """Number the characters of the training names from 2 on."""
    letters = sorted(set("".join(names)))
    return {letter: index for index, letter in enumerate(letters, 2)}


def encode(names: list[str], letters: dict[str, int]) -> torch.Tensor:
    """Return the numbers of the characters, (count, longest), padded behind by 0."""
    rows = [
        torch.tensor([letters.get(letter, UNKNOWN) for letter in name])
        for name in names
    ]
    return pad_sequence(rows, batch_first=True, padding_value=PADDING)
# --8<-- [end:encode]


# --8<-- [start:model]
class NameLSTM(nn.Module):
    """Embedding, two LSTM layers, a linear layer at the last character of a name."""

    def __init__(self, symbols: int, input_size: int = 100, hidden_size: int = 256,
                 num_layers: int = 2, classes: int = 10, dropout: float = 0.4):
        super().__init__()
        self.embed = nn.Embedding(symbols, input_size, padding_idx=PADDING)
        self.lstm = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, classes)

    def every_step(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits after each character, (batch, time, classes)."""
        embedded = self.dropout(self.embed(x))  # (batch, time) -> (batch, time, 100)
        outputs, _ = self.lstm(embedded)  # (batch, time, 256)
        return self.output(self.dropout(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, (batch, classes), of names, (batch, time), padded by 0."""
        last = (x != PADDING).sum(1) - 1  # (batch,), where each name ends
        return self.every_step(x)[torch.arange(len(x), device=x.device), last]
# --8<-- [end:model]


# --8<-- [start:batches]
def crop(name: str, chance: random.Random) -> str:
    """Keep, half of the time, only some neighboring words of a name."""
    words = name.split(" ")
    if len(words) == 1 or chance.random() < 0.5:
        return name
    start = chance.randrange(len(words))
    return " ".join(words[start : chance.randrange(start, len(words)) + 1])


def batches(names: list[str], size: int, chance: random.Random) -> list[list[int]]:
    """Return the rows of each batch, in random order; its names are of like length."""
    rows = list(range(len(names)))
    chance.shuffle(rows)
    found = []
    for start in range(0, len(rows), 16 * size):  # sort within 16 batches, not over all
        near = sorted(rows[start : start + 16 * size], key=lambda row: len(names[row]))
        found += [near[first : first + size] for first in range(0, len(near), size)]
    chance.shuffle(found)
    return found
# --8<-- [end:batches]


# --8<-- [start:loss]
def loss_of(
    model: NameLSTM, x: torch.Tensor, y: torch.Tensor, replicate: bool = True
) -> torch.Tensor:
    """Return half the loss at the last character plus half the mean loss at all.

    x holds names, (batch, time), padded by 0, and y their languages, (batch,).
    Target replication: Z. C. Lipton, D. C. Kale, C. Elkan and R. Wetzel, Learning to
    diagnose with LSTM recurrent neural networks, 2016.
    """
    if not replicate:
        return F.cross_entropy(model(x), y)
    logits = model.every_step(x)  # (batch, time, classes)
    valid = x != PADDING  # (batch, time)
    steps = y[:, None].expand(-1, x.shape[1])  # the same answer after each character
    loss = F.cross_entropy(logits.transpose(1, 2), steps, reduction="none") * valid
    count = valid.sum(1)  # (batch,)
    last = loss[torch.arange(len(x), device=x.device), count - 1]
    return (last / 2 + loss.sum(1) / count / 2).mean()
# --8<-- [end:loss]


# --8<-- [start:train]
def train(
    model: NameLSTM, names: list[str], labels: list[int], letters: dict[str, int],
    epochs: int, replicate: bool = True, cut: bool = True, seed: int = 0,
) -> list[float]:
    """Train on names; return the loss of each batch.

    Without `replicate` the loss is that of the last character; without `cut` no name
    is shortened.
    """
    chance, targets = random.Random(seed), torch.tensor(labels)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    steps = -(-len(names) // 64) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.004, total_steps=steps
    )
    model.train()
    losses = []
    for epoch in range(epochs):
        seen = [crop(name, chance) for name in names] if cut else names
        for rows in batches(seen, 64, chance):
            x = encode([seen[row] for row in rows], letters).to(device)  # (batch, time)
            y = targets[rows].to(device)
            loss = loss_of(model, x, y, replicate)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        mean = np.mean(losses[-steps // epochs :])
        print(f"  epoch {epoch + 1:2}: loss {mean:.3f}", flush=True)
    return losses
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(
    model: NameLSTM, names: list[str], letters: dict[str, int]
) -> torch.Tensor:
    """Return the probabilities, (count, classes), that the model gives to names."""
    model.eval()
    order = sorted(range(len(names)), key=lambda row: len(names[row]))
    found = torch.empty(len(names), model.output.out_features)
    for start in range(0, len(order), 256):
        rows = order[start : start + 256]
        x = encode([names[row] for row in rows], letters).to(device)
        found[rows] = model(x).softmax(1).cpu()
    return found
# --8<-- [end:evaluate]


# --8<-- [start:baselines]
def baselines(data: Data) -> dict[str, float]:
    """Return the test accuracy of two methods that count runs of 1 to 4 characters.

    The runs stay within a word and know where it begins and ends.
    """
    counts = {"analyzer": "char_wb", "ngram_range": (1, 4), "lowercase": False}
    methods = {
        "naive_bayes": make_pipeline(
            CountVectorizer(**counts), MultinomialNB(alpha=1)
        ),
        "logistic_regression": make_pipeline(
            TfidfVectorizer(**counts, sublinear_tf=True),
            LogisticRegression(C=30, tol=0.001, max_iter=300),
        ),
    }
    return {
        name: method.fit(data.train_names, data.train_labels).score(
            data.test_names, data.test_labels
        )
        for name, method in methods.items()
    }
# --8<-- [end:baselines]


# --8<-- [start:figures]
def draw_confusion(labels: list[int], predicted: np.ndarray, file: Path) -> None:
    """Draw how often each language, a row, was taken for each other, a column.

    `predicted` holds an answer, (count,), for each label.
    """
    names = list(LANGUAGES.values())
    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    clear_to_blue = LinearSegmentedColormap.from_list("", ["#2f7ed800", "#2f7ed8c0"])
    figure, axes = plt.subplots(figsize=(7, 6))
    axes.imshow(np.sqrt(counts), cmap=clear_to_blue)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(column, row, count, ha="center", va="center", fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    figure.savefig(file, bbox_inches="tight")
    plt.close(figure)


def draw_loss(losses: list[float], epochs: int, file: Path) -> None:
    """Draw the loss of each batch, and its mean in each epoch."""
    steps = len(losses) // epochs
    figure, axes = plt.subplots(figsize=(7, 3.5))
    axes.plot(losses, color="#2f7ed8", alpha=0.3, linewidth=0.7, label="one batch")
    means = np.reshape(losses, (epochs, steps)).mean(1)
    middles = (np.arange(epochs) + 0.5) * steps
    axes.plot(middles, means, color="#2f7ed8", label="mean of an epoch")
    axes.axhline(np.log(10), linestyle=":", color="#888888", label="guessing, ln 10")
    axes.set_xlabel("batch")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.savefig(file, bbox_inches="tight")
    plt.close(figure)
# --8<-- [end:figures]


# --8<-- [start:reading]
@torch.inference_mode()
def draw_reading(
    model: NameLSTM, name: str, letters: dict[str, int], file: Path, top: int = 4
) -> None:
    """Draw the probabilities of `top` languages after each character of a name."""
    model.eval()
    x = encode([name], letters).to(device)  # (1, time)
    shares = model.every_step(x)[0].softmax(1).cpu().numpy()  # (time, classes)
    figure, axes = plt.subplots(figsize=(7, 3.5))
    colors = ["#2f7ed8", "#d1495b", "#2a9d8f", "#b8860b"]
    for label, color in zip(np.argsort(-shares.max(0))[:top], colors):
        language = list(LANGUAGES.values())[label]
        axes.plot(shares[:, label], marker="o", color=color, label=language)
    axes.set_xticks(range(len(name)), list(name.replace(" ", "␣")))
    axes.set_xlabel("characters read so far")
    axes.set_ylabel("probability")
    axes.legend(frameon=False)
    figure.savefig(file, bbox_inches="tight")
    plt.close(figure)
# --8<-- [end:reading]


# --8<-- [start:eight_bits]
class EightBits(nn.Module):
    """Gives a weight, (rows, columns), from whole numbers of 8 bits, scaled by row."""

    def forward(self, whole: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the weight of whole numbers, (rows, columns), and scales, (rows, 1)."""
        return whole * scale

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the whole numbers and the scales that give nearly this weight."""
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        return (weight / scale).round().to(torch.int8), scale


def shrink(model: nn.Module) -> nn.Module:
    """Return a copy whose tables of weights take 8 bits a number instead of 32."""
    small = copy.deepcopy(model).eval().requires_grad_(False)
    for layer in list(small.modules()):
        for name, weight in list(layer.named_parameters(recurse=False)):
            if weight.dim() == 2:
                parametrize.register_parametrization(layer, name, EightBits())
    return small


@torch.no_grad()
def rounded(model: nn.Module) -> nn.Module:
    """Return a copy with the same rounded weights in 32 bits: nn.LSTM reads no others."""
    copied, eight = copy.deepcopy(model), EightBits()
    for weight in copied.parameters():
        if weight.dim() == 2:
            weight.copy_(eight(*eight.right_inverse(weight)))
    return copied
# --8<-- [end:eight_bits]


# --8<-- [start:export]
class Step(nn.Module):
    """The network at one character, with the state before and after it."""

    def __init__(self, model: NameLSTM):
        super().__init__()
        self.model = model

    def forward(
        self, letter: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return probabilities, (1, classes), and both states, (layers, 1, hidden).

        `letter` has the shape (1,), the states before it have that of the states after.
        """
        lstm, states = self.model.lstm, []
        x = self.model.embed(letter)  # (1, 100)
        for layer in range(lstm.num_layers):
            weights = [getattr(lstm, f"{name}_l{layer}") for name in (
                "weight_ih", "weight_hh", "bias_ih", "bias_hh"
            )]
            gates = F.linear(x, weights[0], weights[2])  # (1, 4 * hidden)
            gates = gates + F.linear(hidden[layer], weights[1], weights[3])
            enter, forget, new, out = gates.chunk(4, dim=1)
            kept = forget.sigmoid() * cell[layer] + enter.sigmoid() * new.tanh()
            x = out.sigmoid() * kept.tanh()
            states.append((x, kept))
        hidden, cell = (torch.stack(parts) for parts in zip(*states))
        return self.model.output(x).softmax(1), hidden, cell


def export(
    small: NameLSTM, letters: dict[str, int], names: list[str], labels: list[int],
    shares: np.ndarray, out: Path, count: int = 60,
) -> None:
    """Write the network as ONNX, and names with its answers, for the page.

    `shares` are the probabilities of all names, (names, classes).
    """
    for name in ("torch.onnx", "onnxscript"):  # they tell of steps, not of faults
        logging.getLogger(name).setLevel(logging.ERROR)
    states = torch.zeros(2, small.lstm.num_layers, 1, small.lstm.hidden_size)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            Step(small).cpu().eval(), (torch.ones(1, dtype=torch.int32), *states),
            out / "model.onnx", input_names=["letter", "hidden", "cell"],
            output_names=["probabilities", "next_hidden", "next_cell"],
            dynamo=True, external_data=False, verbose=False,
        )
    live = {
        "languages": list(LANGUAGES), "letters": letters, "states": states[0].shape,
        "samples": {"names": names[:count], "labels": labels[:count],
                    "probabilities": shares[:count].tolist()},
    }
    text = json.dumps(live, ensure_ascii=False)
    (out / "live.json").write_text(text, encoding="utf-8")
# --8<-- [end:export]


# --8<-- [start:main]
def main(out: Path, epochs: int = 13) -> dict:
    """Train, compare and draw; write metrics.json into `out`, return what it holds."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data()
    letters = alphabet(data.train_names)  # learned from the training part alone
    print(f"{len(data.train_names):,} names to train on, {len(data.test_names):,} "
          f"to test, {data.tied:,} shared and left out; {len(letters)} characters")

    torch.manual_seed(0)  # before the model is made: it draws its weights
    model = NameLSTM(len(letters) + 2).to(device)
    start = time.perf_counter()
    losses = train(model, data.train_names, data.train_labels, letters, epochs)
    seconds = time.perf_counter() - start
    shares = evaluate(model, data.test_names, letters).numpy()  # (count, 10)
    predicted, labels = shares.argmax(1), np.array(data.test_labels)
    right = predicted == labels
    long = np.array([len(name) >= 20 for name in data.test_names])
    metrics = {
        "names": {"train": len(data.train_names), "test": len(labels),
                  "tied": data.tied, "characters": len(letters)},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "lstm": {"accuracy": right.mean(), "seconds": seconds, "first_loss": losses[0],
                 "short": right[~long].mean(), "long": right[long].mean()},
        **{name: {"accuracy": share} for name, share in baselines(data).items()},
        "most_common": np.bincount(labels).max() / len(labels),
        "languages": {name: right[labels == label].mean()
                      for label, name in enumerate(LANGUAGES.values())},
    }
    for name in ("lstm", "logistic_regression", "naive_bayes"):
        print(f"{name:20} accuracy {metrics[name]['accuracy']:.3f}")
    print(f"the most common language {metrics['most_common']:.3f}; {seconds:.0f} s")

    print("the most confident mistakes:")
    names = list(LANGUAGES.values())
    for row in np.argsort(right * 2 - shares.max(1))[:8]:
        print(f"  {data.test_names[row]}: {names[predicted[row]]} "
              f"({shares[row].max():.2f}), is {names[labels[row]]}")
    again = evaluate(rounded(model), data.test_names, letters).numpy()
    export(shrink(model), letters, data.test_names, data.test_labels, again, out)
    metrics["live"] = {
        "accuracy": (again.argmax(1) == labels).mean(),
        "difference": np.abs(again - shares).max(),
        "bytes": (out / "model.onnx").stat().st_size,
    }
    draw_confusion(data.test_labels, predicted, out / "confusion.svg")
    draw_loss(losses, epochs, out / "loss.svg")
    draw_reading(model, READ, letters, out / "reading.svg")
    text = json.dumps(metrics, indent=2, default=float)  # float: NumPy's numbers
    (out / "metrics.json").write_text(text + "\n")
    return metrics


READ = "Macedonia del Norte"  # of the test part; its reading is drawn

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("rnn-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
