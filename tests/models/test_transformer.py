"""The Transformer that translates: its data, its masks, its searches."""

import json
import random

import numpy as np
import pytest
import torch
from conftest import RESULTS, load_snippet
from data_checks import arguments_of, check_fitted_on_training_part, check_split
from model_checks import check_eight_bits, check_export, check_model, exported, tokens
from torch import nn

program = load_snippet("models/transformer")


@pytest.fixture(scope="module")
def pairs():
    return program.load_data(share=0.02)


@pytest.fixture(scope="module")
def vocabulary(pairs):
    return program.Vocabulary(pairs["train"])


def make(seed: int = 0) -> nn.Module:
    """Return a small model in evaluation mode."""
    torch.manual_seed(seed)
    return program.Transformer(30, 16, num_layers=2, num_heads=4).eval()


def test_model():
    torch.manual_seed(0)
    source, target = tokens(8, 9, 20, first=4, padding=program.PAD), tokens(8, 6, 20, first=4, padding=program.PAD, seed=1)
    y = torch.where(target == program.PAD, -100, torch.randint(20, target.shape))
    check_model(lambda: program.Transformer(20, 16, 2, 4), (source, target), y, classes=20, padding=program.PAD, causal=True)


def test_positional_encoding():
    torch.manual_seed(0)
    check_model(lambda: program.PositionalEncoding(16), torch.randn(4, 5, 16), torch.randint(16, (4, 5)))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_num_layers_is_the_number_of_layers(depth):
    model = program.Transformer(30, 16, depth, 4)
    assert len(model.encoder.layers) == len(model.decoder.layers) == depth


def test_positions_tell_order_apart():
    model = make()
    target = torch.tensor([[1, 5]])
    one, other = (model(torch.tensor([row]), target) for row in ([5, 6, 7, 8], [8, 6, 7, 5]))
    assert (one - other).abs().max() > 1e-3


def texts_of(pairs):
    """Return the texts of each part."""
    return [[text for one in pairs[part] for text in (one.zh, one.en)] for part in ("train", "validation", "test")]


def test_nothing_tested_was_trained(pairs):
    check_split(*texts_of(pairs))
    assert {one.kind for one in pairs["test"]} == {"dates", "times", "intervals", "quantities", "currencies", "names"}


def test_tokens_are_those_of_the_training_part(pairs, monkeypatch, tmp_path):
    def names(train, test):
        monkeypatch.setattr(program, "load_data", lambda share: {"train": train, "validation": test, "test": test})
        _, vocabulary = arguments_of(program, "examples", lambda: program.main(tmp_path))
        return vocabulary.names

    other = [program.Pair("names", "unheard", "☃" * 3, "snowmen everywhere")] * 200
    check_fitted_on_training_part(names, pairs["train"], pairs["test"], other)


def test_a_day_is_held_out_in_all_styles(pairs):
    styles = {}
    for one in pairs["test"]:
        if one.kind == "dates":
            styles.setdefault(one.style, []).append(one)
    assert {style: len(found) for style, found in styles.items()} == {"full": 4, "long": 4, "medium": 4, "short": 4}


def test_a_source_has_one_answer(pairs, vocabulary):
    answers = {}
    for one in program.examples([one for found in pairs.values() for one in found], vocabulary):
        key = one.to, one.source[1], one.given
        assert answers.setdefault(key, one.wanted) == one.wanted, f"{one.given} has two translations"


def test_no_key_of_cldr_stands_in_a_quantity():
    for one in program.quantities([(number, unit) for number in (1, 2.5) for unit in program.UNITS]):
        assert "length-" not in one.zh + one.en and "duration-" not in one.zh + one.en and "volume-" not in one.zh + one.en


def test_vocabulary_survives_both_ways(pairs, vocabulary):
    assert [vocabulary.names[number] for number in range(4)] == ["<pad>", "<start>", "<end>", "<unknown>"]
    for one in pairs["train"]:
        for text in (one.zh, one.en):
            assert vocabulary.decode(vocabulary.encode(text) + [program.END, 7]) == text
    assert vocabulary.encode("☃") == [program.UNKNOWN]
    assert vocabulary.decode(vocabulary.encode("", "zh", "full")) == "<zh><full>"


