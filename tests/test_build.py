"""What is kept from one build to the next is what a build without it would make; `mkdocs serve` shows each edit."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import conftest
import pytest

from tooling import lessons, notebooks, packages, pictures, reads, scale
from tooling.lessons import LANGUAGES, ROOT, lesson_names

FILES = {
    "snippets/models/toy.py": '''\
# --8<-- [start:count]
"""Count to three."""


def count(last: int) -> list[int]:
    """Return the numbers up to `last`."""
    return list(range(1, last + 1))  # in order
# --8<-- [end:count]


# --8<-- [start:command_line]
if __name__ == "__main__":
    print("counted", count(3))
# --8<-- [end:command_line]
''',
    "docs/results/models/toy/output.txt": "counted [1, 2, 3]\n",
    "docs/results/models/toy/metrics.json": '{"numbers": 3}',
    "docs/results/models/toy/dot.svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 15"><text>numbers</text></svg>',
    "docs/glossary.yml": '- {zh: 梯度, en: gradient, zh_text: 上升最快的方向, en_text: the way up}\n',
    "docs/references.bib": "@misc{doe2020, author = {Doe, Jane}, title = {On numbers}, year = {2020}, eprint = {2001.00001}}\n",
    "docs/figures.yml": "same: []\nchinese: {numbers: 数字}\nfigures: {}\n",
    "docs/zh/index.md": "---\ndescription: 首页\n---\n\n# 首页\n\n见[玩具](models/toy.md)。\n",
    "docs/en/index.md": "---\ndescription: Home\n---\n\n# Home\n\nSee [the toy](models/toy.md).\n",
    "docs/zh/other.md": "---\ndescription: 另一页\n---\n\n# 另一页 {#other}\n\n## 部分 {#part}\n\n梯度。\n",
    "docs/en/other.md": "---\ndescription: Another\n---\n\n# Another page {#other}\n\n## Part {#part}\n\nA gradient.\n",
    "docs/zh/glossary.md": "---\ndescription: 术语\n---\n\n# 术语表\n\n<!-- glossary -->\n",
    "docs/en/glossary.md": "---\ndescription: Terms\n---\n\n# Glossary\n\n<!-- glossary -->\n",
}
LESSON = '''\
---
description: A page that counts.
---

# {title}

It found [[ metrics.numbers ]] numbers, $n \\le 3$, and no gradient; see [another page](../other.md#part) [@doe2020].

## The program {{#program}}

```python
--8<-- "models/toy.py:count"
```

Then it runs.

```python
--8<-- "models/toy.py:command_line"
```

It prints:

```text
--8<-- "models/toy/output.txt"
```

![A dot](../../results/models/toy/dot.svg "A dot, drawn.")
'''
NAVIGATION = "nav: [index.md, models/toy.md, other.md, glossary.md]\n\n"


@pytest.fixture
def small(tmp_path):
    """A repository whose site has four pages in each language."""
    for folder in ("tooling", "docs/assets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("package.json", "package-lock.json", "requirements.txt"):
        shutil.copy(ROOT / file, tmp_path)
    packages.find("katex", "package.json")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules", target_is_directory=True)
    (tmp_path / ".cache").mkdir()  # to prepare the fonts of pictures takes longer than all else
    pictures.CACHE.mkdir(parents=True, exist_ok=True)
    (tmp_path / ".cache" / "pictures").symlink_to(pictures.CACHE, target_is_directory=True)
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {f"docs/{language}/models/toy.md": LESSON.format(title=title) for language, title in (("zh", "数数"), ("en", "Counting"))}
    for name, text in (FILES | pages | {"mkdocs.yml": re.sub(r"^nav:\n(?:[ -].*\n|\n)+", NAVIGATION, settings, flags=re.MULTILINE)}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    record = lessons.fingerprints("models/toy", tmp_path) | {"date": "2026-01-01", "python": "3", "torch": "2", "cores": 2, "seconds": 1, "memory": 90}
    (tmp_path / "docs/results/models/toy/run.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def build(folder: Path, site: str, *options: str, **more) -> subprocess.CompletedProcess:
    """Build the site of a repository."""
    command = [sys.executable, "-m", "mkdocs", "build", "-d", str(folder / site), *options]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with what it holds."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def differing(one: Path, other: Path) -> list[str]:
    """Return the files that are not the same below two folders."""
    found, again = contents(one), contents(other)
    return sorted(name for name in found.keys() | again.keys() if found.get(name) != again.get(name))


def edit(path: Path, old: str, new: str) -> None:
    """Replace a piece of a file that is there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not hold `{old}`"
    path.write_text(text.replace(old, new), encoding="utf-8")


