"""Figures as PNG, for notebooks: neither JupyterLab nor Colab shows an SVG in a cell of text."""

import base64
import contextlib
import hashlib
import html
import json
import logging
import os
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tooling import node, packages
from tooling.lessons import ROOT, SiteError

log = logging.getLogger("mkdocs.hooks.pictures")

CACHE = ROOT / ".cache" / "pictures"
FONT = "@fontsource-variable/noto-sans-sc"  # in slices of some hundred characters each, Latin letters among them
FAMILY = "Noto Sans SC"
OTHERS = ("KaTeX_Math-Italic", "KaTeX_Typewriter-Regular")  # they have what it lacks: Greek letters, the sign of a space
ZOOM = 4 / 3  # of the size that a figure has on its page
KEPT = 30 * 86_400  # seconds


@cache
def available() -> bool:
    """Tell whether what draws is there, or can be had; say once if it is not."""
    try:
        packages.find(FONT, "package.json")
        packages.find("@resvg/resvg-wasm", "package.json")
        packages.find("katex", "package.json")
    except SiteError as error:
        log.warning(f"Notebooks have no figures: {error}")
        return False
    return True


@cache
def slices() -> dict[str, list[range]]:
    """Return the slices of the font, each with the characters that it has; that of ASCII first."""
    told = json.loads(packages.find(FONT, "unicode.json").read_text(encoding="utf-8"))

    def characters(text: str) -> range:
        first, _, last = text.removeprefix("U+").partition("-")
        return range(int(first, 16), int(last or first, 16) + 1)

    found = {name.strip("[]"): [characters(part) for part in text.split(",")] for name, text in told.items()}
    return {"latin": found.pop("latin")} | found


@cache
def font(name: str) -> Path:
    """Return the file of a slice of the font, of normal weight, as what draws can read it."""
    from fontTools.ttLib import TTFont  # only here: it takes a while
    from fontTools.varLib import instancer

    source = packages.find(FONT, f"files/noto-sans-sc-{name}-wght-normal.woff2")
    made = CACHE / f"{name}-{hashlib.sha256(source.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]}.ttf"
    if not made.is_file():
        with TTFont(source, recalcTimestamp=False) as slice_of_it:
            slice_of_it.flavor = None
            one = instancer.instantiateVariableFont(slice_of_it, {"wght": 400})
            for record in one["name"].names:
                if record.nameID in (1, 16):
                    record.string = FAMILY
            keep(made, one.save)
    return made


def written(svg: str) -> set[int]:
    """Return the code points of the letters of a figure."""
    return {ord(letter) for text in re.findall(r">([^<]+)<", svg) for letter in html.unescape(text) if not letter.isspace()}


@cache
def makers() -> bytes:
    """Return a hash of what a drawing depends on besides its figure."""
    files = (Path(__file__), Path(__file__).with_suffix(".mjs"), ROOT / "package-lock.json")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def png(svg: str) -> bytes:
    """Return a figure drawn as PNG, black on white: once, then it is kept. Raises SiteError for one that cannot be drawn."""
    kept = CACHE / f"{hashlib.sha256(makers() + svg.encode()).hexdigest()}.png"
    with contextlib.suppress(FileNotFoundError):
        os.utime(kept)  # used: see `tidy`
        return kept.read_bytes()
    letters = written(svg)
    files = [font(name) for name, parts in slices().items() if name == "latin" or any(letter in part for letter in letters for part in parts)]
    files += [packages.find("katex", f"dist/fonts/{name}.ttf") for name in OTHERS]
    points = re.search(r'<svg\b[^>]*\bwidth="[\d.]+pt"', svg)
    request = {"svg": svg, "fonts": [str(file) for file in files], "family": FAMILY, "zoom": ZOOM * (4 / 3 if points else 1)}
    answer = node.ask("pictures.mjs", request)
    if "error" in answer:
        raise SiteError(f"a figure cannot be drawn for a notebook: {answer['error']}")
    drawn = base64.b64decode(answer["png"])
    keep(kept, lambda part: part.write_bytes(drawn))
    return drawn


def keep(file: Path, write: Callable[[Path], object]) -> None:
    """Let a file be written whole, also where several processes do so at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}")
    write(part)
    part.replace(file)


def tidy() -> None:
    """Remove the drawings that no build of the last weeks has used."""
    for file in CACHE.glob("*.png"):
        if file.stat().st_mtime < time.time() - KEPT:
            file.unlink(missing_ok=True)
