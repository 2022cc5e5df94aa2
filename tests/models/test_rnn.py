"""The LSTM that tells languages by names, its data and its training."""

import json
import random

import numpy as np
import pytest
import torch
from babel import Locale
from conftest import RESULTS, load_snippet
from data_checks import arguments_of, check_balance, check_fitted_on_training_part, check_split, shares
from model_checks import check_export, check_future_is_hidden, check_model, exported
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from tooling.lessons import exporter_path, metrics
from tooling.live.export import import_file, rounded, shrink

rnn = load_snippet("models/rnn")
live = import_file(exporter_path("models/rnn"), "live_models_rnn")


@pytest.fixture(scope="module")
def data():
    return rnn.load_data()


def padded(count=8, longest=9, symbols=20, seed=0):
    """Return random sequences of 2 to `longest` symbols, padded, and their lengths."""
    random_numbers = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, longest + 1, (count,), generator=random_numbers)
    lengths[0] = longest
    x = torch.randint(2, symbols, (count, longest), generator=random_numbers)
    return x * (torch.arange(longest) < lengths[:, None]), lengths


# --- the network


def test_network():
    x, _ = padded()
    check_model(lambda: rnn.NameLSTM(20), x, torch.arange(8), classes=10, padding=rnn.PADDING)


def test_network_is_the_one_of_the_article():
    shapes = {name: tuple(parameter.shape) for name, parameter in rnn.NameLSTM(50).named_parameters() if "weight" in name}
    assert shapes == {
        "embed.weight": (50, 100), "output.weight": (10, 256),
        "lstm.weight_ih_l0": (1024, 100), "lstm.weight_hh_l0": (1024, 256),
        "lstm.weight_ih_l1": (1024, 256), "lstm.weight_hh_l1": (1024, 256),
    }


