"""One step of the translator as ONNX, and samples of the test to compare with."""

import random
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tooling.live.bare import write_onnx
from tooling.live.export import load_weights, shrink, write_data

SAMPLES = 12  # of each kind


class Step(nn.Module):
    """One step of a translation, with all that the decoder looks at."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what comes after `target`, (batch, n), written for `source`, (batch, m), and where the decoder looks.

        That is the logarithms of the probabilities, (batch, vocabulary), and the cross-attention, (batch, layers,
        heads, n, m). Nothing is padded.
        """
        model, memory, seen = self.model, self.model.encode(source), []
        mask = model.causal_mask(target.shape[1])
        x = model.embed(target)  # (batch, n, hidden)
        for layer in model.decoder.layers:  # as each computes, and keeping the weights
            y = layer.norm1(x)
            x = x + layer.self_attn(y, y, y, attn_mask=mask)[0]
            found, weights = layer.multihead_attn(layer.norm2(x), memory, memory, average_attn_weights=False)
            x = x + found
            x = x + layer.linear2(F.relu(layer.linear1(layer.norm3(x))))
            seen.append(weights)
        last = model.decoder.norm(x[:, -1])  # (batch, hidden)
        return model.projection(last).log_softmax(1), torch.stack(seen, dim=1)


def write_step(model: nn.Module, out: Path) -> int:
    """Write one step of a translation as `model.onnx`, for any batch and any lengths; return its size in bytes."""
    batch, given, written = map(torch.export.Dim, ("batch", "given", "written"))
    rows = torch.ones(2, 12, dtype=torch.int32)
    return write_onnx(
        Step(model), (rows, rows[:, :7].clone()), out,
        input_names=["source", "target"], output_names=["logarithms", "attention"],
        dynamic_shapes=({0: batch, 1: given}, {0: batch, 1: written}),
    )


@torch.inference_mode()
def sample(program: ModuleType, model: nn.Module, vocabulary: object, one: tuple) -> dict:
    """Return a phrase with the model's translation, and the probability of each of its tokens, the end included."""
    source, _ = vocabulary.pair(one)
    (tokens,) = program.greedy(model, program.pad([source]))
    logits = model(program.pad([source]), program.pad([[program.START, *tokens]]))[0]
    shares = logits.softmax(1)[range(len(tokens) + 1), [*tokens, program.END]]
    return {**one._asdict(), "answer": vocabulary.decode(tokens), "probabilities": shares.tolist()}


def export(program: ModuleType, made: Path, out: Path) -> dict:
    """Write `model.onnx` with 8 bits a weight, and `live.json`; return what the smaller network can."""
    program.device = torch.device("cpu")
    parts = program.load_data()
    test, vocabulary = parts["test"], program.Vocabulary(parts["train"])
    model = load_weights(program.Transformer(len(vocabulary.names), 64, num_layers=2, num_heads=4), made)
    small, pairs = shrink(model), [vocabulary.pair(one) for one in test]
    before, after = (program.translate(each, vocabulary, pairs) for each in (model, small))
    choose, samples = random.Random(0), []
    for kind in program.WRITE:
        mine = [one for one in test if one.kind == kind]
        samples += [sample(program, small, vocabulary, one) for one in choose.sample(mine, min(SAMPLES, len(mine)))]
    write_data({"names": vocabulary.names, "samples": samples}, out)
    return {
        "exact": program.exact(test, after),
        "equal": sum(one == other for one, other in zip(before, after)) / len(test),
        "bytes": write_step(small, out),
    }
