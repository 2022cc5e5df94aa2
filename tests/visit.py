"""One visit of a page of the built site, and all that can be seen of it on the way."""

import gzip
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

from playwright.sync_api import Error, Page, expect
from reader import COUNTERPART, MEASURED, NOTEBOOKS, PAGE_AT, assert_accessible, open_page

from tooling import notebooks, pages
from tooling.lessons import sections
from tooling.needs import with_needs

WEIGHT = 200_000  # bytes of a page with all that it loads at once, figures aside
HEIGHT = 25_000  # pixels of a page at a window of 1,280, folded blocks closed: 25 screens
PHONE = {"width": 390, "height": 844}


@cache
def sent(file: Path) -> int:
    """Return how many bytes a host sends for a file."""
    return file.stat().st_size if file.suffix in (".woff2", ".png") else len(gzip.compress(file.read_bytes()))


class Visit:
    """A tab in which a reader comes to a page at its `place` and looks at all of it; a Chinese one leads on to the English one."""

    def __init__(self, tab: Page, site: SimpleNamespace, place: str, thorough: bool):
        self.tab, self.site, self.place, self.thorough = tab, site, place, thorough
        self.whole = thorough or place in MEASURED or COUNTERPART[place] in MEASURED  # axe-core looks at all of it
        self.asked: list[str] = []
        self.machine = tab.context.new_cdp_session(tab)  # one: what a session has set, only that session takes back
        self.language, self.other = ("en", "zh") if place.startswith("en/") else ("zh", "en")

    def look(self, come: Callable[[], object]) -> list[str]:
        """Return all that is wrong with the page. `come` leads there."""
        self.come = come
        found = []
        for part in (
            self.is_light, self.is_not_too_long, self.fits_a_wide_window, self.shows_its_images, self.is_accessible, self.has_figures_for_both_schemes,
            self.fits_a_phone, self.is_accessible_on_a_phone, self.leaves_the_search_index, self.copies_its_code, self.names_the_other_language,
        ):
            try:
                part()
            except (AssertionError, Error) as error:
                found.append(f"/{self.place}: {re.split(chr(10) + 'assert ', str(error))[0]}")
        return found

    def take(self, phone: dict[str, int] | None) -> None:
        """Read on by a phone of this width and height, or by the computer again."""
        self.machine.send("Emulation.setTouchEmulationEnabled", {"enabled": phone is not None})
        if phone:
            self.machine.send("Emulation.setDeviceMetricsOverride", phone | {"deviceScaleFactor": 1, "mobile": True})
        else:
            self.machine.send("Emulation.clearDeviceMetricsOverride")
            self.tab.set_viewport_size({"width": 1280, "height": 900})

    def is_light(self) -> None:
        """What comes with the page weighs little."""
        found = {}

        def loaded(answer):
            path = urlsplit(answer.url).path
            if answer.url.startswith(self.site.url) and not path.endswith("/"):
                found[path] = sent(self.site.folder / path.removeprefix("/lessons/"))

        self.tab.context.on("response", loaded)
        self.tab.context.on("request", lambda request: self.asked.append(request.url))
        try:
            self.come()
        except (AssertionError, Error):
            open_page(self.tab, self.site, self.place)  # to see what else is wrong
            raise
        finally:
            self.tab.evaluate("document.fonts.ready.then(() => 0)")
            self.tab.context.remove_listener("response", loaded)
        page = (self.site.folder / self.place / "index.html").read_text(encoding="utf-8")
        found["page"] = len(gzip.compress(re.sub(r"<figure.*?</figure>", "", page, flags=re.DOTALL).encode()))
        assert any("bundle" in path for path in found) and any(path.endswith(".css") for path in found)
        listed = ", ".join(f"{path.rpartition('/')[2]} {size}" for path, size in sorted(found.items(), key=lambda one: -one[1]))
        assert sum(found.values()) <= WEIGHT, f"it takes {sum(found.values())} bytes: {listed}"

    def is_not_too_long(self) -> None:
        """A lesson has at most 25 screens with its folded blocks closed."""
        # from here on all is laid out, whether it is near the screen or not
        self.tab.add_style_tag(content="* { content-visibility: visible !important; transition: none !important }")
        height = self.tab.evaluate("document.documentElement.scrollHeight")
        notebook = self.place in NOTEBOOKS[self.language]  # nothing is folded there
        assert notebook or height <= HEIGHT, f"it is {height:,} pixels high at a window of 1,280, folded blocks closed; at most {HEIGHT:,}: cut it, or fold or split it"

    def fits_a_wide_window(self) -> None:
        """No block of code scrolls sideways."""
        self.tab.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        wide = self.tab.locator("article .highlight pre code").evaluate_all(
            "codes => codes.filter(code => code.scrollWidth > code.clientWidth).map(code => code.textContent.split('\\n')"
            ".reduce((one, other) => other.length > one.length ? other : one))"
        )
        assert not wide, "blocks of code scroll sideways at a window of 1,280 pixels; their longest lines are:\n  " + "\n  ".join(wide)

    def shows_its_images(self) -> None:
        """Every image is there."""
        missing = self.tab.locator("article img").evaluate_all(
            "images => Promise.all(images.map(image => { image.loading = 'eager'; return image.decode().then(() => '', () => image.src) })).then(all => all.filter(Boolean))"
        )
        assert not missing, f"images are missing: {missing}"

    def copies_its_code(self) -> None:
        """All code of the page is that of its programs; of each kind of block, one button copies what it shows, and one that with all it needs."""
        self.take(None)
        kinds = self.tab.evaluate(KINDS)
        shown = self.tab.locator("article .highlight pre code").evaluate_all("codes => codes.map(code => code.textContent.replace(/^\\n+|\\n+$/g, ''))")
        code = program_sections(self.language, self.place)
        known = dict(code)
        texts = [re.sub(rf"^{notebooks.MARK.format('[a-z_]+')}", "", text) for text in shown]  # a notebook names the program of a cell
        blocks = [number for number, text in enumerate(texts) if text in known]
        assert [texts[number] for number in blocks] == [text for text, _ in code], "its blocks of code, joined in order, are not its programs"
        section_of = dict(zip(blocks, (section for _, section in code)))  # two programs may have one text
        for kind, number in kinds.items():
            copied = self.tab.evaluate(COPY, [number, "button[data-md-type=copy]"])
            assert copied == shown[number], f"the button of a block ({kind}) copies `{copied[:80]}`; it shows `{shown[number][:80]}`"
            if "needs" in kind:
                copied, whole = self.tab.evaluate(COPY, [number, "button.copy-needs"]).strip(), with_needs(*section_of[number])
                assert copied == whole, f"the second button of a block ({kind}) copies {len(copied)} characters; with all it needs it has {len(whole)}"

    def is_accessible(self) -> None:
        """axe-core finds no barrier on a wide screen, in the light; both languages have the same parts."""
        if self.language != "zh" and not self.thorough:
            return
        if not self.whole:  # the colors of code, which take most of the time, are those of the pages that are looked at whole
            self.tab.locator("article .highlight pre code").evaluate_all("codes => codes.forEach(code => { code.textContent = code.textContent })")
        assert_accessible(self.tab)

    def has_figures_for_both_schemes(self) -> None:
        """The text of the figures can be read in both color schemes."""
        fill, body = {}, self.tab.locator("body")
        schemes = [("light", "default"), ("dark", "slate")]
        for scheme, name in schemes if self.language == "zh" else reversed(schemes):  # the English page follows in the dark
            expect(body).to_have_attribute("data-md-color-scheme", name)
            fill[scheme] = self.tab.locator("figure svg text").evaluate_all("texts => [...new Set(texts.map(text => getComputedStyle(text).fill))]")
            self.tab.locator("[data-md-component=palette] label:visible").click()
        if self.language == "zh":
            self.tab.locator("[data-md-component=palette] label:visible").click()
        expect(body).to_have_attribute("data-md-color-scheme", "slate")
        self.tab.mouse.move(2, 450)  # to the margin: its hint would lie over the menu of languages
        self.tab.evaluate("document.activeElement.blur()")
        expect(self.tab.locator(".md-header .md-tooltip--active")).to_have_count(0)
        for scheme, colors in fill.items():
            wrong = [color for color in colors if (lightness(color) < 0.5) != (scheme == "light")]
            assert not wrong, f"the text of a figure is {wrong} in the {scheme} scheme"

    def fits_a_phone(self) -> None:
        """Nothing scrolls sideways on a phone, from here on in the dark."""
        self.take(PHONE)
        width = self.tab.evaluate("document.documentElement.scrollWidth")
        wide = self.tab.evaluate(
            "[...document.querySelectorAll('article *')].filter(part => part.getBoundingClientRect().right > 391)"
            ".map(part => part.outerHTML.slice(0, 100)).slice(0, 3)"
        )
        assert width <= PHONE["width"], f"it is {width} pixels wide on a phone; perhaps because of {wide}"
        cut = self.tab.evaluate(
            "[...document.querySelectorAll('article .katex-display')].filter(formula => formula.scrollWidth > formula.clientWidth)"
            ".map(formula => formula.querySelector('annotation').textContent.trim())"
        )
        assert not cut, f"formulas scroll sideways on a phone; break them into lines: {cut}"

    def is_accessible_on_a_phone(self) -> None:
        """The same in the dark, on a phone; the theme serves keys where there are some."""
        if self.language == "en" and self.whole or self.thorough:
            assert_accessible(self.tab, without=("scrollable-region-focusable",))

    def leaves_the_search_index(self) -> None:
        """The search index comes when the search is opened."""
        assert not any("search_index" in url for url in self.asked), "the search index is fetched before the search is opened"

    def names_the_other_language(self) -> None:
        """The language switch names the page in both languages."""
        named = self.tab.locator(".md-header .md-select__link").evaluate_all("links => Object.fromEntries(links.map(link => [link.hreflang, link.href]))")
        assert named == {self.language: self.site.url + self.place, self.other: self.site.url + COUNTERPART[self.place]}, f"the language switch leads to {named}"

    def leads_to_the_other_language(self) -> None:
        """The language switch stays on the page."""
        other = COUNTERPART[self.place]
        self.tab.locator(".md-header .md-select").hover()
        link = self.tab.locator(f".md-header .md-select__link[hreflang={self.other}]")
        expect(link).to_be_visible()
        link.click()
        self.tab.wait_for_url(lambda url: url != self.site.url + self.place)
        assert self.tab.url == self.site.url + other, f"the language switch leads to {self.tab.url}"
        expect(self.tab.locator("html")).to_have_attribute("lang", self.other)


