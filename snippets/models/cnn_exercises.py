# --8<-- [start:setup]
"""The answers to the exercises on convolutional networks, worked out by running them."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from torch import nn


def load_data(seed: int = 0) -> list[torch.Tensor]:
    """Return gray digits, (count, 1, 16, 16), and labels: training part, test part."""
    digits = load_digits()
    ink = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    ink = F.interpolate(ink, size=(16, 16), mode="bilinear")  # (1797, 1, 16, 16)
    labels = torch.tensor(digits.target)
    rows = np.arange(len(labels))
    train, test = train_test_split(rows, test_size=0.2, stratify=labels, random_state=seed)
    return [ink[train], labels[train], ink[test], labels[test]]
# --8<-- [end:setup]


# --8<-- [start:sizes]
def sizes(kernel: int, padding: int) -> tuple[int, ...]:
    """Return the shape after both convolutions and poolings of a 32x32 RGB image."""
    layers = nn.Sequential(
        nn.Conv2d(3, 32, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2),
    )
    return tuple(layers(torch.zeros(1, 3, 32, 32)).shape[1:])
# --8<-- [end:sizes]


# --8<-- [start:heads]
def network(average: bool = False) -> nn.Sequential:
    """Return a network for (batch, 1, 16, 16); `average` pools each map to one number."""
    convolutions = [
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    ]  # (batch, 64, 4, 4)
    if average:
        return nn.Sequential(
            *convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
        )
    return nn.Sequential(
        *convolutions, nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> nn.Module:
    """Train on images, (count, 1, 16, 16), and labels, (count,); return the model."""
    steps = -(-len(x) // 64) * epochs
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.003, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            schedule.step()
    return model


@torch.inference_mode()
def evaluate(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the accuracy on images, (count, 1, 16, 16)."""
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()
# --8<-- [end:heads]


# --8<-- [start:shuffle]
def shuffle_pixels(x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Move the pixels of every image, (count, 1, 16, 16), by one and the same shuffle."""
    order = torch.randperm(256, generator=torch.Generator().manual_seed(seed))
    return x.flatten(1)[:, order].view_as(x)


def svm(x: torch.Tensor, y: torch.Tensor, test_x: torch.Tensor, test_y: torch.Tensor) -> float:
    """Return the test accuracy of an SVM on the pixels of (count, 1, 16, 16)."""
    return SVC(C=10).fit(x.flatten(1), y).score(test_x.flatten(1), test_y)
# --8<-- [end:shuffle]


# --8<-- [start:shift]
def shift(x: torch.Tensor, pixels: int) -> torch.Tensor:
    """Move images, (count, 1, 16, 16), to the right; what enters from the left is empty."""
    return F.pad(x, (pixels, 0, 0, 0))[..., :16]
# --8<-- [end:shift]


# --8<-- [start:main]
def main(out: Path, epochs: int = 15) -> dict:
    """Answer all exercises; write metrics.json into `out` and return what it holds."""
    x, y, test_x, test_y = load_data()
    metrics = {
        "train_images": len(x), "sizes": {"padded": sizes(3, 1), "bare": sizes(5, 0)}
    }
    print(f"3x3 kernels with padding 1: {metrics['sizes']['padded']}")
    print(f"5x5 kernels without padding: {metrics['sizes']['bare']}")

    for name, average in (("flatten", False), ("average", True)):
        torch.manual_seed(0)
        model = train(network(average), x, y, epochs)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        metrics[name] = {"parameters": parameters, "accuracy": evaluate(model, test_x, test_y)}
        metrics[name]["shifted"] = [
            evaluate(model, shift(test_x, pixels), test_y) for pixels in range(5)
        ]
        print(f"{name}: {parameters:,} parameters, accuracy {metrics[name]['accuracy']:.3f}")
        rounded = ", ".join(f"{accuracy:.3f}" for accuracy in metrics[name]["shifted"])
        print(f"  moved right by 0 to 4 pixels: {rounded}")

    torch.manual_seed(0)
    shuffled, test_shuffled = shuffle_pixels(x), shuffle_pixels(test_x)
    metrics["shuffled"] = {
        "accuracy": evaluate(train(network(), shuffled, y, epochs), test_shuffled, test_y),
        "svm": svm(shuffled, y, test_shuffled, test_y),
    }
    metrics["svm"] = svm(x, y, test_x, test_y)
    print(f"pixels shuffled: network {metrics['shuffled']['accuracy']:.3f}, "
          f"SVM {metrics['shuffled']['svm']:.3f} (unshuffled SVM {metrics['svm']:.3f})")

    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("cnn_exercises-results"))
    main(parser.parse_args([] if "ipykernel" in sys.modules else None).out)
# --8<-- [end:main]
