# --8<-- [start:setup]
"""Train a convolutional network on color digits, or on any folder of images."""

import argparse
import copy
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from torch import nn
from torch.nn.utils import parametrize

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


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
        """Return logits, (batch, classes), of normalized images, (batch, 3, 32, 32)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (batch, 32, 16, 16)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (batch, 64, 8, 8)
        x = F.relu(self.fc1(x.flatten(1)))  # (batch, 4096) -> (batch, 128)
        return self.fc2(x)  # (batch, classes)
# --8<-- [end:model]


# --8<-- [start:paint]
def paint(ink: np.ndarray, random: torch.Generator) -> torch.Tensor:
    """Turn gray digits, (count, 8, 8), into color images, (count, 3, 32, 32), of bytes.

    Every image gets a random color for the paper and another for the ink.
    """
    ink = torch.tensor(ink, dtype=torch.float32)[:, None] / 16  # (count, 1, 8, 8)
    ink = F.interpolate(ink, size=(32, 32), mode="bilinear")  # (count, 1, 32, 32)
    paper, color = torch.rand(2, len(ink), 3, 1, 1, generator=random)
    eye = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # how bright each looks
    while True:  # draw again the colors that nobody could tell from their paper
        faint = ((color - paper) * eye).sum(1, keepdim=True).abs() < 0.3
        if not faint.any():
            return ((paper + (color - paper) * ink) * 255).to(torch.uint8)
        color = torch.where(faint, torch.rand(color.shape, generator=random), color)
# --8<-- [end:paint]


# --8<-- [start:digits]
class Data(NamedTuple):
    """Images, (count, 3, 32, 32), of bytes; labels, (count,); names of the classes."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    classes: list[str]


def color_digits(colorings: int = 8, seed: int = 0) -> Data:
    """Return scikit-learn's digits in color: four fifths to train, a fifth to test."""
    digits = load_digits()  # 1,797 handwritten digits
    train_ink, test_ink, train_labels, test_labels = train_test_split(
        digits.images, digits.target, test_size=0.2,
        stratify=digits.target, random_state=seed,
    )
    random = torch.Generator().manual_seed(seed)
    return Data(
        torch.cat([paint(train_ink, random) for _ in range(colorings)]),
        torch.tensor(train_labels).repeat(colorings),
        paint(test_ink, random),
        torch.tensor(test_labels),
        [str(digit) for digit in range(10)],
    )
# --8<-- [end:digits]


# --8<-- [start:folder]
class DataError(ValueError):
    """The folder of images cannot be used; the message says where and why."""


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds in order of name, without hidden files."""
    return sorted(path for path in folder.iterdir() if path.name[0] != ".")


def class_names(folder: Path) -> list[str]:
    """Return the names of the class folders; raise DataError if they do not fit."""
    names = []
    for root in (folder / "train", folder / "test"):
        if not root.is_dir():
            raise DataError(
                f"{root} is missing: give a folder that holds train/CLASS/IMAGE "
                "and test/CLASS/IMAGE"
            )
        names.append([path.name for path in visible(root) if path.is_dir()])
    if odd := sorted(set(names[0]) ^ set(names[1])):
        raise DataError(
            f"{folder}: only one of train and test has the classes {', '.join(odd)}: "
            "add them to the other, or remove them"
        )
    if len(names[0]) < 2:
        raise DataError(f"{folder}/train needs 2 class folders or more: {names[0]}")
    return names[0]
# --8<-- [end:folder]


# --8<-- [start:images]
def read_image(file: Path) -> np.ndarray:
    """Return the image, (32, 32, 3), as bytes; raise DataError if it is unreadable."""
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize((32, 32)))
    except Exception as error:  # a damaged file can fail in a dozen ways
        raise DataError(
            f"{file} is not a readable image: replace it or remove it ({error})"
        ) from error


def image_folder(folder: Path) -> Data:
    """Read FOLDER/train/CLASS/IMAGE and FOLDER/test/CLASS/IMAGE, or raise DataError."""
    classes, parts = class_names(folder), []
    for part in ("train", "test"):
        images, labels = [], []
        for label, name in enumerate(classes):
            files = visible(folder / part / name)
            if not files:
                raise DataError(f"{folder / part / name} is empty: put images into it")
            images += [read_image(file) for file in files]
            labels += [label] * len(files)
        pixels = torch.from_numpy(np.stack(images))  # (count, 32, 32, 3)
        parts += [pixels.permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)]
    return Data(*parts, classes)


def load_data(folder: Path | None = None) -> Data:
    """Return the images of a folder, or color digits; raise DataError if unusable."""
    return image_folder(folder) if folder else color_digits()
# --8<-- [end:images]


# --8<-- [start:normalize]
def normalizer(images: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function that scales images, (count, 3, height, width), of bytes.

    Scaled, the given images have mean 0 and standard deviation 1 in each channel.
    """
    constants = [torch.std_mean(images[:, channel] / 255) for channel in range(3)]
    deviation, mean = torch.tensor(constants).T.reshape(2, 1, 3, 1, 1)
    return lambda batch: (batch / 255 - mean) / deviation.clamp(min=0.01)
