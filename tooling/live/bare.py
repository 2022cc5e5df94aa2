"""Take out of a stored network what only its making needs.

torch.onnx notes for each operation which lines of which files it came from. That is a third of a small network, and names
folders of the machine that it was made on.
"""

from pathlib import Path
from typing import Any

import onnx
from torch import nn

from tooling.live import export


def strip(file: Path) -> int:
    """Take the notes out of an ONNX file; return its size in bytes."""
    model = onnx.load(file)
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    del model.graph.value_info[:]  # shapes on the way, which a runtime finds itself
    onnx.save(model, file)
    return file.stat().st_size


def write_onnx(model: nn.Module, inputs: tuple, out: Path, **options: Any) -> int:
    """Write a network as `model.onnx` as export.write_onnx does, without those notes; return its size in bytes."""
    export.write_onnx(model, inputs, out, **options)
    return strip(out / "model.onnx")