def test_last_valid_step_is_that_of_packed_sequences():
    torch.manual_seed(0)
    model = rnn.NameLSTM(20).eval()
    x, lengths = padded()
    packed = pack_padded_sequence(model.embed(x), lengths, batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        _, (hidden, _) = model.lstm(packed)
        torch.testing.assert_close(model(x), model.output(hidden[-1]), rtol=1e-5, atol=1e-6)


class EveryStep(nn.Module):
    """The network as it is trained: with an answer after each character."""

    def __init__(self):
        super().__init__()
        self.model = rnn.NameLSTM(20)

    def forward(self, x):
        return self.model.every_step(x)


def test_a_step_knows_nothing_of_later_characters():
    x, _ = padded()
    check_future_is_hidden(EveryStep, x, torch.where(x == rnn.PADDING, -100, x % 10))


# --- the names


def test_no_name_stands_in_both_parts(data):
    check_split(data.train_names, data.test_names)
    names = [*data.train_names, *data.test_names]
    assert len({name.casefold() for name in names}) == len(names)


def test_every_name_has_one_language_and_ties_are_left_out(data):
    owners = {}
    for label, code in enumerate(rnn.LANGUAGES):
        locale = Locale(code)
        for table in (locale.territories, locale.languages, locale.currencies):
            for name in table.values():
                owners.setdefault(name.casefold(), set()).add(label)
    pairs = [*zip(data.train_names, data.train_labels), *zip(data.test_names, data.test_labels)]
    assert all(owners[name.casefold()] == {label} for name, label in pairs)
    assert len(pairs) == sum(len(labels) == 1 for labels in owners.values())
    assert data.tied == sum(len(labels) > 1 for labels in owners.values()) > 500


def test_a_name_in_capitals_is_tied_too(monkeypatch):
    class Small:
        territories, languages, currencies = {"A": "Peru", **{n: f"Kuba {n}" for n in range(10)}}, {}, {}

    class Capital:
        territories, languages, currencies = {"A": "PERU", **{n: f"Cuba {n}" for n in range(10)}}, {"C": "Cuba 1"}, {}

    monkeypatch.setattr(rnn, "LANGUAGES", {"x": "X", "y": "Y"})
    monkeypatch.setattr(rnn, "Locale", {"x": Small, "y": Capital}.__getitem__)
    data = rnn.load_data()
    pairs = {*zip(data.train_names, data.train_labels), *zip(data.test_names, data.test_labels)}
    assert pairs == {(f"Kuba {n}", 0) for n in range(10)} | {(f"Cuba {n}", 1) for n in range(10)}
    assert data.tied == 1


def test_parts_hold_every_language_alike(data):
    expected = shares(data.train_labels + data.test_labels)
    check_balance(data.train_labels, expected, 0.001)
    check_balance(data.test_labels, expected, 0.001)
    assert len(expected) == 10 and len(data.test_names) == pytest.approx(0.2 * len(data.train_names + data.test_names), abs=1)


def test_split_is_always_the_same(data):
    assert rnn.load_data() == data
    assert rnn.load_data(seed=1).test_names != data.test_names


# --- reading characters


def test_encoding_pads_behind_and_knows_unknown_characters():
    letters = rnn.alphabet(["cab"])
    assert letters == {"a": 2, "b": 3, "c": 4}
    pairs = [rnn.Names(["abc", "ax"], [7, 9], letters, cut=False)[row] for row in (0, 1)]
    x, y = rnn.pad(pairs)
    assert x.tolist() == [[2, 3, 4], [2, 1, 0]] and y.tolist() == [7, 9]


def test_main_learns_its_alphabet_from_the_training_part(monkeypatch, tmp_path):
    def letters(train, test):
        monkeypatch.setattr(rnn, "load_data", lambda seed: rnn.Data(train, test, [0, 1], [0, 1], 0))
        return arguments_of(rnn, "train", lambda: rnn.main(tmp_path))[1].dataset.letters

    check_fitted_on_training_part(letters, ["Peru", "Kuba"], ["Chad", "Togo"], ["Ägypten", "日本"])


def test_baseline_learns_from_the_training_part_alone(data):
    def counts(train, test):
        small = rnn.Data(train, test, data.train_labels[: len(train)], data.test_labels[: len(test)], 0)
        return arguments_of(rnn.LogisticRegression, "fit", lambda: rnn.baseline(small))[0].toarray()

    check_fitted_on_training_part(counts, data.train_names[:200], data.test_names[:50], ["日本", "中国"] * 25)


def test_main_writes_its_results(data, monkeypatch, tmp_path):
    small = rnn.Data(data.train_names[:300], data.test_names[:100], data.train_labels[:300], data.test_labels[:100], 5)
    monkeypatch.setattr(rnn, "load_data", lambda seed=0: small)
    found = rnn.main(tmp_path, epochs=1)
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.svg", "reading.svg", "metrics.json", "weights.pt"}
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["lstm"]["accuracy"] == found["lstm"]["accuracy"]
    assert found["names"] == {"train": 300, "test": 100, "tied": 5, "characters": len(rnn.alphabet(small.train_names))}


def test_crop_keeps_neighboring_words():
    torch.manual_seed(0)
    cropped = {rnn.crop("Bosnia and Herzegovina") for _ in range(200)}
    assert cropped == {"Bosnia", "and", "Herzegovina", "Bosnia and", "and Herzegovina", "Bosnia and Herzegovina"}
    assert rnn.crop("Peru") == "Peru"


def test_batches_hold_every_name_once_and_names_of_like_length():
    chance = random.Random(0)
    lengths = [chance.randrange(1, 50) for _ in range(1030)]
    torch.manual_seed(0)
    sampler = rnn.LikeLengths(lengths, 64)
    parts = list(sampler)
    assert sorted(row for part in parts for row in part) == list(range(1030))
    assert max(map(len, parts)) == 64 and len(parts) == len(sampler) == 17
    lengths = [[lengths[row] for row in part] for part in parts]
    padding = sum(max(part) * len(part) - sum(part) for part in lengths)
    assert padding < 0.1 * sum(map(sum, lengths)), "a batch holds names of very different lengths"
    assert [max(part) for part in lengths] != sorted(max(part) for part in lengths), "the batches come in order of length"


def test_loss_weighs_the_last_step_and_the_mean_alike_and_ignores_padding():
    torch.manual_seed(0)
    model = rnn.NameLSTM(20).eval()
    x, lengths = padded()
    y = torch.arange(8)
    expected = 0
    with torch.no_grad():
        for row, length, label in zip(x, lengths, y):
            losses = -model.every_step(row[None, :length])[0].log_softmax(1)[:, label]
            expected += (losses[-1] / 2 + losses.mean() / 2) / 8
        torch.testing.assert_close(rnn.loss_of(model, x, y), expected, rtol=1e-4, atol=1e-5)


# --- training


def small_batches(data, count):
    """Return the first names, as training batches and as batches to evaluate on, and their alphabet."""
    small = rnn.Data(data.train_names[:count], data.train_names[:count], data.train_labels[:count], data.train_labels[:count], 0)
    letters = rnn.alphabet(small.train_names)
    return *rnn.load_batches(small, letters), letters


def test_names_are_shortened_in_training_alone(data):
    train, test, _ = small_batches(data, 10)
    assert train.dataset.cut and not test.dataset.cut


def test_training_learns_a_few_names_and_can_be_repeated(data):
    batches, _, letters = small_batches(data, 64)
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = rnn.NameLSTM(len(letters) + 2, hidden_size=64)
        runs.append(rnn.train(model, batches, epochs=40, rate=0.004, decay=0.02))
    assert runs[0] == runs[1]
    assert runs[0][0] == pytest.approx(np.log(10), rel=0.1)
    assert np.mean(runs[0][-5:]) < 0.75 * np.mean(runs[0][:2])


def test_evaluation_keeps_the_order_and_does_not_depend_on_the_batch(data):
    letters = rnn.alphabet(data.train_names)
    names, labels = data.test_names[:30], data.test_labels[:30]
    torch.manual_seed(0)
    model = rnn.NameLSTM(len(letters) + 2)

    def answers(names, size):
        dataset = rnn.Names(names, labels, letters, cut=False)
        return rnn.evaluate(model, torch.utils.data.DataLoader(dataset, size, collate_fn=rnn.pad))

    together = answers(names, 7)
    torch.testing.assert_close(together, torch.cat([answers([name], 1) for name in names]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.sum(1), torch.ones(30))


def test_test_batches_are_in_the_order_of_the_labels(data):
    _, batches = rnn.load_batches(data, rnn.alphabet(data.train_names))
    assert torch.cat([y for _, y in batches]).tolist() == data.test_labels


# --- what the page runs


def test_a_step_is_that_of_pytorch_with_the_rounded_weights():
    torch.manual_seed(0)
    model = rnn.NameLSTM(30).eval()
    step, plain = live.Step(shrink(model)), rounded(model)
    assert not torch.equal(plain.lstm.weight_hh_l0, model.lstm.weight_hh_l0)
    x = torch.randint(2, 30, (1, 12))
    hidden = cell = torch.zeros(2, 1, 256)
    expected = plain.every_step(x)[0].softmax(1)  # (time, classes)
    for letter, right in zip(x[0], expected):
        probabilities, hidden, cell = step(letter[None], hidden, cell)
        torch.testing.assert_close(probabilities[0], right, atol=1e-5, rtol=0)


def test_export_is_equal_to_pytorch(tmp_path):
    torch.manual_seed(0)
    small = shrink(rnn.NameLSTM(127))
    assert live.write_step(small, tmp_path) == (tmp_path / "model.onnx").stat().st_size
    run = exported(tmp_path)
    for _ in range(3):
        letter, (hidden, cell) = torch.randint(2, 30, (1,), dtype=torch.int32), torch.randn(2, 2, 1, 256)
        check_export(run, live.Step(small), letter=letter, hidden=hidden, cell=cell)


def read(run, stored, name):
    """Return the probabilities, (classes,), that the stored network gives to a name."""
    hidden = cell = np.zeros(stored["states"], dtype=np.float32)
    for character in name:
        letter = np.array([stored["letters"].get(character, rnn.UNKNOWN)], dtype=np.int32)
        probabilities, hidden, cell = run(letter=letter, hidden=hidden, cell=cell)
    return probabilities[0]


def test_samples_are_test_names_with_their_answers(data):
    stored = json.loads((RESULTS / "models" / "rnn" / "live.json").read_text(encoding="utf-8"))
    run, samples = exported(RESULTS / "models" / "rnn"), stored["samples"]
    assert stored["letters"] == rnn.alphabet(data.train_names)
    assert len(samples["names"]) >= 50
    assert samples["names"] == data.test_names[: len(samples["names"])]
    assert samples["labels"] == data.test_labels[: len(samples["names"])]
    for name, expected in zip(samples["names"], samples["probabilities"]):
        np.testing.assert_allclose(read(run, stored, name), expected, atol=1e-4)


def test_name_whose_reading_is_drawn_is_of_the_test_part_and_taken_for_italian(data):
    name, languages = "Macedonia del Norte", list(rnn.LANGUAGES.values())
    assert languages[data.test_labels[data.test_names.index(name)]] == "Spanish"
    stored, run = json.loads((RESULTS / "models" / "rnn" / "live.json").read_text(encoding="utf-8")), exported(RESULTS / "models" / "rnn")
    for begun in ("Macedonia del", name):
        assert languages[read(run, stored, begun).argmax()] == "Italian", "the page says so"


def test_stored_result_is_of_this_data_and_as_the_page_says(data):
    """The network and the n-grams are close, and both know far more than the most common language."""
    stored = metrics("models/rnn")
    network, ngrams = (stored[name]["accuracy"] for name in ("lstm", "logistic_regression"))
    assert stored["names"]["train"] == len(data.train_names)
    assert abs(network - ngrams) < 0.05 and min(network, ngrams) > 3 * stored["most_common"]
    assert stored["live"]["accuracy"] == pytest.approx(network, abs=0.01)
