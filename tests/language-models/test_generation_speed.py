"""Faster generation: all that is saved changes no token, and no chance."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model, tokens
from scipy.stats import chisquare
from torch import nn

from tooling.lessons import metrics as stored_metrics

program = load_snippet("language-models/generation_speed")


def awake(*sizes: int, seed: int | None = 0, std: float = 0.3) -> nn.Module:
    """Return a GPT in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    if seed is not None:
        torch.manual_seed(seed)
    model = program.GPT(*sizes)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=std)
    return model.to(program.device).eval()


class Placed(nn.Module):
    """A layer at positions whose angles are all different."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, time, hidden) of the same."""
        return self.layer(x, torch.arange(4 * x.shape[1], device=x.device).view(-1, 4) / 3)


def test_the_network_and_its_layers():
    x, y = torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(0)), torch.arange(30).view(6, 5) % 16
    check_model(lambda: Placed(program.Attention(16, 2)), x, y, causal=True)
    check_model(lambda: Placed(program.Block(16, 2, 0.0)), x, y, causal=True)
    written = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2, seed=None, std=0.1).cpu(), written, written.roll(-1, 1), classes=30, causal=True)


# --- the cache


def no_padding(rows: int) -> torch.Tensor:
    return torch.zeros(rows, dtype=torch.long)


@pytest.mark.parametrize("cuts", [(12,), (1,) * 12, (5, 1, 1, 3, 2), (1, 10, 1)])
def test_reading_in_pieces_is_reading_at_once(cuts):
    model, text = awake(30, 24, 3, 3), torch.randint(30, (4, 12), generator=torch.Generator().manual_seed(1)).to(program.device)
    cache = program.Cache(model, 15, no_padding(4))
    with torch.no_grad():
        found = torch.cat([program.read(model, piece, cache) for piece in text.split(cuts, dim=1)], dim=1)
        torch.testing.assert_close(found, model(text), rtol=1e-4, atol=1e-4)
    assert cache.length == 12 and cache.stored.shape == (3, 2, 4, 3, 15, 8)


@pytest.mark.parametrize("pads", [(0, 3, 7), (1, 1, 1)])
def test_padding_in_front_changes_nothing(pads):
    """Each row gets the logits that it gets alone, whatever stands in the padding, also token by token."""
    model = awake(30, 16, 2, 2)
    text = torch.randint(30, (3, 9), generator=torch.Generator().manual_seed(2)).to(program.device)
    with torch.no_grad():
        for cuts in ((9,), (8, 1)):
            cache = program.Cache(model, 9, torch.tensor(pads))
            found = torch.cat([program.read(model, piece, cache) for piece in text.split(cuts, dim=1)], dim=1)
            assert found.isfinite().all()
            for row, pad in enumerate(pads):
                torch.testing.assert_close(found[row, pad:], model(text[row : row + 1, pad:])[0], rtol=1e-4, atol=1e-4)


def test_what_is_behind_the_length_is_overwritten():
    """A text that goes back and on otherwise is read as if it had never been there."""
    model = awake(30, 16, 2, 2)
    first, other = (torch.randint(30, (1, 8), generator=torch.Generator().manual_seed(seed)).to(program.device) for seed in (3, 4))
    cache = program.Cache(model, 12, no_padding(1))
    with torch.no_grad():
        program.read(model, first, cache)
        cache.length = 5
        found = program.read(model, other[:, :3], cache)
        torch.testing.assert_close(found, model(torch.cat([first[:, :5], other[:, :3]], 1))[:, 5:], rtol=1e-4, atol=1e-4)


def test_drawn_texts_are_those_without_the_cache():
    model, prompt = awake(40, 16, 2, 2), torch.randint(40, (6,))
    for seed in range(5):
        slow = program.sample(model, prompt, 30, 36, seed=seed)
        assert torch.equal(program.generate(model, [prompt], 30, program.draw(seed))[0], slow[6:])


def test_unequal_prompts_are_continued_as_each_alone():
    model = awake(40, 16, 2, 2)
    prompts = [torch.randint(40, (length,)) for length in (1, 9, 4, 9)]

    def likeliest(logits, written):
        return logits.argmax(1)

    together = program.generate(model, prompts, 20, likeliest)
    alone = torch.cat([program.generate(model, [one], 20, likeliest) for one in prompts])
    assert torch.equal(together, alone)


# --- a draft that guesses

P = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.0, 0.5]])
Q = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.4, 0.1, 0.3, 0.2]])