# --8<-- [end:normalize]


# --8<-- [start:augment]
def augment(images: torch.Tensor, mirror: bool) -> torch.Tensor:
    """Shift images, (batch, 3, 32, 32), by up to 2 pixels; if asked, mirror half."""
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")  # (batch, 3, 36, 36)
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1)  # (batch, 3, 5, 5, 32, 32)
    down, right = torch.randint(5, (2, len(images)))  # one of the 25 windows for each
    images = windows[torch.arange(len(images)), :, down, right]  # (batch, 3, 32, 32)
    flip = (torch.rand(len(images), 1, 1, 1) < 0.5) & mirror
    return torch.where(flip, images.flip(3), images)
# --8<-- [end:augment]


# --8<-- [start:train]
def train(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int,
    normalize: Callable, mirror: bool = False, plain_sgd: bool = False,
) -> list[float]:
    """Train on bytes, (count, 3, 32, 32); return the loss of each batch of 64."""
    steps = -(-len(images) // 64)  # batches in an epoch, the last may be smaller
    if plain_sgd:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.003, total_steps=epochs * steps
        )
    model.train()
    losses = []
    for epoch in range(epochs):
        for chosen in torch.randperm(len(images)).split(64):
            x = augment(normalize(images[chosen]), mirror)  # (batch, 3, 32, 32)
            x = x.to(device, memory_format=torch.channels_last)
            y = labels[chosen].to(device)  # (batch,)
            loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"  epoch {epoch + 1:2}: loss {np.mean(losses[-steps:]):.4f}", flush=True)
    return losses
# --8<-- [end:train]


# --8<-- [start:evaluate]
@torch.inference_mode()
def evaluate(
    model: nn.Module, images: torch.Tensor, normalize: Callable
) -> torch.Tensor:
    """Return the probabilities, (count, classes), that the model gives to images."""
    model.eval()
    parts = [model(normalize(part).to(device)) for part in images.split(500)]
    return torch.cat(parts).softmax(1).cpu()
# --8<-- [end:evaluate]


# --8<-- [start:baselines]
def baselines(data: Data, normalize: Callable, most: int = 12_000) -> dict[str, dict]:
    """Return the test accuracy of two classical models on at most `most` images."""
    chosen = torch.randperm(len(data.train_images))[:most]
    x = normalize(data.train_images[chosen]).flatten(1).numpy()  # (count, 3072)
    y = data.train_labels[chosen].numpy()  # (count,)
    test_x = normalize(data.test_images).flatten(1).numpy()
    results = {}
    for name, model in (
        ("linear", LogisticRegression(C=0.0001, max_iter=1000)),
        ("svm", SVC(C=10)),
    ):
        parts = min(100, len(x))  # 3,072 numbers an image, told in 100: much faster
        model = make_pipeline(PCA(parts, random_state=0), model)
        started = time.perf_counter()
        accuracy = model.fit(x, y).score(test_x, data.test_labels.numpy())
        seconds = time.perf_counter() - started
        results[name] = {
            "accuracy": accuracy, "train_images": len(x), "seconds": seconds
        }
    return results
