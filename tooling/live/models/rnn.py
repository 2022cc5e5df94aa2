"""The network that reads names, one character a step, and the names that the page offers."""

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tooling.live.bare import write_onnx
from tooling.live.export import load_weights, rounded, shrink, write_data


class Step(nn.Module):
    """The network at one character, with the state before and after it: what nn.LSTM computes, written out."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(
        self, letter: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return probabilities, (1, classes), and both states, (layers, 1, hidden).

        `letter` has the shape (1,), the states before it have that of the states after.
        """
        lstm, states = self.model.lstm, []
        x = self.model.embed(letter)  # (1, input)
        for layer in range(lstm.num_layers):
            weights = [getattr(lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            gates = F.linear(x, weights[0], weights[2]) + F.linear(hidden[layer], weights[1], weights[3])  # (1, 4 * hidden)
            enter, forget, new, out = gates.chunk(4, dim=1)
            kept = forget.sigmoid() * cell[layer] + enter.sigmoid() * new.tanh()
            x = out.sigmoid() * kept.tanh()
            states.append((x, kept))
        hidden, cell = (torch.stack(parts) for parts in zip(*states))
        return self.model.output(x).softmax(1), hidden, cell


def write_step(small: nn.Module, out: Path) -> int:
    """Write one step of a network whose weights take 8 bits as ONNX into a folder; return its size in bytes."""
    states = torch.zeros(2, small.lstm.num_layers, 1, small.lstm.hidden_size)
    return write_onnx(
        Step(small), (torch.ones(1, dtype=torch.int32), *states), out,
        input_names=["letter", "hidden", "cell"], output_names=["probabilities", "next_hidden", "next_cell"],
    )


def export(program: ModuleType, made: Path, out: Path, count: int = 60) -> dict:
    """Write the network and `count` test names with its answers; return how well it does with 8 bits a weight."""
    data = program.load_data()
    letters = program.alphabet(data.train_names)
    model = load_weights(program.NameLSTM(len(letters) + 2), made)
    _, batches = program.load_batches(data, letters)
    before, after = (program.evaluate(one.to(program.device), batches).numpy() for one in (model, rounded(model)))
    size = write_step(shrink(model), out)
    write_data({
        "languages": list(program.LANGUAGES), "letters": letters, "states": [model.lstm.num_layers, 1, model.lstm.hidden_size],
        "samples": {
            "names": data.test_names[:count], "labels": data.test_labels[:count], "probabilities": after[:count].tolist(),
        },
    }, out)
    return {
        "accuracy": float((after.argmax(1) == np.array(data.test_labels)).mean()),
        "difference": float(np.abs(after - before).max()),
        "bytes": size,
    }
