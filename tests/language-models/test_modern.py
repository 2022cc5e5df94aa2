"""From GPT-2 to today: what each design is, that all get the same compute, and what is compared."""

import json
import math
import statistics

import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

program = load_snippet("language-models/modern")
nano = load_snippet("language-models/gpt_nano")


def designs() -> dict[str, program.Design]:
    """Return the designs by their names, each with all changes up to its own."""
    found, design = {}, program.Design()
    for name, change in program.CHANGES.items():
        design = found[name] = design._replace(**change)
    return found


def network(design: program.Design, length: int = 9) -> nn.Module:
    """Return a small network of a design."""
    return program.DesignedNetwork(design, 30, 24, 2, 4, length)


@pytest.mark.parametrize("name", list(program.CHANGES))
def test_network(name):
    x = tokens(6, 9, 30)
    check_model(lambda: network(designs()[name]), x, x.roll(-1, 1), classes=30, causal=True)


def test_blocks():
    x, y = torch.randn(6, 5, 24, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 24
    for name in ("GPT-2", "Muon"):
        check_model(lambda: Placed(program.DesignedBlock(designs()[name], 24, 4)), x, y, causal=True)
        check_model(lambda: Placed(program.GroupedAttention(24, 4, designs()[name].key_heads, 6, name == "Muon")), x, y, causal=True)
    for layer in (program.PlainMLP, program.GatedMLP):
        check_model(lambda: layer(24, 40), x, y)


class Placed(nn.Module):
    """A layer at positions whose angles are all different."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        return self.layer(x, torch.arange(3 * x.shape[1], device=x.device).view(-1, 3) / 3)


def test_each_design_differs_from_the_one_before_in_one_thing():
    found = list(designs().values())
    assert found[0] == program.Design() and list(designs()) == ["GPT-2", "RMSNorm", "rotary", "SwiGLU", "grouped", "normalized", "untied", "Muon"]
    for one, other in zip(found, found[1:]):
        assert sum(a != b for a, b in zip(one, other)) == 1
    assert found[-1] == program.Design(True, True, True, 2, True, True, True)


def test_the_first_design_is_that_of_nanogpt():
    torch.manual_seed(0)
    mine, other, x = network(program.Design()), nano.NanoGPT(30, 24, 2, 4, 9), torch.randint(30, (3, 9))
    with torch.no_grad():
        for name in ("embedding", "positions"):
            getattr(other, name).weight.copy_(getattr(mine, name).weight)
        for block, its in zip(mine.blocks, other.blocks):
            parts = block.attention
            its.mix.weight.copy_(torch.cat([parts.q_proj.weight, parts.k_proj.weight, parts.v_proj.weight]))
            its.output.weight.copy_(parts.o_proj.weight)
            its.up.weight.copy_(block.mlp.up_proj.weight)
            its.down.weight.copy_(block.mlp.down_proj.weight)
    torch.testing.assert_close(mine(x), other(x), rtol=1e-4, atol=1e-5)
    assert sum(one.numel() for one in mine.parameters()) == sum(one.numel() for one in other.parameters())


def test_the_last_design_is_that_of_qwen3():
    torch.manual_seed(0)
    mine = network(designs()["Muon"])
    other = Qwen3ForCausalLM(Qwen3Config(vocab_size=30, hidden_size=24, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6)).eval()
    names = {"embedding.": "model.embed_tokens.", "norm.": "model.norm.", "head.": "lm_head."}
    places = {"attention": "self_attn", "norms.0": "input_layernorm", "norms.1": "post_attention_layernorm"}
    weights = {}
    with torch.no_grad():
        for name, weight in mine.named_parameters():
            weight.copy_(0.3 * torch.randn_like(weight) + (weight.dim() == 1))
            for old, new in (names if not name.startswith("blocks") else {"blocks": "model.layers", **places}).items():
                name = name.replace(old, new)
            weights[name] = weight
    other.load_state_dict(weights)
    x = torch.randint(30, (3, 9))
    with torch.no_grad():
        torch.testing.assert_close(mine(x), other(x).logits, rtol=0, atol=1e-5)


def test_parameters():
    """SwiGLU has as many as GELU; half of the keys and values fall away; an untied head is one more table."""
    counts = {name: sum(one.numel() for one in program.DesignedNetwork(design, **program.SIZES).parameters()) for name, design in designs().items()}
    assert counts["GPT-2"] == counts["RMSNorm"] == 2 * 12 * 96**2 + (256 + 64 + 5) * 96
    assert counts["rotary"] == counts["SwiGLU"] == counts["RMSNorm"] - 64 * 96
    assert counts["grouped"] == counts["SwiGLU"] - 2 * 96**2
    assert counts["normalized"] == counts["grouped"] + 2 * 2 * 24
    assert counts["untied"] == counts["Muon"] == counts["normalized"] + 256 * 96


def test_weights_begin_as_wide_as_in_gpt_2():
    torch.manual_seed(0)
    for name, weight in program.DesignedNetwork(program.Design(gated=True), **program.SIZES).named_parameters():
        expected = 0.02 * math.sqrt(8) / (2 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1)
        assert weight.dim() == 1 and (weight == 1).all() or weight.std().item() == pytest.approx(expected, rel=0.05), name


# --- compute


def test_a_tied_table_has_one_optimizer_and_all_parameters_have_one():
    for design in designs().values():
        model = program.DesignedNetwork(design, **program.SIZES)
        optimizers = program.optimizers_of(model, 0.001, 0.02 if design.muon else None)
        held = [one for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]]
        assert len(held) == len(set(map(id, held))) and set(map(id, held)) == set(map(id, model.parameters()))
        for group in optimizers[0].param_groups:
            inner = {id(one) for one in model.blocks.parameters() if one.dim() == 2}
            assert (group["weight_decay"] > 0) == bool({id(one) for one in group["params"]} & inner)
        assert len(optimizers) == 1 + design.muon and (not design.muon or {id(one) for one in optimizers[1].param_groups[0]["params"]} == inner)


def test_operations_are_those_of_the_formula():
    """Six for each weight and token, and for attention; for Muon five times 4 m²n + 2 m³ for each matrix (m, n)."""
    count = program.BATCH_SIZE * program.LENGTH
    for name, design in designs().items():
        matrices = [one.shape for one in program.DesignedNetwork(design, **program.SIZES).blocks.parameters() if one.dim() == 2]
        expected = 6 * count * (sum(a * b for a, b in matrices) + 256 * 96 + 2 * 2 * program.LENGTH * 96)
        if design.muon:
            expected += sum(5 * (4 * min(shape) ** 2 * max(shape) + 2 * min(shape) ** 3) for shape in matrices)
        assert program.flops_of(design) == expected, name


def test_training_is_repeatable_and_learns(monkeypatch):
    monkeypatch.setattr(program, "SIZES", SMALL)
    monkeypatch.setattr(program, "LENGTH", 12)
    text = torch.tensor([0, 1, 2, 3, 0, 1, 5] * 40)
    for name in ("GPT-2", "Muon"):
        design = designs()[name]
        given = 0.01, 0.02 if design.muon else None
        assert program.evaluate(program.train(design, text, 100, *given, 0), text, 12) < 0.8
        first, again, other = (program.train(design, text, 3, *given, seed).head.weight for seed in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)


SMALL = {"vocabulary_size": 8, "hidden_size": 24, "num_layers": 1, "num_heads": 4, "length": 12}


def test_rates_rise_and_fall(monkeypatch):
    monkeypatch.setattr(program, "SIZES", SMALL)
    monkeypatch.setattr(program, "LENGTH", 12)
    rates = []
    step = program.take_step
    monkeypatch.setattr(program, "take_step", lambda model, optimizers, pieces: (rates.append([one.param_groups[0]["lr"] for one in optimizers]), step(model, optimizers, pieces)))
    program.train(designs()["Muon"], torch.arange(60) % 8, 40, 0.01, 0.02, 0)
    adam, muon = zip(*rates)
    assert adam[:3] == pytest.approx((0.005, 0.01, 0.01 * 38 / 39)) and adam[-1] == pytest.approx(0.01 / 39) and len(adam) == 40
    assert muon == pytest.approx([2 * one for one in adam])


def test_all_designs_read_the_same(monkeypatch):
    read = {}
    for name, design in designs().items():
        read[name] = []
        monkeypatch.setattr(program, "take_step", lambda model, optimizers, pieces: (read[name].append(pieces), optimizers[0].step()))
        program.train(design, torch.arange(500) % 256, 3, 0.001, None, 7)
    first = read.pop("GPT-2")
    assert first[0].shape == (program.BATCH_SIZE, program.LENGTH + 1) and not torch.equal(first[0], first[1])
    assert ((first[0][:, 1:] - first[0][:, :-1]) % 256 == 1).all(), "a piece is not consecutive"
    assert all(torch.equal(one, other) for pieces in read.values() for one, other in zip(first, pieces))


# --- what is compared


def test_the_validation_part_chooses_the_rate(monkeypatch):
    """Also Muon's, which leaves to AdamW what AdamW had; the first training with the chosen rate counts as one of the seeds."""
    asked = []

    def measure(design, data, steps, rates, seed):
        asked.append((steps, rates, seed))
        return program.Tried(abs(rates[1] - 0.04 if rates[1] else rates[0] - 0.003), 10 * seed + (rates[1] or rates[0]), 2.0 + seed)

    monkeypatch.setattr(program, "measure", measure)
    rate, found = program.compare(program.Design(), {}, 7, 0.1, [4, 5, 6])
    assert rate == found["rate"] == 0.003 and asked == [(7, (one, None), 4) for one in program.RATES] + [(7, (0.003, None), seed) for seed in (5, 6)]
    assert found["test"]["runs"] == [40.003, 50.003, 60.003] and found["cpu_seconds"] == 7
    asked.clear()
    rate, found = program.compare(program.Design(muon=True), {}, 7, 0.1, [4, 5])
    assert rate == 0.1 and found["rate"] == 0.04 and [one for _, one, _ in asked] == [*((0.1, one) for one in program.MUON_RATES), (0.1, 0.04)]


def test_main_gives_all_the_same_compute(tmp_path, monkeypatch, capsys):
    asked = []

    def measure(design, data, steps, rates, seed):
        asked.append((design, steps, seed))
        return program.Tried(1.0, 5 - sum(map(bool, design)) + 0.1 * (seed % 1000), 1.0)

    monkeypatch.setattr(program, "measure", measure)
    metrics = program.main(tmp_path, seed=2, size=50_000, steps=200, seeds=3)
    budget = 200 * program.flops_of(program.Design())
    for name, design in designs().items():
        steps = {steps for one, steps, _ in asked if one == design}
        assert steps == {metrics[name]["steps"]} and abs(metrics[name]["steps"] * metrics[name]["flops"] / budget - 1) < 0.01
    assert {seed for *_, seed in asked} == {2000, 2001, 2002}
    names = list(designs())
    assert metrics["GPT-2"]["gain"]["mean"] == 0 and metrics["rotary"]["gain"]["runs"] == pytest.approx([1, 1, 1])
    assert metrics["all"]["mean"] == pytest.approx(sum(metrics[name]["gain"]["mean"] for name in names))
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "gains.svg"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == names and f"{metrics['rotary']['parameters']:,}" in lines[3]


def test_a_summary_is_mean_and_deviation():
    found = program.summary([1.0, 2.0, 4.0])
    assert found == {"mean": pytest.approx(7 / 3), "spread": pytest.approx(statistics.stdev([1, 2, 4])), "runs": [1.0, 2.0, 4.0]}
    assert program.summary([3.0])["spread"] == 0
