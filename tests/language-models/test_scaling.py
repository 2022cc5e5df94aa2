"""The twelve networks: what is counted, how they train, and that the largest is predicted from the others alone."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

program = load_snippet("language-models/scaling")
TRUE = program.Law(0.9, 0.35, 0.3, 0.3, 0.36)


# --- what is counted


def network(size) -> nn.Module:
    """Return the GPT of a size."""
    return program.GPT(256, size.hidden, size.layers, size.heads)


def awake() -> nn.Module:
    """Return a small GPT in which nothing is zero, so that everything it reads matters."""
    model = program.GPT(30, 16, 2, 2)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.1)
    assert isinstance(model.blocks[1], program.Block) and isinstance(model.blocks[1].attention, program.Attention)
    return model


def test_network():
    x = tokens(4, 9, 30)
    check_model(awake, x, x.roll(-1, 1), classes=30, causal=True)


@pytest.mark.parametrize("size", program.SIZES, ids=str)
def test_parameters_are_those_of_the_network(size):
    model = network(size)
    assert size.parameters == sum(one.numel() for one in model.parameters())
    assert size.inner == sum(one.numel() for one in model.blocks.parameters())


@pytest.mark.parametrize("size", program.SIZES[::3], ids=str)
def test_flops_are_those_that_pytorch_counts(size):
    model, text = network(size), torch.randint(256, (2, program.LENGTH))
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(text).flatten(0, 1), text.flatten()).backward()
    assert size.flops * text.numel() == counter.get_total_flops()


def test_sizes_grow_to_a_million():
    counts = [size.parameters for size in program.SIZES]
    assert len(counts) == 12 and counts == sorted(set(counts))
    assert counts[0] < 2500 and counts[-1] > 10**6


@pytest.mark.parametrize("budget", program.BUDGETS)
def test_a_budget_is_spent(budget):
    """Within half a step, by no size that is the largest, and by enough sizes to see where they are best."""
    found = program.suitable(budget)
    assert len(found) >= 4 and program.SIZES[-1] not in dict(found)
    for size, steps in found:
        step = size.flops * program.BATCH * program.LENGTH
        assert abs(steps * step - budget) <= step / 2 and program.FEWEST <= steps <= program.MOST


def test_no_text_is_read_twice_over():
    most = max(program.STEPS, program.MOST) * program.BATCH * program.LENGTH
    assert most < 3_800_000, "the training part has some 3.8 million bytes: what is repeated teaches less"


# --- the best rate


def test_the_trend_of_the_rate_is_a_power_law():
    best = {(size, steps): 0.5 * size.parameters**-0.2 * steps**0.1 for size in program.SIZES[:3] for steps in (100, 400)}
    trend = program.trend_of(best)
    assert trend(program.SIZES[8], 900) == pytest.approx(0.5 * program.SIZES[8].parameters**-0.2 * 900**0.1)


def test_rows_or_columns_become_orthogonal():
    """The singular values come near 1, whatever they were, and the directions stay."""
    torch.manual_seed(0)
    for shape in ((12, 12), (8, 32), (32, 8)):
        x = torch.randn(shape)
        u, s, v = torch.linalg.svd(x, full_matrices=False)
        found = u.T @ program.orthogonal(x) @ v.T
        assert ((found.diagonal() > 0.6) & (found.diagonal() < 1.3)).all()
        torch.testing.assert_close(found, torch.diag(found.diagonal()), atol=1e-3, rtol=0)


class Still(nn.Module):
    """A network of one matrix in its blocks, whose gradients are given."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        torch.manual_seed(1)
        self.blocks, self.embedding, self.head = nn.Linear(shape[1], shape[0], bias=False), nn.Embedding(256, 1), nn.Linear(1, 256, bias=False)
        self.chance = torch.Generator().manual_seed(2)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, time, 256), of (batch, time) bytes; the matrix gets random gradients."""
        given = torch.randn(self.blocks.weight.shape, generator=self.chance)
        return self.head(self.embedding(text)) + (self.blocks.weight * given).sum() * torch.arange(256) / 256


@pytest.mark.parametrize("shape", [(12, 12), (8, 32), (32, 8)])
def test_a_step_is_that_of_the_librarys_muon(shape, monkeypatch):
    """PyTorch's own computes in bfloat16, so it is near and not equal."""
    monkeypatch.setattr(program, "LENGTH", 8)
    text, steps, rate = torch.arange(200) % 256, 6, 0.1
    mine, other = Still(shape), Still(shape)
    torch.manual_seed(3)
    program.train(mine, text, steps, rate)
    optimizer = torch.optim.Muon(other.blocks.parameters(), rate, weight_decay=0)
    tables = torch.optim.AdamW([other.embedding.weight, other.head.weight], 2 * rate, (0.9, 0.95), weight_decay=0)
    schedules = [torch.optim.lr_scheduler.LinearLR(one, 1, 0, steps) for one in (optimizer, tables)]
    torch.manual_seed(3)
    for _ in range(steps):
        pieces = text[torch.randint(len(text) - 8, (program.BATCH, 1)) + torch.arange(9)]
        loss = F.cross_entropy(other(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())
        other.zero_grad()
        loss.backward()
        for one in (optimizer, tables, *schedules):
            one.step()
    before = Still(shape).blocks.weight
    moved = (other.blocks.weight - before).norm()
    assert moved > 0.5 and (mine.blocks.weight - other.blocks.weight).norm() < 0.02 * moved
    torch.testing.assert_close(mine.head.weight, other.head.weight, atol=0.02, rtol=0.02)


def test_targets_are_the_next_bytes():
    """After a text in which each byte tells the next one, the network knows it."""
    torch.manual_seed(0)
    text, model = torch.arange(3000) % 7, network(program.Size(1, 16))
    program.train(model, text, 60, 0.03)
    assert (model(text[None, :64])[0, 20:].argmax(1) == text[21:65]).all()


def test_a_training_is_measured_on_the_part_and_has_its_rate(monkeypatch):
    torch.manual_seed(0)
    text = torch.randint(97, 100, (3000,))
    data = {"train": text, "valid": text + 100, "test": text}
    size = program.Size(1, 8)
    monkeypatch.setattr(program, "MEASURED", 1000)
    one = program.learn(size, data, 20, 0.03, "test")
    assert one < 2 < program.learn(size, data, 20, 0.03, "valid")
    assert one == program.learn(size, data, 20, 0.03, "test") != program.learn(size, data, 20, 0.03, "test", seed=1)
    assert one != program.learn(size, data, 20, 0.01, "test")
    read = []
    monkeypatch.setattr(program, "evaluate", lambda model, tokens, length: read.append(len(tokens)))
    program.learn(size, data, 1, 0.03, "test")
    assert read == [1000]


# --- the prediction


def test_the_simpler_predictions(monkeypatch):
    monkeypatch.setattr(program, "STARTS", program.STARTS[:1])
    runs = [program.Run(size, 10, size.parameters**-0.1) for size in program.SIZES[:10]]
    found = program.predict(runs, [TRUE] * 3, program.SIZES[-1])
    assert found["line"] == pytest.approx(program.SIZES[-1].parameters ** -0.1)
    assert found["last"] == runs[-1].loss


def test_one_length_is_enough_to_predict_its_own_losses(monkeypatch):
    """What is lost for the text and the floor cannot be told apart then, and need not be."""
    monkeypatch.setattr(program, "STARTS", program.STARTS[:1])
    text = 600 * program.BATCH * program.LENGTH
    runs = [program.Run(size, 600, float(TRUE(size.parameters, text))) for size in program.SIZES[:-1]]
    laws = [program.fit(runs, program.STARTS)] * 3
    found = program.predict(runs, laws, program.SIZES[-1])
    assert found["loss"]["value"] == pytest.approx(TRUE(program.SIZES[-1].parameters, text), rel=1e-3)
    assert found["floor"]["value"] == pytest.approx(TRUE(math.inf, text), rel=1e-2)
    assert found["alpha"]["value"] == pytest.approx(TRUE.alpha, rel=0.02)
    for count in (6, 8, 10):
        assert found["fewer"][count] == pytest.approx(TRUE(program.SIZES[-1].parameters, text), rel=1e-2)


def by_law(calls: list, largest: float = 1.0):
    """Return what stands for training, and notes its calls: losses by a law, those of the largest network times a factor."""
    def learn(size, data, steps, rate, part, seed=0) -> float:
        calls.append((size, steps, rate, part, seed))
        loss = TRUE(size.parameters, steps * program.BATCH * program.LENGTH) + 0.01 * math.log(rate / 0.03) ** 2 + 0.001 * seed
        return float(loss) * (largest if size == program.SIZES[-1] else 1)

    return learn


def run_by_law(tmp_path, monkeypatch, capsys, **more):
    calls = []
    monkeypatch.setattr(program, "learn", by_law(calls, **more))
    monkeypatch.setattr(program, "load_data", lambda *_: dict.fromkeys(("train", "valid", "test"), torch.zeros(1000)))
    monkeypatch.setattr(program, "DRAWN", 4)
    monkeypatch.setattr(program, "STARTS", program.STARTS[:1])
    return program.main(tmp_path), calls, capsys.readouterr().out


def test_the_prediction_knows_nothing_of_the_largest_network(tmp_path, monkeypatch, capsys):
    one, _, printed = run_by_law(tmp_path, monkeypatch, capsys)
    other, _, again = run_by_law(tmp_path, monkeypatch, capsys, largest=2.0)
    assert other["measured"] == 2 * one["measured"]
    assert one["predicted"] == other["predicted"] and one["law"] == other["law"] and one["exponents"] == other["exponents"]
    end = printed.index(" predicted")
    assert again[:end] == printed[:end]


def test_the_prediction_is_printed_first(tmp_path, monkeypatch, capsys):
    seen = []

    def learn(size, *given, **named):
        if size == program.SIZES[-1]:
            seen.append(capsys.readouterr().out)
        return by_law([])(size, *given, **named)

    monkeypatch.setattr(program, "load_data", lambda *_: dict.fromkeys(("train", "valid", "test"), torch.zeros(1000)))
    monkeypatch.setattr(program, "learn", learn)
    monkeypatch.setattr(program, "DRAWN", 2)
    monkeypatch.setattr(program, "STARTS", program.STARTS[:1])
    program.main(tmp_path)
    assert len(seen) == 1 and "predicted" in seen[0]


def test_what_is_trained(tmp_path, monkeypatch, capsys):
    metrics, calls, _ = run_by_law(tmp_path, monkeypatch, capsys)
    tuned = [call for call in calls if call[3] == "valid"]
    assert len(tuned) == len(program.TUNED[0]) * len(program.TUNED[1]) * len(program.RATES) + 3
    assert calls[: len(tuned)] == tuned, "rates are chosen after the test part was measured"
    trend = program.Trend(**metrics["trend"])
    for size, steps, rate, _, _ in calls[len(tuned):]:
        assert rate == pytest.approx(trend(size, steps))
    assert [call[0] for call in calls if call[1:2] == (program.STEPS,) and call[3:] == ("test", 0)][:11] == program.SIZES[:11]
    assert sum(call[0] == program.SIZES[-1] for call in calls) == 1 and calls[-1][0] == program.SIZES[-1]
    assert metrics["noise"] == pytest.approx([0.001] * 3)


def test_main_writes_its_results(tmp_path, monkeypatch, capsys):
    metrics, _, printed = run_by_law(tmp_path, monkeypatch, capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "law.svg", "profiles.svg"}
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert metrics["predicted"]["loss"]["value"] == pytest.approx(metrics["measured"], rel=0.01)
    assert max(map(len, printed.splitlines())) <= 79
    assert len(metrics["sizes"]) == 12 and metrics["sizes"][-1]["loss"] == metrics["measured"]
    a = TRUE.beta / (TRUE.alpha + TRUE.beta)
    assert metrics["exponents"]["law"]["value"] == pytest.approx(a, abs=0.05)
    assert metrics["exponents"]["parabolas"]["value"] == pytest.approx(a, abs=0.1)
    assert metrics["exponents"]["inner"]["value"] > metrics["exponents"]["law"]["value"] + 0.1
