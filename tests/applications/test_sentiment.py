"""The sentiment of sentences: the data, the network, the measurement."""

import csv
import functools
import runpy
import sys

import numpy as np
import pytest
import torch
from conftest import SNIPPETS, load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_rows_are_answered_alone, check_split
from model_checks import check_model, tokens

from tooling.lessons import metrics

sentiment = load_snippet("applications/sentiment")


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
    check_balance(data.labels, {0: 0.5, 1: 0.5}, 0.05)
    assert sentiment.invent(500) == data


def test_single_words_tell_nothing_of_the_invented_reviews():
    data = sentiment.invent(2000)
    answers = sentiment.linear(data.texts[:1600], data.labels[:1600], data.texts[1600:])
    assert abs((answers == np.array(data.labels[1600:])).mean() - 0.5) < 0.1


def test_answers_to_the_exercises():
    """The same words in another order mean the opposite; three words in a row decide."""
    decides = {}
    for text in sentiment.invent().texts:
        place = text.index("but" if "but" in text else "although")
        exchanged = [*text[place + 1 :], text[place], *text[:place]]
        assert decided(exchanged) != decided(text)
        decides.setdefault(tuple(text[place - 2 : place + 1]), set()).add(decided(text))
    assert len(decides) == 48 and all(len(answers) == 1 for answers in decides.values())


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


def table(folder, content):
    """Write the file of ChnSentiCorp, byte by byte."""
    (folder / "ChnSentiCorp_htl_all.csv").write_bytes(content)


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
        (lambda folder: table(folder, "label,review\n1,房间很大".encode("gbk")), "ChnSentiCorp_htl_all.csv is not utf-8-sig text"),
        (lambda folder: table(folder, "label,review\n1,房间很大".encode("utf-16")), "ChnSentiCorp_htl_all.csv is not utf-8-sig text"),
        (lambda folder: table(folder, "label,review\n1,房间很大".encode()[:-1]), "ChnSentiCorp_htl_all.csv is not utf-8-sig text"),
        (lambda folder: table(folder, "label,review\n1,房间很大\n0".encode()), "ChnSentiCorp_htl_all.csv: needs columns"),
        (lambda folder: table(folder, b'label,review\n1,"' + b"x" * 140_000), "ChnSentiCorp_htl_all.csv is no table of reviews: field larger"),
        (lambda folder: (folder / "ChnSentiCorp_htl_all.csv").mkdir(), "ChnSentiCorp_htl_all.csv cannot be read"),
        (lambda folder: (folder / "ChnSentiCorp_htl_all.csv").symlink_to(folder / "nowhere"), "ChnSentiCorp_htl_all.csv cannot be read"),
        (lambda folder: (polarity(folder) / "rt-polarity.pos").unlink(), "rt-polarity.pos cannot be read"),
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
    rows = sentiment.Texts([["a", "cat"], ["x"] * 150 + ["a"]], [0, 1], words)
    (first, label), (second, _) = rows[0], rows[1]
    assert first.tolist() == [2, 1] and label == 0
    assert len(second) == 100 and second[-1] == 2, "of a long text the end is kept"


def test_a_share_of_the_words_is_hidden_each_time_others():
    rows = sentiment.Texts([["a"] * 100], [0], {"a": 2}, hide=0.2)
    torch.manual_seed(0)
    hidden = torch.stack([rows[0][0] for _ in range(50)]) == sentiment.UNKNOWN
    assert hidden.float().mean().item() == pytest.approx(0.2, abs=0.02) and not torch.equal(hidden[0], hidden[1])
    assert (sentiment.Texts([["a"] * 100], [0], {"a": 2})[0][0] == 2).all()


def folds(tmp_path, data):
    """Return the training part and the test part, (count,) each, that the program makes of each fold."""
    parts = []

    def compare(data, train_part, test_part, epochs):
        parts.append((train_part, test_part))
        return None, None, 0.5, 0.5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentiment, "load_data", lambda folder: data)
        patch.setattr(sentiment, "compare", compare)
        sentiment.main(tmp_path, folder=tmp_path)
    return parts


@pytest.mark.parametrize("measured", [1, 5])
def test_folds_share_no_text_and_are_balanced(tmp_path, measured):
    data = sentiment.invent()._replace(measured=measured)
    parts = folds(tmp_path, data)
    assert len(parts) == measured
    for rows in parts:
        check_split(*([data.texts[row] for row in part] for part in rows))
        for part in rows:
            check_balance([data.labels[row] for row in part], {0: 0.5, 1: 0.5}, 0.02)
    tested = np.concatenate([test for _, test in parts])
    assert len(set(tested)) == len(tested) == 800 * measured, "no text is tested twice"


