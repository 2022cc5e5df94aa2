# --8<-- [start:setup]
"""The answers to the exercises on recurrent networks, by running them."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import torch
import torch.nn.functional as F
from babel import Locale
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils.rnn import pad_sequence

CODES = ("en", "de", "nl", "fr", "es", "it", "pt", "pl", "tr", "fi")


def load_data(shared: bool = False, seed: int = 0) -> list[list]:
    """Return the names in small letters, training and test, and their labels.

    With `shared`, names of several languages stay in, once for each of them.
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
def count(
    kind: type[nn.RNNBase], size: int, hidden: int, layers: int
) -> int:
    """Return the parameters of a recurrent network by the formula."""
    gates = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}[kind]
    inputs = [size] + [hidden] * (layers - 1)  # what the layer below shows
    return sum(gates * hidden * (width + hidden + 2) for width in inputs)


def counted(
    kind: type[nn.RNNBase], size: int, hidden: int, layers: int
) -> int:
    """Return the same number as PyTorch has it."""
    layer = kind(size, hidden, layers)
    return sum(weights.numel() for weights in layer.parameters())
# --8<-- [end:parameters]


# --8<-- [start:network]
class Reader(nn.Module):
    """A small network: embedding 32, one recurrent layer of 64."""

    def __init__(self, symbols: int, kind: type[nn.RNNBase] = nn.LSTM):
        super().__init__()
        self.embed = nn.Embedding(symbols, 32, padding_idx=0)
        self.recurrent = kind(32, 64, batch_first=True)
        self.output = nn.Linear(64, len(CODES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, 10), of names, (batch, time), padded by 0."""
        outputs, _ = self.recurrent(self.embed(x))  # (batch, time, 64)
        last = (x != 0).sum(1) - 1  # (batch,)
        return self.output(outputs[torch.arange(len(x)), last])


def measure(
    data: list[list], kind: type[nn.RNNBase], epochs: int, seed: int = 0
) -> float:
    """Train on names, return the test accuracy."""
    names, test_names, labels, test_labels = data
    letters = sorted(set("".join(names)))
    numbers = {letter: number for number, letter in enumerate(letters, 2)}

    def encode(part: list[str]) -> torch.Tensor:
        rows = [torch.tensor([numbers.get(letter, 1) for letter in name])
                for name in part]
        return pad_sequence(rows, batch_first=True)  # (count, longest)

    torch.manual_seed(seed)
    model = Reader(len(letters) + 2, kind)
    x, y = encode(names), torch.tensor(labels)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, epochs=epochs, steps_per_epoch=math.ceil(len(x) / 64)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            longest = (x[rows] != 0).sum(1).max()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[rows, :longest]), y[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    with torch.inference_mode():
        answers = model(encode(test_names)).argmax(1)
    return (answers == torch.tensor(test_labels)).float().mean().item()
# --8<-- [end:network]


# --8<-- [start:order]
def backward(name: str) -> str:
    """Return the name from its last character to its first."""
    return name[::-1]


def shuffled(name: str) -> str:
    """Return a name's characters in random order, the same each time."""
    return "".join(random.Random(name).sample(name, len(name)))


def changed(data: list[list], change: Callable[[str], str]) -> list[list]:
    """Return the data with every name changed, those of the test too."""
    names, test_names, *labels = data
    return [list(map(change, names)), list(map(change, test_names)), *labels]
# --8<-- [end:order]


# --8<-- [start:ties]
def ties(data: list[list]) -> float:
    """Return the share of the test names that the training part has too."""
    known, test_names = set(data[0]), data[1]
    return sum(name in known for name in test_names) / len(test_names)
# --8<-- [end:ties]


# --8<-- [start:luck]
def by_luck(epochs: int, seeds: range) -> list[float]:
    """Return the accuracy for each seed of the split and of the weights."""
    return [measure(load_data(seed=seed), nn.LSTM, epochs, seed)
            for seed in seeds]
# --8<-- [end:luck]


# --8<-- [start:crops]
def crops(data: list[list], shared: list[list]) -> dict[str, float]:
    """Return the share of shortened names that are another language's too.

    `shared` is the data with the names that several languages have.
    """
    owners: dict[str, set[int]] = {}
    for name, label in zip(shared[0] + shared[1], shared[2] + shared[3]):
        owners.setdefault(name, set()).add(label)
    found = []
    for name, label in zip(data[0], data[2]):
        words = name.split(" ")
        for first, last in combinations(range(len(words) + 1), 2):
            if last - first < len(words):
                owner = owners.get(" ".join(words[first:last]), {label})
                found.append((len(owner) > 1, label not in owner))
    several, other = (sum(kind) / len(found) for kind in zip(*found))
    return {"count": len(found), "several": several, "other": other}
# --8<-- [end:crops]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, epochs: int = 6) -> dict:
    """Answer all; write metrics.json into `out`, return what it holds."""
    out.mkdir(parents=True, exist_ok=True)
    metrics = {"parameters": {}, "kind": {}, "order": {}}
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        formula, real = count(kind, 100, 256, 2), counted(kind, 100, 256, 2)
        metrics["parameters"][kind.__name__] = real
        print(f"{kind.__name__}: {formula:,} by the formula, {real:,} counted")

    data, shared = load_data(seed=seed), load_data(shared=True, seed=seed)
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        accuracy = measure(data, kind, epochs, seed)
        metrics["kind"][kind.__name__] = accuracy
        print(f"{kind.__name__}: accuracy {accuracy:.3f}", flush=True)
    for change in (backward, shuffled):
        accuracy = measure(changed(data, change), nn.LSTM, epochs, seed)
        metrics["order"][change.__name__] = accuracy
        print(f"LSTM, names {change.__name__}: {accuracy:.3f}", flush=True)
    metrics["ties"] = {
        "in_both_parts": ties(shared),
        "accuracy": measure(shared, nn.LSTM, epochs, seed),
    }
    print(f"shared names left in: accuracy {metrics['ties']['accuracy']:.3f};"
          f"\n  {metrics['ties']['in_both_parts']:.1%} of the test names "
          "stand in both parts")
    metrics["luck"] = [metrics["kind"]["LSTM"],
                       *by_luck(epochs, range(seed + 1, seed + 5))]
    print("LSTM, five splits and seeds:",
          *(f"{accuracy:.3f}" for accuracy in metrics["luck"]))
    metrics["crops"] = crops(data, shared)
    print(f"{metrics['crops']['count']:,} shortened names:\n  "
          f"{metrics['crops']['several']:.1%} are names in several languages, "
          f"{metrics['crops']['other']:.1%} in another one only")
    text = json.dumps(metrics, indent=2)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")
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
    run(main, "rnn_exercises-results")
# --8<-- [end:run]
