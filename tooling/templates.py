"""Templates are compiled once: what Jinja made of them is kept below `.cache`."""

import jinja2

from tooling.lessons import ROOT


def kept_templates() -> jinja2.BytecodeCache:
    """Return where Jinja keeps compiled templates, those of its version."""
    folder = ROOT / ".cache" / "jinja" / jinja2.__version__
    folder.mkdir(parents=True, exist_ok=True)
    return jinja2.FileSystemBytecodeCache(str(folder))