# --8<-- [end:baselines]


# --8<-- [start:compare]
def compare(data: Data, normalize: Callable, epochs: int, mirror: bool) -> tuple:
    """Train the same network with plain SGD and with AdamW, from the same start.

    Return what each reached, the losses of each, and the AdamW network.
    """
    results, losses = {}, {}
    for name, title in (("sgd", "plain SGD"), ("cnn", "AdamW, one-cycle")):
        print(f"training with {title}")
        torch.manual_seed(0)
        model = ConvNet(len(data.classes))
        model.to(device, memory_format=torch.channels_last)
        started = time.perf_counter()
        losses[title] = train(
            model, data.train_images, data.train_labels, epochs,
            normalize, mirror, plain_sgd=name == "sgd",
        )
        seconds = time.perf_counter() - started
        predicted = evaluate(model, data.test_images, normalize).argmax(1)
        errors = (predicted != data.test_labels).sum().item()
        results[name] = {
            "accuracy": 1 - errors / len(predicted),
            "errors": errors,
            "loss": float(np.mean(losses[title][-(len(losses[title]) // epochs):])),
            "seconds": seconds,
        }
    return results, losses, model
# --8<-- [end:compare]


# --8<-- [start:mistakes]
def find_mistakes(data: Data, probabilities: torch.Tensor) -> list[dict]:
    """Return the test images that got a wrong class, the most confident one first.

    The probabilities are those of all test images, (count, classes).
    """
    confidence, predicted = probabilities.max(1)  # (count,), (count,)
    order = confidence.argsort(descending=True)
    return [
        {
            "image": int(i),
            "true": data.classes[data.test_labels[i]],
            "predicted": data.classes[predicted[i]],
            "probability": confidence[i].item(),
        }
        for i in order if predicted[i] != data.test_labels[i]
    ]


def confusions(matrix: np.ndarray, classes: list[str]) -> dict:
    """Return each class's accuracy and the most frequent confusion, if there is one.

    The matrix, (classes, classes), counts true classes by row, answers by column.
    """
    right = matrix.diagonal()
    wrong = matrix - np.diag(right)
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    pair = {"true": classes[true], "predicted": classes[predicted]}
    return {
        "per_class_accuracy": dict(zip(classes, (right / matrix.sum(1)).tolist())),
        "most_confused": {**pair, "count": int(wrong.max())} if wrong.any() else None,
    }
# --8<-- [end:mistakes]


# --8<-- [start:charts]
def draw_losses(losses: dict[str, list[float]]) -> plt.Figure:
    """Draw the course of each training as up to 100 means of successive batches."""
    fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for (name, values), color in zip(losses.items(), ("#e07b39", "#2f8fd0")):
        means = [part.mean() for part in np.array_split(values, min(100, len(values)))]
        ax.plot(np.linspace(0, 100, len(means)), means, color=color, label=name)
    ax.set(xlabel="% of training", ylabel="loss", ylim=0)
    ax.grid(color="gray", alpha=0.25)
    ax.spines[:].set_visible(False)
    ax.legend(frameon=False)
    return fig


def draw_confusion(matrix: np.ndarray, classes: list[str]) -> plt.Figure:
    """Draw how often images of each class (row) were taken for each class (column).

    The matrix has the shape (classes, classes).
    """
    fig, ax = plt.subplots(figsize=(6.2, 6), layout="constrained")
    blue = LinearSegmentedColormap.from_list("blue", ["#2f8fd010", "#2f8fd0d0"])
    ax.imshow(np.sqrt(matrix / matrix.sum(1, keepdims=True)), cmap=blue)
    for row, column in np.argwhere(matrix):
        ax.text(column, row, matrix[row, column], ha="center", va="center")
    tilt = 45 if max(map(len, classes)) > 3 else 0
    ax.set_xticks(range(len(classes)), classes, rotation=tilt)
    ax.set_yticks(range(len(classes)), classes)
    ax.set(xlabel="predicted", ylabel="true")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig
# --8<-- [end:charts]


# --8<-- [start:pictures]
def mosaic(ax: plt.Axes, pictures: torch.Tensor) -> None:
    """Show pictures, (count, height, width, 4), in rows of 8 with transparent gaps."""
    pictures = F.pad(pictures, (0, 0, 0, 1, 0, 1, 0, -len(pictures) % 8))
    _, height, width, _ = pictures.shape
    rows = pictures.view(-1, 8, height, width, 4).transpose(1, 2)
    ax.imshow(rows.reshape(-1, 8 * width, 4), interpolation="none")
    ax.axis("off")


def draw_filters(model: ConvNet) -> plt.Figure:
    """Draw the filters of the first layer as colors; middle gray is a weight of 0."""
    weight = model.conv1.weight.detach().cpu()  # (32, 3, 3, 3)
    colors = 0.5 + 0.5 * weight / weight.abs().amax((1, 2, 3), keepdim=True)
    opaque = F.pad(colors, (0, 0, 0, 0, 0, 1), value=1)  # (32, 4, 3, 3)
    opaque = F.interpolate(opaque, scale_factor=6)  # (32, 4, 18, 18)
    fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
    mosaic(ax, opaque.permute(0, 2, 3, 1))
    return fig
# --8<-- [end:pictures]


# --8<-- [start:maps]
@torch.inference_mode()
def draw_feature_maps(
    model: ConvNet, image: torch.Tensor, normalize: Callable
) -> plt.Figure:
    """Draw an image, (3, 32, 32), and what both convolutions make of it."""
    first = F.relu(model.conv1(normalize(image[None]).to(device)))  # (1, 32, 32, 32)
    second = F.relu(model.conv2(F.max_pool2d(first, 2)))  # (1, 64, 16, 16)
    fig, axes = plt.subplots(
        1, 3, figsize=(9, 2.6), width_ratios=(1, 4, 2), layout="constrained"
    )
    axes[0].imshow(image.permute(1, 2, 0), interpolation="none")
    for ax, maps in zip(axes[1:], (first[0].cpu(), second[0].cpu())):
        bright = maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-6)
        mosaic(ax, torch.tensor(plt.cm.viridis(bright.numpy())))
    for ax, title in zip(axes, ("image", "conv1", "conv2")):
        ax.set_title(title)
        ax.axis("off")
    return fig


def draw_mistakes(mistakes: list[dict], images: torch.Tensor) -> plt.Figure:
    """Draw up to 8 mistakes: "true → predicted" and the probability it was given.

    `images` are all test images, (count, 3, 32, 32).
    """
    rows = 2 if len(mistakes) > 4 else 1
    fig, axes = plt.subplots(rows, 4, figsize=(7, 2.2 * rows), layout="constrained")
    for ax, mistake in zip(axes.flat, mistakes):
        ax.imshow(images[mistake["image"]].permute(1, 2, 0), interpolation="none")
        ax.set_title("{true} → {predicted}\n{probability:.0%}".format(**mistake))
    for ax in axes.flat:
        ax.axis("off")
    return fig
# --8<-- [end:maps]


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
# --8<-- [end:eight_bits]


# --8<-- [start:export]
class Live(nn.Module):
    """What the page runs: the network with its normalization and its feature maps."""

    def __init__(self, model: ConvNet, normalize: Callable):
        super().__init__()
        self.model, self.normalize = model, normalize

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return probabilities, (1, classes), and the maps of both convolutions.

        The image, (1, 3, 32, 32), holds numbers from 0 to 255; the maps have the shapes
        (1, 32, 32, 32) and (1, 64, 16, 16).
        """
        x = self.normalize(image)
        first = F.relu(self.model.conv1(x))
        second = F.relu(self.model.conv2(F.max_pool2d(first, 2)))
        return self.model(x).softmax(1), first, second


def export(
    small: ConvNet, data: Data, normalize: Callable, probabilities: torch.Tensor,
    out: Path, count: int = 64,
) -> None:
    """Write the network as ONNX, and test images with its answers, for the page.

    The six images whose true class got the lowest of the `probabilities`,
    (test images, classes), come first.
    """
    for name in ("torch.onnx", "onnxscript"):  # they tell of steps, not of faults
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            Live(small.cpu(), normalize).eval(), (data.test_images[:1].float(),),
            out / "model.onnx",
            input_names=["image"], output_names=["probabilities", "maps1", "maps2"],
            dynamo=True, external_data=False, verbose=False,
        )
    true = probabilities[range(len(probabilities)), data.test_labels]  # (count,)
    chosen = list(dict.fromkeys(true.argsort()[:6].tolist() + list(range(count))))
    chosen = chosen[:count]
    rows = data.test_images[chosen].view(-1, 8, 3, 32, 32)  # eight images in a row
    sheet = rows.permute(0, 3, 1, 4, 2).reshape(-1, 8 * 32, 3)
    Image.fromarray(sheet.numpy()).save(out / "samples.png")
    samples = {
        "labels": data.test_labels[chosen].tolist(),
        "probabilities": probabilities[chosen].tolist(),
    }
    live = {"classes": data.classes, "samples": samples}
    (out / "live.json").write_text(json.dumps(live), encoding="utf-8")
# --8<-- [end:export]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print the accuracies as a table."""
    print("\ntest accuracy")
    for name, title in (
        ("cnn", "network, AdamW"), ("sgd", "network, SGD"),
        ("svm", "SVM"), ("linear", "linear model"),
    ):
        print(f"  {title:16} {metrics[name]['accuracy']:6.1%}")


def sizes(data: Data, model: ConvNet) -> dict:
    """Print and return how much there is to learn from, and how much is learned."""
    layers = {
        name: sum(parameter.numel() for parameter in layer.parameters())
        for name, layer in model.named_children()
    }
    counts = {
        "train_images": len(data.train_images),
        "test_images": len(data.test_images),
        "classes": len(data.classes),
        "parameters": sum(layers.values()),
    }
    for name, count in counts.items():
        print(f"{name.replace('_', ' '):12} {count:7,}")
    return {**counts, "parameters_of_layers": layers}
# --8<-- [end:report]


# --8<-- [start:main]
def main(out: Path, data: Path | None = None, epochs: int | None = None) -> dict:
    """Train, compare, draw, and write everything into the folder `out`.

    Return the measurements. Raise DataError if the folder `data` cannot be used.
    """
    images = load_data(data)
    epochs = epochs or (18 if data else 5)
    normalize = normalizer(images.train_images)
    metrics = {"epochs": epochs, **sizes(images, ConvNet(len(images.classes)))}
    results, losses, model = compare(images, normalize, epochs, mirror=data is not None)
    metrics |= results | baselines(images, normalize)
    report(metrics)

    probabilities = evaluate(model, images.test_images, normalize)  # (count, classes)
    mistakes = find_mistakes(images, probabilities)
    matrix = confusion_matrix(images.test_labels, probabilities.argmax(1))
    metrics |= {**confusions(matrix, images.classes), "mistakes": mistakes[:8]}
    out.mkdir(parents=True, exist_ok=True)
    if data is None:
        small = shrink(model)
        answers = evaluate(small, images.test_images, normalize)
        export(small, images, normalize, answers, out)
        metrics["live"] = {
            "accuracy": (answers.argmax(1) == images.test_labels).float().mean().item(),
            "difference": (answers - probabilities).abs().max().item(),
            "bytes": (out / "model.onnx").stat().st_size,
        }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    for name, fig in {
        "loss": draw_losses(losses),
        "confusion": draw_confusion(matrix, images.classes),
        "filters": draw_filters(model),
        "feature_maps": draw_feature_maps(model, images.test_images[0], normalize),
        "mistakes": draw_mistakes(mistakes, images.test_images),
    }.items():
        fig.savefig(out / f"{name}.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:run]
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a network on small images.")
    parser.add_argument("--out", type=Path, default="cnn-results", help="for the results")
    parser.add_argument("--data", type=Path, help="a folder with train and test in it")
    parser.add_argument("--epochs", type=int, help="times through the training images")
    arguments = [] if "ipykernel" in sys.modules else None  # None: the command line
    options = parser.parse_args(arguments)
    try:
        main(options.out, options.data, options.epochs)
    except DataError as error:
        parser.error(str(error))
# --8<-- [end:run]
