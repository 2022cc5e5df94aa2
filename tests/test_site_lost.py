"""Readers who would be lost: at an address that is not there, in the other language, with a copied formula."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from reader import COUNTERPART, address, open_page, reading

from tooling.lessons import LANGUAGES

LOST = {"zh": ("nowhere/", "找不到这一页", "卷积"), "en": ("en/models/nowhere/", "Page not found", "convolution")}


def first_found(tab, words: str) -> str:
    """Type into the search; return where the first result leads."""
    box, links = tab.locator("input[data-md-component=search-query]"), tab.locator("a.md-search-result__link")
    box.click()
    box.press_sequentially(words)
    expect(links.first, f"no result for {words}").to_be_visible()
    return links.first.get_attribute("href")


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_address_that_is_not_there_answers_in_its_language(site, browser, language):
    place, title, words = LOST[language]
    context = browser.new_context()  # `reading` would complain of the missing page
    tab = context.new_page()
    assert tab.goto(site.url + place).status == 404
    expect(tab.locator("article h1")).to_have_text(title)
    assert tab.locator("html").get_attribute("lang") == language
    home = tab.locator("article a").evaluate("link => link.href")
    assert home.removeprefix(site.url) == address(language, "index")
    found = urlsplit(first_found(tab, words)).path.removeprefix(urlsplit(site.url).path)
    assert found.partition("/")[0] == address(language, "models/cnn").partition("/")[0], f"the search leads to {found}"
    assert tab.request.get(site.url + found).status == 200
    context.close()


@pytest.mark.parametrize("place", ["models/rnn/", "en/models/rnn/", "models/rnn/notebook/"])
def test_the_language_switch_stays_at_its_part_of_the_page(site, browser, place):
    with reading(browser, site) as tab:
        open_page(tab, site, f"{place}#lstm")
        other = "en" if not place.startswith("en/") else "zh"
        link = tab.locator(f".md-select__link[hreflang={other}]")
        assert link.evaluate("link => link.href") == f"{site.url}{COUNTERPART[place]}#lstm"
        tab.evaluate("location.hash = 'gru'")
        expect(link).to_have_attribute("href", f"{site.url}{COUNTERPART[place]}#gru")
        tab.goto(link.evaluate("link => link.href"))
        expect(tab.locator("#gru")).to_be_in_viewport()


@pytest.mark.parametrize("place", ["models/cnn/", "models/cnn/notebook/"])
def test_a_selected_formula_is_copied_once(site, browser, place):
    with reading(browser, site, permissions=["clipboard-read", "clipboard-write"]) as tab:
        open_page(tab, site, place)
        formula = tab.locator("article .katex").first
        tex = formula.locator("annotation").text_content()
        formula.scroll_into_view_if_needed()
        formula.evaluate("node => getSelection().selectAllChildren(node.parentElement)")
        tab.keyboard.press("Control+C")
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied.count(tex) == 1 and f"${tex}$" in copied
