"""Plant each fault of the catalogue in a scratch copy of the repository, and see which check finds it.

    python tests/faults/run.py                  all of them
    python tests/faults/run.py NAME ...         those whose name begins so, such as models/ or page-

A fault is a patch beside this file. Its first line says what a reader would suffer. It is made by
changing the sources, `git diff > tests/faults/NAME.patch`, writing that line, and `git checkout .`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tqdm import tqdm

FAULTS = Path(__file__).resolve().parent
ROOT = FAULTS.parent.parent
sys.path.insert(0, str(ROOT))

from tooling import packages  # noqa: E402
from tooling.lessons import fingerprints, snippet_names  # noqa: E402

COPIES = 2  # one for each core
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
CHANGED = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)


# Where a change is looked for first: a pattern of the changed files, and the tests; snippets have those of their name.
FIRST = (
    (r"docs/assets/live/", ["tests/test_live.py"]),
    (r"tooling/(hooks|theme|katex|live|figures|notebooks|packages)|mkdocs\.yml|docs/assets/", ["tests/test_site.py", "tests/test_site_quality.py"]),
    (r"tooling/data", ["tests/test_data.py"]),
    (r"tooling/", ["tests/test_tooling.py"]),
    (r"docs/", ["tests/test_pages.py"]),
    (r"requirements|\.github/", ["tests/test_weekly.py"]),
)


def first(patch: str) -> list[str]:
    """Return what the tests of a patch begin with: files of tests, or lessons such as `models/cnn`."""
    changed = CHANGED.findall(patch)
    for pattern, tests in FIRST:
        if re.search(pattern, " ".join(changed)):
            return tests
    return [file.removeprefix("snippets/").removesuffix(".py") for file in changed]


def copy(folder: Path) -> None:
    """Copy what git knows of the repository, with the packages and the caches that a build fills anyhow."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for file in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / file).is_file() and not file.endswith(".patch"):
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


def plant(fault: Path, folder: Path) -> tuple[str, float, str]:
    """Return the first test that fails with a fault, or what went wrong, the seconds until then, and what the tests printed."""
    patch = fault.read_text(encoding="utf-8")
    git(folder, "reset", "--quiet", "--hard")
    git(folder, "clean", "--quiet", "-d", "--force")
    try:
        git(folder, "apply", "--whitespace=nowarn", fault)
    except subprocess.CalledProcessError as error:
        return f"DOES NOT APPLY: {error.stderr.strip()}", 0.0, ""
    if "docs/results/" not in patch:
        renew(folder)
    command = [sys.executable, "-m", "pytest", "-n", "0", "--exitfirst", "-p", "no:cacheprovider", "--tb=short", *(f"--first={name}" for name in first(patch))]
    started = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.monotonic() - started
    if done.returncode == 0:
        return "NOT CAUGHT", seconds, done.stdout
    found = FAILED.search(done.stdout)
    return (found[1] if found else f"THE TESTS ENDED WITH {done.returncode}"), seconds, done.stdout


def renew(folder: Path) -> None:
    """Let the results pass for those of the faulty programs, as if somebody had run them again.

    Else every fault of a program would be caught by its date, and no check of what it does.
    """
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
    packages.install(tests=True)
    missed, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(COPIES) as workers:
        free: Queue[Path] = Queue()
        for number in range(min(COPIES, len(faults))):
            folder = Path(root) / str(number)
            folder.mkdir()
            copy(folder)
            free.put(folder)

        def check(fault: Path) -> None:
            folder = free.get()
            try:
                found, seconds, printed = plant(fault, folder)
            finally:
                free.put(folder)
            name = fault.relative_to(FAULTS).with_suffix("").as_posix()
            tqdm.write(f"{name}: {fault.read_text(encoding='utf-8').splitlines()[0]}\n    {seconds:5.1f} s  {found}", file=sys.stdout)
            sys.stdout.flush()
            if found.isupper() or found.split(":")[0].isupper():
                missed.append(name)
                if options.verbose:
                    tqdm.write(printed[-4000:], file=sys.stdout)

        list(tqdm(workers.map(check, faults), total=len(faults), disable=None))
    print(f"{len(faults) - len(missed)} of {len(faults)} faults caught in {time.monotonic() - began:.0f} s")
    if missed:
        print(f"not caught: {', '.join(sorted(missed))}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
