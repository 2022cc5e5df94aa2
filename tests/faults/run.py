"""Plant each fault of the catalogue in a scratch copy of the repository, and see which check finds it.

    python tests/faults/run.py                  all of them
    python tests/faults/run.py NAME ...         those whose name begins so, such as models/ or page-
    python tests/faults/run.py --mutants 200 --seed 7    small changes of the programs, drawn by chance

A fault stands in the file of its chapter beside this one, by its name: what a reader would suffer, the
file, the text that stands there once, and what stands there instead; several such `edits` where one is not
enough; `hashes: renewed` where somebody hid the change of a result. The check that finds it is written
below, and tried before all others the next time. It counts only where it passes without the fault, right then.
A mutant is tried by the tests that load its program; those that survive are listed, and may be one in ten.
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
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from typing import NamedTuple

import pytest
import yaml
from playwright.sync_api import expect
from tqdm import tqdm

# Nothing of the repository is imported here: each process that tests a copy begins with this file, and must take all from its copy.
FAULTS = Path(__file__).resolve().parent
ROOT = FAULTS.parent.parent

COPIES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2  # one for each core
WRITING = threading.Lock()

# What the tests import of others takes longer than most tests: done once, for the processes of all faults.
IMPORTS = [
    "torch", "torch.nn.functional", "matplotlib.pyplot", "sklearn.datasets", "sklearn.ensemble", "sklearn.linear_model", "sklearn.metrics",
    "sklearn.model_selection", "onnxruntime", "playwright.sync_api", "bs4", "nbformat", "mkdocs.config", "pytest", "xdist.plugin",
    "scipy.stats", "mkdocs_jupyter.nbconvert2", "jupytext", "jieba", "pybtex.database", "matplotlib.backends.backend_svg", "pytest_codeblocks",
]

LIMIT = 300  # seconds for the checks of a mutant: some never end
CAUGHT = 0.9  # of the mutants, at the least
# What is asked of every program; with the tests that load it, this is what tries a mutant. Pages say nothing about what it computes.
QUICK = ["tests/test_snippets.py", "tests/test_needs.py", "tests/test_encodings.py", "tests/test_programs.py"]

# Where a change is looked for first: a pattern of the changed files, and the tests; snippets have those of their name.
FIRST = (
    (r"\.gitattributes", ["tests/test_encodings.py"]),
    (r"docs/assets/live/|tooling/live/__init__", [f"tests/{path.name}" for path in sorted(ROOT.glob("tests/test_live*.py"))]),
    (r"tooling/theme/404", ["tests/test_site_lost.py"]),
    (r"tooling/(hooks|theme|katex|live|search|search_worker|notebook_pages)|mkdocs\.yml|docs/assets/", ["tests/test_site.py", "tests/test_site_lost.py", "tests/test_site_search.py", "tests/test_site_quality.py"]),
    (r"tooling/notebooks", ["tests/test_notebooks.py", "tests/test_tooling.py"]),
    (r"tooling/(packages|weekly)|requirements|package|\.github/", ["tests/test_weekly.py"]),
    (r"tooling/data", ["tests/test_data.py"]),
    (r"tooling/references|docs/references", ["tests/test_references.py"]),
    (r"tests/faults/", ["tests/test_planting.py", "tests/test_mutants.py"]),
    (r"tooling/", ["tests/test_tooling.py"]),
    (r"docs/", ["tests/test_pages.py"]),
)


class Fault(NamedTuple):
    """A fault of the catalogue."""

    name: str  # with its chapter, such as models/cnn-labels-shuffled
    suffers: str  # what a reader would suffer
    edits: list[dict[str, str]]  # of each the file, the text and what stands there instead
    hidden: bool  # somebody renewed the hashes of the changed results
    found_by: str | None

    @property
    def files(self) -> list[str]:
        """The files that it changes."""
        return [edit["file"] for edit in self.edits]


def catalogue(folder: Path = FAULTS) -> list[Fault]:
    """Return all faults, in order of their names."""
    faults = []
    for path in folder.glob("*.yml"):
        for name, told in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            edits = told.get("edits") or [{key: told.get(key) for key in ("file", "text", "instead")}]
            faults.append(Fault(f"{path.stem}/{name}", told.get("suffers", ""), edits, told.get("hashes") == "renewed", told.get("found by")))
    return sorted(faults)


def changed(fault: Fault, root: Path) -> dict[Path, str]:
    """Return the files below `root` that a fault changes, each as it would be. Raises ValueError if the fault does not apply."""
    where = f"tests/faults/{fault.name.partition('/')[0]}.yml, {fault.name.partition('/')[2]}"
    before, places = {}, {}
    for edit in fault.edits:
        path = root / edit["file"]
        if not path.is_file():
            raise ValueError(f"{where}: {edit['file']} does not exist; name the file that has this text now, or plant another fault of its kind")
        text = before.setdefault(path, path.read_text(encoding="utf-8"))
        if (times := text.count(edit["text"])) != 1:
            raise ValueError(f"{where}: `{edit['text']}` stands {times} times in {edit['file']}; write a text that stands there once")
        places.setdefault(path, []).append((text.index(edit["text"]), edit))
    after = {}
    for path, text in before.items():
        for place, edit in sorted(places[path], key=lambda one: -one[0]):
            text = text[:place] + edit["instead"] + text[place + len(edit["text"]) :]
        after[path] = text
    return after


def note(fault: Fault, found: str) -> None:
    """Write below a fault which check finds it."""
    chapter, _, name = fault.name.partition("/")
    path = FAULTS / f"{chapter}.yml"
    line = yaml.safe_dump({"found by": found}, allow_unicode=True, width=10**6)
    with WRITING:
        text = path.read_text(encoding="utf-8")
        pattern = rf"(^{re.escape(name)}:\n(?:  .*\n|\n(?=  ))*?)(?:  found by: .*\n|(?=^\S|\Z|\n^\S))"
        path.write_text(re.sub(pattern, lambda match: f"{match[1]}  {line}", text, count=1, flags=re.MULTILINE), encoding="utf-8")


def first(fault: Fault) -> list[str]:
    """Return what the tests of a fault begin with: files of tests, or lessons such as `models/cnn`."""
    for pattern, tests in FIRST:
        if re.search(pattern, " ".join(fault.files)):
            return tests
    return [file.removeprefix("snippets/").removesuffix(".py") for file in fault.files]


def served(fault: Fault, built: Path) -> list[str]:
    """Return the option that spares a build of the site where a fault changes nothing but files that are in it as they are."""
    return [f"--built={built}"] if all(file.startswith("docs/assets/") for file in fault.files) else []


def copy(folder: Path) -> None:
    """Copy what git knows of the repository, with the packages and the caches that a build fills anyhow."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for file in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / file).is_file() and not file.endswith("test_faults.py"):  # no other fault applies to a faulty copy
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
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, encoding="utf-8")


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


