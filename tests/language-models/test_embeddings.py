"""Skip-gram: its training, the questions that it is asked, and what the page runs."""

import base64
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from data_checks import check_split
from model_checks import check_model
from scipy import sparse

from tooling.lessons import exporter_path
from tooling.live.export import import_file

program = load_snippet("language-models/embeddings")
live = import_file(exporter_path("language-models/embeddings"), "live_language_models_embeddings")


@pytest.fixture(scope="module")
def corpora():
    return program.load_data(150_000, least=10)


def test_network():
    torch.manual_seed(0)
    words = torch.randperm(60)
    check_model(lambda: program.SkipGram(60, 16), (words[:6], words[6:36].view(6, 5)), torch.arange(6) % 5, classes=5)


def test_scores_are_products_of_two_tables():
    model = program.SkipGram(5, 3)
    scores = model(torch.tensor([4, 0]), torch.tensor([[1, 2], [3, 4]]))
    assert scores.shape == (2, 2)
    for row, (center, words) in enumerate(((4, (1, 2)), (0, (3, 4)))):
        for column, word in enumerate(words):
            assert scores[row, column].item() == pytest.approx((model.center.weight[center] @ model.context.weight[word]).item(), abs=1e-6)


def drawn(monkeypatch, pairs: torch.Tensor, noise: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the words, (batch, n), and labels, (batch, n), of each step of an epoch."""
    steps, loss = [], F.binary_cross_entropy_with_logits
    given = []
    model = program.SkipGram(len(noise), 4)
    model.register_forward_pre_hook(lambda module, words: given.append(words))
    monkeypatch.setattr(F, "binary_cross_entropy_with_logits", lambda scores, labels, **more: steps.append((given[-1], labels)) or loss(scores, labels, **more))
    program.train(model, pairs, noise, 0.01, 1, 0)
    return steps


def test_one_neighbor_is_real_and_the_others_are_drawn_by_the_noise(monkeypatch):
    pairs = torch.tensor([[0, 1], [1, 2]]).repeat(9000, 1)
    noise = torch.tensor([0.6, 0.3, 0.1, 0.0], dtype=torch.double)
    negatives, real = [], []
    for (center, words), labels in drawn(monkeypatch, pairs, noise):
        assert words.shape == labels.shape == (len(center), 1 + program.NEGATIVES)
        assert (labels[:, 0] == 1).all() and (labels[:, 1:] == 0).all()
        real += torch.stack([center, words[:, 0]], 1).tolist()
        negatives.append(words[:, 1:].flatten())
    assert sorted(real) == sorted(pairs.tolist()), "an epoch does not take each pair once"
    shares = torch.cat(negatives).bincount(minlength=4) / sum(map(len, negatives))
    assert shares.tolist() == pytest.approx(noise.tolist(), abs=0.01)


def test_training_reaches_the_shifted_mutual_information():
    """The product of two trained vectors is PMI - log NEGATIVES, where both occur often: O. Levy and Y. Goldberg, 2014."""
    counts = torch.tensor([[0, 60, 20, 20], [60, 0, 10, 30], [20, 10, 0, 70], [20, 30, 70, 0]])
    pairs = torch.cat([torch.tensor([[a, b]]).repeat(40 * int(counts[a, b]), 1) for a in range(4) for b in range(4)])
    noise = torch.full((4,), 0.25, dtype=torch.double)
    torch.manual_seed(0)
    model = program.SkipGram(4, 8)
    program.train(model, pairs, noise, 0.03, 40, 0)
    found = (model.center.weight @ model.context.weight.T).detach()
    expected = torch.log(counts / counts.sum(1, keepdim=True) / 0.25) - np.log(program.NEGATIVES)
    seen = counts > 0
    np.testing.assert_allclose(found[seen], expected[seen], atol=0.4)  # log 5 is 1.6
    assert (found[~seen] < expected[seen].min()).all()


def test_training_is_repeatable_and_lowers_the_loss(corpora):
    corpus = corpora["Chinese"]
    pairs, noise = program.pairs_of(corpus, 0)[:20_000], program.noise_of(corpus.counts)

    def run(seed):
        torch.manual_seed(seed)
        return program.train(program.SkipGram(len(noise), 8), pairs, noise, 0.01, 2, seed)

    first = run(0)
    assert first == run(0) and first != run(1)
    assert first[-1] < first[0] < 6 * np.log(2)


# --- the questions


@pytest.mark.parametrize("language", program.RELATIONS)
def test_questions_to_choose_by_are_not_those_of_the_test(language):
    words = [word for text in program.RELATIONS[language].values() for word in (text.split() if " " in text else text)]
    parts = [program.questions(language, words, part) for part in (0, 1)]
    assert [set(part) for part in parts] == [set(program.RELATIONS[language])] * 2
    for relation in parts[0]:
        check_split(parts[0][relation], parts[1][relation])
        assert 0 <= len(parts[0][relation]) - len(parts[1][relation]) <= 1


def test_questions_name_their_words():
    words = "x columns rows row column".split()
    assert program.questions("English", words, 0)["plural"] == [(3, 2)] or program.questions("English", words, 1)["plural"] == [(3, 2)]


def plane(*points) -> np.ndarray:
    return program.cosines(np.array(points, float))


def test_partners_are_asked_in_both_directions():
    random = np.random.default_rng(0)
    cosine = plane([1, 0, 0], [1, 0.01, 0], *random.normal(size=(30, 3)) * [0.01, 1, 1])
    assert program.partners(cosine, {"one": [(0, 1)]}) == 1
    one_way = np.full((14, 14), 0.5)
    one_way[0, 1], one_way[1, 0] = 0.9, 0.1
    assert program.partners(one_way, {"one": [(0, 1)]}) == 0.5


def test_analogies_are_answered_by_the_offset():
    """Four corners of a rectangle, nearly one direction each, and a word that is nearest to c but no answer."""
    cosine = plane([1, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0.1, 0.3])
    found = program.analogies(cosine, {"one": [(0, 1), (2, 3)]})
    assert found["right"] == 1 and found["lazy"] == 0.5


def test_a_shift_that_is_nothing_gives_back_a_word_of_the_question():
    """Where b - a is short, the word nearest to b - a + c is c."""
    cosine = plane([1, 0, 0], [1, 0.1, 0], [0, 0, 1], [0, 0.4, 1], [0.3, 0, 1])
    found = program.analogies(cosine, {"one": [(0, 1), (2, 3)]})
    assert found["given"] == 0.5 and found["right"] == 1, "a word of the question answers it"


def test_pairs_that_share_a_word_are_not_asked():
    cosine = program.cosines(np.random.default_rng(0).normal(size=(9, 4)))
    asked = {"next": [(0, 1), (1, 2), (3, 4)]}  # 0 : 1 and 1 : 2 with 3 : 4, both ways
    apart = [program.analogies(cosine, {"next": [pair, (3, 4)]}) for pair in ((0, 1), (1, 2))]
    for name, share in program.analogies(cosine, asked).items():
        assert share == (apart[0][name] + apart[1][name]) / 2


# --- the whole program


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the program small; return its folder and what it measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "load_data", lambda size: LOAD(200_000, 10))
        patch.setattr(program, "SIZE", 16)
        out = tmp_path_factory.mktemp("embeddings")
        return out, program.main(out, epochs=1)


LOAD = program.load_data


def test_main_writes_its_results(ran):
    out, metrics = ran
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == json.loads(json.dumps(metrics))
    assert {path.name for path in out.iterdir()} == {"metrics.json", "partners.svg", "weights.pt"}
    for language, found in metrics.items():
        for method, settings in (("sgns", program.RATES), ("svd", program.SHIFTS), ("ppmi", program.SHIFTS)):
            row = found[method]
            assert row["setting"] == settings[int(np.argmax(row["valid"]))], "the setting is not chosen by the validation questions"
    assert metrics["English"]["svd"]["neighbors"] > 0.1


def test_what_is_measured_is_what_is_kept(ran):
    out, metrics = ran
    kept = torch.load(out / "weights.pt", weights_only=True)
    for language, one in kept.items():
        test = program.questions(language, one["words"], 1)
        for method in ("sgns", "svd"):
            cosine = program.cosines(one[method].numpy())
            assert program.partners(cosine, test) == metrics[language][method]["neighbors"]
            assert program.analogies(cosine, test)["right"] == metrics[language][method]["right"]


def test_unfactorized_vectors_are_compared_as_they_are():
    dense = np.array([[1.0, 0, 2], [0, 3, 1], [1, 1, 0]])
    np.testing.assert_allclose(program.cosines(sparse.csr_array(dense)), program.cosines(dense))


def test_the_page_gets_the_vectors_in_eight_bits(ran, tmp_path):
    out, _ = ran
    measured = live.export(program, out, tmp_path)
    page = json.loads((tmp_path / "live.json").read_text(encoding="utf-8"))
    assert measured["bytes"] == (tmp_path / "live.json").stat().st_size and measured["same"] > 0.9
    kept = torch.load(out / "weights.pt", weights_only=True)
    for language, one in page.items():
        assert one["words"] == kept[language]["words"][: live.MOST] and one["counts"] == kept[language]["counts"][: live.MOST].tolist()
        for method in live.METHODS:
            small = np.frombuffer(base64.b64decode(one[method]), np.int8).reshape(len(one["words"]), -1).astype(float)
            vectors = kept[language][method][: live.MOST].numpy()
            cosine = (small * vectors).sum(1) / np.linalg.norm(small, axis=1) / np.linalg.norm(vectors, axis=1)
            assert cosine.min() > 0.999


def test_settings_are_chosen_by_the_questions_to_choose_by(ran):
    """The stored scores of all settings are those on the first half of the questions."""
    out, metrics = ran
    kept = torch.load(out / "weights.pt", weights_only=True)
    for language, one in kept.items():
        choose = program.questions(language, one["words"], 0)
        for method in ("sgns", "svd"):
            assert program.partners(program.cosines(one[method].numpy()), choose) == max(metrics[language][method]["valid"])
