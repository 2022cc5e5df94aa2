"""The GPT for Chinese: its network, what a step reads, what is measured, what it writes, and what the page runs."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from model_checks import check_eight_bits, check_export, check_model, exported, tokens
from poems import POEMS, invent
from torch import nn

from tooling.lessons import exporter_path
from tooling.live.export import EightBits, import_file, shrink

program = load_snippet("language-models/chinese")
LIVE = "language-models/chinese/tang-quatrains"
live = import_file(exporter_path(LIVE), "live_language_models_chinese_tang_quatrains")
SMALL = {"hidden_size": 32, "num_layers": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("poems")
    (made / "poems.txt").write_text("\n".join(invent(400)), encoding="utf-8")
    return made


def awake(*sizes, **more) -> nn.Module:
    """Return a poet in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    model = program.Poet(*sizes, **more)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_network(dropout):
    x = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2, dropout=dropout), x, x.roll(-1, 1), classes=30, causal=True)


def test_without_its_places_it_is_the_gpt():
    model, gpt = awake(30, 16, 2, 2), program.GPT(30, 16, 2, 2)
    gpt.load_state_dict({name: weight for name, weight in model.state_dict().items() if name != "places.weight"})
    x = tokens(4, 9, 30)
    assert (model(x) - gpt(x)).abs().max() > 1e-3
    nn.init.zeros_(model.places.weight)
    torch.testing.assert_close(model(x), gpt(x))


def test_a_place_counts_from_the_beginning_of_the_text():
    """With nothing but places, one token everywhere gets the answer of its place, whatever follows."""
    model = awake(30, 16, 1, 2)
    nn.init.zeros_(model.embedding.weight)
    long, short = model(torch.zeros(1, 9, dtype=torch.long)), model(torch.zeros(1, 4, dtype=torch.long))
    torch.testing.assert_close(long[:, :4], short)
    assert (long[0, 0] - long[0, 1]).abs().max() > 1e-3


# --- rows, training and evaluation


def test_texts_stand_in_rows():
    rows = program.in_rows([[0, 5, 6, 7, 0], [0, 8, 0], [0, 0]])
    assert rows.tolist() == [[0, 5, 6, 7, 0], [0, 8, 0, -100, -100], [0, 0, -100, -100, -100]]
    inputs, targets = program.exercise(rows)
    assert inputs.tolist() == [[0, 5, 6, 7], [0, 8, 0, 0], [0, 0, 0, 0]] and targets.tolist() == [[5, 6, 7, 0], [8, 0, -100, -100], [0, -100, -100, -100]]
    inputs, targets = program.exercise(rows[1:])
    assert inputs.tolist() == [[0, 8], [0, 0]] and targets.tolist() == [[8, 0], [0, -100]], "no more is read than the longest text has"


def trained(rows: torch.Tensor, steps: int, seed: int = 0, **more):
    torch.manual_seed(seed)
    model = program.Poet(9, 16, 1, 2).to(program.device)
    return model, program.train(model, rows, steps, 8, **more)


def test_training_is_repeatable_and_learns():
    rows = program.in_rows([[0, 2, 3, 4, 0], [0, 5, 6, 7, 8, 3, 0]])
    seen = []
    model, losses = trained(rows, 60, watch=seen.append)
    assert len(losses) == 60 and seen == list(range(6, 61, 6)), "a tenth of the steps is not reported"
    assert losses[0] == pytest.approx(math.log(9), rel=1e-4) and losses[-1] < 0.3
    assert losses == trained(rows, 60)[1] != trained(rows, 60, seed=1)[1]


def test_every_parameter_learns():
    rows = program.in_rows([[0, 2, 3, 4, 0], [0, 5, 6, 7, 8, 3, 0]])
    torch.manual_seed(0)
    before = {name: weight.clone() for name, weight in program.Poet(9, 16, 1, 2).named_parameters()}
    model, _ = trained(rows, 3)
    assert not [name for name, weight in model.named_parameters() if torch.equal(weight.cpu(), before[name])]


def test_every_text_is_drawn(monkeypatch):
    rows, seen = torch.arange(2, 42).view(20, 2), set()
    monkeypatch.setattr(program, "exercise", lambda some: (seen.update(some[:, 0].tolist()), (torch.zeros(8, 1, dtype=torch.long), torch.zeros(8, 1, dtype=torch.long)))[1])
    trained(rows, 30)
    assert seen == set(range(2, 42, 2))


def test_each_token_counts_once():
    """The mean is over tokens, not over texts or batches, and the first of a text is given."""
    torch.manual_seed(0)
    model = awake(30, 16, 1, 2).eval()
    chance = torch.Generator().manual_seed(0)
    texts = [[0, *torch.randint(2, 30, (int(length),), generator=chance).tolist(), 0] for length in torch.randint(0, 12, (150,), generator=chance)]
    total = sum(F.cross_entropy(model(torch.tensor([text[:-1]]))[0], torch.tensor(text[1:]), reduction="sum").item() for text in texts)
    expected = total / sum(len(text) - 1 for text in texts) / math.log(2)
    assert program.evaluate(model.to(program.device), program.in_rows(texts)) == pytest.approx(expected, rel=1e-4)
    assert program.evaluate(program.Poet(16, 16, 1, 2).to(program.device), program.in_rows([[0, 2, 3, 0], [0, 0]])) == pytest.approx(4), "an untrained network holds all tokens equally likely"


# --- writing


