"""The live models: where a page shows one, and what runs it in the browser."""

import html
import logging
import re
from pathlib import Path

from mkdocs.structure.files import File
from mkdocs.utils import get_relative_url

from tooling import packages
from tooling.lessons import DOCS, RESULTS, SiteError, exporter_path

log = logging.getLogger("mkdocs.hooks.live")

# In a page: a picture of the model, which comes alive when the reader starts it.
PLACE = re.compile(r'<div class="live" data-model="([^"]+)">(.*?)</div>', re.DOTALL)


def rename(file: File) -> None:
    """Give a model a name in the site that every server knows: IIS sends no `.onnx`."""
    if file.src_uri.endswith(".onnx"):
        file.dest_uri = f"{file.src_uri.removesuffix('.onnx')}.bin"
        for derived in ("url", "abs_dest_path"):
            vars(file).pop(derived, None)


def engine() -> dict[str, Path]:
    """Return the files of onnxruntime-web that the site needs, or none, with a notice, where they cannot be had.

    By the names that they have in the site: nginx calls no `.mjs` a script, and then a browser runs none.
    """
    try:
        return {
            file: packages.find("onnxruntime-web", f"dist/{source}")
            for file, source in (("ort.wasm.bundle.min.js", "ort.wasm.bundle.min.mjs"), ("ort-wasm-simd-threaded.wasm",) * 2)
        }
    except SiteError as error:
        log.info(f"The live models will not run, and say so: {error}")
        return {}


def needed(lesson: str) -> list[Path]:
    """Return the results that the script of a live model loads.

    One that takes what is `stored` runs no network; one without an exporter begins untrained.
    """
    script = DOCS / "assets" / "live" / f"{lesson}.js"
    plain = script.is_file() and re.search(r"^import \{[^}]*\bstored\b", script.read_text(encoding="utf-8"), re.MULTILINE)
    trained = ("model.onnx", "live.json") if exporter_path(lesson).is_file() else ()
    return [RESULTS / lesson / file for file in (("live.json",) if plain else trained)]


def places(content: str, url: str, words: dict[str, str]) -> tuple[str, int]:
    """Return the HTML of a page with a button at each live model, and how many there are.

    The button stays hidden where no script runs. Raises SiteError for a model that is not there; one without an exporter
    begins untrained, and has its script alone.
    """

    def place(match: re.Match) -> str:
        lesson, picture = match.groups()
        script = f"assets/live/{lesson}.js"
        for file in (DOCS / script, *needed(lesson)):
            if not file.is_file():
                raise SiteError(f"the live model {lesson} needs {file.relative_to(DOCS.parent)}")
        return (
            f'<div class="live" data-model="{lesson}" data-script="{get_relative_url(script, url)}" data-search-exclude>{picture}'
            f'<p class="live-start" hidden data-failed="{html.escape(words["failed"])}">'
            f'<button type="button" class="md-button md-button--primary">{html.escape(words["start"])}</button>'
            f'<span role="status"></span></p></div>'
        )

    return PLACE.subn(place, content)
