"""What runs each week, and on each change."""

import json
import re
import sys

import pytest
import yaml

from tooling import packages, weekly
from tooling.lessons import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_report_says_what_differs(monkeypatch):
    monkeypatch.setattr(weekly, "pinned", lambda: {"pytest": "1.0", "no-such-package": "2.0"})
    good, bad = [sys.executable, "-c", "print('all is well')"], [sys.executable, "-c", "print('accuracy: stored 0.9, now 0.1'); raise SystemExit(1)"]
    text, fine = weekly.report({"The tests": good, "The results": bad})
    assert not fine
    assert "## The tests: as stored" in text and "## The results: different" in text and "stored 0.9, now 0.1" in text
    assert re.search(r"\| pytest \| 1\.0 \| \d", text) and "| no-such-package | 2.0 | missing |" in text
    assert weekly.report({"The tests": good})[1]


def test_report_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(weekly, "COMMANDS", {"The tests": [sys.executable, "-c", "raise SystemExit(3)"]})
    assert weekly.main([str(tmp_path / "report.md")]) == 1
    assert "The tests: different" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_every_package_is_pinned():
    assert sorted(weekly.REQUIREMENTS) == sorted(path.name for path in ROOT.glob("requirements*.txt"))
    for name in weekly.REQUIREMENTS:
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            assert not line or line.startswith(("#", "-r ")) or weekly.PINNED.fullmatch(line.partition("; ")[0]), f"{name}: pin `{line}` as name==version"
    assert weekly.pinned()["torch"] == "2.13.0"


def test_every_package_of_the_browser_is_pinned_whole_and_runs_nothing():
    manifest = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    for name, version in (manifest["dependencies"] | manifest["devDependencies"]).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"package.json: pin {name} to one version, not {version}"
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(locked) > 10
    for folder, package in locked.items():
        assert not folder or re.match("sha512-", package.get("integrity", "")), f"package-lock.json: {folder} has no integrity; make the file again with npm"
    assert packages.INSTALL.startswith("npm ci ") and "--ignore-scripts" in packages.INSTALL.split()


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_trusts_no_moving_version(file):
    text = file.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{file.name}: name {action} by the hash of its commit"
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_changes_are_tested_and_accepted_before_they_are_published():
    jobs = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8"))["jobs"]
    assert {"run": "pytest"} in jobs["test"]["steps"] and jobs["publish"]["needs"] == "test"
    assert jobs["publish"]["if"] == "github.ref == 'refs/heads/main'"
    assert {"run": "pip install -r requirements-site.txt"} in jobs["publish"]["steps"]


def test_the_lowest_and_the_highest_python_are_tried():
    jobs = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8"))["jobs"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for job, file in (("test", "requirements.txt"), ("read", "requirements-site.txt")):
        tried = sorted(one["python"] for one in jobs[job]["strategy"]["matrix"]["include"])
        lowest, highest = re.search(rf"^\| `{file}` \| (\S+) to (\S+) \|", readme, re.MULTILINE).groups()
        assert (tried[0], tried[-1]) == (f"{lowest}.0", highest), f"site.yml: try the Pythons that README.md names for {file} in the job `{job}`"


def test_everything_runs_again_each_week():
    workflow = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text(encoding="utf-8"))
    assert workflow[True]["schedule"]  # YAML takes `on` for a truth
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["versions"] == ["pinned", "newest"]
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    assert "tooling.weekly report.md" in commands and "--newest" in commands and "gh issue create" in commands
    told = [" ".join(command[1:]) for command in weekly.COMMANDS.values()]
    assert told[:3] == ["-m pytest --thorough", "-m tooling.results --check", "tests/faults/run.py"]
    assert re.fullmatch(r"tests/faults/run\.py --mutants \d+ --seed 20\d{4}", told[3]), "the mutants are not those of a week"
    assert (ROOT / "tests/faults/run.py").is_file()
