"""Each variant of the ablation leaves out what its name says, and nothing else."""

import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split
from model_checks import check_future_is_hidden, check_model, tokens
from torch import nn

program = load_snippet("models/transformer_ablation")


def make(name: str) -> nn.Module:
    """Return a small model of a variant."""
    torch.manual_seed(0)
    return program.Transformer(30, 16, 2, program.VARIANTS[name])


SOURCE, TARGET = tokens(8, 9, 20, first=3, padding=program.PAD), tokens(8, 6, 20, first=3, padding=program.PAD, seed=1)
WANTED = torch.where(TARGET == program.PAD, -100, (7 * TARGET + 3) % 20)


@pytest.mark.parametrize("name", program.VARIANTS)
def test_models(name):
    variant = program.VARIANTS[name]
    check_model(lambda: program.Transformer(20, 16, 2, variant), (SOURCE, TARGET), WANTED, classes=20, padding=program.PAD, causal=variant.causal)


def test_without_the_mask_the_future_is_seen():
    with pytest.raises(AssertionError, match="sees its future"):
        check_future_is_hidden(lambda: make("without causal mask"), (SOURCE, TARGET), WANTED)


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
    check_split(*([source for source, _ in part] for part in (data.train, data.test)))
    written = [data.names[wanted] + data.names[style] for (wanted, style, *_), _ in data.test]
    check_balance(written, {f"<{to}>{style}": 1 / 8 for to in program.LANGUAGES for style in program.STYLES}, 0)


def test_names_are_those_of_the_training_part(monkeypatch):
    """What stands in the test part alone has no number."""
    monkeypatch.setattr(program, "write", lambda days: [(["<en>", "☃" if len(days) == 3 else "1"], ["1"])])
    with pytest.raises(KeyError, match="☃"):
        program.load_data(train_days=30, test_days=3)
    assert program.load_data(train_days=30, test_days=4).names == ["<pad>", "<start>", "<end>", "1", "<en>"]


def test_main_writes_its_results(tmp_path):
    metrics = program.main(tmp_path, steps=3, train_days=200, test_days=3)
    assert set(metrics) == {"complete", "without_positions", "one_head", "without_warm_up", "without_causal_mask"}
    assert (tmp_path / "metrics.json").is_file()
