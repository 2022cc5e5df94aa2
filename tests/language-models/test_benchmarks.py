"""What is doubted of a benchmark: intervals that hold what they promise, questions planted and found, a judge that is known."""

import math
import re

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/benchmarks")


def random(seed: int = 0) -> np.random.Generator:
    """Return random numbers."""
    return np.random.default_rng(seed)


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


# --- intervals


def test_the_bootstrap_is_that_of_the_binomial():
    low, high = program.bootstrap((np.arange(100) < 40) * 1.0, random(), times=20_000)
    half = 1.96 * math.sqrt(0.4 * 0.6 / 100)
    assert (low, high) == (pytest.approx(0.4 - half, abs=0.012), pytest.approx(0.4 + half, abs=0.012))


def test_what_never_fails_has_no_bootstrap():
    assert program.bootstrap(np.ones(100), random()).tolist() == [1, 1] and program.wilson(np.ones(100))[0] < 0.97


@pytest.mark.parametrize("run", [1, 10])
def test_benchmarks_are_drawn_anywhere(run):
    drawn = program.draw(300, random(), run)
    assert drawn.shape == (1000, 100) and drawn.min() == 0 and drawn.max() == 299
    runs = drawn.reshape(1000, -1, run)
    assert (np.diff(runs) == 1).all() and len(np.unique(runs[:, 0, 0])) > 250


def test_coverage_counts_intervals_that_hold_the_truth():
    intervals = np.array([[0.1, 0.5, 0.2, 0.6], [0.3, 0.7, 0.9, 0.8]])
    assert program.coverage(intervals, 0.5) == 0.5 and program.coverage(intervals, 0.25) == 0.5 and program.coverage(intervals, 0.95) == 0


def test_wilson_holds_the_truth_of_95_in_100_benchmarks():
    pool = (np.arange(1000) < 300) * 1.0
    assert program.coverage(program.wilson(pool[program.draw(1000, random())]), 0.3) == pytest.approx(0.95, abs=0.02)


def test_a_difference_is_that_of_the_means():
    one, other = np.array([1.0, 1, 0, 1, 0, 1]), np.array([1.0, 0, 0, 1, 0, 0])
    for paired, variance in ((True, np.var([0, 1, 0, 0, 0, 1])), (False, np.var(one) + np.var(other))):
        low, high = program.difference(one, other, paired)
        assert (low + high) / 2 == pytest.approx(1 / 3) and high - low == pytest.approx(2 * 1.96 * math.sqrt(variance / 6))
    assert np.ptp(program.difference(one, one, True)) == 0


def test_pairs_see_smaller_differences():
    """Two models that fail at mostly the same questions: paired intervals are narrower, and still hold what they promise."""
    chance = random().random((2000, 100))
    one, other = (chance < 0.6) * 1.0, (chance < 0.52) * 1.0
    paired, unpaired = (program.difference(one, other, way) for way in (True, False))
    assert np.ptp(paired, axis=0).mean() < 0.5 * np.ptp(unpaired, axis=0).mean()
    assert (paired[0] > 0).mean() > 0.7 > 0.2 > (unpaired[0] > 0).mean()


def test_intervals_of_known_models():
    """The pool's own difference is found more often in pairs; without one the rate of false findings is near 5 %."""
    hard = random(1).random(3000)
    whole, half = (hard < 0.55) * 1.0, np.where(random(2).random(3000) < 0.1, 1 - (hard < 0.5), hard < 0.5) * 1.0
    found = program.intervals(half, whole, random())
    assert found["pair"]["half"] == half.mean() and found["pair"]["whole"] == whole.mean()
    assert found["pair"]["paired"]["found"] > found["pair"]["unpaired"]["found"]
    assert found["pair"]["paired"]["width"] < found["pair"]["unpaired"]["width"]
    assert found["pair"]["paired"]["false"] == pytest.approx(0.05, abs=0.03) and found["pair"]["unpaired"]["false"] < 0.03
    assert found["whole"]["wilson"]["coverage"] == pytest.approx(0.95, abs=0.025)
    assert found["easy"]["share"] == 0.98 and found["easy"]["bootstrap"]["coverage"] < 0.9 < found["easy"]["wilson"]["coverage"]