def test_batches_hold_every_example_once(pairs, vocabulary):
    found = program.examples(pairs["validation"], vocabulary)
    random.seed(0)
    made = [one for batch in program.batches(found, 7) for one in batch]
    assert len(made) == len(found) and set(map(id, made)) == set(map(id, found))


def test_rate_rises_and_falls():
    rates = [program.rate(step, 100) for step in range(100)]
    assert max(rates) <= 1 and rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.1) and 0 < rates[-1] < 0.02


def likelihood(model: nn.Module, source: list[int], answer: list[int]) -> float:
    """Return the logarithm of the probability of an answer that ends."""
    if program.END in answer:
        answer = answer[: answer.index(program.END) + 1]
    target = torch.tensor([[program.START, *answer]])
    with torch.no_grad():
        logits = model(program.pad([source]), target[:, :-1]).log_softmax(2)[0]
    return logits.gather(1, target[0, 1:, None]).sum().item()


def test_beam_of_one_is_greedy_and_a_wider_one_finds_no_worse():
    sources = [[4, 6, 8, 9], [5, 7], [5, 9, 11, 12, 6, 7]]
    for seed in range(3):
        model = make(seed)
        one = program.greedy(model, sources, longest=8)
        assert program.beam(model, sources, width=1, longest=8) == one
        alone = [program.greedy(model, [source], longest=8)[0] for source in sources]
        assert [row[: len(other)] for row, other in zip(one, alone)] == alone


def test_beam_finds_the_likelier_of_two_ways():
    """First tokens: 4 (0.6) or 5 (0.4); after 4 the end has 0.5, after 5 it has 1."""

    class Table(nn.Module):
        projection = nn.Identity()

        def encode(self, source):
            return source

        def decode(self, target, memory, source):
            rows = {program.START: {4: 0.6, 5: 0.4}, 4: {program.END: 0.5, 6: 0.5}, 5: {program.END: 1.0}, 6: {program.END: 1.0}}
            share = torch.full((*target.shape, 8), 1e-9)
            for row, tokens in enumerate(target.tolist()):
                for token, value in rows.get(tokens[-1], {program.END: 1.0}).items():
                    share[row, -1, token] = value
            return share.log()

    model = Table()
    assert program.greedy(model, [[7], [7]])[0][0] == 4
    for answer in program.beam(model, [[7], [7]], width=2):
        assert answer[:2] == [5, program.END]


def test_what_has_ended_stays_ended():
    """The model would go on after its end; its neighbor in the batch has not ended yet."""

    class Counting(nn.Module):
        projection = nn.Identity()

        def encode(self, source):
            return source

        def decode(self, target, memory, source):
            following = target[:, -1] + 1  # the first source asks for 5 after the start, the second for the end
            following = torch.where(target[:, -1] == program.START, source[:, 0], torch.where(target[:, -1] == 7, program.END, following))
            return 20 * torch.nn.functional.one_hot(following.clamp(max=11), 12).float()[:, None]

    for search in (program.greedy, program.beam):
        found = search(Counting(), [[5], [program.END]])
        length = len(found[0])  # a beam goes on until its less likely rows have ended too
        assert found == [[5, 6, 7] + [program.END] * (length - 3), [program.END] * length]


def test_nearest_copies_a_known_answer(pairs, vocabulary):
    known, asked = (program.examples(pairs[part], vocabulary) for part in ("train", "test"))
    assert program.nearest(known, known[:10]) == [one.wanted for one in known[:10]]
    answers = program.nearest(known, asked)
    assert len(answers) == len(asked) and set(answers) <= {one.wanted for one in known}


def test_a_step_shows_where_it_looks_and_answers_as_the_model():
    model = make()
    source, target = torch.randint(4, 30, (3, 9)), torch.randint(4, 30, (3, 6))
    with torch.no_grad():
        logarithms, weights = program.Step(model)(source, target)
        torch.testing.assert_close(logarithms, model(source, target)[:, -1].log_softmax(1))
    assert weights.shape == (3, 2, 4, 6, 9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 4, 6))


