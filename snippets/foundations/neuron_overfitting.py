# --8<-- [start:setup]
"""See a network overfit on few digits, and try four remedies."""

import copy
import json
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch import nn
from torch.utils.data import TensorDataset
# --8<-- [end:setup]


# --8<-- [start:data]
def load_data(wrong: float, seed: int = 0) -> dict[str, TensorDataset]:
    """Return digits: pixels, (count, 64), from 0 to 1, and labels, (count,).

    A share `wrong` of the labels to train on is replaced by another digit.
    `few` are 200 of the 1,157 digits of `all`; the digits of `valid` and of
    `test` stand on other forms.
    """
    digits = load_digits()
    x = torch.tensor(digits.data / 16, dtype=torch.float32)  # (1797, 64)
    y = torch.tensor(digits.target)  # (1797,)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(1157, generator=random)
    moved = (y[order] + torch.randint(1, 10, (1157,), generator=random)) % 10
    chosen = torch.rand(1157, generator=random) < wrong
    given = torch.where(chosen, moved, y[order])  # (1157,)
    return {
        "few": TensorDataset(x[order[:200]], given[:200]),
        "all": TensorDataset(x[order], given),
        "valid": TensorDataset(x[1157:1415], y[1157:1415]),
        "test": TensorDataset(x[1415:], y[1415:]),
    }
# --8<-- [end:data]


# --8<-- [start:network]
def network(dropout: float = 0.0) -> nn.Sequential:
    """Return a network from 64 pixels over 64 hidden units to 10 scores."""
    return nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 10)
    )


@torch.inference_mode()
def evaluate(model: nn.Module, data: TensorDataset) -> tuple[float, float]:
    """Return the loss and the share of digits that get their label."""
    model.eval()
    x, y = data.tensors
    scores = model(x)  # (count, 10)
    right = (scores.argmax(1) == y).float().mean()
    return F.cross_entropy(scores, y).item(), right.item()
# --8<-- [end:network]


# --8<-- [start:train]
class Training(NamedTuple):
    """What a training came to."""

    model: nn.Module  # after the last step
    early: nn.Module  # when the validation accuracy was highest
    curves: list[tuple[float, ...]]  # every ten steps


def train(
    data: dict[str, TensorDataset], seed: int, steps: int,
    part: str = "few", decay: float = 0.0, dropout: float = 0.0,
) -> Training:
    """Train on a part of the data, by gradient descent.

    The curves hold the loss and the accuracy on this part, then the loss and
    the accuracy on the validation part.
    """
    torch.manual_seed(seed)
    model, (x, y) = network(dropout), data[part].tensors
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.5, weight_decay=decay
    )
    curves, best, early = [], -1.0, model
    for step in range(steps + 1):
        if step % 10 == 0:
            valid = evaluate(model, data["valid"])
            curves.append((*evaluate(model, data[part]), *valid))
            if valid[1] > best:
                best, early = valid[1], copy.deepcopy(model)
        if step < steps:
            model.train()
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Training(model, early, curves)
# --8<-- [end:train]


# --8<-- [start:compare]
REMEDIES = {
    "nothing": [{}],
    "weight decay": [{"decay": one} for one in (0.003, 0.01, 0.03, 0.1)],
    "dropout": [{"dropout": one} for one in (0.25, 0.5, 0.75, 0.9)],
    "more data": [{"part": "all"}],
}


def compare(
    data: dict[str, TensorDataset], seed: int, steps: int
) -> tuple[dict[str, Training], dict]:
    """Train with each remedy; return the trainings, and what they reached.

    The validation part chooses its strength; the test part measures it.
    """
    runs, found = {}, {}
    for name, settings in REMEDIES.items():
        tried = [train(data, seed, steps, **one) for one in settings]
        last = [run.curves[-1][3] for run in tried]
        chosen = last.index(max(last))
        runs[name] = tried[chosen]
        found[name] = {
            "chosen": list(settings[chosen].values()), "tried": last,
            "train": tried[chosen].curves[-1][1],
            "test": evaluate(tried[chosen].model, data["test"])[1],
        }
    plain = runs["nothing"]
    valid = [point[3] for point in plain.curves]
    found["early stopping"] = {
        "step": 10 * valid.index(max(valid)), "valid": max(valid),
        "test": evaluate(plain.early, data["test"])[1],
    }
    return runs, found | {"SVM": baseline(data)}
# --8<-- [end:compare]


# --8<-- [start:baseline]
def baseline(data: dict[str, TensorDataset]) -> dict:
    """Return what a support vector machine reaches on the same digits."""
    few = data["few"].tensors
    models = [SVC(C=c).fit(*few) for c in (0.3, 1, 3, 10)]
    tried = [model.score(*data["valid"].tensors) for model in models]
    chosen = models[tried.index(max(tried))]
    return {
        "chosen": [chosen.C], "tried": tried,
        "test": chosen.score(*data["test"].tensors),
    }
# --8<-- [end:baseline]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, steps: int = 800) -> dict:
    """Compare on clean and on partly wrong labels; write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    metrics = {"steps": steps}
    for kind, wrong in (("clean", 0.0), ("noisy", 0.2)):
        data = load_data(wrong, seed)
        runs, found = compare(data, seed, steps)
        metrics[kind] = {
            name.replace(" ", "_"): value for name, value in found.items()
        }
        print(f"{wrong:.0%} of the labels wrong: accuracy on the test part")
        for name, value in found.items():
            strength = ", ".join(map(str, value.get("chosen", [])))
            line = f"  {name:14} {value['test']:6.1%}  {strength}"
            print(line.rstrip())
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_overfitting(runs["nothing"].curves).savefig(out / "overfitting.svg")
    draw_remedies(runs).savefig(out / "remedies.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw_overfitting(curves: list[tuple[float, ...]]) -> plt.Figure:
    """Draw the loss and the accuracy of a training, on both parts."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    steps = range(0, 10 * len(curves), 10)
    train_loss, train_right, valid_loss, valid_right = zip(*curves)
    left.plot(steps, train_loss, "--", color="#e07b39", label="training")
    left.plot(steps, valid_loss, color="#2f8fd0", label="validation")
    left.set(xlabel="step", ylabel="loss", ylim=0)
    left.legend(frameon=False)
    best = valid_right.index(max(valid_right))
    for curve, style, color in (
        (train_right, "--", "#e07b39"), (valid_right, "-", "#2f8fd0")
    ):
        percent = [100 * share for share in curve]
        right.plot(steps, percent, style, color=color)
    right.axvline(10 * best, color="gray", linestyle=":")
    right.set(xlabel="step", ylabel="accuracy in %", ylim=(0, 102))
    return fig


def draw_remedies(runs: dict[str, Training]) -> plt.Figure:
    """Draw the accuracy of each training on both parts."""
    fig, axes = plt.subplots(1, len(runs), figsize=(9, 2.8), sharey=True)
    for ax, (name, run) in zip(axes, runs.items()):
        steps = range(0, 10 * len(run.curves), 10)
        _, train_right, _, valid_right = zip(*run.curves)
        percent = [100 * share for share in train_right]
        ax.plot(steps, percent, "--", color="#e07b39", label="training")
        percent = [100 * share for share in valid_right]
        ax.plot(steps, percent, color="#2f8fd0", label="validation")
        ax.set(title=name, xlabel="step", ylim=(50, 101))
        ax.grid(color="gray", alpha=0.25)
    axes[0].set_ylabel("accuracy in %")
    axes[-1].legend(frameon=False, loc="lower right")
    return fig
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
    run(main, "neuron_overfitting-results")
# --8<-- [end:run]