class Script(nn.Module):
    """Says a text again and again, whatever stands before, and never minds forced characters."""

    def __init__(self, characters, text: str):
        super().__init__()
        self.size = len(characters.names)
        self.next = torch.tensor(characters.encode(text)[1:])

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
    """The rare one never, whatever its probability; a text without a stop is cut at 60."""
    characters = program.Characters(["天地人，。"], 1)
    shares = {"天": 0.6, "地": 0.3, "人": 0.1}
    logits = [math.log(shares[name]) if name in shares else 9.0 if name == "□" else -99.0 for name in characters.names]
    model = Fixed(logits)
    texts = program.write(model, characters, [""] * 30, temperature=temperature)
    assert {len(text) for text in texts} == {60} and model.read == 60
    weights = np.array(list(shares.values())) ** (1 / temperature)
    np.testing.assert_allclose([sum(text.count(name) for text in texts) / 1800 for name in shares], weights / weights.sum(), atol=0.04)
    assert texts == program.write(model, characters, [""] * 30, temperature=temperature) != program.write(model, characters, [""] * 30, temperature=temperature, seed=1)


# --- the whole program


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
    assert {path.name for path in out.iterdir()} == {"metrics.json", "course.svg", "weights.pt"}
    course = metrics["course"]
    assert course["step"] == list(range(6, 61, 6)) and all(len(some) == 10 for some in course.values())
    assert 1 < course["valid"][-1] < course["valid"][0]
    assert metrics["real"]["regular"] == 1 and {"written", "cooler", "heads"} <= set(metrics)
    assert metrics["real"] == program.judge(data["test"], data["train"], program.POEM)
    assert metrics["epochs"] == pytest.approx(60 * program.BATCH / len(data["train"]))


def test_what_is_measured_is_what_is_kept(ran):
    out, data, metrics = ran
    kept = torch.load(out / "weights.pt", weights_only=True)
    model = program.Poet(len(kept["names"]), **SMALL)
    model.load_state_dict(kept["weights"])
    model = model.to(program.device)
    characters = program.Characters(data["train"])
    assert characters.names == kept["names"]
    texts = {part: [characters.encode(text) for text in some] for part, some in data.items()}
    assert torch.equal(kept["test"], program.in_rows(texts["test"]))
    for part, found in (("test", metrics["test"]), ("valid", metrics["course"]["valid"][-1])):
        assert found == pytest.approx(program.evaluate(model, program.in_rows(texts[part])) + program.rare_bits(texts[part]), rel=1e-3)
    written = program.write(model, characters, [""] * 8, seed=0)
    assert metrics["written"] == program.judge(written, data["train"], program.POEM)
    assert metrics["cooler"] == program.judge(program.write(model, characters, [""] * 8, "", 0.7, 0), data["train"], program.POEM)


def test_idioms_are_the_default(tmp_path, monkeypatch, capsys):
    texts = program.idioms()[:600]
    monkeypatch.setattr(program, "idioms", lambda: texts)
    monkeypatch.setattr(program, "SIZES", SMALL)
    metrics = program.main(tmp_path, steps=10, count=4)
    assert "heads" not in metrics and "rhyme" not in metrics["real"]
    assert all(len(line) < 80 for line in capsys.readouterr().out.splitlines())


def test_the_page_can_read_every_poem():
    """The page's network knows as many places as the program's, and a quatrain and its stops take 33 tokens."""
    assert program.Poet(9, 16, 1, 2).places.num_embeddings == 64 >= program.LONGEST + 2


# --- what the page runs


def test_the_page_gets_the_network_in_eight_bits(ran, tmp_path, monkeypatch):
    out, data, metrics = ran
    monkeypatch.setattr(program, "SIZES", SMALL)
    measured = live.export(program, out, tmp_path)
    kept = torch.load(out / "weights.pt", weights_only=True)
    model = program.Poet(len(kept["names"]), **SMALL)
    model.load_state_dict(kept["weights"])
    check_eight_bits(model, shrink, EightBits)
    run = exported(tmp_path)
    for length in (1, 7, 64):
        check_export(run, live.Last(shrink(model)), tokens=torch.randint(len(kept["names"]), (length,), dtype=torch.int32))
    page = json.loads((tmp_path / "live.json").read_text(encoding="utf-8"))
    assert list(page["names"]) == kept["names"] and len(page["simplified"]) == len(page["names"])
    assert {("雲", "云"), ("覺", "觉"), ("一", "一"), ("\n", "\n")} <= set(zip(page["names"], page["simplified"]))
    assert page["samples"] and page["samples"][0]["tokens"] == [program.STOP]
    for one in page["samples"]:
        (logits,) = run(tokens=np.array(one["tokens"], np.int32))
        np.testing.assert_allclose(torch.tensor(logits).softmax(0)[one["likeliest"]], one["shares"], atol=1e-5)
    assert measured["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert b"stack_trace" not in (tmp_path / "model.onnx").read_bytes(), "the network tells on which lines of which files it was made"
    characters = program.Characters(data["train"])
    rare = program.rare_bits([characters.encode(text) for text in data["test"]])
    assert measured["before"] + rare == pytest.approx(metrics["test"], rel=1e-3) and measured["after"] == pytest.approx(measured["before"], abs=0.05)


def test_simplified_characters_are_those_of_their_traditional_ones():
    assert live.simplified(list("雲後髮發萬與爲裏詩\n□一")) == list("云后发发万与为里诗\n□一")
