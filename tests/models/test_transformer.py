"""The Transformer that translates dates: its data, its masks, its training, its decoding."""

import json

import numpy as np
import pytest
import torch
from conftest import load_snippet
from data_checks import check_balance, check_split
from model_checks import check_model, tokens
from torch import nn
from torch.utils.data import DataLoader

program = load_snippet("models/transformer")


@pytest.fixture(scope="module")
def data():
    return program.load_data(train_days=300)


def make(seed: int = 0) -> nn.Module:
    """Return a small model in evaluation mode."""
    torch.manual_seed(seed)
    return program.Transformer(30, 16, num_layers=2, num_heads=4).eval()


def test_model():
    torch.manual_seed(0)
    source, target = tokens(8, 9, 20, first=3, padding=program.PAD), tokens(8, 6, 20, first=3, padding=program.PAD, seed=1)
    y = torch.where(target == program.PAD, -100, torch.randint(20, target.shape))
    check_model(lambda: program.Transformer(20, 16, 2, 4), (source, target), y, classes=20, padding=program.PAD, causal=True)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_num_layers_is_the_number_of_layers(depth):
    model = program.Transformer(30, 16, depth, 4)
    assert len(model.encoder.layers) == len(model.decoder.layers) == depth


def test_positions_tell_order_apart():
    model = make()
    target = torch.tensor([[1, 5]])
    one, other = (model(torch.tensor([row]), target) for row in ([5, 6, 7, 8], [8, 6, 7, 5]))
    assert (one - other).abs().max() > 1e-3


def test_positions_begin_at_zero():
    table = program.Transformer(9, 6, 1, 1).table
    torch.testing.assert_close(table[0], torch.tensor([0.0, 1, 0, 1, 0, 1]))
    assert abs(table[2, 0].item() - np.sin(2)) < 1e-6


# --- data


def texts_of(pairs, names):
    """Return the texts of the sources, without the language wanted and the style."""
    return ["".join(names[token] for token in source[2:]) for source, _ in pairs]


def test_days_are_divided_before_they_are_written(data):
    pairs, names = data
    assert {part: len(found) for part, found in pairs.items()} == {"train": 2400, "validation": 200, "test": 800}
    check_split(*(texts_of(found, names) for found in pairs.values()))
    check_balance([names[source[0]] + names[source[1]] for source, _ in pairs["test"]],
                  {f"<{to}>{style}": 1 / 8 for to in ("zh", "en") for style in ("full", "long", "medium", "short")}, 0)
    assert all(names[source[0]] == ("<en>", "<zh>")[place % 2] for place, (source, _) in enumerate(pairs["test"]))


def test_tokens_are_those_of_the_training_part(monkeypatch):
    """What stands in the test part alone has no number."""
    monkeypatch.setattr(program, "write", lambda days: [(["<en>", "☃" if len(days) == 100 else "1"], ["1"])])
    with pytest.raises(KeyError, match="☃"):
        program.load_data(train_days=30)
    monkeypatch.setattr(program, "write", lambda days: [(["<en>", "1"], ["1"])])
    assert program.load_data(train_days=30)[1] == ["<pad>", "<start>", "<end>", "1", "<en>"]


def test_no_text_holds_a_mark(data):
    pairs, names = data
    assert names[:3] == ["<pad>", "<start>", "<end>"]
    assert all(min(source + target) > program.END for found in pairs.values() for source, target in found)


def test_batches_are_padded():
    source, target = program.collate([([5, 6, 7], [8]), ([5], [8, 9])])
    assert source.tolist() == [[5, 6, 7], [5, 0, 0]]
    assert target.tolist() == [[program.START, 8, program.END, 0], [program.START, 8, 9, program.END]]


# --- training


def knows(right: list[list[int]]):
    """Return a model that is certain of these next tokens."""
    return lambda source, target: 50 * torch.nn.functional.one_hot(torch.tensor(right, device=target.device), 12).float()


def test_targets_are_one_step_ahead():
    source, target = program.collate([([5, 6], [7, 8, 9])])
    assert program.teacher_forced(knows([[7, 8, 9, program.END]]), source, target).item() < 1e-3
    assert program.teacher_forced(knows([[program.START, 7, 8, 9]]), source, target).item() > 10


def test_padding_does_not_count_in_the_loss():
    source, target = program.collate([([5, 6], [7, 8, 9]), ([5, 6], [7])])
    right = [[7, 8, 9, program.END], [7, program.END, 5, 5]]  # nonsense where nothing is asked
    assert program.teacher_forced(knows(right), source, target).item() < 1e-3


def test_rate_rises_and_falls():
    rates = [program.rate(step, 100, 0.1) for step in range(100)]
    assert max(rates) <= 1 and rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.1) and 0 < rates[-1] < 0.02
    assert program.rate(0, 100, 0) == pytest.approx(1)


