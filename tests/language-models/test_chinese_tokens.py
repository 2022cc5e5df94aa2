"""Characters beside byte pairs: equal text, equal parameters, and bits of the same unit."""

import json
import math

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens
from torch import nn

program = load_snippet("language-models/chinese_tokens")


@pytest.fixture(scope="module")
def data():
    texts = program.idioms()[:300]
    return {"train": texts[:240], "valid": texts[240:270], "test": texts[270:]}


@pytest.fixture(scope="module")
def merges(data):
    words = program.Counter(piece for text in data["train"] for piece in program.split(text))
    return program.train_quickly(words, 400)


def awake(*sizes) -> nn.Module:
    """Return a GPT in which nothing is zero: at first its last matrices are, so that no input has any influence."""
    model = program.GPT(*sizes)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


def test_network():
    x = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2), x, x.roll(-1, 1), classes=30, causal=True)


def test_byte_pairs_give_the_text_back(data, merges):
    streams = program.by_pairs(data, merges)
    tokenizer = program.Tokenizer(merges)
    assert streams.vocabulary == 256 + len(merges) == 400 and streams.extra == {"train": 0, "valid": 0, "test": 0}
    for part, texts in data.items():
        assert tokenizer.decode(streams.tokens[part].tolist()).decode() == "\n".join(["", *texts, ""])
        assert streams.tokens[part].max() < streams.vocabulary


def test_characters_cost_their_names_where_they_are_rare(data):
    streams = program.by_characters(data)
    known = [name for name, count in program.Counter("".join(data["train"])).items() if count >= 2]
    assert streams.vocabulary == 2 + len(known)
    for part, texts in data.items():
        text = "\n".join([*texts, ""])
        rare = sum(name not in known and name != "\n" for name in text)
        assert len(streams.tokens[part]) == 1 + len(text) and rare > 0
        assert streams.extra[part] == pytest.approx(rare / len(text) * math.log2(1_114_112), rel=1e-5)


@pytest.mark.parametrize("vocabulary", [300, 1024, 4500, 8192])
@pytest.mark.parametrize("parameters", [300_000, 1_000_000])
def test_networks_have_the_same_size(vocabulary, parameters):
    hidden = program.width(vocabulary, parameters)
    model = program.GPT(vocabulary, hidden, program.LAYERS, program.HEADS)
    step = 4 * 2 * (vocabulary + 12 * program.LAYERS * hidden)
    assert abs(sum(one.numel() for one in model.parameters()) - parameters) <= step / 2 + 16 * 12 * program.LAYERS


def test_bits_are_those_of_a_character(data, merges, monkeypatch):
    """An untrained network takes log2 of its vocabulary for each token: by the character more, where that takes several."""
    monkeypatch.setattr(program, "train", lambda *given: [])
    found = {name: program.compare(data, streams, 50_000, 1) for name, streams in
             (("pairs", program.by_pairs(data, merges)), ("characters", program.by_characters(data)))}
    for name, row in found.items():
        assert row["test_token"] == pytest.approx(math.log2(row["vocabulary"]), rel=1e-4)
        streams = program.by_pairs(data, merges) if name == "pairs" else program.by_characters(data)
        for part in ("valid", "test"):
            bits = (len(streams.tokens[part]) - 1) * math.log2(streams.vocabulary)
            count = len("\n".join([*data[part], ""]))
            assert row[part] == pytest.approx(bits / count + streams.extra[part], rel=1e-4)
    assert found["pairs"]["tokens"] > 1.2 and found["characters"]["tokens"] == 1


def test_each_step_reads_as_much_text(data, merges, monkeypatch):
    """About READ characters a piece, and the products that they take."""
    seen = {}
    monkeypatch.setattr(program, "train", lambda model, text, steps, size, length, rate: seen.update(length=length, size=size, steps=steps, text=text))
    for streams in (program.by_pairs(data, merges), program.by_characters(data)):
        found = program.compare(data, streams, 50_000, 7)
        characters = seen["length"] * len("\n".join([*data["train"], ""])) / (len(seen["text"]) - 1)
        assert characters == pytest.approx(program.READ, rel=0.02) and seen["steps"] == 7
        assert torch.equal(seen["text"], streams.tokens["train"])
        weights = found["parameters"] - streams.vocabulary * found["hidden"]
        assert found["flops"] == 6 * weights * 7 * seen["size"] * seen["length"]


def test_main_writes_its_results(tmp_path, data, monkeypatch, capsys):
    monkeypatch.setattr(program, "load_data", lambda: data)
    monkeypatch.setattr(program, "SIZES", (300, 400))
    metrics = program.main(tmp_path, steps=30, parameters=60_000)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "bits.svg"}
    assert list(metrics) == ["characters", "pairs_300", "pairs_400"] and [row["vocabulary"] for row in metrics.values()][1:] == [300, 400]
    for row in metrics.values():
        assert 3 < row["test"] < 14 and np.isclose(row["parameters"], 60_000, rtol=0.1) and row["cpu_seconds"] > 0
    again = program.main(tmp_path, steps=30, parameters=60_000)
    assert [row["test"] for row in again.values()] == [row["test"] for row in metrics.values()]
    assert [row["test"] for row in program.main(tmp_path, 1, 30, 60_000).values()] != [row["test"] for row in metrics.values()]
    assert all(len(line) < 80 for line in capsys.readouterr().out.splitlines())