def checked(count: int) -> list[list[int]]:
    random = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        guesses = [program.one_of(row, random) for row in Q]
        found.append(program.check(P, Q, guesses, random))
    return found


def test_what_is_accepted_follows_the_chances_of_the_model():
    """The first token by P[0], the second by P[1] and the third by P[2], whatever came before: chi-square."""
    found = checked(10_000)
    for place in range(3):
        reached = [one[place] for one in found if len(one) > place]
        counts = Counter(reached)
        possible = [token for token in range(4) if P[place, token] > 0]
        assert set(counts) <= set(possible), "a token without any chance was taken"
        assert chisquare([counts[token] for token in possible], len(reached) * P[place, possible].double().numpy() / P[place].double().sum().item()).pvalue > 1e-4
    accepted = torch.minimum(P[:2], Q).sum(1)
    assert np.mean([len(one) > 1 for one in found]) == pytest.approx(accepted[0].item(), abs=0.02)
    second = [len(one) > 2 for one in found if len(one) > 1]
    assert np.mean(second) == pytest.approx(accepted[1].item(), abs=0.03)


def test_a_draft_that_is_the_model_is_always_right():
    random = torch.Generator().manual_seed(0)
    for _ in range(200):
        guesses = [program.one_of(row, random) for row in P[:2]]
        assert program.check(P, P[:2], guesses, random)[:2] == guesses
    model, prompt = awake(9, 16, 1, 2), torch.tensor([1, 2])
    found, asked = program.speculate(model, model, prompt, 20, 4, 0)
    assert len(found) == 20 and asked == 4


def chances_of_pairs(model: nn.Module, prompt: torch.Tensor, size: int) -> np.ndarray:
    """Return how likely each pair of tokens, (size, size), follows a prompt, (n,)."""
    with torch.no_grad():
        rows = torch.stack([torch.cat([prompt, torch.tensor([token])]) for token in range(size)]).to(program.device)
        logits = model(rows)[:, -2:].cpu().double().softmax(2)
    return (logits[0, 0][:, None] * logits[:, 1]).numpy()


def test_texts_with_a_draft_follow_the_distribution_of_the_model():
    """Chi-square over all pairs of tokens that a model of a vocabulary of four can write first."""
    model, draft, prompt = awake(4, 16, 1, 2, std=0.6), awake(4, 8, 1, 2, seed=1, std=0.6), torch.tensor([0, 3, 1])
    expected = chances_of_pairs(model, prompt, 4)
    assert np.abs(expected - chances_of_pairs(draft, prompt, 4)).max() > 0.03, "the draft is too good for a test"
    counts, asked = np.zeros((4, 4)), set()
    for seed in range(500):
        found, passes = program.speculate(model, draft, prompt, 2, 2, seed)
        counts[tuple(found.tolist())] += 1
        asked.add(passes)
    assert asked == {1, 2}
    assert chisquare(counts.flatten(), 500 * expected.flatten() / expected.sum()).pvalue > 1e-4


def test_a_model_that_is_sure_writes_the_same_with_any_draft():
    model, draft, prompt = awake(20, 16, 2, 2), awake(20, 8, 1, 2, seed=1), torch.tensor([4, 5, 6])
    with torch.no_grad():
        model.head.weight *= 10_000
    expected = program.generate(model, [prompt], 25, program.draw(0))[0]
    for ahead in (1, 3, 7):
        found, asked = program.speculate(model, draft, prompt, 25, ahead, 0)
        assert torch.equal(found, expected) and 25 / (ahead + 1) <= asked <= 25


# --- 8 bits


def test_a_layer_of_8_bits():
    weight = torch.randn(6, 8)
    for by_row in (True, False):
        check_model(lambda by_row=by_row: program.EightBit(weight, by_row), torch.randn(5, 8), torch.arange(5))


@pytest.mark.parametrize("by_row", [True, False])
def test_rounding_errs_by_half_a_step_at_most(by_row):
    torch.manual_seed(0)
    weight = torch.randn(7, 13) * torch.tensor([1.0, 0.01, 5, 1, 1, 0.1, 1])[:, None]
    layer = program.EightBit(weight, by_row)
    assert layer.numbers.dtype == torch.int8 and layer.numbers.shape == (7, 13) and layer.scale.shape == (7 if by_row else 1, 1)
    largest = weight.abs().amax(1) if by_row else weight.abs().max().expand(7)
    torch.testing.assert_close(layer.scale[:, 0].expand(7), largest / 127)
    restored = layer.numbers * layer.scale
    assert ((restored - weight).abs() <= largest[:, None] / 254 * 1.001).all()
    x = torch.randn(4, 2, 13)
    torch.testing.assert_close(layer(x), F.linear(x, restored), rtol=1e-4, atol=1e-4)


