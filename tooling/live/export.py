"""From a trained network to what the page runs.

A lesson `models/cnn` with a live model has `tooling/live/models/cnn.py`, with one function:

    export(program, made, out) -> dict

`program` is the lesson's program as a module, `made` the folder that it wrote its `weights.pt` into, and `out` where
`model.onnx`, `live.json` and what else the page needs go. What it returns stands in metrics.json as `live`.

    python -m tooling.live.export models/cnn MADE OUT     export, and print what was measured as JSON

`python -m tooling.results` runs this after the program.
"""

import copy
import importlib.util
import json
import logging
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import torch
from torch import nn
from torch.nn.utils import parametrize

from tooling.lessons import SiteError, exporter_path, snippet_path


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
    small = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    for layer in list(small.modules()):
        for name, weight in list(layer.named_parameters(recurse=False)):
            if weight.dim() == 2:
                parametrize.register_parametrization(layer, name, EightBits())
    return small


@torch.no_grad()
def rounded(model: nn.Module) -> nn.Module:
    """Return a copy with the weights of `shrink` in 32 bits, for layers such as nn.LSTM that read no others."""
    copied, eight = copy.deepcopy(model), EightBits()
    for weight in copied.parameters():
        if weight.dim() == 2:
            weight.copy_(eight(*eight.right_inverse(weight)))
    return copied


def write_onnx(model: nn.Module, inputs: tuple, out: Path, **options: Any) -> int:
    """Write a network as `model.onnx` into a folder; return its size in bytes.

    `inputs` are examples of what its forward takes; `options` are those of torch.onnx.export, such as `input_names`.
    What only its making needs is left out: torch notes for each operation which lines of which files it came from. That is
    a third of a small network, and names folders of the machine that it was made on.
    """
    for name in ("torch.onnx", "onnxscript"):  # they tell of steps, not of faults
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            model.cpu().eval(), inputs, out / "model.onnx", dynamo=True, external_data=False, verbose=False, **options
        )
    model_file = onnx.load(out / "model.onnx")
    graph = model_file.graph
    for part in (model_file, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
    del graph.value_info[:]  # shapes on the way, which a runtime finds itself
    onnx.save(model_file, out / "model.onnx")
    return (out / "model.onnx").stat().st_size


def write_data(data: dict, out: Path) -> None:
    """Write what the page needs beside the model as `live.json` into a folder."""
    (out / "live.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def load_weights(model: nn.Module, made: Path) -> nn.Module:
    """Return the model with the weights that its program left in the folder `made`, on the CPU, for evaluation."""
    model.load_state_dict(torch.load(made / "weights.pt", map_location="cpu", weights_only=True))
    return model.cpu().eval()


def import_file(path: Path, name: str) -> ModuleType:
    """Import a Python file under a name."""
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def export(name: str, made: Path, out: Path) -> dict:
    """Let a lesson's exporter write what its page runs into `out`; return what it measured.

    Raises SiteError where the program left no weights.
    """
    if not (made / "weights.pt").is_file():
        raise SiteError(f"snippets/{name}.py left no weights.pt for tooling/live/{name}.py: let main save the model's state_dict there")
    flat = name.replace("/", "_")
    program = import_file(snippet_path(name), f"snippet_{flat}")
    return import_file(exporter_path(name), f"live_{flat}").export(program, made, out)


if __name__ == "__main__":
    lesson, *folders = sys.argv[1:]
    print(json.dumps(export(lesson, *map(Path, folders)), default=float))
