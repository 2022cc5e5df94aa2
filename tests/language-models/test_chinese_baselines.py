"""Chinese texts before any network: the data, its characters, n-grams, and how texts are judged."""

import json
import math
import random
import re
from collections import Counter

import numpy as np
import pytest
from conftest import load_snippet
from data_checks import check_split
from poems import POEMS, invent

program = load_snippet("language-models/chinese_baselines")

# --- the data


def test_idioms_are_parted():
    data = program.load_data()
    assert list(data) == ["train", "valid", "test"]
    check_split(*data.values())
    short = [text for text in program.idioms() if len(text) <= 40]
    assert {text for texts in data.values() for text in texts} <= {*short}
    held = {piece for part in ("valid", "test") for text in data[part] for piece in program.pieces(text)}
    assert not [text for text in data["train"] if program.pieces(text) & held], "a text to train on shares a piece with one held out"
    for part in ("valid", "test"):
        assert len(data[part]) == pytest.approx(len(short) / 20, abs=1)
    assert 0.8 * len(short) < len(data["train"]) < 0.9 * len(short) < 0.85 * len(program.idioms())


def test_pieces_stand_between_marks():
    assert program.pieces("画蛇添足：比喻做了多余的事，反而不恰当。一二三四") == {"比喻做了多余的事", "反而不恰当"}
    assert program.pieces(POEMS[0]) == {"牀前看月光", "疑是地上霜", "舉頭望山月", "低頭思故鄉"}


def test_a_line_held_out_is_no_line_to_train_on(tmp_path):
    """Of 400 poems each tenth begins with the same line: all of them stand on one side, or none."""
    poems = invent(400)
    poems = [POEMS[0][:6] + poem[6:] if number % 20 == 0 else poem for number, poem in enumerate(poems)]
    (tmp_path / "poems.txt").write_text("\n".join(poems), encoding="utf-8")
    data = program.load_data(tmp_path)
    assert any(POEMS[0][:6] in poem for part in ("valid", "test") for poem in data[part]), "choose other poems for this test"
    assert not [poem for poem in data["train"] if POEMS[0][:6] in poem]