def test_comparison_learns_from_the_training_part_alone():
    data = sentiment.invent(200)

    def numbers(train, test):
        both = data._replace(texts=train + test, labels=data.labels[: len(train + test)])
        rows = np.arange(len(both.texts))
        loader = arguments_of(sentiment, "train", lambda: sentiment.compare(both, rows[: len(train)], rows[len(train) :], 1))[1]
        assert loader.dataset.labels == data.labels[: len(train)]
        return [row.tolist() for row in loader.dataset.rows]

    check_fitted_on_training_part(numbers, data.texts[:150], data.texts[150:], [["unheard", "unheard", "film"]] * 50)


def test_bag_of_words_learns_from_the_training_part_alone():
    data = sentiment.invent(200)

    def bags(train, test):
        run = functools.partial(sentiment.linear, train, data.labels[: len(train)], test)
        return arguments_of(sentiment.LogisticRegression, "fit", run)[0].toarray()

    check_fitted_on_training_part(bags, data.texts[:150], data.texts[150:], [["unheard", "film"]] * 50)

    def score(texts, labels):
        return (sentiment.linear(data.texts[:150], data.labels[:150], texts) == np.array(labels)).mean()

    check_rows_are_answered_alone(score, data.texts[150:170], data.labels[150:170])


def answers(model, texts, words):
    """Return the probability of praise, (count,), of texts in batches of four."""
    rows = sentiment.Texts(texts, [0] * len(texts), words)
    return sentiment.evaluate(model, torch.utils.data.DataLoader(rows, 4, collate_fn=sentiment.pad))[:, 1]


def test_each_text_is_answered_as_if_alone_and_in_its_place():
    torch.manual_seed(0)
    words = {str(number): number for number in range(2, 30)}
    model, texts = sentiment.TextLSTM(30), [list(map(str, row[:length].tolist())) for row, length in zip(tokens(6, 12, 30), (3, 12, 1, 7, 7, 2))]
    together = answers(model, texts, words)
    torch.testing.assert_close(together, torch.cat([answers(model, [text], words) for text in texts]))
    assert len(set(together.tolist())) == len(texts)


def test_network_learns_what_words_tell():
    texts = [["the", "film", word] for word in ("fine", "poor")] * 64
    words = sentiment.vocabulary(texts)
    torch.manual_seed(0)
    model = sentiment.TextLSTM(len(words) + 2, hidden_size=32)
    batches = torch.utils.data.DataLoader(sentiment.Texts(texts, [1, 0] * 64, words), 64, shuffle=True, collate_fn=sentiment.pad)
    losses = sentiment.train(model, batches, epochs=40, rate=0.003, decay=0.05)
    assert losses[-1] < 0.2 * losses[0]
    assert (answers(model, [*texts[:2], ["poor"]], words) > 0.5).tolist() == [True, False, False]


def test_stored_results_are_of_data_balanced_as_the_page_says():
    """As many sentences of praise as of blame, 5,331 each; some 7,700 hotel reviews, two thirds praise."""
    sentences, hotels = (metrics(f"applications/sentiment/{name}") for name in ("rt-polarity", "chnsenticorp"))
    assert (sentences["texts"], sentences["most_common"]) == (2 * 5331, 0.5)
    assert hotels["texts"] == pytest.approx(7700, abs=100) and hotels["most_common"] == pytest.approx(2 / 3, abs=0.03)


def test_main_measures_each_fold(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    found = sentiment.main(tmp_path / "out", folder=polarity(folder), epochs=1)
    assert found["folds"] == 10 and found["texts"] == 24
    assert found["bag_of_words"]["accuracy"] == 1, "`fine` and `poor` tell everything"
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_reading_is_drawn_of_the_invented_reviews(monkeypatch, tmp_path):
    small = sentiment.invent(60)
    monkeypatch.setattr(sentiment, "invent", lambda: small)
    sentiment.main(tmp_path, epochs=1)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "reading.svg"}


def test_reviews_whose_reading_is_drawn_are_praise_and_blame():
    """Both follow the rule; the page says which is which."""
    first, second = (f"{one} although {other}".split() for one, other in [(sentiment.FIRST, sentiment.SECOND), (sentiment.SECOND, sentiment.FIRST)])
    assert (decided(first), decided(second)) == (1, 0)


def test_a_bad_folder_ends_the_program_with_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sentiment.py", "--data", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SNIPPETS / "applications" / "sentiment.py"), run_name="__main__")
    assert ended.value.code == 2
    assert "sentiment.py: error: nowhere holds neither" in capsys.readouterr().err
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
