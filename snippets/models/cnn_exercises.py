# --8<-- [start:setup]
"""The answers to the exercises on convolutional networks, worked out."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def load_data() -> tuple[TensorDataset, TensorDataset]:
    """Return gray digits, (count, 1, 24, 24), to train on and to test.

    Each fills 16 x 16 pixels in the middle. Those to test, the last three
    forms, are by other writers.
    """
    digits = load_digits()
    ink = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    ink = F.interpolate(ink, size=(16, 16), mode="bilinear")
    ink = F.pad(ink, [4] * 4)  # an empty margin on all four sides
    labels = torch.tensor(digits.target)
    train = TensorDataset(ink[:1415], labels[:1415])
    return train, TensorDataset(ink[1415:], labels[1415:])
# --8<-- [end:setup]


# --8<-- [start:sizes]
def sizes(kernel: int, padding: int) -> tuple[int, ...]:
    """Return the shape behind both poolings for a 32 x 32 color image."""
    layers = nn.Sequential(
        nn.Conv2d(3, 32, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
    )
    return tuple(layers(torch.zeros(1, 3, 32, 32)).shape[1:])
# --8<-- [end:sizes]


# --8<-- [start:heads]
def network(average: bool = False) -> nn.Sequential:
    """Return a network for (batch, 1, 24, 24) that flattens or averages."""
    convolutions = [
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    ]  # (batch, 64, 6, 6)
    if average:
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    else:
        head = [nn.Flatten(), nn.Linear(64 * 6 * 6, 128), nn.ReLU()]
        head += [nn.Linear(128, 10)]
    return nn.Sequential(*convolutions, *head)


def train(model: nn.Module, data: TensorDataset, epochs: int) -> nn.Module:
    """Train a model and return it."""
    loader = DataLoader(data, batch_size=64, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.003, epochs=epochs, steps_per_epoch=len(loader)
    )
    model.train()
    for _ in range(epochs):
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model


@torch.inference_mode()
def evaluate(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the accuracy on images, (count, 1, 24, 24)."""
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()
# --8<-- [end:heads]


# --8<-- [start:shuffle]
def shuffle_pixels(data: TensorDataset) -> TensorDataset:
    """Move the pixels of every image by one and the same shuffle."""
    x, y = data.tensors  # (count, 1, 24, 24), (count,)
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(24 * 24, generator=random)
    return TensorDataset(x.flatten(1)[:, order].view_as(x), y)


def svm(train_data: TensorDataset, test_data: TensorDataset) -> float:
    """Return the test accuracy of an SVM on the pixels."""
    (x, y), (test_x, test_y) = train_data.tensors, test_data.tensors
    model = SVC(C=10).fit(x.flatten(1), y)
    return model.score(test_x.flatten(1), test_y)
# --8<-- [end:shuffle]


# --8<-- [start:shift]
def shift(x: torch.Tensor, pixels: int) -> torch.Tensor:
    """Move images, (count, 1, 24, 24), to the right, over the margin."""
    return F.pad(x, (pixels, 0, 0, 0))[..., :24]
# --8<-- [end:shift]


# --8<-- [start:main]
def main(out: Path, seed: int = 0, epochs: int = 12) -> dict:
    """Answer all exercises; write metrics.json into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data, test = load_data()
    x, y = test.tensors
    metrics = {
        "train_images": len(data), "test_images": len(test),
        "sizes": {"padded": sizes(3, 1), "bare": sizes(5, 0)},
    }
    for name, average in (("flatten", False), ("average", True)):
        torch.manual_seed(seed)
        model = train(network(average), data, epochs)
        moved = [evaluate(model, shift(x, pixels), y) for pixels in range(5)]
        count = sum(parameter.numel() for parameter in model.parameters())
        metrics[name] = {"parameters": count, "shifted": moved}
        print(f"{name}: {count:,} parameters; moved by 0 to 4 pixels:")
        print("  " + ", ".join(f"{accuracy:.1%}" for accuracy in moved))

    torch.manual_seed(seed)
    shuffled, test_shuffled = shuffle_pixels(data), shuffle_pixels(test)
    model = train(network(), shuffled, epochs)
    metrics["shuffled"] = {
        "network": evaluate(model, *test_shuffled.tensors),
        "svm": svm(shuffled, test_shuffled),
    }
    metrics["svm"] = svm(data, test)
    for name, accuracy in metrics["shuffled"].items():
        print(f"pixels shuffled, {name}: {accuracy:.1%}")
    print(f"SVM on pixels in their places: {metrics['svm']:.1%}")
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
    run(main, "cnn_exercises-results")
# --8<-- [end:run]
