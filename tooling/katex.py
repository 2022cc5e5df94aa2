"""Mathematics, set by KaTeX while the site is built, so that no script runs in the page."""

import hashlib
import html
import logging
import re
from functools import cache
from pathlib import Path

from tooling import node, packages
from tooling.lessons import ROOT, SiteError

log = logging.getLogger("mkdocs.hooks.katex")

CACHE = ROOT / ".cache" / "katex"
written: set[str] = set()  # the characters of the formulas of a page


@cache
def available() -> bool:
    """Tell whether KaTeX is there, or can be had; warn once if it is not."""
    try:
        packages.find("katex", "package.json")
    except SiteError as error:
        log.warning(f"Formulas are shown as they are written: {error}")
        return False
    return True


STRUT = re.compile(r'katex-strut" style="height:([\d.]+)em')


@cache
def _set(tex: str, display: bool) -> str:
    """Return what KaTeX makes of a formula. Raises SiteError for one that it refuses."""
    answer = node.ask("katex.mjs", {"tex": tex, "display": display})
    if "error" in answer:
        raise SiteError(f"the formula `{tex}` cannot be set: {answer['error']}")
    return answer["html"]


def to_html(tex: str, display: bool) -> str:
    """Return the HTML and MathML of a formula, or, without KaTeX, its code.

    Raises SiteError for a formula that KaTeX refuses.
    """
    if not available():
        return f"<span><code>{html.escape(tex)}</code></span>"
    made = _set(tex, display)
    written.update(html.unescape(made))
    tallest = max(map(float, STRUT.findall(made)))
    # a wide formula scrolls by the keys too, and one far from the screen has the room it takes
    return made.replace('<span class="katex-display"', f'<span class="katex-display" tabindex="0" style="--height: {tallest}"', 1)


def words(formula: str) -> str:
    """Return what a reader sees of a formula's HTML, in a line."""
    return re.sub(r'<span class="katex-mathml">.*?</math></span>|<[^>]+>|\u200b', "", formula)


def stylesheet() -> str:
    """Return KaTeX's style, with its woff2 fonts alone: every browser of today reads them."""
    style = packages.find("katex", "dist/katex.min.css").read_text(encoding="utf-8")
    return re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)', "", style)


def fonts(letters: set[str]) -> list[Path]:
    """Return the fonts that the style names, with the characters alone that formulas of the site hold: these letters."""
    from fontTools import subset  # only here: it takes a while

    made = []
    for path in sorted(packages.find("katex", "dist/fonts").glob("*.woff2")):
        # another KaTeX, or another way of making them, makes other fonts
        source = path.read_bytes() + Path(__file__).read_bytes() + "".join(sorted(letters)).encode()
        small = CACHE / f"{path.stem}-{hashlib.sha256(source).hexdigest()[:16]}.woff2"
        if not small.is_file():
            options = subset.Options(flavor="woff2")
            with subset.load_font(path, options) as font:
                subsetter = subset.Subsetter(options)
                subsetter.populate(text="".join(letters))
                subsetter.subset(font)
                CACHE.mkdir(parents=True, exist_ok=True)
                subset.save_font(font, small, options)
        made.append(small)
    return made
