"""The translator: its data, its tokens, its searches, its baseline, and what the page runs of it."""

import json

import numpy as np
import pytest
import torch
from conftest import RESULTS, load_snippet
from data_checks import check_fitted_on_training_part, check_split
from model_checks import check_export, check_model, exported, tokens
from torch import nn

from tooling.lessons import exporter_path
from tooling.live.export import import_file, shrink

program = load_snippet("applications/translation")
live = import_file(exporter_path("applications/translation"), "live_applications_translation")


@pytest.fixture(scope="module")
def parts():
    return program.load_data(share=0.02)


@pytest.fixture(scope="module")
def vocabulary(parts):
    return program.Vocabulary(parts["train"])


def make(seed: int = 0) -> nn.Module:
    """Return a small model in evaluation mode."""
    torch.manual_seed(seed)
    return program.Transformer(30, 16, num_layers=2, num_heads=4).eval()


def test_model():
    torch.manual_seed(0)
    source, target = tokens(8, 9, 20, first=4, padding=program.PAD), tokens(8, 6, 20, first=4, padding=program.PAD, seed=1)
    y = torch.where(target == program.PAD, -100, torch.randint(20, target.shape))
    check_model(lambda: program.Transformer(20, 16, 2, 4), (source, target), y, classes=20, padding=program.PAD, causal=True)


# --- data


def test_nothing_tested_was_trained(parts):
    check_split(*([one.given for one in parts[part]] for part in ("train", "validation", "test")))
    assert {one.kind for one in parts["test"]} == set(program.WRITE) == set(program.STYLES)


def test_a_day_is_held_out_in_all_styles_and_both_directions(parts):
    styles = {}
    for one in parts["test"]:
        if one.kind == "dates":
            styles[one.style, one.to] = styles.get((one.style, one.to), 0) + 1
    assert styles == {(style, to): 4 for style in program.STYLES["dates"] for to in ("en", "zh")}


def test_a_source_has_one_answer(parts):
    answers = {}
    for one in (one for found in parts.values() for one in found):
        assert answers.setdefault((one.to, one.style, one.given), one.wanted) == one.wanted, f"{one.given} has two translations"


def test_each_kind_is_written_as_cldr_writes_it():
    day, other = program.datetime(2024, 3, 5), program.datetime(2024, 3, 9)
    for kind, thing, style, zh, en in (
        ("dates", day, "full", "2024年3月5日星期二", "Tuesday, March 5, 2024"),
        ("times", day.replace(hour=15, minute=4, second=9), "medium", "15:04:09", "3:04:09 PM"),
        ("intervals", (day, other), "medium", "2024年3月5日至9日", "Mar 5 – 9, 2024"),
        ("quantities", (2.0, "duration-hour"), "long", "2小时", "2 hours"),
        ("currencies", (3.5, "CNY"), "short", "¥3.50", "CN¥3.50"),
        ("currencies", (3.5, "CNY"), "long", "3.50人民币", "3.50 Chinese yuan"),
        ("names", ("territories", "PA"), "long", "巴拿马", "Panama"),
    ):
        written = {(one.style, one.to): (one.given, one.wanted) for one in program.phrases(kind, [thing])}
        assert written[style, "en"] == (zh, en) and written[style, "zh"] == (en, zh)
        assert {found for found, _ in written} == set(program.STYLES[kind])


def test_no_key_of_cldr_stands_in_a_quantity():
    for one in program.phrases("quantities", [(number, unit) for number in (1, 2.5) for unit in program.UNITS]):
        assert "length-" not in one.given and "duration-" not in one.given and "volume-" not in one.given


def test_intervals_are_as_long_in_every_part():
    """Days of a small part lie farther apart; the intervals must not."""
    data = program.load_data(share=0.5)
    crossing = {part: np.mean([one.given.count("年") == 2 for one in data[part] if one.kind == "intervals" and one.to == "en"]) for part in data}
    assert max(crossing.values()) - min(crossing.values()) < 0.15, crossing


