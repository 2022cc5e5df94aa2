"""nanoGPT's smallest setting beside ours: the network, its training, and what is compared."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/gpt_nano")


class Placed(nn.Module):
    """A layer at positions whose angles are all different."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        return self.layer(x, torch.arange(4 * x.shape[1], device=x.device).view(-1, 4) / 3)


def awake(*sizes) -> nn.Module:
    """Return a GPT in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    model = program.GPT(*sizes)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


def test_layers_and_our_network():
    x, y = torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 16
    check_model(lambda: program.NanoBlock(16, 2), x, y, causal=True)
    check_model(lambda: Placed(program.Attention(16, 2)), x, y, causal=True)
    check_model(lambda: Placed(program.Block(16, 2, 0.0)), x, y, causal=True)
    written = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2), written, written.roll(-1, 1), classes=30, causal=True)


def test_network():
    x = tokens(6, 9, 30)
    check_model(lambda: program.NanoGPT(30, 16, 2, 2, 9), x, x.roll(-1, 1), classes=30, causal=True)


def test_a_block_is_that_of_pytorch():
    """nn.TransformerEncoderLayer computes the same from the same weights."""
    torch.manual_seed(0)
    block, x = program.NanoBlock(12, 3), torch.randn(2, 7, 12)
    other = nn.TransformerEncoderLayer(12, 3, 48, 0.0, "gelu", batch_first=True, norm_first=True, bias=False)
    with torch.no_grad():
        for mine, its in ((block.mix, other.self_attn.in_proj_weight), (block.output, other.self_attn.out_proj.weight), (block.up, other.linear1.weight), (block.down, other.linear2.weight)):
            its.copy_(mine.weight)
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    torch.testing.assert_close(block(x), other(x, src_mask=mask), rtol=1e-4, atol=1e-5)


def test_weights_begin_as_in_gpt_2():
    torch.manual_seed(0)
    model = program.NanoGPT(256, 128, 4, 4, 64)
    for name, weight in model.named_parameters():
        expected = 0.02 / math.sqrt(8) if name.endswith(("output.weight", "down.weight")) else 0.02
        assert weight.dim() == 1 and (weight == 1).all() or weight.std().item() == pytest.approx(expected, rel=0.05), name
    assert sum(one.numel() for one in model.parameters()) == 4 * 12 * 128**2 + (256 + 64 + 9) * 128


def test_the_rate_rises_and_falls():
    assert program.rate(0, 2000) == 0.01 and program.rate(99, 2000) == program.rate(100, 2000) == 1
    assert program.rate(1050, 2000) == pytest.approx(0.55) and program.rate(2000, 2000) == pytest.approx(0.1)


def test_training_learns_the_next_token():
    torch.manual_seed(0)
    model, text = program.NanoGPT(8, 16, 1, 2, 12).to(program.device), torch.tensor([0, 1, 2, 3, 0, 1, 5] * 40)
    program.train_nano(model, text, 150, 8, 12)
    assert program.evaluate(model, text, 12) < 1
    with torch.no_grad():
        answers = model(text[None, :12].to(program.device))[0].argmax(1).cpu()
    assert (answers[2:] == text[3:13]).float().mean() > 0.8


SMALL = program.Setting(16, 1, 2, 0.0, 16, 4, 5)


@pytest.mark.parametrize(("real", "seed"), [(False, 0), (True, 0), (True, 1)])
def test_main_compares_on_text_that_none_has_seen(tmp_path, monkeypatch, real, seed):
    monkeypatch.setattr(program, "NANO", SMALL)
    monkeypatch.setattr(program, "OURS", {"quarter": SMALL})
    monkeypatch.setattr(program, "LONGER", {"three minutes": SMALL._replace(dropout=0.5, length=24)})
    monkeypatch.setattr(program, "LONGEST", {"ten minutes": SMALL})
    (tmp_path / "text.txt").write_bytes(b"All that glisters is not gold. " * 1000)
    given, evaluate = [], program.evaluate

    def noted(model, text, length):
        given.append((type(model).__name__, text, length, evaluate(model, text, length)))
        return given[-1][-1]

    monkeypatch.setattr(program, "evaluate", noted)
    metrics = program.main(tmp_path / "out", seed, tmp_path if real else None, 100_000)
    data = program.load_data(tmp_path if real else None, 100_000)
    names = ["nanoGPT", "quarter", "three_minutes", "ten_minutes"][: 4 - seed if real else 2]
    assert list(metrics) == names and [kind for kind, *_ in given] == ["NanoGPT"] * 2 + ["GPT"] * (2 * len(names) - 2)
    assert [length for *_, length, _ in given] == [16, 16, 16, 16, 24, 24, 16, 16][: 2 * len(names)]
    counts = len(data["valid"]), len(data["test"])
    for number, found in enumerate(metrics.values()):
        pair = given[2 * number : 2 * number + 2]
        for part, (_, text, *_) in zip(("valid", "test"), pair):
            assert torch.equal(text, data[part])
        assert found["nats"] == pytest.approx(sum(count * loss for count, (*_, loss) in zip(counts, pair)) / sum(counts))
        assert found["test"] == pytest.approx(pair[1][-1] / math.log(2))
        assert found["steps"] == 5 and 3 < found["nats"] < 6 and found["cpu_seconds"] > 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")) == metrics


def test_both_read_the_same_with_the_same_sizes():
    quarter = program.OURS["quarter"]
    assert (quarter.hidden_size, quarter.num_heads, quarter.length, quarter.batch_size) == (program.NANO.hidden_size, program.NANO.num_heads, program.NANO.length, program.NANO.batch_size)
    assert quarter.num_layers <= program.NANO.num_layers and quarter.steps * 4 <= program.NANO.steps


def test_attention_of_nano_is_causal_and_scaled():
    torch.manual_seed(0)
    block, x = program.NanoBlock(12, 3), torch.randn(2, 7, 12)
    q, k, v = (part.view(2, 7, 3, 4).transpose(1, 2) for part in block.mix(block.norms[0](x)).chunk(3, 2))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(2, 7, 12)
    middle = x + block.output(mixed)
    torch.testing.assert_close(block(x), middle + block.down(F.gelu(block.up(block.norms[1](middle)))), rtol=1e-4, atol=1e-5)
