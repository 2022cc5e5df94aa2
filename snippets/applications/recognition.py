# --8<-- [start:setup]
"""Train a network to tell apart the classes of any folder of images."""

import json
import tempfile
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
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
# --8<-- [end:setup]


# --8<-- [start:paint]
# From models/cnn.py, word for word:
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


# --8<-- [start:write]
def write_digits(folder: Path, colorings: int = 2, seed: int = 0) -> None:
    """Write scikit-learn's digits in color as a folder of images.

    Those of the last three forms, by other writers, are the test set.
    """
    digits = load_digits()
    random = torch.Generator().manual_seed(seed)
    for coloring in range(colorings):
        images = paint(digits.images, random).permute(0, 2, 3, 1)
        for row, (image, label) in enumerate(zip(images, digits.target)):
            part = "train" if row < 1415 else "test"
            if part == "test" and coloring:
                continue  # once is enough
            file = folder / part / str(label) / f"{row:04}-{coloring}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.numpy()).save(file)  # (32, 32, 3)
# --8<-- [end:write]


# --8<-- [start:folder]
class DataError(ValueError):
    """The folder of images cannot be used; the message says where and why."""


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, in order of name, but hidden files."""
    return sorted(path for path in folder.iterdir() if path.name[0] != ".")


def class_names(folder: Path) -> list[str]:
    """Return the names of the class folders, or raise DataError."""
    found = []
    for root in (folder / "train", folder / "test"):
        if not root.is_dir():
            raise DataError(f"{root} is missing: put CLASS/IMAGE into it")
        found.append([path.name for path in visible(root) if path.is_dir()])
    if odd := sorted(set(found[0]) ^ set(found[1])):
        both = f"{folder}: train and test need the same classes"
        raise DataError(f"{both}; only one has {', '.join(odd)}")
    if len(found[0]) < 2:
        raise DataError(f"{folder}/train needs 2 class folders or more")
    return found[0]
# --8<-- [end:folder]


# --8<-- [start:images]
def read_image(file: Path) -> np.ndarray:
    """Return an image, (32, 32, 3), as bytes, or raise DataError."""
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize((32, 32)))
    except Exception as error:  # a damaged file can fail in a dozen ways
        raise DataError(
            f"{file} is not a readable image: replace or remove it ({error})"
        ) from error


def read_part(files: list[Path], classes: list[str]) -> TensorDataset:
    """Return the images, (count, 3, 32, 32), of files, and their labels."""
    pixels = np.stack([read_image(file) for file in files])
    labels = [classes.index(file.parent.name) for file in files]
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return TensorDataset(images, torch.tensor(labels))
# --8<-- [end:images]


# --8<-- [start:data]
class Data(NamedTuple):
    """Three parts of images, (count, 3, 32, 32), of bytes, with labels."""

    train: TensorDataset
    valid: TensorDataset
    test: TensorDataset
    classes: list[str]


def load_data(folder: Path) -> Data:
    """Read folder/train/CLASS/IMAGE and folder/test/CLASS/IMAGE.

    Of each class in train, the last fifth in order of name is for validation.
    Raise DataError where the folder cannot be used.
    """
    classes, parts = class_names(folder), ([], [], [])
    for name in classes:
        files = visible(folder / "train" / name)
        cut = len(files) * 4 // 5
        split = files[:cut], files[cut:], visible(folder / "test" / name)
        if not all(split):
            raise DataError(
                f"{folder}: put 2 images or more into train/{name}, "
                f"and 1 or more into test/{name}"
            )
        for part, chosen in zip(parts, split):
            part += chosen
    return Data(*(read_part(part, classes) for part in parts), classes)
# --8<-- [end:data]


# --8<-- [start:augment]
AUGMENTATIONS = {  # name: pixels to shift by at most, and whether to mirror
    "none": (0, False),
    "shift": (2, False),
    "shift and mirror": (2, True),
}


class Augmented(Dataset):
    """Images that are changed in another way each time they are read."""

    def __init__(self, data: TensorDataset, shift: int, mirror: bool):
        """Shift by up to so many pixels in both directions, mirror half."""
        self.data, self.shift, self.mirror = data, shift, mirror

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, label = self.data[index]  # (3, 32, 32), ()
        place = torch.arange(32)
        down, right = torch.randint(-self.shift, self.shift + 1, (2, 1))
        rows = (place + down).clamp(0, 31)  # the edge is repeated
        columns = (place + right).clamp(0, 31)
        image = image[:, rows[:, None], columns]  # (3, 32, 32)
        if self.mirror and torch.rand(()) < 0.5:
            image = image.flip(2)
        return image, label
# --8<-- [end:augment]


# --8<-- [start:normalize]
# From models/cnn.py, word for word:
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
# From models/cnn.py, word for word:
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
# From models/cnn.py, word for word:
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
# From models/cnn.py, word for word:
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
def fit(data: Data, augmentation: str, epochs: int, seed: int) -> nn.Module:
    """Return a network that was trained on images augmented in one way."""
    print(f"augmentation: {augmentation}; loss in each epoch")
    torch.manual_seed(seed)
    network = ConvNet(len(data.classes))
    model = nn.Sequential(Normalize(data.train.tensors[0]), network).to(device)
    changed = Augmented(data.train, *AUGMENTATIONS[augmentation])
    loader = DataLoader(changed, batch_size=64, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.003, epochs=epochs, steps_per_epoch=len(loader)
    )
    train(model, loader, epochs, optimizer, schedule)
    return model
# --8<-- [end:search]


# --8<-- [start:baselines]
# From models/cnn.py, word for word:
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


# --8<-- [start:mistakes]
def find_mistakes(
    probabilities: torch.Tensor, labels: torch.Tensor, classes: list[str]
) -> list[dict]:
    """Return what probabilities, (count, classes), get wrong, surest first."""
    confidence, predicted = probabilities.max(1)  # like labels, (count,)
    order = confidence.argsort(descending=True)
    return [
        {
            "image": int(i),
            "true": classes[labels[i]],
            "predicted": classes[predicted[i]],
            "probability": confidence[i].item(),
        }
        for i in order if predicted[i] != labels[i]
    ]


def most_confused(matrix: np.ndarray, classes: list[str]) -> dict | None:
    """Return the most frequent confusion, or None where nothing is wrong.

    The matrix, (classes, classes), has a row for each true class.
    """
    wrong = matrix - np.diag(matrix.diagonal())
    if not wrong.any():
        return None
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    pair = {"true": classes[true], "predicted": classes[predicted]}
    return {**pair, "count": int(wrong.max())}
# --8<-- [end:mistakes]


# --8<-- [start:main]
def main(
    out: Path, seed: int = 0, folder: Path | None = None, epochs: int = 12
) -> dict:
    """Choose an augmentation, test the network, write all into `out`.

    Raise DataError if the folder of images cannot be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        if folder is None:
            write_digits(Path(made), seed=seed)
        data = load_data(folder or Path(made))
    tried = {name: fit(data, name, epochs, seed) for name in AUGMENTATIONS}
    valid = {name: evaluate(tried[name], data.valid) for name in tried}
    chosen = max(valid, key=valid.get)
    model = tried[chosen]
    torch.save(model.state_dict(), out / "weights.pt")

    probabilities = predict(model, data.test)  # (count, classes)
    labels = data.test.tensors[1]  # (count,)
    mistakes = find_mistakes(probabilities, labels, data.classes)
    matrix = confusion_matrix(labels, probabilities.argmax(1))
    few = torch.randperm(len(data.train))[:12_000]  # an SVM is slow with more
    metrics = {
        "epochs": epochs,
        "train_images": len(data.train),
        "test_images": len(data.test),
        "valid": valid,
        "chosen": chosen,
        "cnn": {"accuracy": 1 - len(mistakes) / len(labels)},
        **baselines(TensorDataset(*data.train[few]), data.test),
        "most_confused": most_confused(matrix, data.classes),
        "mistakes": mistakes[:8],
    }
    report(metrics)
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    draw_augmented(data.train).savefig(out / "augmented.svg")
    draw_confusion(matrix, data.classes).savefig(out / "confusion.svg")
    if mistakes:
        draw_mistakes(mistakes[:8], data.test).savefig(out / "mistakes.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print what was chosen, and what the methods reached."""
    for name, accuracy in metrics["valid"].items():
        print(f"validation, {name:16} {accuracy:6.1%}")
    print(f"chosen: {metrics['chosen']}")
    for name in ("cnn", "svm", "linear"):
        print(f"test, {name:22} {metrics[name]['accuracy']:6.1%}")


def draw_confusion(matrix: np.ndarray, classes: list[str]) -> plt.Figure:
    """Draw how often each class (row) got each answer, (classes, classes)."""
    fig, ax = plt.subplots(figsize=(6.2, 6), layout="constrained")
    blue = LinearSegmentedColormap.from_list("", ["#2f8fd010", "#2f8fd0d0"])
    ax.imshow(np.sqrt(matrix / matrix.sum(1, keepdims=True)), cmap=blue)
    for row, column in np.argwhere(matrix):
        ax.text(column, row, matrix[row, column], ha="center", va="center")
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(len(classes)), classes, **slanted)
    ax.set_yticks(range(len(classes)), classes)
    ax.set(xlabel="predicted", ylabel="true")
    ax.spines[:].set_visible(False)
    return fig


