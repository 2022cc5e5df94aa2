"""The poet of language-models/chinese, which learned from Tang quatrains, in 8 bits a weight: characters in, logits of the next one out."""

from pathlib import Path
from types import ModuleType

import torch
from opencc import OpenCC
from torch import Tensor, nn

from tooling.live.bare import strip
from tooling.live.export import shrink, write_data, write_onnx

STARTS = ("", "牀前明月光，", "春眠不覺曉，處處聞啼鳥。", "朝辭白帝彩雲間，千里江陵一日還。")
LIKELIEST = 20  # characters of which a sample has the probability


class Last(nn.Module):
    """The network for one poem, at its end."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits, (vocabulary,), of the token after (n,) tokens."""
        return self.model(tokens[None])[0, -1]


def simplified(names: list[str]) -> list[str]:
    """Return each character in its simplified form, which may be the same."""
    convert = OpenCC("t2s").convert
    return [form if len(form := convert(name)) == 1 else name for name in names]


def write_last(small: nn.Module, out: Path) -> int:
    """Write a network whose weights take 8 bits as `model.onnx`, for any length; return its size in bytes."""
    write_onnx(
        Last(small), (torch.arange(7, dtype=torch.int32),), out, input_names=["tokens"], output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("length")},),
    )
    return strip(out / "model.onnx")


@torch.inference_mode()
def export(program: ModuleType, made: Path, out: Path) -> dict:
    """Write the network, its characters, the most frequent first, and samples; return what 8 bits a weight change."""
    program.device = torch.device("cpu")
    kept = torch.load(made / "weights.pt", map_location="cpu", weights_only=True)
    names = kept["names"]
    model = program.Poet(len(names), **program.SIZES)
    model.load_state_dict(kept["weights"])
    small, samples = shrink(model.eval()), []
    for start in (one for one in STARTS if {*one} <= {*names}):
        tokens = [program.STOP, *map(names.index, start)]
        shares, likeliest = small(torch.tensor([tokens]))[0, -1].softmax(0).topk(min(LIKELIEST, len(names)))
        samples.append({"tokens": tokens, "likeliest": likeliest.tolist(), "shares": shares.tolist()})
    write_data({"names": "".join(names), "simplified": "".join(simplified(names)), "samples": samples}, out)
    before, after = (program.evaluate(one, kept["test"]) for one in (model, small))
    return {"before": before, "after": after, "bytes": write_last(small, out)}
