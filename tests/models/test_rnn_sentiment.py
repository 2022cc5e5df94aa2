"""The sentiment of sentences: the data, the network, the measurement."""

import csv

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import check_model, tokens

sentiment = load_snippet("models/rnn_sentiment")


def decided(text):
    """Return the answer of the rule, found another way: read the deciding clause alone."""
    contrast = "but" if "but" in text else "although"
    place = text.index(contrast)
    part = text[place + 1 :] if contrast == "but" else text[:place]
    return int((part[-1] in sentiment.GOOD) != ("not" in part))


# --- the invented reviews


def test_reviews_follow_their_rule_and_none_is_there_twice():
    data = sentiment.invent(500)
    assert data.labels == [decided(text) for text in data.texts]
    assert len({tuple(text) for text in data.texts}) == 500
    assert 0.45 < np.mean(data.labels) < 0.55
    assert sentiment.invent(500) == data


def test_single_words_tell_nothing_of_the_invented_reviews():
    data = sentiment.invent(2000)
    answers = sentiment.linear(data.texts[:1600], data.labels[:1600], data.texts[1600:])
    assert abs((answers == np.array(data.labels[1600:])).mean() - 0.5) < 0.1


# --- real reviews


def polarity(folder, count=12):
    """Write a folder laid out like rt-polarity, with its odd characters."""
    for kind, word in (("pos", "fine"), ("neg", "poor")):
        lines = [f"a {word} film number {index} , caf\xe9\x85" for index in range(count)]
        (folder / f"rt-polarity.{kind}").write_text("\n".join([*lines, "", ""]), encoding="latin-1", newline="\n")
    return folder


def hotels(folder, rows):
    """Write a folder laid out like ChnSentiCorp."""
    with open(folder / "ChnSentiCorp_htl_all.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["label", "review"], *rows])
    return folder


def test_polarity_is_read(tmp_path):
    data = sentiment.load_data(polarity(tmp_path))
    assert (data.folds, data.measured) == (10, 10)
    assert data.labels == [1] * 12 + [0] * 12
    assert data.texts[0][:5] == ["a", "fine", "film", "number", "0"] and data.texts[-1][1] == "poor"


def test_hotel_reviews_are_read_and_empty_ones_left_out(tmp_path):
    rows = [[1, f'房间很大，"不错" {index}'] for index in range(6)] + [[0, f"早餐太差\n{index}"] for index in range(6)] + [[0, ""]]
    data = sentiment.load_data(hotels(tmp_path, rows))
    assert data.labels == [1] * 6 + [0] * 6
    assert "房间" in data.texts[0] and "早餐" in data.texts[6]
    assert all(word.strip() for text in data.texts for word in text)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "holds neither"),
        (lambda folder: (polarity(folder) / "rt-polarity.neg").unlink(), "rt-polarity.neg cannot be read"),
        (lambda folder: polarity(folder, count=3), "needs 10 reviews"),
        (lambda folder: hotels(folder, [["good", "房间很大"]]), "label"),
        (lambda folder: (hotels(folder, []) / "ChnSentiCorp_htl_all.csv").write_bytes(b"label,review\n1,\xff\xfe"), "is not utf-8-sig text"),
    ],
)
def test_unusable_folder_is_named(tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(sentiment.DataError, match=message) as caught:
        sentiment.load_data(tmp_path)
    assert str(tmp_path) in str(caught.value)


# --- the network


def test_network():
    check_model(lambda: sentiment.TextLSTM(30), tokens(8, 12, 30, padding=0), torch.arange(8) % 2, classes=2, padding=0)


def test_vocabulary_and_encoding():
    words = sentiment.vocabulary([["A", "film"], ["a", "dog"]])
    assert words == {"a": 2}
    rows = sentiment.encode([["a", "cat"], ["x"] * 150 + ["a"]], words)
    assert rows[0].tolist() == [2, 1]
    assert len(rows[1]) == 100 and rows[1][-1] == 2, "of a long text the end is kept"


def test_comparison_learns_from_the_training_part_alone(monkeypatch):
    data = sentiment.invent(200)
    seen = []
    original = sentiment.vocabulary
    monkeypatch.setattr(sentiment, "vocabulary", lambda texts: seen.append(texts) or original(texts))
    monkeypatch.setattr(sentiment, "train", lambda model, rows, labels, epochs, hide: seen.append((len(rows), labels)))
    sentiment.compare(data, np.arange(150), np.arange(150, 200), epochs=1)
    assert seen == [data.texts[:150], (150, data.labels[:150])]


def test_network_learns_what_words_tell():
    texts = [["the", "film", word] for word in ("fine", "poor")] * 64
    words = sentiment.vocabulary(texts)
    rows, labels = sentiment.encode(texts, words), [1, 0] * 64
    torch.manual_seed(0)
    model = sentiment.TextLSTM(len(words) + 2, hidden_size=32)
    losses = sentiment.train(model, rows, labels, epochs=40, hide=0)
    assert losses[-1] < 0.2 * losses[0]
    answers = sentiment.evaluate(model, [*rows[:2], *sentiment.encode([["poor"]], words)])
    assert (answers > 0.5).tolist() == [True, False, False]


def test_main_measures_each_fold(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    metrics = sentiment.main(tmp_path / "out", polarity(folder), epochs=1)
    assert metrics["folds"] == 10 and metrics["texts"] == 24
    assert metrics["bag_of_words"]["accuracy"] == 1, "`fine` and `poor` tell everything"
    assert (tmp_path / "out" / "metrics.json").is_file()
