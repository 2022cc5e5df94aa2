# --8<-- [start:setup]
"""Tell which of ten languages a name is from: an LSTM beside n-grams."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from babel import Locale
from matplotlib.colors import LinearSegmentedColormap
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:data]
CODES = ["en", "de", "nl", "fr", "es", "it", "pt", "pl", "tr", "fi"]
LANGUAGES = {code: Locale(code).english_name for code in CODES}


class Data(NamedTuple):
    """Names and the numbers of their languages; how many were left out."""

    train_names: list[str]
    test_names: list[str]
    train_labels: list[int]
    test_labels: list[int]
    tied: int


def load_data(seed: int = 0) -> Data:
    """Return CLDR's names, a fifth of each language's for the test.

    What two languages share, capitals or not, has no right answer: left out.
    """
    owners: dict[str, dict[int, str]] = {}  # by the name in small letters
    for label, code in enumerate(LANGUAGES):
        locale = Locale(code)
        for table in (locale.territories, locale.languages, locale.currencies):
            for name in table.values():
                owners.setdefault(name.casefold(), {}).setdefault(label, name)
    alone = [owner for owner in owners.values() if len(owner) == 1]
    pairs = sorted((name, label) for owner in alone
                   for label, name in owner.items())
    names, labels = zip(*pairs)
    parts = train_test_split(
        names, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return Data(*parts, tied=len(owners) - len(alone))
# --8<-- [end:data]


# --8<-- [start:encode]
PADDING, UNKNOWN = 0, 1


def alphabet(names: list[str]) -> dict[str, int]:
    """Number the characters of the training names from 2 on."""
    letters = sorted(set("".join(names)))
    return {letter: index for index, letter in enumerate(letters, 2)}


def encode(name: str, letters: dict[str, int]) -> torch.Tensor:
    """Return the numbers of the characters of a name, (time,)."""
    return torch.tensor([letters.get(letter, UNKNOWN) for letter in name])
# --8<-- [end:encode]


# --8<-- [start:dataset]
def crop(name: str) -> str:
    """Keep, half of the time, only some neighboring words of a name."""
    words = name.split(" ")
    if len(words) == 1 or torch.rand(()) < 0.5:
        return name
    first = int(torch.randint(len(words), ()))
    last = int(torch.randint(first, len(words), ()))
    return " ".join(words[first : last + 1])


class Names(Dataset):
    """Pairs of a name, (time,), and its language; some shortened by `cut`."""

    def __init__(self, names: list, labels: list, letters: dict, cut: bool):
        self.names, self.labels = names, labels
        self.letters, self.cut = letters, cut

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        name = crop(self.names[row]) if self.cut else self.names[row]
        return encode(name, self.letters), self.labels[row]
# --8<-- [end:dataset]


# --8<-- [start:batches]
def pad(pairs: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, ...]:
    """Return rows, (time,) each, as (batch, longest), and labels, (batch,)."""
    rows, labels = zip(*pairs)
    x = pad_sequence(rows, batch_first=True, padding_value=PADDING)
    return x, torch.tensor(labels)


class LikeLengths(Sampler):
    """Draws batches in random order; the rows of each are of like length."""

    def __init__(self, lengths: list[int], batch_size: int):
        self.lengths, self.batch_size = torch.tensor(lengths), batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rows, batches = torch.randperm(len(self.lengths)), []
        for near in rows.split(16 * self.batch_size):  # sorted within, not all
            ordered = near[self.lengths[near].argsort()]
            batches += ordered.split(self.batch_size)
        for number in torch.randperm(len(batches)):
            yield batches[number].tolist()
# --8<-- [end:batches]


# --8<-- [start:loaders]
def load_batches(data: Data, letters: dict) -> tuple[DataLoader, ...]:
    """Return the batches of the training part and of the test part."""
    train_set = Names(data.train_names, data.train_labels, letters, cut=True)
    test_set = Names(data.test_names, data.test_labels, letters, cut=False)
    alike = LikeLengths([len(name) for name in data.train_names], 64)
    return (DataLoader(train_set, batch_sampler=alike, collate_fn=pad),
            DataLoader(test_set, batch_size=256, collate_fn=pad))
# --8<-- [end:loaders]


# --8<-- [start:model]
class NameLSTM(nn.Module):
    """Embedding, two LSTM layers, a linear layer at the last character."""

    def __init__(self, symbols: int, input_size: int = 100,
                 hidden_size: int = 256, dropout: float = 0.4):
        super().__init__()
        self.embed = nn.Embedding(symbols, input_size, padding_idx=PADDING)
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers=2,
                            batch_first=True, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, len(LANGUAGES))

    def every_step(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits after each character, (batch, time, classes)."""
        embedded = self.dropout(self.embed(x))  # (batch, time, input_size)
        outputs, _ = self.lstm(embedded)  # (batch, time, hidden_size)
        return self.output(self.dropout(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, classes), of padded names, (batch, time)."""
        last = (x != PADDING).sum(1) - 1  # (batch,), where each name ends
        rows = torch.arange(len(x), device=x.device)
        return self.every_step(x)[rows, last]
# --8<-- [end:model]


# --8<-- [start:loss]
def loss_of(model: NameLSTM, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return half the loss at the last character plus half the mean of all.

    x holds padded names, (batch, time), and y their languages, (batch,).
    Target replication: Z. C. Lipton et al., Learning to diagnose with LSTM
    recurrent neural networks, 2016.
    """
    logits = model.every_step(x)  # (batch, time, classes)
    mask = x != PADDING  # (batch, time)
    targets = y[:, None].expand_as(x)  # the same answer after each character
    loss = F.cross_entropy(logits.mT, targets, reduction="none") * mask
    length = mask.sum(1)  # (batch,)
    last = loss[torch.arange(len(x), device=x.device), length - 1]
    return (last / 2 + loss.sum(1) / length / 2).mean()
# --8<-- [end:loss]


# --8<-- [start:train]
def train(model: nn.Module, loader: DataLoader, epochs: int, rate: float,
          decay: float) -> list[float]:
    """Train with AdamW and a one-cycle schedule; return losses by epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, epochs=epochs, steps_per_epoch=len(loader)
    )
    model.train()
    means = []
    for epoch in range(epochs):
        losses = []
        for x, y in loader:  # (batch, time), (batch,)
            loss = loss_of(model, x.to(device), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        means.append(np.mean(losses))
        print(f"  epoch {epoch + 1:2}: loss {means[-1]:.3f}", flush=True)
    return means
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(model: nn.Module, loader: DataLoader) -> torch.Tensor:
    """Return the probabilities, (count, classes), that a model gives."""
    model.eval()
    return torch.cat([model(x.to(device)).softmax(1).cpu() for x, _ in loader])
# --8<-- [end:evaluate]


# --8<-- [start:baseline]
def baseline(data: Data) -> float:
    """Return the test accuracy of logistic regression on n-grams."""
    method = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4),
                        lowercase=False, sublinear_tf=True),
        LogisticRegression(C=30, tol=0.001, max_iter=300),
    )
    method.fit(data.train_names, data.train_labels)
    return method.score(data.test_names, data.test_labels)
# --8<-- [end:baseline]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, epochs: int = 13) -> dict:
    """Train, compare, draw; write all into `out`, return the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    data = load_data(seed)
    letters = alphabet(data.train_names)  # from the training part alone
    print(f"{len(data.train_names):,} names to train on, "
          f"{len(data.test_names):,} to test, {data.tied:,} left out")

    model = NameLSTM(len(letters) + 2).to(device)
    train_batches, test_batches = load_batches(data, letters)
    start = time.perf_counter()
    train(model, train_batches, epochs, rate=0.004, decay=0.02)
    seconds = time.perf_counter() - start
    torch.save(model.state_dict(), out / "weights.pt")

    shares = evaluate(model, test_batches).numpy()  # (count, classes)
    answers, labels = shares.argmax(1), np.array(data.test_labels)
    right = answers == labels
    metrics = {
        "names": {"train": len(data.train_names), "test": len(labels),
                  "tied": data.tied, "characters": len(letters)},
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "lstm": {"accuracy": right.mean(), "seconds": seconds},
        "logistic_regression": {"accuracy": baseline(data)},
        "most_common": np.bincount(labels).max() / len(labels),
        "languages": {name: right[labels == label].mean()
                      for label, name in enumerate(LANGUAGES.values())},
    }
    text = json.dumps(metrics, indent=2, default=float)  # NumPy's numbers
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")
    for name in ("lstm", "logistic_regression"):
        print(f"{name:20} accuracy {metrics[name]['accuracy']:.3f}")
    print(f"most common language {metrics['most_common']:9.3f}")
    print_mistakes(data, shares)
    draw_confusion(labels, answers, out / "confusion.svg")
    draw_reading(model, "Macedonia del Norte", letters, out / "reading.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def print_mistakes(data: Data, shares: np.ndarray) -> None:
    """Print the wrong answers with the highest shares, (count, classes)."""
    print("the most confident mistakes:")
    languages = list(LANGUAGES.values())
    wrong = np.flatnonzero(shares.argmax(1) != data.test_labels)
    for row in wrong[np.argsort(-shares[wrong].max(1))][:8]:
        print(f"  {data.test_names[row]}: {languages[shares[row].argmax()]} "
              f"({shares[row].max():.2f}), is "
              f"{languages[data.test_labels[row]]}")


def draw_confusion(labels: np.ndarray, answers: np.ndarray, to: Path) -> None:
    """Draw how often languages, (count,), by row, got answers, by column."""
    figure, axes = plt.subplots(figsize=(7, 6))
    ConfusionMatrixDisplay.from_predictions(
        labels, answers, display_labels=list(LANGUAGES.values()), ax=axes,
        colorbar=False, text_kw={"color": "black"},
        cmap=LinearSegmentedColormap.from_list("", ["#2f7ed800", "#2f7ed8c0"]),
    )
    axes.set(xlabel="predicted", ylabel="true")
    plt.xticks(rotation=45, ha="right", rotation_mode="anchor")
    figure.savefig(to, bbox_inches="tight")
    plt.close(figure)


@torch.inference_mode()
def draw_reading(model: NameLSTM, name: str, letters: dict, to: Path) -> None:
    """Draw the probabilities of four languages after each character."""
    x = encode(name, letters)[None].to(device)  # (1, time)
    shares = model.every_step(x)[0].softmax(1).cpu().numpy()  # (time, classes)
    figure, axes = plt.subplots(figsize=(7, 3.5))
    colors = ["#2f7ed8", "#d1495b", "#2a9d8f", "#b8860b"]
    for label, color in zip(np.argsort(-shares.max(0)), colors):
        language = list(LANGUAGES.values())[label]
        axes.plot(shares[:, label], marker="o", color=color, label=language)
    axes.set_xticks(range(len(name)), list(name.replace(" ", "␣")))
    axes.set(xlabel="characters read so far", ylabel="probability")
    axes.legend(frameon=False)
    figure.savefig(to, bbox_inches="tight")
    plt.close(figure)
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
    run(main, "rnn-results")
# --8<-- [end:run]