def test_questions_that_are_neighbors_deserve_wider_intervals():
    whole = np.repeat(random(1).random(100) < 0.5, 10) * 1.0  # ten in a row are all right or all wrong
    found = program.intervals(whole, whole, random())
    assert found["neighbors"]["wilson"]["coverage"] < 0.75 < 0.92 < found["whole"]["wilson"]["coverage"]


# --- contamination


def test_what_is_edited_has_the_same_words_in_another_order():
    text = b"one two three four five six seven\neight nine ten"
    assert program.edit(text) == b"two one three five four six seven\nnine eight ten"
    assert sorted(program.edit(text).split()) == sorted(text.split())
    assert program.longest_runs(program.edit(text), [text]).tolist() == [2]


def test_items_are_planted_as_often_as_they_are_given():
    text = b"\n\n".join(f"Paragraph {n} of the text.".encode() for n in range(50))
    found = program.plant(text, [b"first item\n"] * 7 + [b"second item\n"], 0)
    assert found.count(b"\n\nfirst item") == 7 and found.count(b"second item") == 1
    assert re.sub(rb"\n\n(first|second) item", b"", found) == text and found != program.plant(text, [b"first item\n"] * 7 + [b"second item\n"], 1)


def test_the_longest_run_of_words():
    train = b"a b c d e f g h\ni j k l m n o p"
    texts = [b"x y z", b"z c d q", b"e f g h i j", b"p o n m", b"a b c d e f g h i j k l m n o p"]
    assert program.longest_runs(train, texts).tolist() == [0, 2, 6, 1, 13]
    assert program.longest_runs(train, texts, most=4).tolist() == [0, 2, 4, 1, 4]


def test_a_neighbor_differs_by_two_words_side_by_side():
    text = b"one two\n  three four five\n"
    for seed in range(20):
        found = program.neighbor(text, random(seed))
        differ = [at for at, (a, b) in enumerate(zip(text.split(), found.split())) if a != b]
        assert sorted(found.split()) == sorted(text.split()) and len(differ) == 2 and differ[1] - differ[0] == 1
        assert re.sub(rb"\S", b"", found) == re.sub(rb"\S", b"", text.strip())