# --- tokens


def test_vocabulary_survives_both_ways(parts, vocabulary):
    assert [vocabulary.names[number] for number in range(6)] == ["<pad>", "<start>", "<end>", "<unknown>", "<zh>", "<en>"]
    assert len(set(vocabulary.names)) == len(vocabulary.names)
    for one in parts["train"]:
        source, target = vocabulary.pair(one)
        assert vocabulary.decode(target) == one.wanted
        assert vocabulary.decode(source) == f"<{one.to}><{one.style}>{one.given}"
    assert [vocabulary.names[token] for token in vocabulary.encode("☃")] == ["<unknown>"]


def test_frequent_words_are_one_token():
    vocabulary = program.Vocabulary([program.Phrase("quantities", "long", "en", "3 weeks", "3周")] * 120)
    assert [vocabulary.names[token] for token in vocabulary.encode("3 weeks")] == ["3", " ", "weeks"]


def test_tokens_are_those_of_the_training_part(parts, monkeypatch, tmp_path):
    class Enough(Exception):
        pass

    def names(train, test):
        def stop(input_size, *_, **__):
            raise Enough(input_size)

        monkeypatch.setattr(program, "load_data", lambda *_: {"train": train, "validation": test, "test": test})
        monkeypatch.setattr(program, "Transformer", stop)
        with pytest.raises(Enough) as raised:
            program.main(tmp_path)
        return raised.value.args[0]

    other = [program.Phrase("names", "unheard", "en", "☃" * 3, "snowmen everywhere")] * 200
    check_fitted_on_training_part(names, parts["train"], parts["test"], other)


# --- searches



def test_beam_of_one_is_greedy_and_batches_change_nothing():
    sources = [[4, 6, 8, 9], [5, 7], [5, 9, 11, 12, 6, 7]]
    for seed in range(3):
        model = make(seed)
        one = program.greedy(model, program.pad(sources), longest=8)
        assert program.beam(model, program.pad(sources), width=1, longest=8) == one
        for search in (program.greedy, program.beam):
            together = search(model, program.pad(sources), longest=8)
            assert together == [search(model, program.pad([source]), longest=8)[0] for source in sources]


class Table(nn.Module):
    """First tokens: 4 (0.6) or 5 (0.4); after 4 the end has 0.5, after 5 it has 1."""

    projection = nn.Identity()

    def encode(self, source):
        return source

    def decode(self, target, memory, source):
        rows = {program.START: {4: 0.6, 5: 0.4}, 4: {program.END: 0.5, 6: 0.5}, 5: {program.END: 1.0}, 6: {program.END: 1.0}}
        share = torch.full((*target.shape, 8), 1e-9)
        for row, written in enumerate(target.tolist()):
            for token, value in rows.get(written[-1], {program.END: 1.0}).items():
                share[row, -1, token] = value
        return share.log()


def test_beam_finds_the_likelier_of_two_ways():
    source = torch.tensor([[7], [7]])
    assert program.greedy(Table(), source)[0][0] == 4
    assert program.beam(Table(), source, width=2) == [[5], [5]]


def test_what_has_ended_stays_ended():
    """The model would go on after its end; its neighbor in the batch has not ended yet."""

    class Counting(nn.Module):
        projection = nn.Identity()

        def encode(self, source):
            return source

        def decode(self, target, memory, source):
            following = torch.where(target[:, -1] == program.START, source[:, 0], target[:, -1] + 1)
            following = torch.where(target[:, -1] == 7, program.END, following)
            return 20 * torch.nn.functional.one_hot(following.clamp(max=11), 12).float()[:, None]

    for search in (program.greedy, program.beam):
        assert search(Counting(), torch.tensor([[5], [program.END]])) == [[5, 6, 7], []]