def check(folder: Path, arguments: list[str], printed: Path, limit: float | None = None) -> tuple[int | None, str | None]:
    """Run tests of a copy for `limit` seconds; return pytest's exit status, None if it was killed, and the first check that failed."""
    processes = multiprocessing.get_context("forkserver")
    answer, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=run_tests, args=(folder, arguments, printed, sender))
    process.start()
    sender.close()
    try:
        return answer.recv() if answer.poll(limit) else (None, "the time that is given")
    except EOFError:
        return None, None
    finally:
        process.kill()  # it has answered, or never will
        process.join()


def clean(folder: Path) -> None:
    """Take back what was planted in a copy."""
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "clean", "--quiet", "-d", "--force")


def plant(fault: Fault, folder: Path, built: Path) -> tuple[str | None, str]:
    """Return the check that finds a fault, None if no check does, and what the tests printed.

    `built` holds the site as it is. A check that fails without the fault too finds nothing. Raises SystemExit if the fault does not apply.
    """
    clean(folder)
    try:
        for path, text in changed(fault, folder).items():
            path.write_text(text, encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))
    if fault.hidden:
        renew_hashes(fault, folder)
    if not any(file.startswith("docs/results/") for file in fault.files):
        renew(folder)
    printed, found = folder / ".git" / "printed", None
    if fault.found_by:
        _, found = check(folder, [fault.found_by, *served(fault, built)], printed)
    if found is None:
        status, found = check(folder, [f"--first={name}" for name in first(fault)], printed)
        said = printed.read_text(encoding="utf-8", errors="replace")
        if status in (pytest.ExitCode.OK, None):
            return None, said
        if found is None:
            return "the tests do not start", said
    clean(folder)
    if not passes(folder, [found, *served(fault, built)], printed):
        tqdm.write(f"{found} fails without any fault: what it finds proves nothing. Mend it first.", file=sys.stderr)
        return None, printed.read_text(encoding="utf-8", errors="replace")
    if found != fault.found_by:
        note(fault, found)
    return found, ""


def passes(folder: Path, arguments: list[str], printed: Path) -> bool:
    """Tell whether a check passes; one that is there for what was planted alone, by all of its kind."""
    status, _ = check(folder, arguments, printed)
    if status == pytest.ExitCode.USAGE_ERROR:
        status, _ = check(folder, [arguments[0].partition("[")[0], *arguments[1:]], printed)
    return status == pytest.ExitCode.OK


def tests_of(name: str, folder: Path) -> list[str]:
    """Return the files of tests that load a program, then those of what is asked of every one."""
    files = sorted(path.relative_to(folder).as_posix() for path in (folder / "tests").rglob("test_*.py") if f'load_snippet("{name}")' in path.read_text(encoding="utf-8"))
    return list(dict.fromkeys([*files, *(file for file in QUICK if (folder / file).is_file())]))


