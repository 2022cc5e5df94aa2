"""Plant each fault of the catalogue in a scratch copy of the repository, and see which check finds it.

    python tests/faults/run.py                  all of them
    python tests/faults/run.py NAME ...         those whose name begins so, such as models/ or page-

A fault is a patch beside this file. Its first line says what a reader would suffer. It is made by
changing the sources, `git diff > tests/faults/NAME.patch`, writing that line, and `git checkout .`.
The check that finds it is written below that line, and tried before all others the next time; all
of these checks are also run where nothing is planted, and must pass there.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue

import pytest
from playwright.sync_api import expect
from tqdm import tqdm

# Nothing of the repository is imported here: each process that tests a copy begins with this file, and must take all from its copy.
FAULTS = Path(__file__).resolve().parent
ROOT = FAULTS.parent.parent

COPIES = 2  # one for each core
CHANGED = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)
FOUND = re.compile(r"\A.*\ncaught by: (.*)\n")

# What the tests import of others takes longer than most tests: done once, for the processes of all faults.
IMPORTS = [
    "torch", "torch.nn.functional", "matplotlib.pyplot", "sklearn.datasets", "sklearn.ensemble", "sklearn.linear_model", "sklearn.metrics",
    "sklearn.model_selection", "onnxruntime", "playwright.sync_api", "bs4", "nbformat", "mkdocs.config", "pytest", "xdist.plugin",
]


# Where a change is looked for first: a pattern of the changed files, and the tests; snippets have those of their name.
FIRST = (
    (r"docs/assets/live/", ["tests/test_live.py"]),
    (r"tooling/(hooks|theme|katex|live)|mkdocs\.yml|docs/assets/", ["tests/test_site.py", "tests/test_site_quality.py"]),
    (r"tooling/(packages|weekly)|requirements|package|\.github/", ["tests/test_weekly.py"]),
    (r"tooling/data", ["tests/test_data.py"]),
    (r"tooling/", ["tests/test_tooling.py"]),
    (r"docs/", ["tests/test_pages.py"]),
)


def first(patch: str) -> list[str]:
    """Return what the tests of a patch begin with: files of tests, or lessons such as `models/cnn`."""
    changed = CHANGED.findall(patch)
    for pattern, tests in FIRST:
        if re.search(pattern, " ".join(changed)):
            return tests
    return [file.removeprefix("snippets/").removesuffix(".py") for file in changed]


def served(patch: str, built: Path) -> list[str]:
    """Return the option that spares a build of the site where a patch changes nothing but files that are in it as they are."""
    return [f"--built={built}"] if all(file.startswith("docs/assets/") for file in CHANGED.findall(patch)) else []


def copy(folder: Path) -> None:
    """Copy what git knows of the repository, with the packages and the caches that a build fills anyhow."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for file in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / file).is_file() and not file.endswith((".patch", "test_faults.py")):  # no other fault applies to a faulty copy
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / file)
    (folder / "node_modules").symlink_to(ROOT / "node_modules", target_is_directory=True)
    if (ROOT / ".cache").is_dir():
        shutil.copytree(ROOT / ".cache", folder / ".cache", dirs_exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=faults", "-c", "user.email=faults@localhost", "commit", "--quiet", "--message", "as it is")


def git(folder: Path, *arguments: str | Path) -> None:
    """Run git in a copy. Raises CalledProcessError with what it said."""
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)


class First:
    """Notes the first check that fails, and does not wait for a page as long as a slow machine may need."""

    found = None

    def pytest_collection_finish(self):
        expect.set_options(timeout=10_000)

    def pytest_runtest_logreport(self, report):
        if report.failed and self.found is None:
            self.found = report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def run_tests(folder: Path, arguments: list[str], printed: Path, answer: Connection) -> None:
    """Run tests of a copy in this process; send pytest's exit status and the first check that failed."""
    os.chdir(folder)
    sys.path[:] = [entry for entry in sys.path if Path(entry) not in (FAULTS, ROOT)]
    sys.dont_write_bytecode = True
    file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    first = First()
    status = pytest.main(["-n", "0", "--exitfirst", "-p", "no:cacheprovider", "--tb=short", *arguments], plugins=[first])
    answer.send((int(status), first.found))


def check(folder: Path, arguments: list[str], printed: Path) -> tuple[int | None, str | None]:
    """Run tests of a copy; return pytest's exit status, None if it was killed, and the first check that failed."""
    processes = multiprocessing.get_context("forkserver")
    answer, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=run_tests, args=(folder, arguments, printed, sender))
    process.start()
    sender.close()
    try:
        return answer.recv()
    except EOFError:
        return None, None
    finally:
        process.join()