def free_port() -> int:
    """Return a port that nobody serves at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def served(folder: Path):
    """Serve the site of a repository; yield its address."""
    port = free_port()
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        server = subprocess.Popen([sys.executable, "-m", "mkdocs", "serve", "-a", f"127.0.0.1:{port}"], cwd=folder, stdout=said, stderr=said)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def shows(address: str, words: str, seconds: float = 30) -> bool:
    """Tell whether a page shows these words, now or a little later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(address) as page:
                if words in page.read().decode():
                    return True
        time.sleep(0.1)
    return False


# Each kind of file of which a page is made: what stands there, what stands there instead, and where that shows.
EDITS = [
    ("docs/en/models/toy.md", "and no gradient", "and not one gradient", ["en/models/toy/", "en/models/toy/notebook/"], "and not one"),
    ("snippets/models/toy.py", "in order", "one by one", ["models/toy/", "models/toy/notebook/", "en/models/toy/", "en/models/toy/notebook/", "snippets/models/toy.py"], "one by one"),
    ("docs/results/models/toy/output.txt", "2, 3]", "2, 3, 4]", ["models/toy/", "en/models/toy/notebook/"], "2, 3, 4]"),
    ("docs/results/models/toy/metrics.json", "3", "47", ["models/toy/", "en/models/toy/notebook/"], "found 47 numbers"),
    ("docs/results/models/toy/dot.svg", "</svg>", '<text x="5">17</text></svg>', ["en/models/toy/", "models/toy/notebook/"], ">17</text>"),
    ("docs/figures.yml", "数字", "数目", ["models/toy/"], ">数目</text>"),
    ("docs/glossary.yml", "the way up", "the steepest way up", ["en/other/", "en/models/toy/", "en/glossary/"], "the steepest way up"),
    ("docs/references.bib", "Doe", "Roe", ["models/toy/", "en/models/toy/", "en/models/toy/notebook/"], "Roe"),
    ("docs/en/other.md", "# Another page", "# Still another page", ["en/other/", "en/models/toy/", "en/models/toy/notebook/"], "Still another page"),
    ("docs/assets/site.css", "\n", "\n/* edited */\n", ["assets/site.css"], "/* edited */"),
    ("tooling/hooks.py", "Download the program", "Fetch the program", ["en/models/toy/"], "Fetch the program"),
    ("tooling/glossary.py", "| meaning |", "| sense |", ["en/glossary/"], "<th>sense</th>"),
    ("tooling/theme/main.html", "{{ super() }}", "{{ super() }}<!-- edited -->", ["", "en/glossary/"], "<!-- edited -->"),
    ("mkdocs.yml", "site_name: 跑得通的深度学习", "site_name: 跑一跑", ["", "glossary/"], "跑一跑"),
]


def test_an_edit_of_any_kind_shows_and_a_build_from_what_is_kept_is_the_build_without_it(small):
    with served(small) as address:
        assert shows(address, "models/toy/"), (small / "said.txt").read_text(encoding="utf-8")
        time.sleep(1.5)  # until it looks for edits
        for file, old, new, places, words in EDITS:
            edit(small / file, old, new)
            for place in places:
                assert shows(address + place, words), f"{file}: /{place} does not show `{words}`\n" + (small / "said.txt").read_text(encoding="utf-8")[-3000:]
    edit(small / "snippets/models/toy.py", "range(1, last", "range(0, last")
    edit(small / "docs/en/other.md", "{#part}", "{#parts}")  # the page that leads there is kept
    done = build(small, "kept", "--strict")
    told = re.findall(r"^WARNING +-  (.*)$", done.stdout, re.MULTILINE)
    assert done.returncode == 1 and len(told) == 2, done.stdout
    assert told[0] == "docs/results/models/toy is older than snippets/models/toy.py; run `python -m tooling.results models/toy`"
    assert told[1].startswith("Doc file 'en/models/toy.md' contains a link '../other.md#part', but the doc 'en/other.md' does not contain")
    build(small, "kept")
    shutil.rmtree(small / ".cache")
    one = min(os.sched_getaffinity(0)) if sys.platform == "linux" else None
    build(small, "anew", preexec_fn=(lambda: os.sched_setaffinity(0, {one})) if one is not None else None)  # and by one process
    assert differing(small / "kept", small / "anew") == []


