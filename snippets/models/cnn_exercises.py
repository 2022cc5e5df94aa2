# --8<-- [start:setup]
"""The answers to the exercises on convolutional networks, worked out."""

import argparse
import json
import sys
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


# --8<-- [start:run]
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default="cnn_exercises-results")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    main(options.out, options.seed)
# --8<-- [end:run]
