"""How a model is measured: each loss once and in the right window, questions with a hidden answer, scores of answers alone, intervals."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/evaluation")


def awake(size: int = 256, std: float = 0.3) -> nn.Module:
    """Return a small GPT in which nothing is zero, so that everything it reads matters."""
    model = program.GPT(size, 16, 2, 2)
    for weight in model.parameters():
        nn.init.normal_(weight, std=std)
    assert isinstance(model.blocks[1], program.Block) and isinstance(model.blocks[1].attention, program.Attention)
    return model.to(program.device)


TEXT = b"".join(
    f"The {'long ' * (n % 3)}line of {n} words stands here and goes on, to line {n * 7919 % 1000} or beyond\n" .encode() for n in range(300)
)


def test_network():
    x = tokens(4, 9, 30)
    check_model(lambda: awake(30, std=0.1), x, x.roll(-1, 1), classes=30, causal=True)


# --- tokens


def test_without_merges_tokens_are_bytes():
    text = bytes(range(256)) + "你好 x".encode()
    assert program.Tokenizer(TEXT, 256)(text) == list(text)


def test_tokens_are_merged_and_lose_nothing():
    encode = program.Tokenizer(TEXT, 300)
    names = [bytes([byte]) for byte in range(256)]
    for pair in encode.merges:
        names.append(b"".join(names[ord(half)] for half in pair))
    found = encode(TEXT)
    assert b"".join(names[token] for token in found) == TEXT and len(found) < len(TEXT) / 2 and max(found) < 300


def test_a_question_is_cut_where_tokens_end():
    encode = program.Tokenizer(TEXT, 400)
    for one in program.make_questions(TEXT, 50, 0):
        for answer in one.answers:
            assert encode(one.prompt) + encode(answer) == encode(one.prompt + answer)


# --- perplexity


@pytest.mark.parametrize(("length", "stride"), [(8, 8), (8, 2), (8, 1), (8, 3), (5, 5), (50, 10), (200, 200)])
def test_each_loss_is_that_of_its_window(length, stride):
    model, text = awake(), torch.randint(256, (100,), generator=torch.Generator().manual_seed(1))
    expected = []
    with torch.no_grad():
        for at in range(99):  # the token at + 1 is predicted
            end = (at // stride + 1) * stride
            read = text[max(0, end - length):at + 1]
            expected.append(-model(read[None])[0, -1].log_softmax(0)[text[at + 1]].item())
    found = program.token_losses(model, text, length, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    if length == stride:
        assert found.mean().item() == pytest.approx(program.evaluate(model, text, length), rel=1e-5)


def test_perplexity_is_the_number_of_equal_choices():
    assert program.perplexity(torch.full((7,), math.log(30))) == pytest.approx(30)
    assert program.perplexity(torch.tensor([0.0, math.log(4)])) == pytest.approx(2)


def test_only_the_mean_over_bytes_counts_each_byte_once():
    """Of two paragraphs the second, three of ten losses, is hard: a mean over paragraphs gives it half of the weight."""
    text = torch.tensor(list(b"abcdefg\n\nxy"))
    losses = torch.tensor([0.0] * 7 + [3.0] * 3)
    found = program.averages(losses, text)
    assert found == pytest.approx({"bytes": math.exp(0.9), "paragraphs": math.exp(1.5), "perplexities": (1 + math.exp(3)) / 2})


# --- questions


def test_the_right_answer_is_what_follows():
    questions = program.make_questions(TEXT, 200, 3)
    assert len(questions) == 200
    for one in questions:
        assert TEXT.count(one.prompt + one.answers[one.right]) == 1 and TEXT.find(one.prompt + one.answers[one.right]) >= 0
        assert len(set(one.answers)) == 4 and all(answer in TEXT and answer.endswith(b"\n") for answer in one.answers)
        assert all(17 <= len(answer) <= 51 for answer in one.answers) and len(one.prompt) + 51 <= program.LENGTH


def test_the_place_of_the_answer_tells_nothing():
    """Who takes always the same place, or cannot choose, is right by chance."""
    questions = program.make_questions(TEXT, 300, 0)
    counts = Counter(one.right for one in questions)
    assert all(50 < counts[place] < 100 for place in range(4))
    assert 0.15 < program.grade(torch.zeros(300, 4), questions).mean() < 0.35


def test_questions_follow_their_seed():
    one, two, other = (program.make_questions(TEXT, 50, seed) for seed in (1, 1, 2))
    assert one == two and one != other
    assert len(program.make_questions(TEXT, 10**6, 0)) == 300 == TEXT.count(b"\n")


def test_scores_are_sums_over_the_answer_alone():
    model = awake()
    prompts = [[1, 2, 3, 4], [9], [5, 6]] * 30
    answers = [[7], [8, 9, 10, 11, 12], [5, 5]] * 30
    found = program.score(model, prompts, answers)
    for prompt, answer, score in zip(prompts[:3], answers[:3], found):
        logs = model(torch.tensor([prompt + answer]))[0].log_softmax(1)
        assert score.item() == pytest.approx(sum(logs[len(prompt) + at - 1, token].item() for at, token in enumerate(answer)), rel=1e-4)
    np.testing.assert_allclose(found, found[:3].repeat(30), rtol=1e-4)


def test_scores_differ_by_what_they_are_divided_by():
    model, encode = awake(300), program.Tokenizer(TEXT, 300)
    questions = program.make_questions(TEXT, 6, 0)
    found = program.choose(model, encode, questions)
    sizes = torch.tensor([[len(answer) for answer in one.answers] for one in questions])
    counts = torch.tensor([[len(encode(answer)) for answer in one.answers] for one in questions])
    total = torch.stack([program.score(model, [encode(one.prompt)] * 4, list(map(encode, one.answers))) for one in questions])
    alone = torch.stack([program.score(model, [[10]] * 4, list(map(encode, one.answers))) for one in questions])
    expected = {"total": total, "token": total / counts, "byte": total / sizes, "gain": total - alone, "alone": alone, "longest": sizes}
    assert found.keys() == expected.keys()
    for way, scores in expected.items():
        np.testing.assert_allclose(found[way].detach(), scores.detach(), rtol=1e-3, atol=1e-3)


def test_grades_are_of_the_best_score():
    questions = [program.Question(b"", [b"a"] * 4, right) for right in (0, 3, 2)]
    scores = torch.tensor([[2.0, 1, 0, 0], [0, 0, 0, 1], [-1, -2, -3, -4]])
    assert program.grade(scores, questions).tolist() == [1, 1, 0]


# --- exact match


class Writer(nn.Module):
    """Writes always the same bytes in a circle behind 64 that it reads."""

    def __init__(self, written: bytes):
        super().__init__()
        self.written = torch.tensor(list(written))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, time, 256), of (n, time) bytes."""
        logits = torch.zeros(*x.shape, 256)
        logits[:, -1, self.written[(x.shape[1] - 64) % len(self.written)]] = 1
        return logits


