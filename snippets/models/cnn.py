# --8<-- [start:setup]
"""Train a convolutional network to read handwritten digits in any colors."""

import itertools
import json
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:paint]
def paint(ink: np.ndarray, random: torch.Generator) -> torch.Tensor:
    """Turn gray digits, (count, 8, 8), into images, (count, 3, 32, 32).

    Each gets a random color for the paper and another for the ink.
    """
    ink = torch.tensor(ink, dtype=torch.float32)[:, None] / 16  # from 0 to 1
    ink = F.interpolate(ink, size=(32, 32), mode="bilinear")
    paper, color = torch.rand(2, len(ink), 3, 1, 1, generator=random)
    eye = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # brightness
    while True:  # draw colors again that nobody could tell from their paper
        faint = ((color - paper) * eye).sum(1, keepdim=True).abs() < 0.3
        if not faint.any():
            images = paper + (color - paper) * ink  # (count, 3, 32, 32)
            return (images * 255).to(torch.uint8)
        again = torch.rand(color.shape, generator=random)
        color = torch.where(faint, again, color)
# --8<-- [end:paint]


# --8<-- [start:data]
class Data(NamedTuple):
    """Three parts of images, (count, 3, 32, 32), of bytes, with labels."""

    train: TensorDataset
    valid: TensorDataset
    test: TensorDataset
    classes: list[str]


FORMS = (0, 1157, 1415, 1797)  # where the parts begin and end, and new forms


def load_data(colorings: int = 2, seed: int = 0) -> Data:
    """Return scikit-learn's digits in color, in parts of different forms.

    Those to train on are painted several times, in other colors each time.
    """
    digits = load_digits()  # 1,797 digits, one filled-in form after the other
    labels = torch.tensor(digits.target)
    random = torch.Generator().manual_seed(seed)
    parts = []
    for start, end in itertools.pairwise(FORMS):
        times = 1 if parts else colorings  # the training set comes first
        ink = np.tile(digits.images[start:end], (times, 1, 1))
        images = paint(ink, random)  # (count, 3, 32, 32)
        parts.append(TensorDataset(images, labels[start:end].repeat(times)))
    return Data(*parts, [str(digit) for digit in range(10)])
# --8<-- [end:data]