class Parrot(nn.Module):
    """Knows what follows each three bytes of one text, and nothing else."""

    def __init__(self, text: bytes):
        super().__init__()
        self.next = {text[at:at + 3]: text[at + 3] for at in range(len(text) - 3)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (n, time, 256), of (n, time) bytes."""
        logits = torch.zeros(*x.shape, 256)
        for row, read in enumerate(x.tolist()):
            for at in range(len(read)):
                if (past := bytes(read[max(0, at - 2):at + 1])) in self.next:
                    logits[row, at, self.next[past]] = 9
        return logits


def test_a_text_that_is_known_is_likelier_than_its_neighbors():
    known, other = b"the quick brown fox jumps over the lazy dog", b"a wholly different line of just as many words here"
    found = program.suspicion(Parrot(known), [known, other], 0)
    assert found["likelihood"][0] > found["likelihood"][1] + 2 and found["likelihood"][1] == pytest.approx(-math.log(256), abs=0.2)
    assert found["neighbors"][0] > 0.3 and abs(found["neighbors"][1]) < 0.1


# --- the judge


def test_the_judge_keeps_to_its_rule():
    better, longer = (random(1).random((2, 200_000)) < [[0.6], [0.3]]) * 1.0
    for skill, place, length in ((0.8, 0.2, 0.2), (1, 0, 0), (0.5, 0, 0), (0.9, 0.5, 0), (0.9, 0, 1), (0.7, 1, 0)):
        seen = skill * better.mean() + (1 - skill) * (1 - better.mean())
        expected = place + length * longer.mean() + (1 - place - length) * seen
        assert program.judge(better, longer, random(), skill, place, length).mean() == pytest.approx(expected, abs=0.005)
    assert np.array_equal(program.judge(better, longer, random(), 1, 0, 0), better)
    assert np.array_equal(program.judge(better, longer, random(), 0.5, 0, 1), longer)


def test_swapping_the_order_shows_the_bias_and_mends_it():
    better, longer = (random(1).random((2, 200_000)) < [[0.6], [0.5]]) * 1.0
    found = program.both_orders(better, longer, random())
    seen = 0.8 * 0.6 + 0.2 * 0.4
    assert found["truth"] == better.mean() and found["bias"] == pytest.approx(0.2, abs=0.01)
    assert found["first"] == pytest.approx(0.2 + 0.2 * 0.5 + 0.6 * seen, abs=0.01)
    assert found["second"] == pytest.approx(0.2 * 0.5 + 0.6 * seen, abs=0.01)
    assert found["average"] == pytest.approx((found["first"] + found["second"]) / 2)
    assert found["average"] - 0.5 == pytest.approx(0.6 * (seen - 0.5), abs=0.01)  # nearer to a half than the truth
    assert 0.5 < found["agree"] < 0.9


def test_swapping_does_not_mend_a_taste_for_length():
    better, longer = (random(1).random((2, 200_000)) < [[0.6], [0.1]]) * 1.0
    found = program.both_orders(better, longer, random())
    assert found["truth"] > 0.59 and found["average"] < 0.5


# --- the whole program


def test_main_measures_the_groups_that_were_planted(tmp_path, monkeypatch, capsys):
    """Half of the items of a small model's whole text are planted; it is trained on nothing else."""
    monkeypatch.setattr(program, "SIZES", {"hidden_size": 8, "num_layers": 1, "num_heads": 1})
    monkeypatch.setattr(program, "EACH", 10)
    seen = {}
    plant, train = program.plant, program.train
    monkeypatch.setattr(program, "plant", lambda text, items, seed: seen.setdefault("text", plant(text, seen.setdefault("items", items), seed)))
    monkeypatch.setattr(program, "train", lambda model, tokens, *more, **named: train(model, seen.setdefault("tokens", tokens), *more, **named))
    suspicion, split = program.suspicion, np.array_split
    monkeypatch.setattr(program, "suspicion", lambda *given: seen.setdefault("signs", suspicion(*given)))
    splits = []  # the first of them is ours; others are of the figure
    monkeypatch.setattr(np, "array_split", lambda *given: splits.append(split(*given)) or splits[-1])
    metrics = program.main(tmp_path, size=150_000, steps=4, count=150)
    known, rest = splits[0]
    assert not set(known) & set(rest) and len(known) + len(rest) == len(seen["signs"]["likelihood"]) - 40 > 50
    for rule, sign in seen["signs"].items():  # the threshold is set on one half of the clean questions, and tried on the other
        assert metrics["groups"]["clean"][rule] == pytest.approx((sign[rest] > np.quantile(sign[known], 0.95)).mean())
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "runs.svg"}
    assert bytes(seen["tokens"].tolist()) == seen["text"] and metrics["text"] == len(seen["text"])
    assert len(seen["items"]) == 10 * (1 + 4 + 16 + 16) and len(set(seen["items"])) == 40
    runs = metrics["runs"]
    assert runs["once"]["words_6"] > 0.9 and runs["sixteen"]["words_6"] > 0.9 and runs["edited"]["words_6"] < 0.3 and runs["clean"]["words_6"] < 0.5
    assert metrics["groups"].keys() == program.COPIES.keys() and "accused by" in capsys.readouterr().out
    assert all(m["low"] <= m["accuracy"] <= m["high"] for m in metrics["groups"].values())