def test_rows_of_zeros_stay_zero():
    layer = program.EightBit(torch.zeros(3, 4), True)
    assert not layer(torch.ones(2, 4)).any()


@pytest.mark.parametrize("by_row", [True, False])
def test_a_copy_has_8_bits_in_all_its_layers(by_row):
    model = awake(30, 16, 2, 2)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    small = program.shrink(model, by_row)
    assert not [layer for layer in small.modules() if isinstance(layer, nn.Linear)]
    layers = [layer for layer in small.modules() if isinstance(layer, program.EightBit)]
    assert len(layers) == 2 * 6 + 1 and all((len(layer.scale) > 1) == by_row for layer in layers)
    numbers = 2 * 12 * 16**2 + 30 * 16
    scales = 2 * (4 * 16 + 64 + 16) + 30 if by_row else 13
    assert program.size_of(small) == numbers + 4 * (scales + 30 * 16)
    assert program.size_of(model) == 4 * (numbers + 30 * 16)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items()), "the model itself was changed"
    text = torch.randint(30, (2, 9)).to(program.device)
    with torch.no_grad():
        error = (small(text) - model(text)).abs().max() / model(text).abs().max()
    assert 0 < error < 0.05


# --- what is timed


def test_the_best_of_five_runs_is_told(monkeypatch):
    clock = iter([0, 5, 10, 13, 20, 27, 30, 34, 40, 46])
    monkeypatch.setattr(program.time, "perf_counter", lambda: next(clock))
    calls = []
    assert program.timed(lambda: calls.append(1) or "done") == ("done", 3) and len(calls) == 5


def test_a_step_reads_one_token_of_each_text(monkeypatch):
    """The time of a step is a share of the time of all that were timed together."""
    model, seen, read, timed = awake(30, 16, 1, 2), [], program.read, program.timed
    monkeypatch.setattr(program, "read", lambda model, tokens, cache: seen.append((tokens.shape, cache.length)) or read(model, tokens, cache))
    monkeypatch.setattr(program, "timed", lambda call: (timed(call)[0], len(seen) / 5))
    assert program.step(model, 3, 7) == 1
    assert set(seen) == {((3, 1), 7)} and len(seen) == 40


# --- the whole program


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("generation_speed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", ((16, 2), (8, 1)))
        patch.setattr(program, "LENGTH", 80)
        patch.setattr(program, "PROMPT", 20)
        patch.setattr(program, "AHEAD", (1, 3))
        patch.setattr(program, "bandwidth", lambda: 1e-10)
        patch.setattr(program, "timed", lambda call: (call(), 0.001))  # once is enough
        return out, program.main(out, size=100_000, steps=20, wide=32)


def test_main_writes_its_results(ran):
    out, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["cache"]["same"] == metrics["cache"]["tokens"] == metrics["anew"]["tokens"] == 60
    assert metrics["batch"]["same"] == metrics["batch"]["tokens"] == metrics["apart"]["tokens"] == 16 * 40
    assert all(row["seconds"] > 0 for row in metrics.values())
    for ahead in (1, 3):
        assert 1 <= metrics[f"ahead_{ahead}"]["tokens a pass"] <= ahead + 1
    assert metrics["32_bits"]["loss"] == metrics["model"]["loss"]
    for whole, small in (("32_bits", "8_bits"), ("large_32", "large_8")):
        assert metrics[small]["bytes"] < 0.7 * metrics[whole]["bytes"]
    assert metrics["8_bits_one_scale"]["bytes"] < metrics["8_bits"]["bytes"]
    assert metrics["large_16"]["bytes"] * 2 == metrics["large_32"]["bytes"]


def test_the_stored_run_writes_the_same_tokens_five_times_as_fast():
    stored = stored_metrics("language-models/generation_speed")
    assert stored["cache"]["same"] == stored["cache"]["tokens"] and stored["batch"]["same"] == stored["batch"]["tokens"]
    assert stored["anew"]["seconds"] > 5 * stored["cache"]["seconds"] and stored["last_anew"]["seconds"] > 5 * stored["last_cache"]["seconds"]


def test_the_memory_is_read_at_a_possible_speed():
    """From 1 to 10,000 GB a second."""
    assert 1e-13 < program.bandwidth() < 1e-9
