"""Figures become part of the page, so that they follow its light and dark scheme, and speak its language."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree

import yaml

from tooling.lessons import DOCS, RESULTS, SiteError
from tooling.reads import cached

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)

DIAGRAMS = DOCS / "assets" / "diagrams"
TABLE = DOCS / "figures.yml"

REFERENCE = re.compile(r"url\(#([^)]+)\)")
# What a program leaves black is drawn in the color of the text around the figure.
BLACK = re.compile(r"(?<=: )(#000000|#000|black)\b|^(#000000|#000|black)$")

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"[A-Za-zÀ-ɏ]{2,}")
TOKEN = re.compile(r"<\w+>|\S*␣")  # a mark of a vocabulary, or a token with the space that belongs to it


def figure_name(path: Path) -> str | None:
    """Return the name of a figure that is drawn into its page: `models/cnn/loss`, `diagrams/cnn`; None for another file."""
    if path.suffix == ".svg" and path.is_relative_to(RESULTS):
        return path.relative_to(RESULTS).with_suffix("").as_posix()
    if path.suffix == ".svg" and path.parent == DIAGRAMS:
        return f"diagrams/{path.stem}"
    return None


def inline(svg: str, prefix: str, alternative: str, caption: str = "") -> str:
    """Return an SVG file as a `<figure>`: its ids made unique by `prefix`, black as text color."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key in ("href", f"{{{XLINK}}}href") and value.startswith("#"):
                element.set(key, f"#{prefix}-{value[1:]}")
            else:
                value = REFERENCE.sub(rf"url(#{prefix}-\1)", value)
                element.set(key, BLACK.sub("currentColor", value))
    # the points of a program's figure become pixels, so that its text is as large as that of the page
    scale = 4 / 3 if root.get("width", "").endswith("pt") else 1
    width, height = (f"{float(side) * scale:.0f}" for side in root.get("viewBox").split()[2:])
    root.attrib.pop("version", None)
    root.attrib |= {"width": width, "height": height, "role": "img", "aria-label": alternative}
    drawn = ElementTree.tostring(root, encoding="unicode")
    described = f"<figcaption>{html.escape(caption, quote=False)}</figcaption>" if caption else ""
    return f'<figure class="result" style="--width: {width}; --height: {height}">{drawn}{described}</figure>'


# --- the words of a figure


def label(text: ElementTree.Element) -> str:
    """Return what a `<text>` of an SVG says, on one line; `_` stands where the pieces of a formula change their size: `h_t`."""
    said, size = (text.text or "").strip(), None
    for piece in text:
        style = re.search(r"font-size: ([\d.]+)", piece.get("style", ""))
        now = style[1] if style else piece.get("font-size")
        said += "_" * bool(said and now != size) + piece.text + (piece.tail or "").rstrip("\n ")
        size = now
    return said


@cached
def table() -> dict[str, dict]:
    """Return docs/figures.yml. Raises SiteError for a part that is none of its three."""
    found = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    if set(found) != {"same", "chinese", "figures"}:
        raise SiteError("docs/figures.yml has the parts `same`, `chinese` and `figures`, and no other")
    return found


def chinese(words: str, figure: str) -> tuple[str | None, set[tuple[str, ...]]]:
    """Return a label of a figure in Chinese, or None, and the entries of the table that it took.

    What one figure calls otherwise comes first; a number stands for `…`; both sides of an arrow are labels.
    """
    own = table()["figures"].get(figure, {})
    pattern = NUMBER.sub("…", words)
    for key in (words, pattern):
        for place, entries in ((("figures", figure), own), (("chinese",), table()["chinese"])):
            if key in entries:
                numbers = iter(NUMBER.findall(words) if key == pattern else ())
                return re.sub("…", lambda match: next(numbers, match[0]), entries[key]), {(*place, key)}
    if " → " in words:
        sides = [chinese(side, figure) for side in words.split(" → ")]
        used = set().union(*(entries for _, entries in sides))
        return (None if any(side is None for side, _ in sides) else " → ".join(side for side, _ in sides)), used
    names = set(WORD.findall(TOKEN.sub("", words)))
    return (words if names <= set(table()["same"]) else None), {("same", name) for name in names}


def read(file: Path, language: str) -> str:
    """Return a figure as it stands in a page or notebook of a language: English is as it was drawn.

    Raises SiteError where there is none.
    """
    if not file.is_file():
        raise SiteError(f"the figure {file.relative_to(DOCS.parent)} does not exist; run `python -m tooling.results`, or mend the name")
    svg, figure = file.read_text(encoding="utf-8"), figure_name(file)
    return svg if language == "en" or figure is None else translated(svg, figure)


def translated(svg: str, figure: str) -> str:
    """Return an SVG file with its words in Chinese; those that the table lacks stay English, and a test names them."""
    root = ElementTree.fromstring(svg)
    for text in root.iter(f"{{{SVG}}}text"):
        words = label(text)
        found = chinese(words, figure)[0]
        if found in (None, words):
            continue
        keep_place(text, words)
        for piece in list(text):
            text.remove(piece)
        text.text = found
    return ElementTree.tostring(root, encoding="unicode")


def keep_place(text: ElementTree.Element, words: str) -> None:
    """Let a text of another length stand where it stood.

    Matplotlib says where a text is anchored, but for lines of a title and for slanted ticks: of these it says where the
    English begins. A slanted one ends at its tick, others have their middle in place; a letter is about 0.56 em wide.
    """
    style = text.get("style", "")
    if "text-anchor" in style or not text.get("transform", "").startswith("translate"):
        return
    size = float(re.search(r"font(?:-size)?: ([\d.]+)px", style)[1])
    width = 0.56 * size * len(words)
    slanted = "rotate" in text.get("transform")
    text.set("x", f"{width if slanted else width / 2:.1f}")
    text.set("style", f"{style}; text-anchor: {'end' if slanted else 'middle'}")
