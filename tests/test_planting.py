"""What plants faults and mutants credits the right check, and no other."""

import pytest
from faults import run


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
        self.asked.append(arguments)
        return self.now, "tests/test_a.py::test_a" if self.now else None


@pytest.mark.parametrize(("planted", "clean", "found", "noted"), [
    (1, 0, "tests/test_a.py::test_a", ["tests/test_a.py::test_a"]), (1, 1, None, []), (0, 0, None, []),
])
def test_a_find_counts_only_where_the_check_passes_without_the_fault(monkeypatch, tmp_path, planted, clean, found, noted):
    copy = Planted(monkeypatch, tmp_path, planted, clean)
    fault = run.Fault("tooling/a", "Much.", [{"file": "tooling/a.py", "text": "a", "instead": "b"}], False, None)
    assert run.plant(fault, tmp_path, tmp_path)[0] == found and copy.noted == noted


@pytest.mark.parametrize(("planted", "clean", "found"), [(1, 0, "tests/test_a.py::test_a"), (1, 1, None), (0, 0, None)])
def test_a_mutant_is_tried_by_the_tests_that_load_its_program(monkeypatch, tmp_path, planted, clean, found):
    copy, sound = Planted(monkeypatch, tmp_path, planted, clean), {}
    for folder in ("snippets/models", "tests/models"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tests/models/test_toy.py").write_text('toy = load_snippet("models/toy")\n', encoding="utf-8")
    (tmp_path / "tests/models/test_other.py").write_text('toy = load_snippet("models/toy_exercises")\n', encoding="utf-8")
    for _ in range(2):
        assert run.try_mutant("snippets/models/toy.py", "x = 1\n", tmp_path, sound)[0] == found
    assert copy.asked[0] == ["tests/models/test_toy.py", "--of=models/toy"] and (tmp_path / "snippets/models/toy.py").read_text(encoding="utf-8") == "x = 1\n"
    assert len(copy.asked) == (3 if planted else 2), "a check is tried without a change once"
