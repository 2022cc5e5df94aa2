"""The catalogue of planted faults can be planted."""

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


class Planted:
    """A copy in which a fault is planted or not, and checks that fail as they are told to."""

    def __init__(self, monkeypatch, tmp_path, planted: int, clean: int):
        self.noted, self.asked, self.now = [], [], clean
        monkeypatch.setattr(run, "clean", lambda folder: setattr(self, "now", clean))
        monkeypatch.setattr(run, "renew", lambda folder: setattr(self, "now", planted))
        monkeypatch.setattr(run, "changed", lambda fault, folder: {})
        monkeypatch.setattr(run, "note", lambda fault, found: self.noted.append(found))
        monkeypatch.setattr(run, "check", self.check)
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "printed").write_text("", encoding="utf-8")

    def check(self, folder, arguments, printed, limit=None):
        self.asked.append(arguments[0])
        return self.now, "tests/test_a.py::test_a" if self.now else None


@pytest.mark.parametrize(("planted", "clean", "found", "noted"), [
    (1, 0, "tests/test_a.py::test_a", ["tests/test_a.py::test_a"]), (1, 1, None, []), (0, 0, None, []),
])
def test_a_find_counts_only_where_the_check_passes_without_the_fault(monkeypatch, tmp_path, planted, clean, found, noted):
    copy = Planted(monkeypatch, tmp_path, planted, clean)
    fault = run.Fault("tooling/a", "Much.", [{"file": "tooling/a.py", "text": "a", "instead": "b"}], False, None)
    assert run.plant(fault, tmp_path, tmp_path)[0] == found and copy.noted == noted


def test_a_mutant_is_tried_by_the_checks_of_its_lesson(monkeypatch, tmp_path):
    copy = Planted(monkeypatch, tmp_path, 1, 0)
    (tmp_path / "snippets/models").mkdir(parents=True)
    assert run.try_mutant("snippets/models/toy.py", "x = 1\n", tmp_path) == "tests/test_a.py::test_a"
    assert copy.asked == ["--of=models/toy"] and (tmp_path / "snippets/models/toy.py").read_text(encoding="utf-8") == "x = 1\n"
