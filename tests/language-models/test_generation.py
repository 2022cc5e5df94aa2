"""Generation: what each way of choosing keeps of the chances, and what is measured of the texts."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/generation")


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


# --- what is kept


CHANCES = torch.tensor([0.05, 0.5, 0.15, 0.3])


@pytest.mark.parametrize(("change", "value", "kept"), [
    (program.top_k, 1, [1]), (program.top_k, 2, [1, 3]), (program.top_k, 4, [0, 1, 2, 3]),
    (program.top_p, 0.01, [1]), (program.top_p, 0.49, [1]), (program.top_p, 0.51, [1, 3]), (program.top_p, 0.79, [1, 3]),
    (program.top_p, 0.81, [1, 2, 3]), (program.top_p, 0.96, [0, 1, 2, 3]),
    (program.min_p, 0.99, [1]), (program.min_p, 0.59, [1, 3]), (program.min_p, 0.29, [1, 2, 3]), (program.min_p, 0.11, [1, 2, 3]), (program.min_p, 0.09, [0, 1, 2, 3]),
])
def test_what_is_kept_keeps_its_proportions(change, value, kept):
    logits = CHANCES.log()[None] + 3
    found = change(logits, value).softmax(1)[0]
    expected = torch.zeros(4)
    expected[kept] = CHANCES[kept] / CHANCES[kept].sum()
    torch.testing.assert_close(found, expected)


def plain(change, logits: list[float], value: float) -> list[int]:
    """Return what a method keeps of the logits of one text, by its definition."""
    total = sum(map(math.exp, logits))
    chances = [math.exp(one) / total for one in logits]
    order = sorted(range(len(logits)), key=lambda token: -logits[token])
    if change is program.top_k:
        return sorted(order[:value])
    if change is program.min_p:
        return [token for token in range(len(logits)) if chances[token] >= value * max(chances)]
    kept, reached = [], 0.0
    for token in order:
        kept.append(token)
        reached += chances[token]
        if reached >= value:
            return sorted(kept)
    return sorted(kept)


@pytest.mark.parametrize(("change", "values"), [(program.top_k, (1, 3, 40)), (program.top_p, (0.05, 0.5, 0.9, 0.999, 1.0)), (program.min_p, (0.9, 0.3, 0.02))])
def test_methods_are_those_of_their_definition(change, values):
    torch.manual_seed(0)
    logits = 2 * torch.randn(50, 40, dtype=torch.double)
    for value in values:
        found = change(logits, value)
        for row, before in zip(found, logits):
            kept = row.isfinite().nonzero()[:, 0].tolist()
            assert kept == plain(change, before.tolist(), value)
            assert torch.equal(row[kept], before[kept])


@pytest.mark.parametrize("value", [0.3, 1.0, 2.0])
def test_temperature_takes_a_power_of_the_chances(value):
    expected = CHANCES ** (1 / value)
    torch.testing.assert_close(program.temperature(CHANCES.log() - 5, value).softmax(0), expected / expected.sum())


def test_a_penalty_lowers_what_was_written_once_however_often():
    logits = torch.tensor([[2.0, -2.0, 0.0, 1.0], [1.0, 1.0, -1.0, 3.0]])
    written = torch.tensor([[0, 0, 1, 0], [3, 2, 2, 3]])
    expected = torch.tensor([[1.0, -4.0, 0.0, 1.0], [1.0, 1.0, -2.0, 1.5]])
    assert torch.equal(program.penalize(logits, written, 2.0), expected)
    assert torch.equal(program.penalize(logits, written[:, :0], 2.0), logits), "nothing was written"


# --- writing


def test_tokens_are_drawn_by_the_changed_chances():
    choose = program.draw(0, lambda logits, written: program.top_p(logits, 0.9))
    drawn = choose(CHANCES.log().expand(20_000, 4).to(program.device), None).cpu()
    shares = drawn.bincount(minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, [0, 0.5 / 0.95, 0.15 / 0.95, 0.3 / 0.95], atol=0.01)
    logits = torch.zeros(50, 9)
    assert torch.equal(program.draw(1)(logits, None), program.draw(1)(logits, None))
    assert not torch.equal(program.draw(1)(logits, None), program.draw(2)(logits, None))


def test_texts_are_written_as_one_after_the_other_without_a_cache():
    """Prompts of unequal length, each continued by reading everything anew; what is told as written is what was written."""
    model = awake(30, 16, 2, 2).eval()
    prompts = [torch.randint(30, (length,)) for length in (1, 7, 3)]
    told = []

    def likeliest(logits, written):
        told.append(written.cpu())
        return logits.argmax(1)

    found = program.generate(model, prompts, 12, likeliest)
    assert found.shape == (3, 12) and not model.training
    for number, prompt in enumerate(prompts):
        text = prompt
        for _ in range(12):
            text = torch.cat([text, model(text[None].to(program.device))[0, -1:].argmax(1).cpu()])
        assert found[number].tolist() == text[len(prompt) :].tolist()
    assert [one.shape for one in told] == [(3, count) for count in range(12)]
    assert torch.equal(told[-1], found[:, :-1])


# --- what is measured


def rows(*texts: bytes) -> torch.Tensor:
    return torch.tensor([list(text) for text in texts])


def test_measures_of_texts_made_by_hand():
    model = awake(256, 16, 1, 2).eval()
    prompts, written = rows(b"so it ", b"and an"), rows(b"ds some words with wrods in", b"aaaaaaaaaaaaaaaaaaaaaaaaaaa")
    found = program.measure(model, prompts, written, {b"some", b"words", b"wrods"})
    assert found["words"] == 0.5  # words, not with; the first and the last word of four letters or more may be cut
    assert found["repeats"] == pytest.approx(1 - (20 + 1) / 40), "20 pieces of 8 bytes in each text; all of the second are one"
    assert found["variety"] == pytest.approx(21 / 40)
    losses = []
    for prompt, text in zip(prompts, written):
        both = torch.cat([prompt, text])
        with torch.no_grad():
            logits = model(both[None].to(program.device))[0].cpu()
        losses += [F.cross_entropy(logits[place], both[place + 1]).item() for place in range(5, 32)]
    assert found["bits"] == pytest.approx(np.mean(losses) / math.log(2), rel=1e-5)


def test_pieces_that_several_texts_share_count_once_for_variety_alone():
    model = awake(256, 16, 1, 2).eval()
    found = program.measure(model, rows(b"a", b"b"), rows(b"all of this", b"all of this"), set())
    assert found["repeats"] == 0 and found["variety"] == 0.5 and found["words"] == 0


def test_words_are_compared_at_equal_variety():
    names = ["as it is", *(f"top-k {value}" for value in program.METHODS["top-k"][1])]
    metrics = {name: {"variety": 0.9 - 0.2 * place, "words": 0.5 + 0.1 * place} for place, name in enumerate(names)}
    assert program.compare(metrics | {"real text": {"variety": 0.8}}, "top-k", "real text") == pytest.approx(0.55)
    assert program.compare(metrics | {"other": {"variety": 0.5}}, "top-k", "other") == pytest.approx(0.7)


# --- the whole program


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the program small; return its folder, what it measured, and what it handed to `measure` by and by."""
    out, given, measure = tmp_path_factory.mktemp("generation"), [], program.measure

    def noted(model, prompts, written, known):
        given.append((prompts, written, known))
        return measure(model, prompts, written, known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", {"vocabulary_size": 256, "hidden_size": 16, "num_layers": 1, "num_heads": 2})
        patch.setattr(program, "LENGTH", 40)
        patch.setattr(program, "PROMPT", 16)
        patch.setattr(program, "measure", noted)
        return out, program.main(out, size=100_000, steps=20, count=3), given


def test_main_writes_its_results(ran):
    out, metrics, _ = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in out.iterdir()} == {"metrics.json", "choices.svg"}
    assert set(metrics["alike"]) == set(program.METHODS)
    for name in program.METHODS:
        assert metrics["alike"][name] == program.compare(metrics, name, "real text")


