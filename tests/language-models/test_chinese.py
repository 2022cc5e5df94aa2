"""The GPT for Chinese: its data, its characters, what it writes, how that is judged, and what the page runs."""

import json
import math
import random
import re

import numpy as np
import pytest
import torch
from conftest import load_snippet
from data_checks import check_split
from model_checks import check_eight_bits, check_export, check_model, exported, tokens
from torch import nn

from tooling.lessons import exporter_path
from tooling.live.export import EightBits, import_file, shrink

program = load_snippet("language-models/chinese")
LIVE = "language-models/chinese/tang-quatrains"
live = import_file(exporter_path(LIVE), "live_language_models_chinese_tang_quatrains")

POEMS = ["牀前看月光，疑是地上霜。舉頭望山月，低頭思故鄉。", "朝辭白帝彩雲間，千里江陵一日還。兩岸猿聲啼不盡，輕舟已過萬重山。"]


def invent(count: int, seed: int = 0) -> list[str]:
    """Return regular quatrains of chance characters."""
    chance, signs = random.Random(seed), "床前明月光春眠不覺曉處聞啼鳥朝辭白帝彩雲間千里江陵一日還山水花人風天"
    poems = []
    for number in range(count):
        lines = ["".join(chance.choices(signs, k=(5, 7)[number % 2])) for _ in range(4)]
        poems.append("{}，{}。{}，{}。".format(*lines))
    return poems


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("poems")
    (made / "poems.txt").write_text("\n".join(invent(400)), encoding="utf-8")
    return made


def awake(*sizes, **more) -> nn.Module:
    """Return a GPT in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    model = program.GPT(*sizes, **more)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


def test_network():
    x = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2), x, x.roll(-1, 1), classes=30, causal=True)


# --- the data


def test_idioms_are_parted():
    data = program.load_data()
    assert list(data) == ["train", "valid", "test"]
    check_split(*data.values())
    held = {piece for part in ("valid", "test") for text in data[part] for piece in program.pieces(text)}
    assert not [text for text in data["train"] if program.pieces(text) & held], "a text to train on shares a piece with one held out"
    for part in ("valid", "test"):
        assert len(data[part]) == pytest.approx(len(program.idioms()) / 20, abs=1)
    assert len(data["train"]) > 0.8 * len(program.idioms())


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
    assert characters.encode("人天火\n") == [4, 2, program.RARE, program.STOP]
    assert characters.decode([4, 2, 1, 0, 3]) == "人天□"
    assert characters.stream(["天地", "人火"]).tolist() == [0, 2, 3, 0, 4, 1, 0]


def test_a_rare_character_costs_its_name():
    """An untrained network holds all tokens equally likely; a rare one takes the number of one of Unicode's characters too."""
    model = program.GPT(16, 8, 1, 2)
    plain, rare = torch.tensor([0, 2, 3, 4, 0] * 30), torch.tensor([0, 2, 1, 4, 0] * 30)
    assert program.bits_a_character(model, plain) == pytest.approx(4)
    assert program.bits_a_character(model, rare) == pytest.approx(4 + 30 / 149 * math.log2(1_114_112))


# --- writing


