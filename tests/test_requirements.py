"""Reading takes little: the site needs none of the packages that only the programs need."""

import ast
import re
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from conftest import plain, programs_alone
from packaging.requirements import Requirement

from tooling.lessons import ROOT

SITE, WHOLE = "requirements-site.txt", "requirements.txt"
SYSTEMS = [{"sys_platform": system, "platform_system": name} for system, name in (("linux", "Linux"), ("darwin", "Darwin"), ("win32", "Windows"))]


@cache
def named(file: str) -> set[str]:
    """Return the packages that a file of requirements names, as pip compares names."""
    return {plain(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)}


def needed(package: str) -> set[str]:
    """Return what a package needs in turn, on any system."""
    found = [Requirement(line) for line in requires(package) or []]
    return {plain(one.name) for one in found if not one.marker or any(one.marker.evaluate(system | {"extra": ""}) for system in SYSTEMS)}


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{one.name}" for one in node.names}
    return found


def build_modules() -> list[Path]:
    """Return the files of `tooling` that a build of the site imports."""
    found, open_ = [], [ROOT / "tooling" / "hooks.py"]
    while open_:
        file = open_.pop()
        found.append(file)
        for module in imports(file):
            place = ROOT / module.replace(".", "/")
            for candidate in (place.with_suffix(".py"), place / "__init__.py"):
                if module.startswith("tooling") and candidate.is_file() and candidate not in found + open_:
                    open_.append(candidate)
    return found


def test_the_whole_includes_the_site_and_names_nothing_twice():
    assert f"-r {SITE}" in (ROOT / WHOLE).read_text(encoding="utf-8").splitlines()
    assert not named(SITE) & named(WHOLE), f"{WHOLE} includes {SITE}: name each package in one of them"
    assert not named(SITE) & {"torch", "numpy", "scipy", "scikit-learn", "matplotlib", "pillow", "onnx", "onnxscript", "pooch"}
    assert {"torch", "sklearn", "matplotlib", "onnxscript"} <= set(programs_alone())


@pytest.mark.parametrize("file", [SITE, WHOLE])
def test_what_a_package_needs_in_turn_is_named_too(file):
    names = named(SITE) | named(file)
    missing = {f"{other} (for {name})" for name in named(file) - {"appnope"} for other in needed(name) - names if not other.startswith(("nvidia-", "triton", "cuda-"))}
    assert not missing, f"pin in {file}: {', '.join(sorted(missing))}"


def test_the_build_imports_only_what_the_site_needs():
    owners = packages_distributions()
    files = build_modules()
    assert len(files) > 8
    for file in files:
        modules = {module.partition(".")[0] for module in imports(file)}
        foreign = {module for module in modules for owner in owners.get(module, []) if plain(owner) not in named(SITE)}
        assert not foreign, f"{file.relative_to(ROOT)} imports {', '.join(sorted(foreign))}, which {SITE} does not name; import it where no build comes by, or pin it there"