def plant(fault: Path, folder: Path, built: Path) -> tuple[str | None, str]:
    """Return the check that finds a fault, None if no check does, and what the tests printed.

    `built` holds the site as it is. Raises SystemExit if the fault does not apply.
    """
    patch = fault.read_text(encoding="utf-8")
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "clean", "--quiet", "-d", "--force")
    try:
        git(folder, "apply", "--whitespace=nowarn", fault)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{fault.relative_to(ROOT)} does not apply: {error.stderr.strip()}\nMake it again from today's sources, or remove it.")
    if "docs/results/" not in patch:
        renew(folder)
    printed, found = folder / ".git" / "printed", None
    known = FOUND.match(patch)
    if known:
        _, found = check(folder, [known[1], *served(patch, built)], printed)
    if found is None:
        status, found = check(folder, [f"--first={name}" for name in first(patch)], printed)
        said = printed.read_text(encoding="utf-8", errors="replace")
        if status in (pytest.ExitCode.OK, None):
            return None, said
        if found is None:
            return "the tests do not start", said
    summary, _, rest = patch.partition("\n")
    fault.write_text(f"{summary}\ncaught by: {found}\n{rest.partition(chr(10))[2] if known else rest}", encoding="utf-8")
    return found, ""


def control(faults: list[Path], folder: Path, built: Path) -> None:
    """Run all the known checks where nothing is planted. Raises SystemExit, naming the check, if one of them fails."""
    checks: dict[tuple[str, ...], list[str]] = {}
    for patch in (fault.read_text(encoding="utf-8") for fault in faults):
        if known := FOUND.match(patch):
            checks.setdefault(tuple(served(patch, built)), []).append(known[1])
    for options, names in checks.items():
        status, found = check(folder, [*dict.fromkeys(names), *options], folder / ".git" / "printed")
        if status != pytest.ExitCode.OK:
            sys.exit(f"{found or 'a check'} fails without any fault: what it finds proves nothing. Mend it first.")


def renew(folder: Path) -> None:
    """Let the results pass for those of the faulty programs, as if somebody had run them again.

    Else every fault of a program would be caught by its date, and no check of what it does.
    """
    from tooling.lessons import fingerprints, snippet_names

    for name in snippet_names():
        if not (folder / "snippets" / f"{name}.py").is_file():
            continue
        current = fingerprints(name, folder / "snippets")
        for record in (folder / "docs" / "results" / name).rglob("run.json"):
            known = json.loads(record.read_text(encoding="utf-8"))
            if record.parent != folder / "docs" / "results" / name and known["data"] == "as shipped":
                continue
            record.write_text(json.dumps(known | current, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Run the command; return its exit status: 0 if every fault was caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="as a fault's name begins; without any, all")
    parser.add_argument("--verbose", action="store_true", help="print the tests' output for each fault that was not caught")
    options = parser.parse_args()
    faults = [path for path in sorted(FAULTS.rglob("*.patch")) if not options.names or path.relative_to(FAULTS).as_posix().startswith(tuple(options.names))]
    if not faults:
        parser.error(f"no fault has a name that begins with {' or '.join(options.names)}; they are the patches below tests/faults")
    sys.path.insert(0, str(ROOT))
    from tooling import packages

    packages.install(tests=True)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    multiprocessing.set_forkserver_preload(IMPORTS)
    missed, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(COPIES) as workers:
        free: Queue[Path] = Queue()
        for number in range(min(COPIES, len(faults))):
            folder = Path(root) / str(number)
            folder.mkdir()
            copy(folder)
            free.put(folder)
        built = Path(root) / "built"
        subprocess.run([sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "-d", built], cwd=Path(root) / "0", check=True)

        def compare() -> None:
            folder = free.get()
            try:
                control(faults, folder, built)
            finally:
                free.put(folder)

        def seek(fault: Path) -> None:
            folder, started = free.get(), time.monotonic()
            try:
                found, printed = plant(fault, folder, built)
            finally:
                free.put(folder)
            name = fault.relative_to(FAULTS).with_suffix("").as_posix()
            summary = fault.read_text(encoding="utf-8").partition("\n")[0]
            tqdm.write(f"{name}: {summary}\n    {time.monotonic() - started:5.1f} s  {found or 'NOT CAUGHT'}", file=sys.stdout)
            sys.stdout.flush()
            if found is None:
                missed.append(name)
                if options.verbose:
                    tqdm.write(printed[-4000:], file=sys.stdout)

        unchanged = workers.submit(compare)
        list(tqdm(workers.map(seek, faults), total=len(faults), disable=None))
        unchanged.result()
    print(f"{len(faults) - len(missed)} of {len(faults)} faults caught in {time.monotonic() - began:.0f} s")
    if missed:
        print(f"not caught: {', '.join(sorted(missed))}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
