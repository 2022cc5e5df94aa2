# --8<-- [start:setup]
"""Schedules: constant, step, cosine and one-cycle on one network."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

PEAKS = (0.03, 0.1, 0.3, 0.6)
# --8<-- [end:setup]


# --8<-- [start:data]
# From questions/optimizers.py, word for word:
def load_data() -> list[Tensor]:
    """Return pixels, (count, 64), and labels: to train, choose and test.

    1,078 digits train, 359 choose, 360 test.
    """
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    rows = np.arange(len(labels))
    rest, test = train_test_split(
        rows, test_size=360, stratify=labels, random_state=0
    )
    train, check = train_test_split(
        rest, test_size=359, stratify=labels[rest], random_state=0
    )
    parts = (train, check, test)
    return [part[rows] for rows in parts for part in (images, labels)]
# --8<-- [end:data]


# --8<-- [start:schedules]
def constant(done: float) -> float:
    """Return 1: the rate stays at its peak. `done` runs from 0 to 1."""
    return 1.0


def step(done: float) -> float:
    """Divide the rate by ten after half and after three quarters."""
    return 0.1 ** ((done >= 0.5) + (done >= 0.75))


def cosine(done: float) -> float:
    """Fall along half a cosine, from 1 to 0: Loshchilov and Hutter, 2017."""
    return (1 + math.cos(math.pi * done)) / 2


def one_cycle(done: float) -> float:
    """Rise from 1/25 to 1 in three tenths of the time, then fall to nearly 0.

    After Smith and Topin, 2017, in the shape that PyTorch gives it.
    """
    if done < 0.3:
        return 1 / 25 + (1 - 1 / 25) * cosine(1 - done / 0.3)
    return 4e-6 + (1 - 4e-6) * cosine((done - 0.3) / 0.7)


SCHEDULES = {
    "constant": constant, "step": step, "cosine": cosine,
    "one-cycle": one_cycle,
}
# --8<-- [end:schedules]


# --8<-- [start:train]
def train(
    schedule: Callable[[float], float], peak: float, images: Tensor,
    labels: Tensor, seed: int, epochs: int,
) -> nn.Module:
    """Train on (count, 64) in batches of 16, setting the rate at each."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=peak, momentum=0.9)
    batches = [
        batch for _ in range(epochs)
        for batch in torch.randperm(len(images)).split(16)
    ]
    for number, chosen in enumerate(batches):
        rate = peak * schedule(number / len(batches))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return model


@torch.inference_mode()
def evaluate(
    model: nn.Module, images: Tensor, labels: Tensor
) -> tuple[float, float]:
    """Return accuracy and cross entropy on (count, 64)."""
    logits = model(images)  # (count, 10)
    right = (logits.argmax(1) == labels).float().mean().item()
    return right, F.cross_entropy(logits, labels).item()
# --8<-- [end:train]


# --8<-- [start:main]
def compare(schedule: Callable, seeds: range, epochs: int) -> dict:
    """Choose the best peak on the validation part; test on fresh seeds."""
    images, labels, check, check_labels, test, test_labels = load_data()

    def trained(peak: float, seed: int) -> nn.Module:
        return train(schedule, peak, images, labels, seed, epochs)

    tried = (seeds.start + 100, seeds.start + 101)  # not used again
    losses = [
        np.mean([
            evaluate(trained(peak, seed), check, check_labels)[1]
            for seed in tried
        ]) for peak in PEAKS
    ]
    best = PEAKS[int(np.argmin(losses))]
    results = np.array([
        evaluate(trained(best, seed), test, test_labels) for seed in seeds
    ])  # (seeds, 2)
    mean, loss = results.mean(0)
    spread, loss_spread = results.std(0, ddof=1)
    return {
        "peak": best, "mean": float(mean), "spread": float(spread),
        "loss": float(loss), "loss_spread": float(loss_spread),
    }


def main(out: Path, seed: int = 0, epochs: int = 4, runs: int = 5) -> dict:
    """Choose a peak for each schedule, test it; write the results."""
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(1000 * seed, 1000 * seed + runs)
    images, labels, _, _, test, test_labels = load_data()
    linear = LogisticRegression(max_iter=1000).fit(images, labels)
    metrics = {"epochs": epochs, "linear": linear.score(test, test_labels)}
    for name, schedule in SCHEDULES.items():
        found = metrics[name] = compare(schedule, seeds, epochs)
        print(f"{name:9} peak {found['peak']:<5} "
              f"test accuracy {found['mean']:.3f} ± {found['spread']:.3f}, "
              f"cross entropy {found['loss']:.3f} ± "
              f"{found['loss_spread']:.3f}")
    print(f"linear    test accuracy {metrics['linear']:.3f}")
    (out / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    draw(out / "schedules.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:figures]
def draw(file: Path) -> None:
    """Draw the four schedules."""
    figure, axes = plt.subplots(figsize=(6, 2.6))
    done = np.linspace(0, 1, 400, endpoint=False)
    colors = ("#8e6cc0", "#e07b39", "#3d85c6", "#4f9d4f")
    for (name, schedule), color in zip(SCHEDULES.items(), colors):
        rates = [schedule(part) for part in done]
        axes.plot(100 * done, rates, color=color, label=name)
    axes.set(xlabel="training done, %", ylabel="learning rate / peak")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file)
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
    run(main, "schedules-results")
# --8<-- [end:run]