def test_poems_are_read_from_lines_and_from_the_collection(tmp_path):
    poems = invent(200)
    (tmp_path / "a.txt").write_text("\n".join(poems[:120] + ["白日依山盡，黃河入海流。", poems[0]]) + "\n", encoding="utf-8")
    stored = [{"author": "無名氏", "paragraphs": [poem[: len(poem) // 2], poem[len(poem) // 2:]], "title": "無題"} for poem in poems[120:]]
    stored.append({"author": "無名氏", "paragraphs": ["春眠不覺曉，處處聞啼鳥。"] * 4, "title": "八句"})
    (tmp_path / "poet.tang.0.json").write_text(json.dumps(stored), encoding="utf-8")
    (tmp_path / "poet.song.0.json").write_text(json.dumps(stored[:1]), encoding="utf-8")
    found = program.quatrains(tmp_path)
    assert sorted(found) == sorted(set(poems)) and found != sorted(found)


@pytest.mark.parametrize(("file", "content", "says"), [
    ("none.md", b"", "hold 0 regular quatrains, 100 are needed"),
    ("few.txt", "\n".join(POEMS * 80).encode(), "hold 2 regular quatrains"),
    ("other.txt", "".join(POEMS).encode("gb18030"), "other.txt holds no poems"),
    ("poet.tang.0.json", b"[1, 2]", "poet.tang.0.json holds no poems"),
    ("poet.tang.0.json", b"{", "poet.tang.0.json holds no poems"),
    ("poet.tang.0.json", b'[{"title": "x"}]', "poet.tang.0.json holds no poems: KeyError"),
])
def test_a_folder_without_poems_is_told(tmp_path, file, content, says):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(program.TextError, match=re.escape(says)):
        program.load_data(tmp_path)


@pytest.mark.parametrize(("text", "regular"), [
    (POEMS[0], True), (POEMS[1], True), (POEMS[0][:12], False), (POEMS[0] + POEMS[0], False), (POEMS[0].replace("，", "。", 1), False),
    (POEMS[0][:12] + POEMS[1][16:], False), (POEMS[0].replace("光", ""), False), (POEMS[0].replace("光", "□"), False), (POEMS[0] + "\n", False), ("", False),
    ("白日依山盡水，黃河入海流水。白日依山盡水，黃河入海流水。", False),
])
def test_the_form_of_a_quatrain(text, regular):
    assert bool(re.fullmatch(program.POEM, text)) == regular


# --- characters


def test_characters_are_numbered_by_frequency():
    characters = program.Characters(["天天天地地", "地人天\u3000", "人水"], 2)
    assert characters.names == ["\n", "□", "天", "地", "人"]
    assert characters.encode("人天火") == [0, 4, 2, program.RARE, 0]
    assert characters.decode([0, 4, 2, 1, 0, 3]) == "人天□" and characters.decode([0]) == "" == characters.decode([0, 0, 2])
    assert [characters.decode(characters.encode(text)) for text in ("", "天", "地天人")] == ["", "天", "地天人"]
    assert len(program.Characters(["天地地地", "人人人人"]).names) == 3, "a character is known from its fourth time on"


def test_a_rare_character_costs_its_name():
    """Of the tokens that are predicted: the first one is given."""
    assert program.rare_bits([[0, 2, 1, 0], [0, 3, 4, 5, 2, 0]]) == pytest.approx(math.log2(1_114_112) / 8)
    assert program.rare_bits([[0, 2, 0]]) == 0


# --- n-grams


def by_hand(texts: list[list[int]], vocabulary: int, context: tuple[int, ...], token: int) -> float:
    """Return the probability of a token after a context, by the recursion of Witten and Bell."""
    after = Counter(text[at] for text in texts for at in range(1, len(text)) if at >= len(context) and tuple(text[at - len(context):at]) == context)
    lower = by_hand(texts, vocabulary, context[1:], token) if context else 1 / vocabulary
    return (after[token] + len(after) * lower) / (after.total() + len(after)) if after else lower


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_ngram_is_that_of_the_formula(order):
    chance = random.Random(order)
    texts = [[0, *chance.choices(range(2, 7), k=chance.randint(0, 9)), 0] for _ in range(30)]
    model = program.NGram(texts, 8, order)
    for before in ([0], [0, 3], [0, 3, 4], [0, 7, 7, 2], [0, 2, 7]):
        shares = model.chances(before)
        assert shares.sum() == pytest.approx(1) and shares.min() > 0
        expected = [by_hand(texts, 8, tuple(before[len(before) - min(order - 1, len(before)):]), token) for token in range(8)]
        np.testing.assert_allclose(shares, expected)


def test_bits_are_those_of_all_tokens_but_the_first():
    texts = [[0, 2, 3, 0], [0, 2, 0]]
    model = program.NGram(texts, 5, 2)
    logs = [math.log2(model.chances(text[:at])[text[at]]) for text in texts for at in range(1, len(text))]
    assert len(logs) == 5 and model.bits(texts) == pytest.approx(-sum(logs) / 5)
    assert program.NGram([], 8, 3).bits(texts) == pytest.approx(3)


def test_an_ngram_writes_up_to_its_stop():
    model = program.NGram([[0, 2, 3, 4, 0]] * 5000, 5, 2)
    chance = np.random.default_rng(0)
    found = [model.write(chance) for _ in range(40)]
    assert found.count([0, 2, 3, 4, 0]) > 36 and not [text for text in found if program.RARE in text or program.STOP in text[1:-1]]
    endless = program.NGram([[0, *[2] * 500]] * 50, 3, 2).write(chance, most=20)
    assert endless == [0, *[2] * 20]


# --- judging


@pytest.mark.parametrize(("one", "other", "rhyme"), [
    ("光", "霜", True), ("間", "山", True), ("人", "春", True), ("東", "中", True), ("樓", "流", True), ("知", "詩", True), ("行", "明", True),
    ("天", "人", False), ("水", "月", False), ("東", "風", False), ("何", "多", False), ("知", "無", False),
])
def test_what_rhymes_today(one, other, rhyme):
    assert bool(program.rhymes_of(one) & program.rhymes_of(other)) == rhyme


def test_each_final_has_one_rhyme():
    finals = " ".join(program.FINALS).split()
    assert len(finals) == len(set(finals)) and len(program.FINALS) == 16
    assert all(program.rhymes_of(name) for name in "啊喔鵝衣烏迂哀欸熬歐安恩昂英雍兒")
    assert len(set.union(*map(program.rhymes_of, "啊鵝衣烏迂哀威熬歐安恩昂英雍兒窩"))) == 16


def test_the_second_and_the_fourth_line_rhyme():
    assert [program.ends_of(poem) for poem in POEMS] == [("霜", "鄉"), ("還", "山")]


@pytest.mark.parametrize(("text", "known", "longest"), [
    ("天地人", "天地人", 3), ("天地人水", "水天地\n人", 2), ("天地人", "水", 0), ("", "水", 0), ("天，地。人", "地人", 2), ("地人水天地人水花", "天地人水花\n地人水天", 5),
])
def test_longest_runs(text, known, longest):
    assert program.longest_run(text, known) == longest


def test_longest_runs_are_those_of_looking_everywhere():
    chance = random.Random(0)
    for _ in range(200):
        text, known = ("".join(chance.choices("天地人", k=chance.randrange(30))) for _ in range(2))
        everywhere = max((end - begin for begin in range(len(text)) for end in range(begin, len(text) + 1) if text[begin:end] in known), default=0)
        assert program.longest_run(text, known) == everywhere


def test_rhymes_are_counted():
    assert program.rhyming([("霜", "鄉"), ("水", "月"), ("山", "還")]) == 2 and program.rhyming([]) == 0


def test_texts_are_judged():
    copied, other = POEMS[0], "明月照山水，春風一日還。人間花不盡，天地有江山。"
    found = program.judge([copied, other, "不是詩", other[:12]], POEMS, program.POEM)
    run = program.longest_run(other, "".join(POEMS))
    assert found == {"regular": 0.5, "run": (20 + run) / 2, "longest": 20, "rhyme": 0.5} and run < 5
    found = program.judge(["画蛇添足：比喻多余。", "足：无", "画蛇添足"], ["一"], program.IDIOM)
    assert found == {"regular": 1 / 3, "run": 0, "longest": 0}
    assert program.judge(["無"], POEMS, program.POEM) == {"regular": 0, "run": 0, "longest": 0, "rhyme": 0}


# --- the whole program


def test_main_writes_its_results(tmp_path, monkeypatch, capsys):
    poems = tmp_path / "poems"
    poems.mkdir()
    (poems / "poems.txt").write_text("\n".join(invent(400)), encoding="utf-8")
    metrics = program.main(tmp_path / "out", folder=poems, count=40)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"metrics.json", "orders.svg"}
    data = program.load_data(poems)
    assert metrics["texts"] == len(data["train"]) and metrics["real"] == program.judge(data["test"], data["train"], program.POEM)
    assert metrics["real"]["regular"] == 1 and 0 <= metrics["chance"]["rhyme"] < 0.5 and metrics["ngram"]["regular"] < 0.5
    assert metrics["valid"][str(metrics["order"])] == min(metrics["valid"].values()) and list(metrics["valid"]) == ["1", "2", "3", "4"]
    characters = program.Characters(data["train"])
    tokens = {part: [characters.encode(text) for text in texts] for part, texts in data.items()}
    best = program.NGram(tokens["train"], len(characters.names), metrics["order"])
    assert metrics["test"] == pytest.approx(best.bits(tokens["test"]) + program.rare_bits(tokens["test"]))
    assert all(len(line) < 80 for line in capsys.readouterr().out.splitlines())


def test_idioms_are_the_default(tmp_path, monkeypatch, capsys):
    texts = program.idioms()[:600]
    monkeypatch.setattr(program, "idioms", lambda: texts)
    metrics = program.main(tmp_path, count=10)
    assert "chance" not in metrics and "rhyme" not in metrics["real"] and 0.8 < metrics["real"]["regular"] <= 1
    assert all(len(line) < 80 for line in capsys.readouterr().out.splitlines())