def try_mutant(file: str, text: str, folder: Path, sound: dict[str, bool]) -> tuple[str | None, str]:
    """Return the check of a program that finds it to be changed to this text, None if it survives, and what the tests printed.

    A check that fails for the program as it is finds nothing; `sound` keeps which do not.
    """
    clean(folder)
    try:
        (folder / file).write_text(text, encoding="utf-8")
        renew(folder)
    except SyntaxError:
        return "Python", ""
    name, printed = file.removeprefix("snippets/").removesuffix(".py"), folder / ".git" / "printed"
    status, found = check(folder, [*tests_of(name, folder), f"--of={name}"], printed, LIMIT)
    said = printed.read_text(encoding="utf-8", errors="replace")
    if status == pytest.ExitCode.OK:
        return None, said
    if status is None or found is None:
        return found or "the tests do not start", said
    if found not in sound:
        clean(folder)
        sound[found] = passes(folder, [found], printed)
    if not sound[found]:
        return None, f"{found} fails without any change: what it finds proves nothing. Mend it first."
    return found, said


def renew_hashes(fault: Fault, folder: Path) -> None:
    """Let the changed results pass for those that their run left."""
    from tooling.lessons import file_hashes

    for place in {(folder / file).parent for file in fault.files}:
        record = json.loads((place / "run.json").read_text(encoding="utf-8"))
        (place / "run.json").write_text(json.dumps(record | {"files": file_hashes(place)}, indent=2) + "\n", encoding="utf-8")


def renew(folder: Path) -> None:
    """Let the results pass for those of the faulty programs, as if somebody had run them again.

    Else every fault of a program would be caught by its date, and no check of what it does.
    """
    from tooling.lessons import fingerprints, snippet_names

    for name in snippet_names():
        if not (folder / "snippets" / f"{name}.py").is_file():
            continue
        current = fingerprints(name, folder)
        results = folder / "docs" / "results"
        for record in (results / name).rglob("run.json"):
            known = json.loads(record.read_text(encoding="utf-8"))
            if record.parent != results / name and known["data"] == "as shipped":
                continue
            now = fingerprints(name, folder, record.parent.relative_to(results).as_posix())
            record.write_text(json.dumps(known | now, indent=2) + "\n", encoding="utf-8")
        for several in (results / name).rglob("seeds.json"):
            known = json.loads(several.read_text(encoding="utf-8"))
            several.write_text(json.dumps(known | {part: current[part] for part in ("file", "program")}) + "\n", encoding="utf-8")


def main() -> int:
    """Run the command; return its exit status: 0 if every fault was caught, or enough of the mutants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="as a fault's name begins, or a program's; without any, all")
    parser.add_argument("--mutants", type=int, default=0, metavar="COUNT", help="plant so many small changes of the programs instead")
    parser.add_argument("--seed", type=int, default=0, help="draw the mutants from it (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="print the tests' output for each fault that was not caught")
    options = parser.parse_args()
    faults = [fault for fault in catalogue() if not options.names or fault.name.startswith(tuple(options.names))]
    if options.mutants:
        from mutants import draw

        faults = draw(ROOT, options.mutants, options.seed, tuple(options.names) or "")
    if not faults:
        parser.error(f"no fault has a name that begins with {' or '.join(options.names)}; they stand in tests/faults/*.yml")
    sys.path.insert(0, str(ROOT))
    from tooling import packages

    packages.install(tests=True)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    multiprocessing.set_forkserver_preload(IMPORTS)
    missed, sound, began = [], {}, time.monotonic()
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(COPIES) as workers:
        free: Queue[Path] = Queue()
        for number in range(min(COPIES, len(faults))):
            folder = Path(root) / str(number)
            folder.mkdir()
            copy(folder)
            free.put(folder)
        built = Path(root) / "built"
        if any(served(fault, built) for fault in faults if isinstance(fault, Fault)):
            subprocess.run([sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "-d", built], cwd=Path(root) / "0", check=True)

        def seek(fault: Fault | tuple) -> None:
            folder, started = free.get(), time.monotonic()
            try:
                if isinstance(fault, Fault):
                    name, told = fault.name, f"{fault.name}: {fault.suffers}"
                    found, printed = plant(fault, folder, built)
                else:
                    name = told = fault.told(ROOT)
                    found, printed = try_mutant(fault.file, fault.text, folder, sound)
            finally:
                free.put(folder)
            tqdm.write(f"{told}\n    {time.monotonic() - started:5.1f} s  {found or 'NOT CAUGHT'}", file=sys.stdout)
            sys.stdout.flush()
            if found is None:
                missed.append(name)
                if options.verbose:
                    tqdm.write(printed[-4000:], file=sys.stdout)

        list(tqdm(workers.map(seek, faults), total=len(faults), disable=None))
    print(f"{len(faults) - len(missed)} of {len(faults)} caught in {time.monotonic() - began:.0f} s")
    if missed:
        print("not caught:\n" + "\n".join(sorted(missed)), file=sys.stderr)
    return 1 if len(missed) > (1 - CAUGHT) * len(faults) or missed and not options.mutants else 0


if __name__ == "__main__":
    sys.exit(main())
