"""What others see of a page: where it is shared, and on paper."""

import struct

import pytest
from reader import address, each_address, html_of, open_page, reading

from tooling import share
from tooling.lessons import LANGUAGES


@each_address
def test_a_shared_page_shows_a_title_a_sentence_and_a_picture(site, place):
    page = html_of(site.folder / place / "index.html")
    tags = {tag["property"]: tag["content"] for tag in page.select('meta[property^="og:"]')}
    canonical = page.select_one("link[rel=canonical]")["href"]
    base = canonical.removesuffix(place)
    assert tags["og:url"] == canonical and tags["og:image"] == f"{base}assets/share.png"
    assert tags["og:locale"] == ("en_US" if place.startswith("en/") else "zh_CN")
    assert len(tags["og:description"]) > 20 and tags["og:description"] == page.select_one("meta[name=description]")["content"]
    title, site_name = tags["og:title"], tags["og:site_name"]
    home = place in (address(language, "index") for language in LANGUAGES)
    assert page.title.get_text(strip=True) == (site_name if home else f"{title} - {site_name}")


def test_the_shared_picture_is_what_sites_ask_for():
    data = share.FILE.read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) < 100_000
    assert struct.unpack(">II", data[16:24]) == share.SIZE == share.picture().size


PRINTED = """() => {  // what is wrong on paper
    const wrong = [];
    const shown = node => node.checkVisibility({ contentVisibilityAuto: false }) && node.getClientRects().length > 0;
    for (const node of document.querySelectorAll(".md-header, .md-tabs, .md-sidebar, .md-footer, .live-start, .md-code__nav"))
        if (shown(node)) wrong.push(`${node.className} is printed`);
    for (const node of document.querySelectorAll("details > :not(summary)"))
        if (!shown(node) || node.getBoundingClientRect().height === 0) wrong.push(`folded: ${node.textContent.slice(0, 40)}`);
    for (const node of document.querySelectorAll("pre, figure, .katex-display"))
        if (getComputedStyle(node).contentVisibility !== "visible") wrong.push(`<${node.tagName}> is left out where it was not in sight`);
    for (const node of document.querySelectorAll("figure, .katex-display"))
        if (getComputedStyle(node).breakInside !== "avoid") wrong.push(`<${node.tagName}> is torn at the end of a sheet`);

    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const bright = color => {
        canvas.fillStyle = "#f5f5f5"; canvas.fillRect(0, 0, 1, 1);  // the ground of code, the darkest there is
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(part => part / 255);
        const [red, green, blue] = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const faint = new Set();
    for (const node of document.querySelectorAll(".md-typeset :is(p, li, td, th, h1, h2, pre span, code, summary, a, figcaption, svg text)")) {
        const { color, fill } = getComputedStyle(node), ink = node.closest("svg") ? fill : color;
        if (!shown(node) || !node.textContent.trim() || node.closest("svg, .katex-mathml")) continue;
        if (1.05 * 0.914 / (bright(ink) + 0.05) < 3) faint.add(`${ink} on <${node.tagName} class="${node.className}">`);
    }
    return [...wrong, ...faint];
}"""


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_printed_page_is_light_whole_and_unfolded(site, browser, scheme, scripts):
    with reading(browser, site, color_scheme=scheme) as tab:
        if not scripts:  # the theme unfolds by a script, the style without one
            tab.route("**/*.js", lambda route: route.fulfill(body=""))
        open_page(tab, site, address("zh", "models/cnn"))
        assert tab.locator("details").count() > 1
        tab.emulate_media(media="print")
        assert tab.evaluate(PRINTED) == []
