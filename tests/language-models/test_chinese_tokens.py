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
    model = program.Poet(*sizes)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
    return model


def test_network():
    x = tokens(6, 9, 30)
    check_model(lambda: awake(30, 16, 2, 2), x, x.roll(-1, 1), classes=30, causal=True)


def test_byte_pairs_give_the_text_back(data, merges):
    kind = program.by_pairs(data, merges)
    tokenizer = program.Tokenizer(merges)
    assert kind.vocabulary == 256 + len(merges) == 400 and kind.extra == {"train": 0, "valid": 0, "test": 0}
    for part, texts in data.items():
        assert [tokenizer.decode(row).decode() for row in kind.tokens[part]] == [f"\n{text}\n" for text in texts]
        assert max(map(max, kind.tokens[part])) < kind.vocabulary


def test_characters_cost_their_names_where_they_are_rare(data):
    kind = program.by_characters(data)
    known = [name for name, count in program.Counter("".join(data["train"])).items() if count >= 4]
    assert kind.vocabulary == 2 + len(known)
    for part, texts in data.items():
        rare = sum(name not in known for text in texts for name in text)
        assert [len(row) for row in kind.tokens[part]] == [len(text) + 2 for text in texts] and rare > 0
        assert kind.extra[part] == pytest.approx(rare / sum(len(text) + 1 for text in texts) * math.log2(1_114_112), rel=1e-5)


@pytest.mark.parametrize("vocabulary", [300, 1024, 4500, 8192])
@pytest.mark.parametrize("parameters", [300_000, 1_000_000])
def test_networks_have_the_same_size(vocabulary, parameters):
    hidden = program.width(vocabulary, parameters)
    model = program.Poet(vocabulary, hidden, program.LAYERS, program.HEADS)
    step = 4 * 2 * (vocabulary + 12 * program.LAYERS * hidden)
    assert abs(sum(one.numel() for one in model.parameters()) - 64 * hidden - parameters) <= step / 2 + 16 * 12 * program.LAYERS


def test_bits_are_those_of_a_character(data, merges, monkeypatch):
    """An untrained network takes log2 of its vocabulary for each token: by the character more, where that takes several."""
    monkeypatch.setattr(program, "train", lambda *given: [])
    kinds = {"pairs": program.by_pairs(data, merges), "characters": program.by_characters(data)}
    found = {name: program.compare(data, kind, 50_000, 1, 0) for name, kind in kinds.items()}
    for name, row in found.items():
        kind = kinds[name]
        assert row["test_token"] == pytest.approx(math.log2(row["vocabulary"]), rel=1e-4)
        for part in ("valid", "test"):
            bits = sum(len(text) - 1 for text in kind.tokens[part]) * math.log2(kind.vocabulary)
            count = sum(len(text) + 1 for text in data[part])
            assert row[part] == pytest.approx(bits / count + kind.extra[part], rel=1e-4)
    assert found["pairs"]["tokens"] > 1.2 and found["characters"]["tokens"] == 1


def test_each_step_reads_the_same_texts(data, merges, monkeypatch):
    read = {}

    def train(model, rows, steps, size):
        read[rows.shape[1]] = [torch.randint(len(rows), (size,)).tolist() for _ in range(steps)]
        assert len(rows) == len(data["train"])

    monkeypatch.setattr(program, "train", train)
    for kind in (program.by_pairs(data, merges), program.by_characters(data)):
        program.compare(data, kind, 50_000, 3, 5)
    one, other = read.values()
    assert one == other and len(one) == 3 and len(one[0]) == program.BATCH


def test_main_writes_its_results(tmp_path, data, monkeypatch, capsys):
    monkeypatch.setattr(program, "load_data", lambda folder: data)
    monkeypatch.setattr(program, "SIZES", (300, 400))
    metrics = program.main(tmp_path, steps=30, parameters=60_000)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "bits.svg"}
    assert list(metrics) == ["characters", "pairs_300", "pairs_400"] and [row["vocabulary"] for row in metrics.values()][1:] == [300, 400]
    for row in metrics.values():
        assert 3 < row["test"] < 14 and np.isclose(row["parameters"], 60_000, rtol=0.2) and row["cpu_seconds"] > 0
    again = program.main(tmp_path, steps=30, parameters=60_000)
    assert [row["test"] for row in again.values()] == [row["test"] for row in metrics.values()]
    assert [row["test"] for row in program.main(tmp_path, 1, None, 30, 60_000).values()] != [row["test"] for row in metrics.values()]
    assert all(len(line) < 80 for line in capsys.readouterr().out.splitlines())
