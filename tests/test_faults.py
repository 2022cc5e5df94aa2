"""The catalogue of planted faults can be planted; test_planting.py tests what plants them."""

import re

import pytest
from faults import run

from tooling.lessons import ROOT

FAULTS = run.catalogue()
CHECK = re.compile(r"(tests/[\w/-]+\.py)::(\w+)")


def test_there_are_enough_faults():
    assert len(FAULTS) >= 60


def test_no_fault_has_the_name_of_another():
    names = [f"{path.stem}/{name}" for path in run.FAULTS.glob("*.yml") for name in re.findall(r"^(\S+):$", path.read_text(encoding="utf-8"), re.MULTILINE)]
    assert sorted(names) == [fault.name for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_says_what_a_reader_would_suffer_and_applies(fault):
    assert re.fullmatch(r"[A-Z][^\n]+\.", fault.suffers), f"{fault.name}: `suffers` is a sentence on what a reader would suffer"
    check = CHECK.match(fault.found_by or "")
    assert check, f"{fault.name}: run `python tests/faults/run.py {fault.name}`, which writes the check that finds it"
    file, name = check.groups()
    assert (ROOT / file).is_file() and f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{fault.name}: {file} has no {name} any more"
    try:
        run.changed(fault, ROOT)
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