def test_training_takes_the_steps_it_is_told_and_the_schedule_follows(monkeypatch):
    rates, watched = [], []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *rest: (rates.append(self.param_groups[0]["lr"]), step(self, *rest))[1])
    loader = DataLoader([([5, 6], [7, 8])] * 12, 4, shuffle=True, collate_fn=program.collate)  # three batches an epoch
    losses = program.train(make(), loader, 20, lambda: watched.append(1) or 0.0)
    assert len(losses) == 20 and losses[-1] < losses[0] and len(watched) == 10
    assert rates == pytest.approx([0.003 * program.rate(step, 20, 0.1) for step in range(20)])


# --- decoding


class Counting(nn.Module):
    """Writes 5, 6, 7 where the source asks for 5, and the end at once where it asks for that."""

    projection = nn.Identity()

    def encode(self, source):
        return source

    def decode(self, target, memory, source):
        following = torch.where(target[:, -1] == program.START, source[:, 0], target[:, -1] + 1)
        following = torch.where(target[:, -1] == 7, program.END, following)
        return 20 * torch.nn.functional.one_hot(following.clamp(max=11), 12).float()[:, None]


def test_greedy_search_stops_at_each_end():
    assert program.greedy(Counting(), torch.tensor([[5], [program.END]])) == [[5, 6, 7], []]
    assert program.greedy(Counting(), torch.tensor([[8]]), longest=4) == [[8, 9, 10]]


def test_greedy_search_takes_the_likeliest_token_each_time():
    model, source = make(), torch.tensor([[4, 6, 8, 9]])
    (found,) = program.greedy(model, source, longest=8)
    for length, token in enumerate(found):
        with torch.no_grad():
            logits = model(source, torch.tensor([[program.START, *found[:length]]]))[0, -1]
        assert logits.argmax() == token


def test_only_the_whole_answer_is_right():
    pairs = [([5], [5, 6, 7]), ([5], [5, 6]), ([5], [5, 6, 7, 8]), ([5], [5, 6, 8])]
    assert program.evaluate(Counting(), pairs) == 0.25


def test_the_rule_is_right_for_every_date(data):
    pairs, names = data
    for source, target in pairs["validation"]:
        assert program.rule([names[token] for token in source]) == "".join(names[token] for token in target)


# --- where it looks


def test_what_is_shown_is_the_attention_of_each_layer():
    model = make()
    source, target = torch.randint(3, 30, (1, 9)), torch.randint(3, 30, (1, 6))
    weights = program.look(model, source, target)
    assert weights.shape == (2, 4, 6, 9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6))
    assert not any(layer.multihead_attn._forward_hooks for layer in model.decoder.layers), "the hooks are left behind"
    with torch.no_grad():  # the first layer's, worked out apart
        layer, memory, x = model.decoder.layers[0], model.encode(source), model.embed(target)
        y = layer.norm1(x)
        x = x + layer.self_attn(y, y, y, attn_mask=model.causal_mask(6))[0]
        expected = layer.multihead_attn(layer.norm2(x), memory, memory, average_attn_weights=False)[1][0]
    torch.testing.assert_close(weights[0], expected)


def test_text_of_the_figure_stays_text(tmp_path, data):
    pairs, names = data
    torch.manual_seed(0)
    program.draw_attention(program.Transformer(len(names), 8, 1, 2), *pairs["test"][0], names, tmp_path / "figure.svg")
    assert ">年</text>" in (tmp_path / "figure.svg").read_text(encoding="utf-8").replace("\n", "")


# --- all of it


def test_main_writes_its_results(tmp_path, monkeypatch):
    evaluate = program.evaluate
    monkeypatch.setattr(program, "evaluate", lambda model, pairs: evaluate(model, pairs[:20]))
    metrics = program.main(tmp_path, steps=1, train_days=200)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["rule"] == {"en": 1, "zh": 1} and set(metrics["network"]) == {"en", "zh"}
    assert {path.name for path in tmp_path.iterdir()} == {"attention.svg", "metrics.json", "weights.pt"}


def test_a_seed_is_a_run(tmp_path):
    """The global states before do not matter; another seed does."""
    def losses(seed: int, state: int) -> list[float]:
        torch.manual_seed(state)
        found = []
        train = program.train

        def keep(*arguments):
            found.extend(train(*arguments))
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program, "train", keep)
            patch.setattr(program, "evaluate", lambda *_: 0.0)
            program.main(tmp_path, seed, steps=3, train_days=50)
        return found

    assert losses(0, 1) == losses(0, 2) != losses(1, 1)


def test_main_measures_the_test_part(tmp_path, monkeypatch):
    """The network is watched on the validation part and measured on the test part."""
    seen = []
    monkeypatch.setattr(program, "evaluate", lambda model, pairs: seen.append(pairs) or 0.0)
    program.main(tmp_path, steps=1, train_days=50)
    pairs, _ = program.load_data(train_days=50)
    assert seen == [pairs["validation"], pairs["test"][::2], pairs["test"][1::2]]
