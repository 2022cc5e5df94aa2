"""The neighbors in the page are those of the program's vectors."""

import base64
import json

import numpy as np
import pytest
from conftest import load_snippet
from playwright.sync_api import expect
from reader import address, open_page, reading
from test_live import ask, put, start, status

from tooling.lessons import LANGUAGES, RESULTS

LESSON = "language-models/embeddings"
program = load_snippet(LESSON)
STORED = json.loads((RESULTS / LESSON / "live.json").read_text(encoding="utf-8"))


def cosines(language: str, method: str) -> np.ndarray:
    """Return the cosines, (words, words), of the vectors that the page has."""
    one = STORED[language]
    return program.cosines(np.frombuffer(base64.b64decode(one[method]), np.int8).reshape(len(one["words"]), -1).astype(float))


def test_the_page_finds_the_neighbors_that_the_program_finds(site, browser):
    script = """async ({ stored }, { lesson, vectors, nearest }) => {
        const { data } = await stored(lesson);
        return Object.keys(data).flatMap((language) => ["sgns", "svd"].map((method) => {
            const made = vectors(data, language, method);
            return [language, method, Array.from({ length: 250 }, (_, word) => nearest(made, 7 * word))];
        }));
    }"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, script)
    assert [(language, method) for language, method, _ in found] == [(language, method) for language in STORED for method in ("sgns", "svd")]
    for language, method, answers in found:
        cosine = cosines(language, method)
        for number, near in enumerate(answers):
            own = cosine[7 * number]
            np.testing.assert_allclose([value for _, value in near], np.sort(own)[::-1][:10], atol=1e-9)
            np.testing.assert_allclose([own[other] for other, _ in near], [value for _, value in near], atol=1e-9)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_is_typed_and_its_neighbors_are_followed(site, browser, language):
    text, word = ("Chinese", "三") if language == "zh" else ("English", "columns")
    with reading(browser, site) as tab:
        panel = start(tab, site, language, LESSON)
        field, method = panel.locator("input[type=text]"), panel.locator("select").last
        for name in ("sgns", "svd"):
            method.select_option(name)
            field.fill(word)
            words, cosine = STORED[text]["words"], cosines(text, name)
            near = [words[number] for number in program.nearest(cosine)[words.index(word)]]
            expect(tab.locator(".live-near button").first).to_have_text(near[0])
            assert tab.locator(".live-near button").all_text_contents() == near
            expect(status(tab)).to_contain_text(near[0])
        tab.locator(".live-near button").nth(2).focus()
        tab.keyboard.press("Enter")
        expect(field).to_have_value(near[2])
        expect(status(tab)).to_contain_text(near[2])
        panel.locator("select").first.select_option("English" if text == "Chinese" else "Chinese")
        expect(field).to_have_value("rows" if text == "Chinese" else "龙")
        assert tab.locator(".live-near button").count() == 10


def test_unknown_words_get_a_sentence(site, browser):
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", LESSON)
        field = panel.locator("input[type=text]")
        for text, says in {"": "Type a word", "  ": "Type a word", "xyzzy": "not among", "<b>": "not among", "🙂" * 3: "not among", "x" * 100_000: "not among", "  ROWS ": "occurs"}.items():
            put(field, text)
            expect(status(tab), text[:20]).to_contain_text(says)
            assert panel.locator("b").count() == 0
        put(field, "colu")
        expect(panel.locator(".live-note button").first).to_have_text(next(word for word in STORED["English"]["words"] if word.startswith("colu")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_starts_at_a_touch_and_fits_a_phone(site, browser, language):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    with reading(browser, site, **phone) as tab:
        open_page(tab, site, address(language, LESSON))
        tab.locator(".live figure").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")
        tab.locator(".live figure").tap()
        expect(tab.locator(".live-panel")).to_be_focused(timeout=20_000)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.locator(".live-near button").count() == 10
