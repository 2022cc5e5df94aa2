"""Each variant of the ablation leaves out what its name says, and nothing else."""

import pytest
import torch
from conftest import load_snippet
from model_checks import check_future_is_hidden, check_model, tokens
from torch import nn

program = load_snippet("models/transformer_ablation")


def make(name: str) -> nn.Module:
    """Return a model of a variant."""
    torch.manual_seed(0)
    return program.make(name, 30).cpu().eval()


SOURCE, TARGET = tokens(8, 9, 20, first=3, padding=program.PAD), tokens(8, 6, 20, first=3, padding=program.PAD, seed=1)
WANTED = torch.where(TARGET == program.PAD, -100, (7 * TARGET + 3) % 20)


@pytest.mark.parametrize("kind", [program.Transformer, program.Unmasked])
def test_models(kind):
    check_model(lambda: kind(20, 16, 2, 4), (SOURCE, TARGET), WANTED, classes=20, padding=program.PAD, causal=kind is program.Transformer)


def test_without_the_mask_the_future_is_seen():
    with pytest.raises(AssertionError, match="sees its future"):
        check_future_is_hidden(lambda: make("without causal mask"), (SOURCE, TARGET), WANTED)


def test_only_without_positions_the_order_is_lost():
    target = torch.tensor([[1, 5]])
    for name in program.VARIANTS:
        model = make(name)
        with torch.no_grad():
            one, other = (model(torch.tensor([row]), target) for row in ([5, 6, 7, 8], [8, 6, 7, 5]))
        assert ((one - other).abs().max().item() > 1e-3) == (name != "without positions")


def test_heads():
    heads = {name: make(name).encoder.layers[0].self_attn.num_heads for name in program.VARIANTS}
    assert heads.pop("one head") == 1 and set(heads.values()) == {4}


@pytest.fixture
def little(monkeypatch):
    """Let the program read a few pairs of each part."""
    pairs, names = program.load_data(50)
    monkeypatch.setattr(program, "load_data", lambda train_days, seed=0: ({part: some[:24] for part, some in pairs.items()}, names))


def test_only_one_variant_trains_without_warm_up(monkeypatch, tmp_path, little):
    given = []
    monkeypatch.setattr(program, "train", lambda *_, warmup, reports: given.append(warmup) or [0.0])
    monkeypatch.setattr(program, "evaluate", lambda *_: 0.0)
    program.main(tmp_path, steps=1, train_days=200)
    assert dict(zip(program.VARIANTS, given)) == {name: 0 if name == "without warm-up" else 0.1 for name in program.VARIANTS}


def test_next_tokens_are_counted_where_something_is_asked():
    class Knows(nn.Module):
        def forward(self, source, target):
            right = torch.tensor([[7, 8, 9, program.END], [7, program.END, 5, 5]])
            return torch.nn.functional.one_hot(right, 12).float()

    pairs = [([5], [7, 8, 9]), ([5], [7])]
    assert program.next_tokens(Knows(), pairs) == 1
    assert program.next_tokens(Knows(), [([5], [7, 8, 9]), ([5], [8])]) == pytest.approx(5 / 6)


def test_main_writes_its_results(tmp_path, little):
    metrics = program.main(tmp_path, steps=3, train_days=100)
    assert set(metrics) == {"complete", "without_positions", "one_head", "without_warm_up", "without_causal_mask"}
    assert (tmp_path / "metrics.json").is_file()