def test_an_answer_counts_when_it_is_right_to_the_last_character():
    one = program.Phrase("dates", "long", "en", "", "May 4, 2020")
    answers = ["May 4, 2020", "May 4, 2021", "may 4, 2020", "May 4, 2020 "]
    assert program.exact([one] * 4, answers)["en"] == {"dates": 0.25}


def test_translations_are_in_the_order_of_the_pairs(vocabulary):
    def echo(model, source):
        return [[token for token in row if token] for row in source.tolist()]

    pairs = [(vocabulary.encode(str(number)), []) for number in range(600)]
    assert program.translate(None, vocabulary, pairs, echo) == [str(number) for number in range(600)]


# --- the baseline


@pytest.mark.parametrize(("answer", "known", "given", "right"), [
    ("March 5, 2024", "2024年3月5日", "2031年3月17日", "March 17, 2031"),
    ("2,199.5 days", "2,199.5天", "7天", "7 days"),
    ("Panama", "巴拿马", "秘鲁", "Panama"),
])
def test_numbers_are_exchanged(answer, known, given, right):
    assert program.exchange(answer, known, given) == right


def test_memory_knows_what_it_was_told(parts):
    known = parts["train"][::7]
    assert program.memory(known, known[:20]) == [one.wanted for one in known[:20]]
    answers = program.memory(known, parts["test"])
    assert len(answers) == len(parts["test"]) and all(answers)


# --- all of it


def test_main_writes_its_results(tmp_path):
    metrics = program.main(tmp_path, steps=1, share=0.005)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert set(metrics["exact"]) == {"memory", "greedy", "beam"}
    assert {path.name for path in tmp_path.iterdir()} == {"attention.svg", "metrics.json", "weights.pt"}


# --- what the page runs


def test_export_is_equal_to_pytorch(tmp_path):
    torch.manual_seed(0)
    model = shrink(program.Transformer(600, 16, num_layers=1, num_heads=4))  # exporting takes as long as there are layers
    assert live.write_step(model, tmp_path) == (tmp_path / "model.onnx").stat().st_size
    run = exported(tmp_path)
    for batch, given, written in ((1, 5, 1), (4, 11, 8), (2, 1, 20)):
        source = torch.randint(4, 600, (batch, given), dtype=torch.int32)
        target = torch.randint(4, 600, (batch, written), dtype=torch.int32)
        check_export(run, live.Step(model), source=source, target=target)


def test_a_step_shows_where_it_looks_and_answers_as_the_model():
    model = make()
    source, target = torch.randint(4, 30, (3, 9)), torch.randint(4, 30, (3, 6))
    with torch.no_grad():
        logarithms, weights = live.Step(model)(source, target)
        torch.testing.assert_close(logarithms, model(source, target)[:, -1].log_softmax(1))
    for row in range(3):
        torch.testing.assert_close(weights[row], program.look(model, source[[row]], target[[row]]))


def test_samples_are_test_phrases_with_their_answers():
    folder = RESULTS / "applications" / "translation"
    stored, run = json.loads((folder / "live.json").read_text(encoding="utf-8")), exported(folder)
    parts = program.load_data()
    check_split(*([one.given for one in found] for found in parts.values()))  # all of them, which takes seconds to write
    vocabulary, tests = program.Vocabulary(parts["train"]), set(parts["test"])
    assert stored["names"] == vocabulary.names
    assert len(stored["samples"]) >= 50
    for sample in stored["samples"]:
        one = program.Phrase(*(sample[field] for field in program.Phrase._fields))
        assert one in tests
        source, target, logarithms = vocabulary.pair(one)[0], [program.START], []
        for _ in sample["probabilities"]:
            answer = run(source=np.array([source], np.int32), target=np.array([target], np.int32))[0][0]
            target.append(int(answer.argmax()))
            logarithms.append(answer.max())
        np.testing.assert_allclose(np.exp(logarithms), sample["probabilities"], atol=1e-4)
        assert target[-1] == program.END and vocabulary.decode(target[1:-1]) == sample["answer"]