def test_a_word_at_the_end_of_a_text_is_one_token():
    pair = program.Pair("quantities", "long", "3周", "3 weeks")
    vocabulary = program.Vocabulary([pair] * 120)
    assert vocabulary.names[vocabulary.encode("3 weeks")[-1]] == "weeks"


# --- what the page runs


def test_eight_bits():
    check_eight_bits(make(), program.shrink, program.EightBits)


def test_export_is_equal_to_pytorch(tmp_path):
    torch.manual_seed(0)
    model = program.shrink(program.Transformer(600, 16, num_layers=1, num_heads=4))  # exporting takes as long as there are layers
    program.export(model, tmp_path)
    run = exported(tmp_path)
    for batch, given, written in ((1, 5, 1), (4, 11, 8), (2, 1, 20)):
        source = torch.randint(4, 600, (batch, given), dtype=torch.int32)
        target = torch.randint(4, 600, (batch, written), dtype=torch.int32)
        check_export(run, program.Step(model), source=source, target=target)


def test_samples_are_test_pairs_with_their_answers():
    folder = RESULTS / "models" / "transformer"
    live, run = json.loads((folder / "live.json").read_text(encoding="utf-8")), exported(folder)
    pairs = program.load_data()
    check_split(*texts_of(pairs))  # all of them, which takes seconds to write
    vocabulary = program.Vocabulary(pairs["train"])
    assert live["names"] == vocabulary.names
    tests = {(one.kind, one.to, one.given, one.wanted) for one in program.examples(pairs["test"], vocabulary)}
    assert len(live["samples"]) >= 50
    for sample in live["samples"]:
        assert (sample["kind"], sample["to"], sample["given"], sample["wanted"]) in tests
        source, target, logarithms = vocabulary.encode(sample["given"], sample["to"], sample["style"]), [program.START], []
        for share in sample["probabilities"]:
            answer = run(source=np.array([source], np.int32), target=np.array([target], np.int32))[0][0]
            target.append(int(answer.argmax()))
            logarithms.append(answer.max())
        np.testing.assert_allclose(np.exp(logarithms), sample["probabilities"], atol=1e-4)
        assert vocabulary.decode(target[1:]) == sample["answer"]


def test_main_writes_its_results(monkeypatch, tmp_path):
    monkeypatch.setattr(program, "export", lambda model, out: (out / "model.onnx").write_bytes(b"tested above"))  # it takes long
    metrics = program.main(tmp_path, steps=10, share=0.005)
    assert set(metrics["exact"]) == {"greedy", "beam", "nearest"}
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert metrics["live"]["bytes"] == len(b"tested above")
    assert {path.name for path in tmp_path.glob("*.svg")} == {"attention.svg", "training.svg"}


def test_positions_begin_at_zero():
    table = program.PositionalEncoding(6)(torch.zeros(1, 3, 6))[0]
    torch.testing.assert_close(table[0], torch.tensor([0.0, 1, 0, 1, 0, 1]))
    assert abs(table[2, 0].item() - np.sin(2)) < 1e-6


def test_targets_are_one_step_ahead():
    """A model that knows each next token has no loss."""
    one = program.Example("dates", "en", [5, 6], [7, 8, 9], "", "")

    def knows(source, target):
        right = torch.tensor([[7, 8, 9, program.END]], device=target.device)
        assert target.tolist() == [[program.START, 7, 8, 9]]
        return 50 * torch.nn.functional.one_hot(right, 12).float()

    assert program.teacher_forced(knows, [one]).item() < 1e-3


def test_only_the_whole_answer_is_right():
    one = program.Example("dates", "en", [], [], "", "May 4, 2020")
    answers = ["May 4, 2020", "May 4, 2021", "may 4, 2020", "May 4, 2020 "]
    assert program.evaluate([one] * 4, answers)["en"] == {"dates": 0.25}


def test_padding_does_not_count_in_the_loss():
    pair = [program.Example("dates", "en", [5, 6], row, "", "") for row in ([7, 8, 9], [7])]

    def knows(source, target):
        right = torch.tensor([[7, 8, 9, program.END], [7, program.END, 5, 5]], device=target.device)  # nonsense where nothing is asked
        return 50 * torch.nn.functional.one_hot(right, 12).float()

    assert program.teacher_forced(knows, pair).item() < 1e-3
