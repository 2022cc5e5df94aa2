"""The GPT of language-models/gpt in 8 bits a weight: bytes in, for each position the logits of the next byte out."""

from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from tooling.live.export import load_weights, shrink, write_data, write_onnx

STARTS = ("Return the ", "Parameters\n----------\nx : ", "The matrix is ", "你好", "def ")


class Flat(nn.Module):
    """The network for one text."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (n, vocabulary), of the token after each of (n,) tokens."""
        return self.model(tokens[None])[0]


def write_flat(small: nn.Module, out: Path) -> int:
    """Write a network whose weights take 8 bits as `model.onnx`, for any length; return its size in bytes."""
    return write_onnx(
        Flat(small), (torch.arange(7, dtype=torch.int32),), out, input_names=["tokens"], output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("length")},),
    )


@torch.inference_mode()
def export(program: ModuleType, made: Path, out: Path) -> dict:
    """Write the network and samples with its answers; return what 8 bits a weight change."""
    program.device = torch.device("cpu")
    model = load_weights(program.GPT(**program.SIZES), made)
    small, text = shrink(model), program.load_data()["test"][:100_000]
    samples = []
    for start in STARTS:
        tokens = list(start.encode())
        samples.append({"text": start, "chances": small(torch.tensor([tokens]))[0, -1].softmax(0).tolist()})
    write_data({"length": program.LENGTH, "samples": samples}, out)
    before, after = (program.bits(program.evaluate(one, text, program.LENGTH)) for one in (model, small))
    return {"before": before, "after": after, "bytes": write_flat(small, out)}