def test_all_ways_continue_the_same_prompts_of_the_test_part(ran):
    _, metrics, given = ran
    data = program.load_data(size=100_000)
    text, training = bytes(data["test"].tolist()), bytes(data["train"].tolist())
    assert len(given) == 1 + 4 + 16 == len(metrics) - 4
    prompts, real, known = given[0]
    for prompt, follows in zip(prompts, real):
        whole = bytes([*prompt.tolist(), *follows.tolist()])
        assert len(whole) == 40 and whole in text
    assert known == set(program.words_of(training)) and b"array" in known
    for other, written, words in given[1:]:
        assert torch.equal(other, prompts) and written.shape == (3, 24) and words is known
    assert not torch.equal(given[1][1], real)


def test_each_way_does_what_it_is_called():
    logits, written = torch.randn(5, 256), torch.randint(256, (5, 7))
    ways = program.ways()
    assert torch.equal(ways["as it is"](logits, written), logits)
    assert (ways["the likeliest"](logits, written).isfinite().sum(1) == 1).all()
    assert torch.equal(ways["top-p 0.8"](logits, written), program.top_p(logits, 0.8))
    assert torch.equal(ways["temperature 0.4"](logits, written), logits / 0.4)
    assert torch.equal(ways["min-p 0.3"](logits, written), program.min_p(logits, 0.3))
    assert torch.equal(ways["top-k 2"](logits, written), program.top_k(logits, 2))
    lower = program.penalize(logits, written, 1.2)
    assert torch.equal(ways["the likeliest, penalty 1.2"](logits, written), program.top_k(lower, 1))
    assert torch.equal(ways["temperature 0.6, penalty 1.2"](logits, written), lower / 0.6)
