"""The search: the right first answer to fifty questions of readers, and what shows of it in the browser."""

import json
import subprocess

import pytest
import yaml
from playwright.sync_api import expect
from reader import address, open_page, reading

from tooling import node, packages
from tooling.lessons import LANGUAGES, ROOT

QUESTIONS = yaml.safe_load((ROOT / "tests" / "search.yml").read_text(encoding="utf-8"))


def answers(worker: str, index: str, questions: list[str]) -> list[list[str]]:
    """Return where the results of each question lead, the best first, as a search worker gives them."""
    done = subprocess.run(
        [node.executable(), str(ROOT / "tests" / "search.mjs"), worker, index], input="\n".join(questions),
        capture_output=True, text=True, encoding="utf-8", check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ask(site):
    """A function that asks the search of the site in a language."""
    packages.find("minisearch", "package.json")
    (worker,) = (site.folder / "assets/javascripts/workers").glob("search.*.min.js")
    return lambda language, questions: answers(str(worker), str(site.folder / address(language, "index") / "search/search_index.json"), questions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_have_their_right_first_answer(ask, language):
    """The theme's own search misses six in Chinese."""
    expected = QUESTIONS[language]
    found = ask(language, list(expected))
    missed = [f"{question}: {places[:2]}, not {right}" for (question, right), places in zip(expected.items(), found, strict=True) if not (places and places[0].startswith(right))]
    assert len(expected) == 25 and not missed, "\n".join(missed)


def test_every_word_of_a_chinese_question_counts(ask):
    leak, privacy, more = ask("zh", ["数据泄漏", "数据隐私", "数据增强"])
    assert len({leak[0], privacy[0], more[0]}) == 3


@pytest.mark.parametrize(("given", "same"), [("Ｓｏｆｔｍａｘ", "softmax"), ("数据 增强", "数据增强"), ('"束搜索"', "束搜索"), ("什么是束搜索", "束搜索"), ("LSTM是什么", "lstm")])
def test_a_question_may_be_written_in_several_ways(ask, given, same):
    one, other = ask("zh", [given, same])
    assert one[0] == other[0]


@pytest.mark.parametrize("words", ["。", "\"", "*", "<b>", "[", "\\", "++", "(?)"])
def test_signs_break_nothing(ask, words):
    (found,) = ask("en", [words])
    assert isinstance(found, list)


def test_what_is_pasted_with_the_mouse_is_searched(site, browser):
    with reading(browser, site) as tab:
        open_page(tab, site, "")
        box = tab.locator("input[data-md-component=search-query]")
        box.press_sequentially("softmax")  # the index is there from here on: what was typed before is searched once it comes
        first = tab.locator("a.md-search-result__link").first
        expect(first).to_be_visible()
        box.evaluate("box => { box.value = '束搜索'; box.dispatchEvent(new InputEvent('input', { inputType: 'insertFromPaste', bubbles: true })) }")
        expect(tab.locator(".md-search-result__list mark").first).to_have_text("束搜索")
        assert "applications/translation/" in first.get_attribute("href")