# The number of one block for each kind: by its language, whether it is folded, has a title, needs others, or is of a notebook.
KINDS = """() => {
    const kinds = {};
    document.querySelectorAll("article .highlight").forEach((block, number) => {
        const kind = [
            [...block.classList].find(name => name.startsWith("language-")) ?? "code",
            block.closest("details") ? "folded" : "", block.querySelector(".filename") ? "with a title" : "",
            block.dataset.needs ? "that needs others" : "",
        ].filter(Boolean).join(", ");
        kinds[kind] ??= number;
    });
    return kinds;
}"""

COPY = """async ([number, selector]) => {
    const block = document.querySelectorAll("article .highlight")[number];
    let button;
    for (let frames = 0; frames < 1200 && !button; frames++) {  // it is made when its block comes into sight
        block.scrollIntoView({ block: "center", behavior: "instant" });
        await new Promise(requestAnimationFrame);
        button = block.querySelector(selector);
    }
    button.scrollIntoView({ block: "center", behavior: "instant" });
    const { left, top, width, height } = button.getBoundingClientRect();
    const touched = document.elementFromPoint(left + width / 2, top + height / 2);
    if (!button.contains(touched)) return `nothing: over it lies ${touched?.outerHTML.slice(0, 60)}`;
    await navigator.clipboard.writeText("nothing");
    button.click();
    return navigator.clipboard.readText();
}"""


def program_sections(language: str, place: str) -> list[tuple[str, tuple[str, str]]]:
    """Return the code of each section that a page includes, in order, with the names of its program and its own."""
    page = PAGE_AT[place]
    found = pages.includes(pages.source(language, page), f"docs/{language}/{page}.md")
    programs = [(file.removesuffix(".py"), section) for file, section in found if file.endswith(".py")]
    return [(sections(name)[section], (name, section)) for name, section in programs]


def lightness(color: str) -> float:
    """Return how light a computed color is, from 0 to 1."""
    red, green, blue = (float(number) for number in re.findall(r"[\d.]+", color)[:3])
    return (red + green + blue) / 765