@pytest.mark.parametrize(("written", "expected"), [
    (b" word and more ", {"raw": 1, "spaces": 1, "letters": 1}), (b"\n  word and ", {"raw": 0, "spaces": 1, "letters": 1}),
    (b" Word, and ", {"raw": 0, "spaces": 0, "letters": 1}), (b" words ", {"raw": 0, "spaces": 0, "letters": 0}),
])
def test_exact_match_depends_on_what_counts_as_equal(written, expected):
    found = program.exact_match(Writer(written).to(program.device), b"word " * 100, 30, 0)
    assert {rule: answers.mean() for rule, answers in found.items()} == expected | {"the": 0} and len(found["raw"]) == 30


def test_the_most_frequent_word_is_a_baseline():
    found = program.exact_match(Writer(b" the ").to(program.device), b"the cat or the dog and the " * 20, 60, 0)
    assert np.array_equal(found["raw"], found["the"]) and 0.2 < found["the"].mean() < 0.6


# --- intervals


@pytest.mark.parametrize(("right", "count"), [(0, 10), (3, 10), (50, 100), (98, 100), (100, 100)])
def test_the_interval_ends_where_the_share_is_196_deviations_away(right, count):
    answers = np.arange(count) < right
    for end in program.wilson(answers):
        assert abs(right / count - end) == pytest.approx(1.96 * math.sqrt(max(0, end * (1 - end)) / count), abs=1e-6)
    low, high = program.wilson(answers)
    assert -1e-9 <= low <= right / count + 1e-9 and right / count <= high + 1e-9 and low < high <= 1 + 1e-9


def test_intervals_of_many_benchmarks_at_once():
    answers = np.random.default_rng(0).random((5, 40)) < 0.7
    np.testing.assert_allclose(program.wilson(answers), np.transpose([program.wilson(one) for one in answers]))


def test_what_is_kept_is_what_is_printed(tmp_path, monkeypatch, capsys):
    """The bits of a token, a byte and a word are one sum over their numbers."""
    monkeypatch.setattr(program, "SIZES", {"hidden_size": 8, "num_layers": 1, "num_heads": 1})
    monkeypatch.setattr(program, "VOCABULARIES", {"bytes": 256, "pieces": 270})
    metrics = program.main(tmp_path, size=150_000, steps=5, count=40)
    printed = capsys.readouterr().out
    test = bytes(program.load_data(size=150_000)["test"].tolist())[:20_000]
    for name in ("bytes", "pieces"):
        m = metrics[name]
        assert f"{m['byte']:.3f}" in printed and m["perplexity"] == pytest.approx(2 ** m["token"], rel=1e-3)
        assert m["word"] * len(test.split()) == pytest.approx(m["byte"] * (len(test) - 1), rel=1e-6)
    assert metrics["bytes"]["token"] == pytest.approx(metrics["bytes"]["byte"]) and metrics["pieces"]["token"] > metrics["pieces"]["byte"]
    assert metrics["blocks"]["read_128"] == pytest.approx(metrics["bytes"]["byte"], rel=1e-5)
    assert metrics["averages"]["bytes"] == pytest.approx(metrics["bytes"]["perplexity"])
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "context.svg"}