def test_the_site_built_again_is_the_same(site, pytestconfig, tmp_path):
    first = site.folder
    if pytestconfig.getoption("built"):  # that one was built elsewhere
        conftest.build(first := tmp_path / "first", site.url)
    assert "Converting notebook" not in conftest.build(tmp_path / "again", site.url)
    assert differing(first, tmp_path / "again") == []


def test_what_mkdocs_warns_of_it_warns_of_again(small):
    edit(small / "docs/en/models/toy.md", "../other.md#part", "../missing.md")
    for _ in range(2):
        done = build(small, "site", "--strict")
        assert done.returncode == 1 and "contains a link '../missing.md'" in done.stdout


def test_a_file_that_is_gone_is_missed(small):
    assert build(small, "site").returncode == 0
    (small / "docs/results/models/toy/dot.svg").unlink()
    done = build(small, "site")
    assert done.returncode == 1 and "dot.svg" in done.stdout


def test_a_port_in_use_is_told_before_all_work(small):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "mkdocs", "serve", "-a", f"127.0.0.1:{port}"]
        done = subprocess.run(command, cwd=small, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8")
    assert done.returncode == 1 and "Traceback" not in done.stdout and "Cleaning" not in done.stdout
    assert f"127.0.0.1:{port} cannot be opened" in done.stdout and f"mkdocs serve -a 127.0.0.1:{port + 1}" in done.stdout


def test_what_is_remembered_has_been_read_by_all_who_ask():
    asked = []

    @reads.cached
    def first_line(name: str) -> str:
        asked.append(name)
        return (ROOT / name).read_text(encoding="utf-8").partition("\n")[0]

    for _ in range(2):
        with reads.recorded() as read:
            assert first_line("mkdocs.yml").startswith("site_name")
        assert read == {("file", "mkdocs.yml")}
    assert asked == ["mkdocs.yml"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("lesson", lesson_names(LANGUAGES[0]))
def test_no_cell_of_a_notebook_is_empty(lesson, language):
    book = notebooks.notebook(language, lesson, "https://example.org/")
    assert [cell.id for cell in book.cells if not cell.source.strip()] == []


def test_a_copied_lesson_has_all_its_files(tmp_path):
    folder, there = tmp_path / "repository", lesson_names(LANGUAGES[0])
    assert scale.copy_of_repository(folder, len(there) + 1) == len(there) + 1
    name = f"{there[0]}_2"
    for file in (f"docs/en/{name}.md", f"docs/zh/{name}.md", f"snippets/{name}.py", f"docs/results/{name}/run.json"):
        assert (folder / file).is_file(), file
    assert f"- {name}.md" in (folder / "mkdocs.yml").read_text(encoding="utf-8")
    assert f'"{name}.py:' in (folder / "docs/en" / f"{name}.md").read_text(encoding="utf-8")


# --- what stops a build


def told_of(done: subprocess.CompletedProcess) -> str:
    """Return what a build said that stopped without a traceback."""
    assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("docs/en/models/toy.md", "models/toy.py:count", "models/toy.py:cuont", "snippets/models/toy.py has no section `cuont`; it has: count, command_line"),
        ("docs/zh/models/toy.md", "[[ metrics.numbers", "[[ metrics.numbres", "see docs/results/models/toy/metrics.json for what was measured"),
        ("docs/en/models/toy.md", "[[ metrics.numbers", '[[ results["models/tyo"].numbers', "run `python -m tooling.results models/tyo`"),
    ],
)
def test_the_build_stops_at_a_mistake_and_names_its_line(small, file, old, new, said):
    text = (small / file).read_text(encoding="utf-8")
    edit(small / file, old, new)
    told = re.search(rf"{re.escape(file)}, line (\d+): .*", stopped := told_of(build(small, "site", "--strict")))
    assert told, stopped
    line = text[: text.index(old)].count("\n") + 1
    assert said in told[0] and int(told[1]) == line, f"the mistake is in line {line}; the message: {told[0]}"


def test_the_build_stops_at_a_formula_that_cannot_be_set(small):
    edit(small / "docs/zh/index.md", "[玩具]", "$\\farc{1}{2}$[玩具]")
    said = told_of(build(small, "site", "--strict"))
    assert re.search(r"docs/zh/index\.md: the formula `\\farc\{1\}\{2\}` cannot be set: KaTeX parse error", said), said


def test_the_build_stops_at_a_deleted_marker(small):
    edit(small / "snippets/models/toy.py", "# --8<-- [start:count]\n", "")
    said = told_of(build(small, "site", "--strict"))
    assert re.search(r"snippets/models/toy\.py, line \d+ stands outside every section; was a \[start:\.\.\.\] marker deleted above it\?", said), said
