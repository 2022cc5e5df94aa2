"""Vectors of counts: the pairs, the mutual information, the factors, and what they hide."""

import json

import numpy as np
import pytest
import torch
from conftest import load_snippet

program = load_snippet("language-models/cooccurrence")
each_language = pytest.mark.parametrize("language", ["English", "Chinese"])


@pytest.fixture(scope="module")
def corpora():
    return program.load_data(150_000, least=10)


def corpus_of(*texts: str) -> program.Corpus:
    """Return a corpus of texts whose words are their letters."""
    words = sorted({letter for text in texts for letter in text}, key=lambda letter: (-sum(text.count(letter) for text in texts), letter))
    return program.Corpus(
        words, torch.tensor([sum(text.count(word) for text in texts) for word in words]),
        [torch.tensor([words.index(letter) for letter in text]) for text in texts],
    )


def pairs_in(corpus: program.Corpus, **options) -> list[str]:
    return sorted("".join(corpus.words[number] for number in pair) for pair in program.pairs_of(corpus, 0, **options).tolist())


@each_language
def test_words_are_numbered_by_frequency(corpora, language):
    corpus = corpora[language]
    assert corpus.counts.tolist() == sorted(corpus.counts.tolist(), reverse=True) and corpus.counts[-1] >= 10
    assert torch.equal(torch.cat(corpus.texts).bincount(), corpus.counts)
    assert len(set(corpus.words)) == len(corpus.words) > 100
    assert all((word.isascii() and word.islower()) if language == "English" else "\u4e00" <= word <= "\u9fff" for word in corpus.words)


def test_neighbors_stand_one_or_two_places_apart():
    assert pairs_in(corpus_of("abcd"), frequent=9) == sorted("ab ba bc cb cd dc ac ca bd db".split())


def test_neighbors_do_not_reach_into_another_text():
    assert pairs_in(corpus_of("ab", "c", "de"), frequent=9) == ["ab", "ba", "de", "ed"]


def test_frequent_words_are_thinned_by_the_root_of_their_share():
    texts = ["ab" * 2000, "".join(chr(200 + number % 100) for number in range(4000))]
    corpus = corpus_of(*texts)
    share = corpus.counts / corpus.counts.sum()
    found = program.pairs_of(corpus, 0, frequent=0.04)[:, 0].bincount(minlength=len(corpus.words)) / 4
    for number in (0, 1):
        assert found[number] / corpus.counts[number] == pytest.approx((0.04 / share[number].item()) ** 0.5, rel=0.15)
    assert torch.equal(found[2:].round().long(), corpus.counts[2:]) or (found[2:] / corpus.counts[2:] > 0.94).all()


def test_negatives_follow_the_counts_to_three_quarters():
    noise = program.noise_of(torch.tensor([16, 1]))
    assert noise.tolist() == pytest.approx([8 / 9, 1 / 9])


def test_mutual_information_is_that_of_its_formula():
    pairs = torch.tensor([[0, 1], [0, 1], [0, 2], [1, 0], [1, 0], [2, 0]])
    noise = torch.tensor([0.5, 0.25, 0.25], dtype=torch.double)
    found = program.shifted_ppmi(pairs, noise).toarray()
    expected = np.zeros((3, 3))
    expected[0, 1], expected[0, 2], expected[1, 0], expected[2, 0] = np.log((2 / 3) / 0.25), np.log((1 / 3) / 0.25), np.log(1 / 0.5), np.log(1 / 0.5)
    np.testing.assert_allclose(found, expected)
    shifted = program.shifted_ppmi(pairs, noise, 2).toarray()
    np.testing.assert_allclose(shifted, np.maximum(np.where(expected > 0, expected - np.log(2), 0), 0), atol=1e-12)


def test_factors_are_those_of_the_singular_value_decomposition(corpora):
    corpus = corpora["English"]
    matrix = program.shifted_ppmi(program.pairs_of(corpus, 0), program.noise_of(corpus.counts))
    left, values, _ = np.linalg.svd(matrix.toarray())
    for power in (0, 1):
        found = program.factorize(matrix, 8, power)
        np.testing.assert_allclose(np.abs(found), np.abs(left[:, :8] * values[:8] ** power), atol=0.02 * (values[0] if power else 1))


def test_neighbors_are_those_of_the_highest_cosine():
    vectors = np.array([[1, 0], [2, 0.1], [0, 3], [-1, 0.0]])
    cosine = program.cosines(vectors)
    assert cosine[0, 1] == pytest.approx(1 / np.hypot(1, 0.05)) and cosine.diagonal().tolist() == [-1] * 4
    assert program.nearest(cosine, 2).tolist()[:2] == [[1, 2], [0, 2]]


def test_halves_of_repeated_texts_agree():
    """Texts that stand there twice, once in each half, have the same neighbors in both; others do not."""
    random = np.random.default_rng(0)
    texts = ["".join(map(chr, random.integers(100, 190, 12))) for _ in range(400)]
    same, other = (np.mean(list(program.stability(corpus_of(*given), 0).values())) for given in ([text for text in texts for _ in (0, 1)], texts))
    assert same > other + 0.1


def test_likeness_is_a_correlation():
    corpus = program.Corpus(list("abcd"), torch.tensor([1000, 100, 10, 1]), [])
    assert program.likeness(corpus, np.array([[0], [1], [2], [3]])) == pytest.approx(1)
    assert program.likeness(corpus, np.array([[3], [2], [1], [0]])) == pytest.approx(-1)


@each_language
def test_a_word_that_takes_in_a_rare_one_stays_itself(corpora, language):
    """The measure of a word with itself alone is 1; the more frequent of two leaves more."""
    corpus = corpora[language]
    pairs = program.pairs_of(corpus, 0)
    left = program.merged(corpus, pairs, 10, 0, count=10)
    assert 0 <= left["weak"] < left["strong"] < 1


def test_main_writes_its_results(tmp_path):
    found = program.main(tmp_path, size=150_000)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(found))
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "stability.svg"}
    for language in ("English", "Chinese"):
        assert len(found[language]["stability"]) == program.BANDS and set(found[language]["merged"]) == {"ratio_1", "ratio_10"}
