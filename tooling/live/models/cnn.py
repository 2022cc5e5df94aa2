"""The digit reader of models/cnn: the network with its feature maps, and test images to pick from."""

from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tooling.live.bare import write_onnx
from tooling.live.export import load_weights, shrink, write_data

HARDEST = 6  # so many samples come first
SAMPLES = 64


class Live(nn.Module):
    """What the page runs: the network with its normalization and its feature maps."""

    def __init__(self, model: nn.Sequential):
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return probabilities, (1, classes), and the maps of both convolutions.

        The image, (1, 3, 32, 32), holds numbers from 0 to 255; the maps have the shapes (1, 32, 32, 32) and
        (1, 64, 16, 16).
        """
        normalize, network = self.model
        first = F.relu(network.conv1(normalize(image)))
        second = F.relu(network.conv2(F.max_pool2d(first, 2)))
        return self.model(image).softmax(1), first, second


def write_samples(images: torch.Tensor, labels: torch.Tensor, probabilities: torch.Tensor, classes: list[str], out: Path) -> None:
    """Write test images, (count, 3, 32, 32), of bytes, as one picture, and what the network made of them.

    The labels have the shape (count,), the probabilities (count, classes). The six images whose true class got the
    lowest probability come first.
    """
    true = probabilities[range(len(labels)), labels]  # (count,)
    chosen = list(dict.fromkeys(true.argsort()[:HARDEST].tolist() + list(range(SAMPLES))))[:SAMPLES]
    rows = images[chosen].view(-1, 8, 3, 32, 32)  # eight images in a row
    sheet = rows.permute(0, 3, 1, 4, 2).reshape(-1, 8 * 32, 3)
    Image.fromarray(sheet.numpy()).save(out / "samples.png")
    samples = {"labels": labels[chosen].tolist(), "probabilities": probabilities[chosen].tolist()}
    write_data({"classes": classes, "samples": samples}, out)


def export(program: ModuleType, made: Path, out: Path) -> dict:
    """Write what the page runs into `out`; return the accuracy in 8 bits, the largest difference, and the size."""
    data = program.load_data()
    images, labels = data.test.tensors
    model = nn.Sequential(program.Normalize(data.train.tensors[0]), program.ConvNet(len(data.classes)))
    load_weights(model, made)
    small = shrink(model)
    before, after = (program.predict(network.to(program.device), data.test) for network in (model, small))
    write_samples(images, labels, after, data.classes, out)
    return {
        "accuracy": (after.argmax(1) == labels).float().mean().item(),
        "difference": (after - before).abs().max().item(),
        "bytes": write_onnx(Live(small.cpu()), (images[:1].float(),), out, input_names=["image"], output_names=["probabilities", "maps1", "maps2"]),
    }
