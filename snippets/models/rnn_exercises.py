# --8<-- [start:setup]
"""The answers to the exercises on recurrent networks, worked out by running them."""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from babel import Locale
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils.rnn import pad_sequence

CODES = ("en", "de", "nl", "fr", "es", "it", "pt", "pl", "tr", "fi")


def load_data(shared: bool = False, seed: int = 0) -> list[list]:
    """Return the names in small letters, training and test, then their labels.

    With `shared`, names that several languages have stay in, once for each of them.
    """
    pairs = set()
    for label, code in enumerate(CODES):
        locale = Locale(code)
        for table in (locale.territories, locale.languages, locale.currencies):
            pairs |= {(name.casefold(), label) for name in table.values()}
    owners = Counter(name for name, _ in pairs)
    kept = sorted(pair for pair in pairs if shared or owners[pair[0]] == 1)
    names, labels = zip(*kept)
    return train_test_split(
        names, labels, test_size=0.2, stratify=labels, random_state=seed
    )
# --8<-- [end:setup]


# --8<-- [start:parameters]
def count(kind: type[nn.RNNBase], size: int, hidden: int, layers: int) -> int:
    """Return the number of parameters of a recurrent network, by the formula."""
    gates = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}[kind]
    inputs = [size] + [hidden] * (layers - 1)  # a layer reads what the one below shows
    return sum(gates * hidden * (width + hidden + 2) for width in inputs)


def counted(kind: type[nn.RNNBase], size: int, hidden: int, layers: int) -> int:
    """Return the same number as PyTorch has it."""
    return sum(weights.numel() for weights in kind(size, hidden, layers).parameters())
# --8<-- [end:parameters]


# --8<-- [start:network]
class Reader(nn.Module):
    """A small network: embedding 32, one recurrent layer of 64, ten classes."""

    def __init__(self, symbols: int, kind: type[nn.RNNBase] = nn.LSTM):
        super().__init__()
        self.embed = nn.Embedding(symbols, 32, padding_idx=0)
        self.recurrent = kind(32, 64, batch_first=True)
        self.output = nn.Linear(64, len(CODES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 10), of names, (batch, time), padded behind by 0."""
        outputs, _ = self.recurrent(self.embed(x))  # (batch, time, 64)
        return self.output(outputs[torch.arange(len(x)), (x != 0).sum(1) - 1])


def measure(data: list[list], kind: type[nn.RNNBase], epochs: int) -> float:
    """Train on names, return the test accuracy."""
    names, test_names, labels, test_labels = data
    letters = {letter: row for row, letter in enumerate(sorted(set("".join(names))), 2)}

    def encode(part: list[str]) -> torch.Tensor:
        rows = [torch.tensor([letters.get(mark, 1) for mark in name]) for name in part]
        return pad_sequence(rows, batch_first=True)  # (count, longest)

    torch.manual_seed(0)
    model, x, y = Reader(len(letters) + 2, kind), encode(names), torch.tensor(labels)
    optimizer = torch.optim.AdamW(model.parameters())
    steps = -(-len(x) // 64) * epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            batch = x[rows]
            batch = batch[:, : (batch != 0).sum(1).max()]  # no longer than its longest
            optimizer.zero_grad()
            F.cross_entropy(model(batch), y[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    with torch.inference_mode():
        right = model(encode(test_names)).argmax(1) == torch.tensor(test_labels)
    return right.float().mean().item()
# --8<-- [end:network]


# --8<-- [start:order]
def backward(name: str) -> str:
    """Return the name from its last character to its first."""
    return name[::-1]


def shuffled(name: str) -> str:
    """Return the characters of a name in random order, for one name always the same."""
    return "".join(random.Random(name).sample(name, len(name)))


def changed(data: list[list], change: Callable[[str], str]) -> list[list]:
    """Return the data with every name changed, those of the test too."""
    names, test_names, *labels = data
    return [[change(name) for name in part] for part in (names, test_names)] + labels
# --8<-- [end:order]


# --8<-- [start:ties]
def ties(data: list[list]) -> float:
    """Return the share of the test names that stand in the training part too."""
    known, test_names = set(data[0]), data[1]
    return sum(name in known for name in test_names) / len(test_names)
# --8<-- [end:ties]


# --8<-- [start:main]
def main(out: Path, epochs: int = 10) -> dict:
    """Answer all exercises; write metrics.json into `out` and return what it holds."""
    metrics = {"parameters": {}, "kind": {}, "order": {}}
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        by_formula, real = count(kind, 100, 256, 2), counted(kind, 100, 256, 2)
        metrics["parameters"][kind.__name__] = real
        print(f"{kind.__name__}: {by_formula:,} by the formula, {real:,} parameters")

    data, shared = load_data(), load_data(shared=True)
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        metrics["kind"][kind.__name__] = accuracy = measure(data, kind, epochs)
        print(f"{kind.__name__}: accuracy {accuracy:.3f}", flush=True)
    for change in (backward, shuffled):
        accuracy = measure(changed(data, change), nn.LSTM, epochs)
        metrics["order"][change.__name__] = accuracy
        print(f"LSTM, names {change.__name__}: {accuracy:.3f}", flush=True)
    metrics["ties"] = {
        "names": len(shared[0]) + len(shared[1]),
        "in_both_parts": ties(shared),
        "in_both_parts_without": ties(data),
        "accuracy": measure(shared, nn.LSTM, epochs),
    }
    print(f"shared names left in: {metrics['ties']['in_both_parts']:.1%} of the test "
          f"names stand in both parts, accuracy {metrics['ties']['accuracy']:.3f}")

    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("rnn_exercises-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
