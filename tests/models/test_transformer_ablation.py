"""Each variant of the ablation leaves out what its name says, and nothing else."""

import pytest
import torch
from conftest import load_snippet
from model_checks import check_model
from torch import nn

program = load_snippet("models/transformer_ablation")


def make(name: str) -> nn.Module:
    """Return a small model of a variant."""
    torch.manual_seed(0)
    return program.Transformer(30, 16, 2, program.VARIANTS[name])


class LastToken(nn.Module):
    """A model as a classifier of rows: source, target; it predicts the next token."""

    def __init__(self, name: str):
        super().__init__()
        self.model = program.Transformer(20, 16, 2, program.VARIANTS[name])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x[:, :6], x[:, 6:])[:, -1]


@pytest.mark.parametrize("name", ["complete", "without positions", "one head", "without causal mask"])
def test_models(name):
    torch.manual_seed(0)
    x = torch.randint(4, 20, (8, 10))
    check_model(lambda: LastToken(name), x, torch.arange(8) + 4, classes=20)


@pytest.mark.parametrize(("name", "leaks"), [("complete", False), ("one head", False), ("without causal mask", True)])
def test_the_mask_alone_decides_whether_the_future_is_seen(name, leaks):
    model, source, target = make(name), torch.randint(4, 30, (2, 5)), torch.randint(4, 30, (2, 6))
    other = target.clone()
    other[:, 4] = (target[:, 4] - 3) % 26 + 4
    with torch.no_grad():
        difference = (model(source, target) - model(source, other))[:, :4].abs().max().item()
    assert (difference > 1e-4) == leaks


def test_only_without_positions_the_order_is_lost():
    target = torch.tensor([[1, 5]])
    for name in ("complete", "without positions"):
        model = make(name)
        with torch.no_grad():
            one, other = (model(torch.tensor([row]), target) for row in ([5, 6, 7, 8], [8, 6, 7, 5]))
        assert ((one - other).abs().max().item() > 1e-3) == (name == "complete")


def test_heads():
    heads = {name: make(name).body.encoder.layers[0].self_attn.num_heads for name in program.VARIANTS}
    assert heads.pop("one head") == 1 and set(heads.values()) == {4}


def test_warmup():
    assert program.rate(0, 100, 0.1) == pytest.approx(0.1)
    assert program.rate(0, 100, 0) == pytest.approx(1)
    assert program.rate(99, 100, 0) < 0.02


def test_days_do_not_overlap():
    data = program.load_data(train_days=300, test_days=30)
    assert len(data.train) == 2400 and len(data.test) == 240
    trained = {tuple(source) for source, _ in data.train}
    assert not any(tuple(source) in trained for source, _ in data.test)


def test_main_writes_its_results(tmp_path):
    metrics = program.main(tmp_path, steps=3, train_days=200, test_days=3)
    assert set(metrics) == {"complete", "without_positions", "one_head", "without_warm_up", "without_causal_mask"}
    assert (tmp_path / "metrics.json").is_file()
