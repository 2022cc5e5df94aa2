"""What a site of many lessons costs: build it from copies of the lessons there are, and measure.

    python -m tooling.scale 5 20 60               measure sites of so many lessons; print a table
    python -m tooling.scale 60 --keep FOLDER      leave such a repository in FOLDER, to run its tests say; measure nothing

Measure on a machine that does nothing else; the seconds of CPU tell how far it did. The copies have numbers: models/cnn_2 is the second models/cnn.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from itertools import cycle
from pathlib import Path

import psutil

from tooling.lessons import LANGUAGES, ROOT, lesson_names
from tooling.pages import programs

# Tables of the tests that name programs: a copy is treated as its original.
COPIED = {
    "SMALL": "{{copy: SMALL[name] for name, copy in {}.items() if name in SMALL}}",
    "LONG": "{{copy for name, copy in {}.items() if name in LONG}}",
}
TABLE = re.compile(r"^(SMALL|LONG)\b[^\n]* = \{(?:[^\n]*\}\n|\n.*?^\}\n)", re.MULTILINE | re.DOTALL)
PATIENCE = 300  # seconds until a server is given up
EDITS = 30


def copy_of_repository(folder: Path, count: int) -> int:
    """Copy the repository into a folder that is not there yet, with copies of its lessons until there are `count`.

    Return how many there are: no fewer than in the repository.
    """
    ignored = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "site")
    shutil.copytree(ROOT, folder, ignore=ignored)
    if (ROOT / "node_modules").is_dir():
        (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve(), target_is_directory=True)
    there = lesson_names(LANGUAGES[0])
    for number, lesson in enumerate(cycle(there), len(there)):
        if number >= count:
            return number
        copy_lesson(folder, lesson, number // len(there) + 1)


def copy_lesson(folder: Path, lesson: str, number: int) -> None:
    """Copy all files of a lesson, and its line in the navigation, under names that end with a number."""
    shown = sorted(programs(LANGUAGES[0], lesson), key=len, reverse=True)
    names = re.compile(rf"(?<![\w/])({'|'.join(map(re.escape, {lesson, *shown}))})(?!\w)")

    def renamed(text: str) -> str:
        return names.sub(rf"\1_{number}", text)

    for name in {lesson, *shown}:
        for root, ending in (("snippets", ".py"), ("docs/assets/live", ".js"), ("tooling/live", ".py")):
            if (folder / root / f"{name}{ending}").is_file():
                shutil.copy(folder / root / f"{name}{ending}", folder / root / f"{name}_{number}{ending}")
        shutil.copytree(folder / "docs/results" / name, folder / "docs/results" / f"{name}_{number}")
        chapter, _, short = name.rpartition("/")
        test = folder / "tests" / chapter / f"test_{short}.py"
        if test.is_file():
            test.with_stem(f"{test.stem}_{number}").write_text(renamed(test.read_text(encoding="utf-8")), encoding="utf-8")
    for language in LANGUAGES:
        page = folder / "docs" / language / f"{lesson}.md"
        text = re.sub(r"^(# .+?)( \{#[\w-]+\})?$", rf"\1 {number}\2", renamed(page.read_text(encoding="utf-8")), count=1, flags=re.MULTILINE)
        page.with_stem(f"{page.stem}_{number}").write_text(text, encoding="utf-8")
    copies = {name: f"{name}_{number}" for name in {lesson, *shown}}
    for tests in sorted((folder / "tests").glob("test_*.py")):
        text = tests.read_text(encoding="utf-8")
        more = TABLE.sub(lambda table: f"{table[0]}{table[1]} |= {COPIED[table[1]].format(copies)}\n", text)
        tests.write_text(more, encoding="utf-8")
    settings = folder / "mkdocs.yml"
    text = re.sub(rf"^( *- ){lesson}\.md\n", rf"\g<0>\1{lesson}_{number}.md\n", settings.read_text(encoding="utf-8"), flags=re.MULTILINE)
    settings.write_text(text, encoding="utf-8")


def seconds_of(*command: str, folder: Path) -> str:
    """Return how long a command takes, and how long on all cores together. Raises CalledProcessError where it fails."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True)
    after = os.times()
    computed = after.children_user + after.children_system - before.children_user - before.children_system
    return f"{time.perf_counter() - start:.1f} s ({computed:.1f} s)"


def edits(folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Serve the site and edit its lessons in turn.

    Return for each edit the seconds until it shows, the server's seconds of CPU, and its megabytes then.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "serve.log").open("w", encoding="utf-8") as said:
        server = subprocess.Popen([sys.executable, "-m", "mkdocs", "serve", "-a", f"127.0.0.1:{port}"], cwd=folder, stdout=said, stderr=said)
    process, seconds, computed, memory = psutil.Process(server.pid), [], [], []
    try:
        wait_for(f"http://127.0.0.1:{port}/", "", server)
        time.sleep(2)  # until it watches
        turns = cycle((language, lesson) for lesson in lesson_names(LANGUAGES[0]) for language in LANGUAGES)
        for number, (language, lesson) in zip(range(EDITS), turns):
            page, word = folder / "docs" / language / f"{lesson}.md", f"edit-{number}-shows"
            prefix = "" if language == LANGUAGES[0] else f"{language}/"
            start, before = time.perf_counter(), sum(process.cpu_times())
            with page.open("a", encoding="utf-8") as file:
                file.write(f"\n{word}\n")
            wait_for(f"http://127.0.0.1:{port}/{prefix}{lesson}/", word, server)
            seconds.append(time.perf_counter() - start)
            computed.append(sum(process.cpu_times()) - before)
            memory.append(process.memory_info().rss / 1e6)
            time.sleep(1)
    finally:
        server.terminate()
        server.wait()
    return seconds, computed, memory


def wait_for(url: str, word: str, server: subprocess.Popen) -> None:
    """Return when a page holds a word. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:
                if word in page.read().decode():
                    return
        except urllib.error.URLError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{url} does not show `{word}`; see serve.log")


def measure(count: int) -> str:
    """Build and serve a site of so many lessons in a folder of its own; return a line of the table."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "repository"
        there = copy_of_repository(folder, count)
        build = ("mkdocs", "build", "--quiet", "--strict")
        first, again = seconds_of(*build, folder=folder), seconds_of(*build, folder=folder)
        pages = len(list((folder / "site").rglob("index.html")))
        seconds, computed, memory = edits(folder)
    return (
        f"| {there} | {pages} | {first} | {again} | {statistics.median(seconds):.1f} s ({statistics.median(computed):.1f} s) | {max(seconds):.1f} s "
        f"| {memory[2]:.0f} MB | {memory[-1]:.0f} MB |"
    )


def main() -> None:
    """Measure the sites that were asked for, or leave one."""
    parser = argparse.ArgumentParser(prog="python -m tooling.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="+", help="how many lessons; no fewer than there are")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the repository of so many lessons in this folder")
    given = parser.parse_args()
    if given.keep:
        print(f"{copy_of_repository(given.keep, given.count[0])} lessons in {given.keep}")
        return
    print("| lessons | pages | from nothing (of CPU) | again | an edit | slowest edit | memory after 3 edits | after 30 |")
    print("|---|---|---|---|---|---|---|---|")
    for count in given.count:
        print(measure(count), flush=True)


if __name__ == "__main__":
    main()
