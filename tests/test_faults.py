"""The catalogue of planted faults can be planted."""

import re
import subprocess

import pytest

from tooling.lessons import ROOT

FAULTS = sorted((ROOT / "tests" / "faults").rglob("*.patch"))
HEAD = re.compile(r"\A[A-Z][^\n]+\.\ncaught by: (tests/[\w/]+\.py)::(\w+)\S*( [^\n]*)?\n--- a/")


def test_there_are_enough_faults():
    assert len(FAULTS) >= 60


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.parent.name}/{fault.stem}")
def test_a_fault_says_what_a_reader_would_suffer_and_applies(fault):
    head = HEAD.match(fault.read_text(encoding="utf-8"))
    assert head, f"{fault}: begin with a sentence on what a reader would suffer; then run `python tests/faults/run.py`, which writes the second line"
    file, name = head[1], head[2]
    assert (ROOT / file).is_file() and f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{fault}: {file} has no {name} any more"
    tried = subprocess.run(["git", "apply", "--check", fault], cwd=ROOT, capture_output=True, text=True)
    assert tried.returncode == 0, f"{fault} does not apply: {tried.stderr}Make it again from today's sources, or remove it."
