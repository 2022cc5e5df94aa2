"""A reader of the built site: its addresses, and a browser that reports what goes wrong in it."""

import contextlib
import functools
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import expect

from tooling import packages, pages
from tooling.lessons import LANGUAGES, SNIPPETS, page_names

expect.set_options(timeout=30_000)  # a model starts slowly on a busy machine


def address(language: str, page: str) -> str:
    """Return where a page lies in the site, such as `en/models/cnn/`."""
    prefix = "" if language == "zh" else f"{language}/"
    folder = page.removesuffix("index").rstrip("/")
    return f"{prefix}{folder}/" if folder else prefix


def notebook_address(language: str, page: str) -> str:
    """Return where the notebook of a lesson lies in the site."""
    return f"{address(language, page)}notebook/"


PAGES = [(language, page) for language in LANGUAGES for page in page_names(language)]
LESSONS = [(language, page) for language, page in PAGES if (SNIPPETS / f"{page}.py").is_file()]

ADDRESSES = {language: [address(*place) for place in PAGES if place[0] == language] for language in LANGUAGES}
NOTEBOOKS = {language: [notebook_address(*place) for place in LESSONS if place[0] == language] for language in LANGUAGES}
ALL = [place for language in LANGUAGES for place in ADDRESSES[language] + NOTEBOOKS[language]]
PAGE_AT = {address(*place): place[1] for place in PAGES} | {notebook_address(*place): place[1] for place in LESSONS}
COUNTERPART = dict(zip(ADDRESSES["zh"] + NOTEBOOKS["zh"], ADDRESSES["en"] + NOTEBOOKS["en"]))
COUNTERPART |= {english: chinese for chinese, english in COUNTERPART.items()}


def size(page: str) -> int:
    """Return the bytes of a lesson: those of its Chinese page and of the programs that it shows."""
    text = pages.source("zh", page)
    programs = {SNIPPETS / match[1] for match in map(pages.INCLUDE.match, text.split("\n")) if match and match[1].endswith(".py")}
    return len(text.encode()) + sum(path.stat().st_size for path in programs if path.is_file())


# A page of each kind: the home page, a text, a lesson, a notebook. What is slow looks at these, and at the largest lesson.
KINDS = ["", "career/", "models/cnn/", "models/cnn/notebook/"]
LARGEST = max((page for language, page in LESSONS if language == "zh"), key=size)
MEASURED = [*KINDS, address("zh", LARGEST), notebook_address("zh", LARGEST)]

# What is looked at where not all is asked for: a notebook holds what its lesson does, so that a browser visits two of them.
SAMPLES = {"test_lighthouse": MEASURED, "test_a_visit_of_a_page": [*ADDRESSES["zh"], *MEASURED]}

each_address = pytest.mark.parametrize("place", ALL, ids=lambda place: f"/{place}")
each_lesson = pytest.mark.parametrize(("language", "page"), LESSONS)


@functools.lru_cache(maxsize=4)  # the tests of a page come together
def html_of(file: Path) -> BeautifulSoup:
    """Return a built page, taken apart."""
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


@contextlib.contextmanager
def reading(browser, site, **options):
    """Open a tab; fail at its end if the console complained, a file was missing or another host was asked."""
    context = browser.new_context(**{"color_scheme": "light", "viewport": {"width": 1280, "height": 900}} | options)
    complaints = []

    def request(asked):  # the browser itself lets none of these out, see its switches
        if not asked.url.startswith((site.url, "data:", "blob:")):
            complaints.append(f"asked for {asked.url}")

    def response(answer):
        if answer.status >= 400:
            complaints.append(f"{answer.status} for {answer.url}")

    def console(message):
        if message.type in ("error", "warning"):
            complaints.append(f"console: {message.text}")

    context.on("request", request)
    context.on("response", response)
    context.on("console", console)
    context.on("weberror", lambda error: complaints.append(f"script: {error.error}"))
    try:
        yield context.new_page()
    finally:
        context.close()
    assert not complaints, "\n".join(complaints)


def open_page(tab, site, place: str):
    """Go to a page of the site."""
    answer = tab.goto(site.url + place)
    assert answer.status == 200, f"/{place} is not there"


COME_INTO_SIGHT = """async () => {  // the theme finishes what is near the screen
    for (let top = 0; top < document.documentElement.scrollHeight; top += innerHeight) {
        window.scrollTo({ top, behavior: "instant" });
        await new Promise(requestAnimationFrame);
    }
    window.scrollTo({ top: 0, behavior: "instant" });
}"""


def assert_accessible(tab, without: tuple[str, ...] = ()) -> None:
    """Fail if axe-core finds anything wrong on a page, by all its rules but some."""
    tab.add_style_tag(content="* { content-visibility: visible !important; transition: none !important }")
    tab.evaluate(COME_INTO_SIGHT)
    tab.evaluate(packages.find("axe-core", "axe.min.js").read_text(encoding="utf-8"))
    rules = {rule: {"enabled": False} for rule in without}
    found = tab.evaluate("rules => axe.run({ resultTypes: ['violations'], rules })", rules)["violations"]
    said = [f"{one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]
    assert not found, f"{tab.url}:\n" + "\n".join(said)