def show(images: list[torch.Tensor], titles: list[str]) -> plt.Figure:
    """Draw up to 8 images, (3, 32, 32), with their titles."""
    fig, axes = plt.subplots(2, 4, figsize=(7, 4.4), layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles):
        ax.imshow(image.permute(1, 2, 0).numpy(), interpolation="none")
        ax.set_title(title)
    return fig


def draw_augmented(data: TensorDataset) -> plt.Figure:
    """Draw one image and what shifting and mirroring make of it."""
    torch.manual_seed(0)
    changed = Augmented(data, shift=2, mirror=True)
    chosen = len(data) // 2
    images = [data[chosen][0], *(changed[chosen][0] for _ in range(7))]
    return show(images, ["as it was"] + [""] * 7)


def draw_mistakes(mistakes: list[dict], data: TensorDataset) -> plt.Figure:
    """Draw what was taken for what, and how probable the network found it."""
    title = "{true} → {predicted}\n{probability:.0%}"
    return show(
        [data[mistake["image"]][0] for mistake in mistakes],
        [title.format(**mistake) for mistake in mistakes],
    )
# --8<-- [end:report]


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
    run(
        main, "recognition-results", (DataError,),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of images, with train and test in it",
        },
        epochs={"type": int, "default": 12, "help": "passes over the data"},
    )
# --8<-- [end:run]
