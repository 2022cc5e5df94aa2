"""What predicts bytes without a network: n-grams beside a naive count, and the compressors beside their own sizes."""

import json
import lzma
import zlib
from collections import Counter

import numpy as np
import pytest
from conftest import load_snippet

program = load_snippet("language-models/gpt_baselines")


def array(text: bytes) -> np.ndarray:
    """Return the bytes of a text, (n,)."""
    return np.frombuffer(text, np.uint8).astype(np.int64)


def naive(train: bytes, text: bytes, order: int) -> list[float]:
    """Return the probability of each byte of a text by the definition, with dictionaries.

    S. F. Chen and J. Goodman, An empirical study of smoothing techniques for language modeling, 1999.
    """
    counts = [Counter(train[at:at + size] for at in range(len(train) - size + 1)) for size in range(order + 2)]
    tables = {size: counts[size] if size == order else Counter(longer[1:] for longer in counts[size + 1]) for size in range(1, order + 1)}
    discounts = {}
    for size, table in tables.items():
        n1, n2, n3, n4 = (max(1, sum(count == wanted for count in table.values())) for wanted in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        discounts[size] = [0] + [min(max(0.1, d), most) for d, most in ((1 - 2 * y * n2 / n1, 1), (2 - 3 * y * n3 / n2, 2), (3 - 4 * y * n4 / n3, 3))]

    def chance(size: int, past: bytes, byte: bytes) -> float:
        if size == 0:
            return 1 / 256
        context = past[len(past) - size + 1:]
        shorter = chance(size - 1, past, byte)
        seen = {gram: count for gram, count in tables[size].items() if gram[:-1] == context}
        if not seen:
            return shorter
        off = {gram: discounts[size][min(count, 3)] for gram, count in seen.items()}
        own = seen.get(context + byte, 0) - off.get(context + byte, 0)
        return (own + sum(off.values()) * shorter) / sum(seen.values())

    whole = train + text
    return [chance(order, whole[:at], whole[at:at + 1]) for at in range(len(train), len(whole))]


CHOICE = np.random.default_rng(0)
TRAIN, TEXT = bytes(CHOICE.choice(list(b"aabcd"), 400)), bytes(CHOICE.choice(list(b"aabcde"), 40))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngrams_are_those_of_a_naive_count(order):
    found = program.predict(array(TRAIN), array(TEXT), 6)[order - 1]
    np.testing.assert_allclose(found, naive(TRAIN, TEXT, order), rtol=1e-9)


def test_discounts_are_those_of_the_paper():
    """Of 10, 5, 4 and 3 sequences that occur once, twice, three and four times; how many occur more often makes no difference."""
    y = 10 / (10 + 2 * 5)
    expected = [0, 1 - 2 * y * 5 / 10, 2 - 3 * y * 4 / 5, 3 - 4 * y * 3 / 4]
    for more in (0, 1, 500):
        counts = np.repeat([1, 2, 3, 4, 9], [10, 5, 4, 3, more])
        np.testing.assert_allclose(program.discounts(counts), np.take(expected, np.minimum(counts, 3)))


@pytest.mark.parametrize("past", [b"", b"ab", b"zz"])
def test_probabilities_of_all_bytes_sum_to_one(past):
    found = [[chances[-1] for chances in program.predict(array(TRAIN), array(past + bytes([byte])), 4)] for byte in range(256)]
    np.testing.assert_allclose(np.sum(found, axis=0), 1)
    assert np.min(found) > 0


def test_what_is_predicted_is_not_counted():
    """A byte that comes later, and those that follow it, change nothing before."""
    one, other = (program.predict(array(TRAIN), array(TEXT[:20] + end), 4)[-1][:20] for end in (b"a" * 20, b"zyz" * 7))
    assert np.array_equal(one, other)


def test_bits_are_a_mean_over_bytes():
    assert program.bits(np.array([0.5, 0.25, 0.125])) == 2


def test_compressors_know_the_training_text():
    random = np.random.default_rng(0).integers(256, size=40_000, dtype=np.uint8).tobytes()
    known = program.compressed(random, random[-20_000:])
    new = program.compressed(random, np.random.default_rng(1).integers(256, size=20_000, dtype=np.uint8).tobytes())
    assert known["zlib"] < 0.5 and known["lzma"] < 0.5 and new["zlib"] > 7.9 and new["lzma"] > 7.9
    assert new["zlib"] == pytest.approx(8 * len(zlib.compress(np.random.default_rng(1).bytes(20_000), 9)) / 20_000, rel=0.01)
    assert program.compressed(b"", b"abc" * 1000)["lzma"] == pytest.approx(8 * (len(lzma.compress(b"abc" * 1000)) - len(lzma.compress(b""))) / 3000)


def test_main_chooses_by_the_validation_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "LONGEST", 4)
    metrics = program.main(tmp_path, size=150_000)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "orders.svg"}
    data = program.load_data(size=150_000)
    train, valid, test = (data[part].numpy() for part in ("train", "valid", "test"))
    assert metrics["valid"] == [program.bits(chances) for chances in program.predict(train, valid, 4)]
    assert metrics["order"] == 1 + int(np.argmin(metrics["valid"]))
    assert metrics["ngram"] == pytest.approx(program.bits(program.predict(train, test, 4)[metrics["order"] - 1]), rel=1e-3)  # but for the first bytes
    assert metrics["ngram"] < metrics["unigram"] < 8
    assert metrics["zlib"] == program.compressed(bytes(train.tolist()), bytes(test.tolist()))["zlib"]
