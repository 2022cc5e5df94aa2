"""The parts of today's networks: each equal to PyTorch's own, or to what it replaces."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model
from torch import nn

program = load_snippet("language-models/modern_layers")

X, Y = torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 16


class Placed(nn.Module):
    """Attention at positions whose angles are all different."""

    def __init__(self, *sizes, **more):
        super().__init__()
        self.layer = program.GroupedAttention(*sizes, **more)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        pairs = self.layer.head_size // 2
        return self.layer(x, torch.arange(x.shape[1] * pairs, device=x.device).view(-1, pairs) / 3)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_attention(key_heads, normalized):
    check_model(lambda: Placed(16, 4, key_heads, 4, normalized), X, Y, causal=True)


def test_small_layers():
    check_model(lambda: program.PlainMLP(16, 24), X, Y)
    check_model(lambda: program.GatedMLP(16, 24), X, Y)
    check_model(lambda: nn.Sequential(program.RMSNorm(16), nn.Linear(16, 16)), X, Y)


@pytest.mark.parametrize("eps", [1e-6, 1e-5, 0.1])
def test_the_norm_is_that_of_pytorch(eps):
    torch.manual_seed(0)
    mine, other, x = program.RMSNorm(12, eps), nn.RMSNorm(12, eps), 3 * torch.randn(4, 7, 12) + 1
    with torch.no_grad():
        other.weight.copy_(mine.weight.copy_(torch.randn(12)))
    torch.testing.assert_close(mine(x), other(x))


def test_the_gate_is_that_of_its_formula():
    torch.manual_seed(0)
    layer, x = program.GatedMLP(12, 20), torch.randn(3, 12)
    gate, up, down = (part.weight for part in (layer.gate_proj, layer.up_proj, layer.down_proj))
    inner = x @ gate.T
    torch.testing.assert_close(layer(x), (inner * inner.sigmoid() * (x @ up.T)) @ down.T)


@pytest.mark.parametrize(("heads", "key_heads", "size", "normalized"), [(4, 4, 6, False), (4, 2, 6, True), (6, 1, 2, False)])
def test_attention_is_that_of_pytorch(heads, key_heads, size, normalized):
    """PyTorch shares keys among neighboring queries too, if told; the heads may be wider than the network."""
    torch.manual_seed(0)
    layer, x = program.GroupedAttention(12, heads, key_heads, size, normalized), torch.randn(2, 7, 12)
    q, k, v = (part(x).view(2, 7, -1, size).transpose(1, 2) for part in (layer.q_proj, layer.k_proj, layer.v_proj))
    if normalized:
        q, k = (F.rms_norm(part, (size,), eps=1e-6) for part in (q, k))
    angles = torch.randn(7, size // 2)
    for given in (None, angles):
        turned = (q, k) if given is None else (program.rotate(q, angles), program.rotate(k, angles))
        expected = F.scaled_dot_product_attention(*turned, v, is_causal=True, enable_gqa=True).transpose(1, 2).reshape(2, 7, -1)
        torch.testing.assert_close(layer(x, given), layer.o_proj(expected), rtol=1e-5, atol=1e-5)


def test_a_pair_is_turned_by_its_angle():
    """The numbers i and i + size / 2 of a vector are one complex number, which is turned."""
    torch.manual_seed(0)
    x, angles = torch.randn(2, 3, 5, 8, dtype=torch.double), torch.randn(5, 4, dtype=torch.double)
    expected = torch.complex(x[..., :4], x[..., 4:]) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(program.rotate(x, angles), torch.cat([expected.real, expected.imag], -1))


# --- Muon


@pytest.mark.parametrize("shape", [(12, 12), (8, 24), (24, 8)])
def test_a_matrix_becomes_nearly_orthogonal(shape):
    """Its singular vectors stay; its singular values come to between 0.6 and 1.3, however small they were."""
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    found = program.orthogonalize(left @ torch.diag(torch.logspace(0, -1.5, min(shape))) @ right)
    values = left.T @ found @ right.T
    np.testing.assert_allclose(values - torch.diag(values.diagonal()), 0, atol=1e-4)
    assert 0.6 < values.diagonal().min() and values.diagonal().max() < 1.3
    assert not program.orthogonalize(torch.zeros(shape)).any()


@pytest.mark.parametrize("shape", [(12, 12), (8, 24), (24, 8)])
def test_muon_is_that_of_pytorch(shape):
    """PyTorch's computes in bfloat16, of which two digits are right."""
    torch.manual_seed(0)
    mine, other = (nn.Parameter(start.clone()) for start in [torch.randn(shape)] * 2)
    optimizers = program.Muon([mine], lr=0.1), torch.optim.Muon([other], lr=0.1)
    before = mine.detach().clone()
    for _ in range(3):
        mine.grad = torch.randn(shape)
        other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved, expected = mine.detach() - before, other.detach() - before
    assert (moved - expected).norm() < 0.02 * expected.norm()


# --- the program


def test_what_each_part_is_made_for(tmp_path):
    metrics = program.main(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "muon.svg"}
    scores = metrics["rotary"]
    assert scores["5 to 2"] == pytest.approx(scores["60 to 57"], abs=1e-4) and abs(scores["5 to 2"] - scores["60 to 2"]) > 0.1
    assert metrics["parameters"]["GELU"] == metrics["parameters"]["SwiGLU"] == sum(one.numel() for one in program.GatedMLP(96, 256).parameters())
    assert metrics["cached"] == {"4": 192, "2": 96, "1": 48}
    assert metrics["rms"]["after"] == pytest.approx(1, abs=1e-4) and metrics["rms"]["before"] > 2
    assert metrics["muon"]["before"] > 20 > 2 > metrics["muon"]["after"] > 1