# --8<-- [start:shift]
def shifted(examples: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple:
    """Return a batch of images, (batch, 3, 32, 32), moved, with labels."""
    images, labels = default_collate(examples)
    moves = torch.randint(-2, 3, (2, 1))  # pixels down and to the right
    rows, columns = (torch.arange(32) + moves).clamp(0, 31)
    return images[:, :, rows[:, None], columns], labels
# --8<-- [end:shift]


# --8<-- [start:normalize]
class Normalize(nn.Module):
    """Scales colors so that all images together have mean 0, deviation 1."""

    def __init__(self, images: torch.Tensor):
        """Measure images of bytes, (count, 3, height, width)."""
        super().__init__()
        deviation, mean = torch.std_mean(images / 255, (0, 2, 3), keepdim=True)
        self.register_buffer("mean", mean)  # (1, 3, 1, 1)
        self.register_buffer("deviation", deviation.clamp(min=0.01))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scale images of bytes, (batch, 3, height, width)."""
        return (images / 255 - self.mean) / self.deviation
# --8<-- [end:normalize]


# --8<-- [start:model]
class ConvNet(nn.Module):
    """Two convolutions with pooling, then two fully connected layers."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(64 * 8 * 8, 128)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, classes), of images, (batch, 3, 32, 32)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (batch, 32, 16, 16)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (batch, 64, 8, 8)
        x = F.relu(self.fc1(x.flatten(1)))  # (batch, 128)
        return self.fc2(x)  # (batch, classes)
# --8<-- [end:model]


# --8<-- [start:train]
def train(
    model: nn.Module, loader: DataLoader, epochs: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[float]:
    """Train on batches of images and labels; return the loss of each batch."""
    model.train()
    losses = []
    for _ in range(epochs):
        for images, labels in loader:
            logits = model(images.to(device))  # (batch, classes)
            loss = F.cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        mean = np.mean(losses[-len(loader):])  # of this epoch
        print(f"{mean:.2f}", end=" ", flush=True)
    print()
    return losses
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def predict(model: nn.Module, data: TensorDataset) -> torch.Tensor:
    """Return the probabilities, (count, classes), that the model gives."""
    model.eval()
    loader = DataLoader(data, batch_size=500)
    logits = [model(images.to(device)).cpu() for images, _ in loader]
    return torch.cat(logits).softmax(1)


def evaluate(model: nn.Module, data: TensorDataset) -> float:
    """Return the share of images whose true class got most probability."""
    labels = data.tensors[1]  # (count,)
    return (predict(model, data).argmax(1) == labels).float().mean().item()
# --8<-- [end:evaluate]


# --8<-- [start:search]
RATES = {"SGD": (0.001, 0.01, 0.1), "AdamW": (0.0001, 0.001, 0.01)}


class Run(NamedTuple):
    """A trained network, the loss of each batch, and what it reached."""

    model: nn.Module
    losses: list[float]
    valid: float  # the accuracy on the validation set
    seconds: float


def fit(data: Data, kind: str, rate: float, epochs: int, seed: int) -> Run:
    """Train by SGD with momentum or by AdamW; `rate` is the highest."""
    print(f"{kind}, learning rate {rate}: loss in each epoch")
    torch.manual_seed(seed)
    network = ConvNet(len(data.classes))
    model = nn.Sequential(Normalize(data.train.tensors[0]), network).to(device)
    loader = DataLoader(
        data.train, batch_size=64, shuffle=True, collate_fn=shifted
    )
    weights = model.parameters()
    if kind == "SGD":
        optimizer = torch.optim.SGD(weights, lr=rate, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, epochs=epochs, steps_per_epoch=len(loader)
    )
    started = time.perf_counter()
    losses = train(model, loader, epochs, optimizer, schedule)
    seconds = time.perf_counter() - started
    valid = evaluate(model, data.valid)
    print(f"validation accuracy {valid:.1%}")
    return Run(model, losses, valid, seconds)
# --8<-- [end:search]


# --8<-- [start:baselines]
def baselines(train: TensorDataset, test: TensorDataset) -> dict[str, dict]:
    """Return the test accuracy of two classical models on the pixels."""
    x, test_x = (part.tensors[0].flatten(1) / 255 for part in (train, test))
    y, test_y = train.tensors[1], test.tensors[1]
    models = {
        "linear": LogisticRegression(C=0.01, max_iter=1000),
        "svm": SVC(C=30),
    }
    results = {}
    for name, model in models.items():
        parts = PCA(min(100, len(x)), random_state=0)  # 100 numbers an image
        model = make_pipeline(parts, model).fit(x, y)
        results[name] = {"accuracy": model.score(test_x, test_y)}
    return results
# --8<-- [end:baselines]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, epochs: int = 6) -> dict:
    """Train with each rate and test the best; write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(seed=seed)
    metrics = {"epochs": epochs, **sizes(data)}
    runs = {
        kind: {rate: fit(data, kind, rate, epochs, seed) for rate in rates}
        for kind, rates in RATES.items()
    }
    for name, tried in (("sgd", runs["SGD"]), ("cnn", runs["AdamW"])):
        rate = max(tried, key=lambda rate: tried[rate].valid)
        best = tried[rate].model  # in the end that of AdamW
        metrics[name] = {
            "rate": rate,
            "tried": [{"rate": r, "valid": tried[r].valid} for r in tried],
            "accuracy": evaluate(best, data.test),
            "seconds": tried[rate].seconds,
        }
    metrics |= baselines(data.train, data.test)
    report(metrics)
    torch.save(best.state_dict(), out / "weights.pt")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_losses(runs).savefig(out / "loss.svg")
    draw_maps(best, data.test[0][0]).savefig(out / "feature_maps.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def sizes(data: Data) -> dict:
    """Return how many images there are, and how many parameters."""
    layers = {
        name: sum(parameter.numel() for parameter in layer.parameters())
        for name, layer in ConvNet().named_children()
    }
    names = ("train_images", "valid_images", "test_images")
    counts = dict(zip(names, map(len, data)))
    total = sum(layers.values())
    return {**counts, "parameters": total, "parameters_of_layers": layers}


def report(metrics: dict) -> None:
    """Print what the methods reached as a table."""
    print(f"accuracy on {metrics['test_images']} digits of other forms")
    for name in ("cnn", "sgd", "svm", "linear"):
        print(f"  {name:6} {metrics[name]['accuracy']:6.1%}")


def draw_losses(runs: dict[str, dict[float, Run]]) -> plt.Figure:
    """Draw the losses of SGD at each rate, and of the best AdamW."""
    curves = {f"SGD, rate {rate}": run for rate, run in runs["SGD"].items()}
    curves["AdamW"] = max(runs["AdamW"].values(), key=lambda run: run.valid)
    fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for label, run in curves.items():
        parts = np.array_split(run.losses, min(100, len(run.losses)))
        means = [part.mean() for part in parts]  # of successive batches
        ax.plot(np.linspace(0, 100, len(means)), means, label=label)
    ax.set(xlabel="% of training", ylabel="loss", ylim=(0, 2.8))
    ax.grid(color="gray", alpha=0.25)
    ax.spines[:].set_visible(False)
    ax.legend(frameon=False)
    return fig
# --8<-- [end:report]


# --8<-- [start:pictures]
def mosaic(ax: plt.Axes, pictures: torch.Tensor) -> None:
    """Show pictures, (count, height, width, 4), eight in a row with gaps."""
    pictures = F.pad(pictures, (0, 0, 0, 1, 0, 1, 0, -len(pictures) % 8))
    _, height, width, _ = pictures.shape
    rows = pictures.view(-1, 8, height, width, 4).transpose(1, 2)
    sheet = rows.reshape(-1, 8 * width, 4).numpy()
    ax.imshow(sheet, interpolation="none")
    ax.axis("off")


@torch.inference_mode()
def draw_maps(model: nn.Sequential, image: torch.Tensor) -> plt.Figure:
    """Draw an image, (3, 32, 32), and what both convolutions make of it."""
    normalize, network = model
    first = F.relu(network.conv1(normalize(image[None].to(device))))
    second = F.relu(network.conv2(F.max_pool2d(first, 2)))
    fig, axes = plt.subplots(
        1, 3, figsize=(9, 2.6), width_ratios=(1, 4, 2), layout="constrained"
    )
    axes[0].imshow(image.permute(1, 2, 0).numpy(), interpolation="none")
    for ax, maps in zip(axes[1:], (first[0].cpu(), second[0].cpu())):
        bright = maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-6)
        mosaic(ax, torch.tensor(plt.cm.viridis(bright.numpy())))
    for ax, title in zip(axes, ("image", "conv1", "conv2")):
        ax.set_title(title)
        ax.axis("off")
    return fig
# --8<-- [end:pictures]


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
    run(main, "cnn-results")
# --8<-- [end:run]
