"""What a reader gets: the built site, and what a real browser makes of it."""

import json
import re
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import nbformat
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import expect
from reader import ADDRESSES, ALL, COUNTERPART, KINDS, NOTEBOOKS, address, each_address, each_lesson, html_of, notebook_address, open_page, reading
from visit import Visit

from tooling import pages
from tooling.lessons import LANGUAGES, SNIPPETS, lesson_names


@pytest.fixture
def html(site):
    """A function that returns the built page at an address of the site."""
    return lambda place: html_of(site.folder / place / "index.html")


# --- the files of the site


def test_the_site_holds_the_pages_and_the_notebooks_and_no_others(site):
    built = {path.parent.relative_to(site.folder).as_posix() for path in site.folder.rglob("index.html")}
    assert built == {place.rstrip("/") or "." for place in ALL}


@each_address
def test_a_page_describes_itself(html, place):
    page = html(place)
    description = page.find("meta", attrs={"name": "description"})
    assert description is not None and len(description["content"]) > 20, f"/{place}: write a `description:` in its front matter"
    assert len(page.find_all("h1")) == 1
    assert page.html["lang"] == ("en" if place.startswith("en/") else "zh")
    assert page.select_one("title").get_text(strip=True)


@each_address
def test_nothing_is_left_of_the_authors_notation(site, place):
    page = (site.folder / place / "index.html").read_text(encoding="utf-8")
    page = re.sub(r"<(pre|code|math|script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "\n", page) + "\n".join(re.findall(r'<meta [^>]*content="([^"]*)"', page))
    for mark in ("[[ ", "--8<--", "{ .", "{#", '"nbformat"', "PLACEHOLDER"):
        assert mark not in text, f"/{place} shows `{mark}`"


@each_address
def test_a_page_names_no_file_on_another_host(site, html, place):
    page = html(place)
    sources = [node["src"] for node in page.select("[src]")]
    sources += [node["srcset"] for node in page.select("[srcset]")]
    sources += [node["href"] for node in page.select("link[href]") if node["rel"] != ["canonical"]]
    for source in sources:
        url = urljoin(site.url + place, source)
        assert url.startswith((site.url, "data:")), f"/{place} loads {source}"
    assert page.find("link", rel="canonical")["href"] == site.url + place


def test_no_style_names_a_file_on_another_host(site):
    styles = list(site.folder.rglob("*.css"))
    assert styles
    for style in styles:
        for source in re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", style.read_text(encoding="utf-8")):
            pytest.fail(f"{style.relative_to(site.folder)} loads {source}")


@each_address
def test_formulas_are_set_and_their_style_comes_with_them_only(html, place):
    page = html(place)
    assert not page.select(".arithmatex"), f"/{place} shows the source of a formula"
    linked = bool(page.select('link[href$="assets/katex/katex.css"]'))
    assert linked == bool(page.select(".katex"))


@each_address
def test_the_search_dialog_has_a_name(html, place):
    (dialog,) = html(place).select('[data-md-component="search"][role="dialog"]')
    assert dialog.get("aria-label") == ("Search" if place.startswith("en/") else "搜索")


@each_lesson
def test_the_downloads_of_a_lesson(site, html, language, page):
    place = address(language, page)
    links = [link["href"] for link in html(place).select(".lesson-bar a[download]")]
    program, notebook = (urlopen(urljoin(site.url + place, link)).read() for link in links)
    assert program == (SNIPPETS / f"{page}.py").read_bytes()
    book = nbformat.reads(notebook.decode(), as_version=4)
    nbformat.validate(book)
    assert any(cell.outputs for cell in book.cells if cell.cell_type == "code"), "no cell of the notebook has an output"


@each_lesson
def test_a_lesson_says_how_its_program_last_ran(html, language, page):
    bar = html(address(language, page)).select_one(".lesson-bar").get_text()
    assert re.search(r"20\d\d-\d\d-\d\d", bar) and "PyTorch 2" in bar


def contents(page: BeautifulSoup) -> list[tuple[str, str]]:
    """Return the id and the words of each heading but the first."""
    return [(heading["id"], heading.find(string=True).strip()) for heading in page.select("article :is(h2, h3, h4)")]


@each_lesson
def test_a_notebook_page_is_light_and_highlighted(site, html, language, page):
    place = notebook_address(language, page)
    book, lesson = html(place), html(address(language, page))
    assert sum(len(style.get_text()) for style in book.select("style")) < 20_000
    own = [script for script in book.select("article script")]
    assert not own, f"the notebook brings scripts: {own}"
    blocks = book.select(".jp-InputArea .highlight pre > code")
    programs = pages.programs(language, page)
    assert len(blocks) == sum(map(len, programs.values())) + (len(programs) > 1)  # what keeps their names apart
    for block in blocks:
        assert block.select("span[class]"), f"not highlighted: {block.get_text()[:60]}"
    assert book.select(".jp-OutputArea-output pre"), "no output shows"
    assert contents(book) == contents(lesson), "the headings of the notebook, in words or ids, are not those of its lesson"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_search_index_holds_the_pages_of_its_language(site, language):
    index = json.loads((site.folder / address(language, "index") / "search" / "search_index.json").read_text(encoding="utf-8"))
    prefix = address(language, "index")
    assert {prefix + entry["location"].partition("#")[0] for entry in index["docs"]} == set(ADDRESSES[language])


def test_notebooks_to_download_have_their_figures_in_the_text(site):
    books = {path: path.read_text(encoding="utf-8") for path in site.folder.rglob("*.ipynb")}
    assert len(books) == 2 * len(lesson_names("zh"))
    for path, book in books.items():
        assert "attachment" not in book and "data:image/png;base64," in book, path


# --- in the browser


def test_complaints_are_noticed(site, browser):
    with pytest.raises(AssertionError) as failure, reading(browser, site, bypass_csp=True) as tab:
        open_page(tab, site, "")
        tab.evaluate("""async () => {
            console.warn('a warning'); setTimeout(() => { throw new Error('a mistake') });
            await fetch('missing.js'); await fetch('https://example.com/').catch(() => 0);
        }""")
        tab.wait_for_timeout(100)
    for complaint in ("console: a warning", "script: ", "404 for", "asked for https://example.com/"):
        assert complaint in str(failure.value)


@pytest.mark.parametrize("place", ADDRESSES["zh"] + NOTEBOOKS["zh"], ids=lambda place: f"/{place}")
def test_a_visit_of_a_page(site, browser, pytestconfig, place):
    """In both languages it is light, not too long, fits a wide window and a phone, has no barrier and copies its code; one leads to the other."""
    wrong = []
    try:
        with reading(browser, site, permissions=["clipboard-read", "clipboard-write"]) as tab:
            chinese, english = (Visit(tab, site, one, pytestconfig.getoption("thorough")) for one in (place, COUNTERPART[place]))
            wrong += chinese.look(lambda: open_page(tab, site, place))
            wrong += english.look(chinese.leads_to_the_other_language)
    except AssertionError as complaints:
        wrong.append(f"/{place}: {complaints}")
    assert not wrong, "\n" + "\n".join(wrong)


def search(tab, words: str) -> list[str]:
    """Type into the search box; return where the results lead."""
    tab.keyboard.press("Escape")
    box = tab.locator("input[data-md-component=search-query]")
    box.click()
    box.fill("")
    box.press_sequentially(words)
    box.press("Shift")  # the theme waits for a key to rise, as one does when an input method ends
    links = tab.locator("a.md-search-result__link")
    expect(links.first, f"no result for {words}").to_be_visible()
    return links.evaluate_all("links => links.map(link => link.href)")


@pytest.mark.parametrize(("language", "words"), [("zh", "卷积"), ("zh", "softmax"), ("en", "convolution"), ("en", "softmax")])
def test_search_finds_the_pages_of_its_language(site, browser, language, words):
    with reading(browser, site) as tab:
        open_page(tab, site, address(language, "index"))
        found = search(tab, words)
        for link in found:
            place = link.removeprefix(site.url).partition("?")[0].partition("#")[0]
            assert place in ADDRESSES[language], f"a reader of {language} who looks for {words} is sent to {link}"
        assert any("models/cnn/" in link for link in found)
        marked = tab.locator(".md-search-result__list mark").all_text_contents()
        assert words in [mark.lower()[: len(words)] for mark in marked]
        tab.locator("a.md-search-result__link").first.click()
        tab.wait_for_url(found[0])
        tab.wait_for_load_state("networkidle")
        expect(tab.locator("article h1")).to_be_visible()
        target = urlsplit(found[0]).fragment
        assert not target or tab.locator(f"[id='{target}']").count() == 1


@pytest.mark.parametrize("words", ["softmax", "softmax回归", "回归", "dropout", "神经网络"])
def test_search_finds_latin_words_beside_chinese_ones(site, browser, words):
    # as the index holds it: jieba has set marks around the Chinese words, and only there
    text = "用\u200bsoftmax\u200b回归\u200b做\u200b分类（dropout），\u200b卷积\u200b神经网络\u200b。"

    def with_probe(route):
        index = json.loads((site.folder / "search" / "search_index.json").read_text(encoding="utf-8"))
        index["docs"] = [{"location": "probe/", "title": "probe", "text": f"<p>{text}</p>"}]
        route.fulfill(json=index)

    with reading(browser, site) as tab:
        tab.route("**/search_index.json", with_probe)
        open_page(tab, site, "")
        assert [urlsplit(link).path for link in search(tab, words)] == ["/lessons/probe/"]


@pytest.mark.parametrize("place", [*KINDS, *map(COUNTERPART.get, KINDS)], ids=lambda place: f"/{place}")
def test_a_page_reads_without_javascript(site, browser, html, place):
    parts = [part for part in ("article h1", "article h2", "article p", "article .highlight code span[class]", ".katex .mord", "figure svg") if html(place).select_one(part)]
    with reading(browser, site, java_script_enabled=False) as tab:
        open_page(tab, site, place)
        for part in parts:
            box = tab.locator(part).locator("visible=true").first.bounding_box(timeout=5000)
            assert box["width"] > 1 and box["height"] > 1, f"/{place}: {part} has no size"
        assert "$" not in tab.locator("article").evaluate(
            "article => { article.querySelectorAll('pre, code, annotation').forEach(part => part.remove()); return article.innerText }"
        ), f"/{place} shows an unset formula"
        if ".katex .mord" in parts:
            family = tab.locator(".katex .mord.mathnormal").first.evaluate("symbol => getComputedStyle(symbol).fontFamily")
            assert "KaTeX_Math" in family, f"/{place}: formulas lack their style"