class Script(nn.Module):
    """Says a text again and again, whatever stands before, and never minds forced characters."""

    def __init__(self, characters, text: str):
        super().__init__()
        self.size = len(characters.names)
        self.next = torch.tensor([*characters.encode(text), program.STOP])

    def forward(self, read: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, n, v), of (batch, n) tokens."""
        told = self.next[torch.arange(read.shape[1]).clamp(max=len(self.next) - 1)]
        return 50 * nn.functional.one_hot(told, self.size).float().expand(len(read), -1, -1)


@pytest.fixture(scope="module")
def characters():
    return program.Characters(POEMS + invent(50), 1)


def test_a_text_is_written_up_to_its_stop(characters):
    for text in (*POEMS, ""):
        assert program.write(Script(characters, text), characters, ["", ""]) == [text] * 2


def test_a_text_begins_as_it_is_told_to(characters):
    model = Script(characters, POEMS[1])
    assert program.write(model, characters, [""], start="千里江陵一日還，") == ["千里江陵一日還，" + POEMS[1][8:]]


def test_heads_stand_in_front_of_their_lines(characters):
    model = Script(characters, POEMS[0])
    found = program.write(model, characters, ["春花人風", "山水天月"])
    assert found == ["春前看月光，花是地上霜。人頭望山月，風頭思故鄉。", "山前看月光，水是地上霜。天頭望山月，月頭思故鄉。"]
    assert program.write(model, characters, ["春花"]) == ["春前看月光，花是地上霜。" + POEMS[0][12:]]
    assert program.write(model, characters, ["春花人風"], start="一日還山水，") == ["一日還山水，花是地上霜。人頭望山月，風頭思故鄉。"]


def test_unknown_characters_are_told(characters):
    for given in ({"heads": ["春花人龘"]}, {"heads": [""], "start": "a春"}, {"heads": ["□"]}):
        with pytest.raises(ValueError, match="does not know [龘a□]"):
            program.write(Script(characters, ""), characters, **given)


class Fixed(nn.Module):
    """Answers always the same logits."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.logits, self.read = torch.tensor(logits), 0

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, n, v), of (batch, n) tokens; those of all positions but the last are wrong."""
        self.read = max(self.read, tokens.shape[1])
        found = self.logits.flip(0).repeat(len(tokens), tokens.shape[1], 1)
        found[:, -1] = self.logits
        return found


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_characters_are_drawn_at_their_temperature(temperature):
    """The rare one never, whatever its probability; a text without a stop is cut at 120."""
    characters = program.Characters(["天地人，。"], 1)
    shares = {"天": 0.6, "地": 0.3, "人": 0.1}
    logits = [math.log(shares[name]) if name in shares else 9.0 if name == "□" else -99.0 for name in characters.names]
    model = Fixed(logits)
    texts = program.write(model, characters, [""] * 30, temperature=temperature)
    assert {len(text) for text in texts} == {120} and model.read == program.LENGTH
    weights = np.array(list(shares.values())) ** (1 / temperature)
    np.testing.assert_allclose([sum(text.count(name) for text in texts) / 3600 for name in shares], weights / weights.sum(), atol=0.03)
    assert texts == program.write(model, characters, [""] * 30, temperature=temperature) != program.write(model, characters, [""] * 30, temperature=temperature, seed=1)


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


def test_rhymes_are_counted_among_all_poems():
    pairs = [("霜", "鄉"), ("水", "月"), ("山", "還")]
    assert program.rhyming(pairs, [POEMS[1]], 4) == {"today": 2 / 4, "tang": 1 / 4}


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


def test_texts_are_judged():
    copied, other = POEMS[0], "明月照山水，春風一日還。人間花不盡，天地有江山。"
    found, runs = program.judge([copied, other, "不是詩", other[:12]], POEMS, program.POEM)
    assert found == {"regular": 0.5, "run": (20 + runs[1]) / 2, "longest": 20, "seven": 0.5, "today": 0.5, "tang": 0.5}
    assert runs == [20, program.longest_run(other, "".join(POEMS))] and runs[1] < 5
    found, _ = program.judge(["画蛇添足：比喻多余。", "足：无", "画蛇添足"], ["一"], program.IDIOM)
    assert found == {"regular": 1 / 3, "run": 0, "longest": 0, "seven": 0}
    assert program.judge(["無"], POEMS, program.POEM)[0]["longest"] == 0


# --- the whole program


SMALL = {"hidden_size": 32, "num_layers": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, folder):
    """Run the program small on poems; return its folder, its data and what it measured."""
    out = tmp_path_factory.mktemp("chinese")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SIZES", SMALL)
        return out, program.load_data(folder), program.main(out, folder=folder, steps=60, count=8)


def test_main_writes_its_results(ran):
    out, data, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in out.iterdir()} == {"metrics.json", "runs.svg", "weights.pt"}
    assert metrics["train"] == 1 + sum(len(poem) + 1 for poem in data["train"])
    assert len(metrics["valid"]) == 10 and 1 < metrics["valid"][-1] < metrics["valid"][0]
    assert metrics["real"]["regular"] == 1 and 0 < metrics["chance"]["today"] < 1
    assert metrics["real"] == program.judge(data["test"], data["train"], program.POEM)[0]


def test_what_is_measured_is_what_is_kept(ran):
    out, data, metrics = ran
    kept = torch.load(out / "weights.pt", weights_only=True)
    model = program.GPT(len(kept["names"]), **SMALL)
    model.load_state_dict(kept["weights"])
    characters = program.Characters(data["train"], 4)
    assert characters.names == kept["names"]
    assert torch.equal(kept["test"], characters.stream(data["test"]))
    for part, found in (("test", metrics["test"]), ("valid", metrics["valid"][-1])):
        stream = characters.stream(data[part])
        rare = (stream == program.RARE).sum().item() / (len(stream) - 1)
        expected = program.evaluate(model.to(program.device), stream, program.LENGTH) / math.log(2) + rare * math.log2(0x110000)
        assert found == pytest.approx(expected, rel=1e-3)


def test_idioms_are_the_default(tmp_path, monkeypatch, capsys):
    texts = program.idioms()[:600]
    monkeypatch.setattr(program, "idioms", lambda: texts)
    monkeypatch.setattr(program, "SIZES", SMALL)
    metrics = program.main(tmp_path, steps=10, count=4)
    assert "heads" not in metrics and "today" not in metrics["real"]
    assert 0.9 < metrics["real"]["regular"] <= 1 and metrics["train"] < sum(map(len, texts))
    assert all(len(line) < 80 for line in capsys.readouterr().out.splitlines())


# --- what the page runs


def test_the_page_gets_the_network_in_eight_bits(ran, tmp_path, monkeypatch):
    out, _, metrics = ran
    monkeypatch.setattr(program, "SIZES", SMALL)
    measured = live.export(program, out, tmp_path)
    kept = torch.load(out / "weights.pt", weights_only=True)
    model = program.GPT(len(kept["names"]), **SMALL)
    model.load_state_dict(kept["weights"])
    check_eight_bits(model, shrink, EightBits)
    run = exported(tmp_path)
    for length in (1, 7, program.LENGTH):
        check_export(run, live.Last(shrink(model)), tokens=torch.randint(len(kept["names"]), (length,), dtype=torch.int32))
    page = json.loads((tmp_path / "live.json").read_text(encoding="utf-8"))
    assert list(page["names"]) == kept["names"] and len(page["simplified"]) == len(page["names"])
    assert {("雲", "云"), ("覺", "觉"), ("一", "一"), ("\n", "\n")} <= set(zip(page["names"], page["simplified"]))
    assert len(page["samples"]) == len(live.STARTS)
    for one in page["samples"]:
        (logits,) = run(tokens=np.array(one["tokens"], np.int32))
        np.testing.assert_allclose(torch.tensor(logits).softmax(0)[one["likeliest"]], one["shares"], atol=1e-5)
    assert measured["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert measured["before"] == pytest.approx(metrics["test"], rel=1e-3) and measured["after"] == pytest.approx(measured["before"], abs=0.05)


def test_simplified_characters_are_those_of_their_traditional_ones():
    forms = live.simplified()
    assert len(forms) > 1500 and all(len(one) == len(other) == 1 and one != other for one, other in forms.items())
    assert [forms[name] for name in "雲後髮發萬與爲裏詩"] == list("云后发发万与为里诗")
