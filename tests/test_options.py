"""What `pytest --of` understands, and what it tells."""

import shutil
import subprocess
import sys

import options
import pytest
from options import ROOT

KNOWN = ["career", "index", "models/cnn", "models/cnn_layers", "models/overview"]


@pytest.mark.parametrize(("given", "name"), [
    ("models/cnn", "models/cnn"), ("career", "career"), ("docs/en/models/cnn.md", "models/cnn"), ("./docs/zh/career.md", "career"),
    ("snippets/models/cnn_layers.py", "models/cnn_layers"), ("tests/models/test_cnn.py", "models/cnn"), ("docs/results/models/cnn/loss.svg", "models/cnn"),
    ("docs/results/models/cnn/", "models/cnn"), ("docs/assets/live/models/cnn.js", "models/cnn"), ("tooling/live/models/cnn.py", "models/cnn"),
    (str(ROOT / "docs" / "en" / "models" / "cnn.md"), "models/cnn"), ("models/cnn.py", "models/cnn"),
])
def test_any_file_of_a_lesson_names_it(given, name):
    assert options.named(given, KNOWN) == name


@pytest.mark.parametrize(("given", "said"), [
    ("models/cn", "there is no lesson or page models/cn; did you mean models/cnn?"),
    ("docs/en/models/overvew.md", "there is no lesson or page models/overvew; did you mean models/overview?"),
    ("xyz", "there is no lesson or page xyz; there are: career, index, models/cnn, models/cnn_layers, models/overview"),
])
def test_an_unknown_name_gets_the_nearest(given, said):
    with pytest.raises(ValueError) as error:
        options.named(given, KNOWN)
    assert str(error.value) == said


@pytest.mark.parametrize(("file", "old", "new", "said"), [
    ("snippets/models/overview.py", "\n# --8<-- [start:data]", "\nx = 1\n# --8<-- [start:data]", "stands outside every section; was a [start:...] marker deleted above it?"),
    ("docs/en/models/overview.md", "overview.py:data", "overview.py:date", "snippets/models/overview.py has no section `date`; it has: "),
], ids=["program", "page"])
def test_a_mistake_is_told_once_with_its_place(tmp_path, file, old, new, said):
    for folder in ("docs/zh", "docs/en", "snippets", "tooling", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("node_modules", "mkdocs.yml", "pyproject.toml", "package.json", "package-lock.json", *(f"docs/{path.name}" for path in (ROOT / "docs").iterdir())):
        if not (tmp_path / part).exists():
            (tmp_path / part).symlink_to(ROOT / part)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-n", "0", "--tb=long", "-p", "no:cacheprovider", "--of", "docs/zh/models/overview.md", "tests/test_pages.py"]
    told = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, encoding="utf-8").stdout.partition("short test summary")[0]
    line = text[: text.index(old)].count("\n") + (2 if old.startswith("\n") else 1)
    assert told.count(said) == 1 and f"{file}, line {line}" in told, told
    assert "def test_" not in told and "Traceback" not in told, told
