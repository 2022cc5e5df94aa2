"""The errors that a writer meets, and the tools that make results, figures and notebooks."""

import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from tooling import figures, hooks, katex, lessons, live, notebooks, packages, pages, results, search
from tooling.lessons import LANGUAGES, ROOT, SiteError

PROGRAM = '''\
# --8<-- [start:setup]
"""Count to three."""

import json
from pathlib import Path

# --8<-- [end:setup]


# --8<-- [start:count]
def count(last: int) -> list[int]:
    """Return the numbers up to `last`."""
    return list(range(1, last + 1))  # in order
# --8<-- [end:count]


# --8<-- [start:main]
def main(out: Path) -> None:
    """Count, and write down how many there were."""
    out.mkdir(exist_ok=True)
    print("counted", count(3))
    (out / "metrics.json").write_text(json.dumps({"numbers": len(count(3))}))


if __name__ == "__main__":
    main(Path("toy-results"))
# --8<-- [end:main]
'''
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 30 15" version="1.1">'
    '<metadata>made today</metadata><defs><style>* {color: red}</style><path id="dot" d="M 0 0"/><clipPath id="cut"/></defs>'
    '<g clip-path="url(#cut)"><use xlink:href="#dot" style="stroke: #000000; fill: #0000ff"/><text style="fill: black">a</text></g></svg>'
)
PAGE = '''\
---
description: A page that counts to [[ metrics.numbers ]].
---

# Counting {#counting}

It found [[ metrics.numbers ]] numbers, and $n \\le 3$; see [another page](../other.md#part).

## The program {#program}

```python title="toy.py"
--8<-- "models/toy.py:setup"
```

```python
--8<-- "models/toy.py:count"
```

!!! note "Mind"
    The first number
    is one.

```python
--8<-- "models/toy.py:main"
```

It prints:

```text
--8<-- "models/toy/output.txt"
```

![A dot](../../results/models/toy/dot.svg "A dot, drawn.")
'''


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one lesson, `models/toy`, in the place of this one."""
    places = {"ROOT": tmp_path, "DOCS": tmp_path / "docs", "SNIPPETS": tmp_path / "snippets", "RESULTS": tmp_path / "docs/results"}
    for module in (lessons, pages, notebooks, results):
        for name, place in places.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, place)
    pages._snippets.cache_clear()
    for path, text in {
        "snippets/models/toy.py": PROGRAM,
        "docs/en/models/toy.md": PAGE,
        "docs/results/models/toy/output.txt": "counted [1, 2, 3]\n",
        "docs/results/models/toy/dot.svg": DRAWING,
        "docs/results/models/toy/metrics.json": '{"numbers": 3}',
        "tooling/matplotlibrc": "",
    }.items():
        write(tmp_path / path, text)
    write(tmp_path / "docs/results/models/toy/run.json", json.dumps(lessons.fingerprints("models/toy")))
    yield tmp_path
    pages._snippets.cache_clear()


def write(path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def edit(path, old: str, new: str) -> None:
    """Replace a piece of a file that is there once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


# --- markers


def test_sections_are_the_program(repository):
    found = lessons.sections("models/toy")
    assert list(found) == ["setup", "count", "main"]
    assert found["count"].startswith("def count") and found["count"].endswith("# in order")


@pytest.mark.parametrize(
    ("old", "new", "line", "advice"),
    [
        ("# --8<-- [start:count]\n", "", 10, "was a [start:...] marker deleted above it?"),
        ("# --8<-- [start:setup]\n", "", 1, "was a [start:...] marker deleted above it?"),
        ("# --8<-- [end:count]\n", "", 16, "add `# --8<-- [end:count]` before it"),
        ("# --8<-- [end:main]\n", "", None, "`main` has no end; add `# --8<-- [end:main]`"),
        ("    return list", "    # --8<-- [start:inner]\n    return list", 13, "section `inner` starts inside `count`; add `# --8<-- [end:count]`"),
        ("[end:count]\n", "[end:count]\n# --8<-- [start:setup]\n# --8<-- [end:setup]\n", 15, "`setup` above already; give this one another name"),
        ("[end:count]\n", "[end:count]\nSTRAY = 1\n", 15, "stands outside every section"),
        ("# --8<-- [end:count]", "# --8<-- [end:cuont]", 14, "`cuont` ends here but does not start before; add `# --8<-- [start:cuont]`"),
        ("# --8<-- [start:count]", "# --8<-- [begin:count]", 10, "not a section marker; write `# --8<-- [start:name]`"),
        ("# --8<-- [start:count]", "# --8<-- [start: Count]", 10, "not a section marker; write `# --8<-- [start:name]`"),
        ("# --8<-- [start:count]", "#--8<-- [start:count]", 10, "not a section marker; write `# --8<-- [start:name]`"),
    ],
)
def test_a_wrong_marker_is_named(repository, old, new, line, advice):
    edit(repository / "snippets/models/toy.py", old, new)
    with pytest.raises(SiteError) as error:
        lessons.sections("models/toy")
    assert str(error.value).startswith(f"snippets/models/toy.py, line {line}" if line else "snippets/models/toy.py: ")
    assert advice in str(error.value)


# --- what a page includes


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ("models/toy.py:count", "models/tyo.py:count", "snippets/models/tyo.py does not exist; there are: models/toy"),
        ("models/toy.py:count", "models/toy.py:cuont", "snippets/models/toy.py has no section `cuont`; it has: setup, count, main"),
        ('"models/toy.py:count"', '"models/toy.py"', "it has: setup, count, main"),
        ("models/toy/output.txt", "models/toy/printed.txt", "docs/results/models/toy/printed.txt does not exist; run `python -m tooling.results`"),
        ('--8<-- "models/toy.py:count"', "--8<-- models/toy.py:count", 'write an include as `--8<-- "models/cnn.py:model"`'),
        ("found [[ metrics.numbers ]]", "found [[ metrics.letters ]]", "see docs/results/models/toy/metrics.json for what was measured"),
        ("counts to [[ metrics.numbers ]]", "counts to [[ metrics.letters ]]", "see docs/results/models/toy/metrics.json for what was measured"),
        ("found [[ metrics.numbers ]]", "found [[ metrics.numbers | ]]", "[[ metrics.numbers | ]]: "),
        ("found [[ metrics.numbers ]]", "found [[ metrics.numbers | percnt ]]", "No filter named 'percnt'. There are percent, thousands, fixed, word, and Jinja's own"),
        ("found [[ metrics.numbers ]]", 'found [[ results["models/tyo"].numbers ]]', "docs/results/models/tyo/metrics.json is missing; run `python -m tooling.results models/tyo`"),
    ],
)
def test_a_page_that_asks_for_what_is_not_there(repository, old, new, advice):
    page = repository / "docs/en/models/toy.md"
    edit(page, old, new)
    line = next(number for number, text in enumerate(page.read_text(encoding="utf-8").splitlines(), 1) if new in text)
    with pytest.raises(SiteError) as error:
        pages.as_read("en", "models/toy")
    assert str(error.value).startswith(f"docs/en/models/toy.md, line {line}: ")
    assert advice in str(error.value)


def test_a_damaged_result_is_named(repository):
    write(repository / "docs/results/models/toy/metrics.json", '{"numbers": ')
    with pytest.raises(SiteError, match=r"docs/results/models/toy/metrics\.json is damaged .*; run `python -m tooling\.results models/toy`"):
        lessons.metrics("models/toy")


def test_a_result_that_its_run_did_not_leave_is_named(repository):
    folder = repository / "docs/results/models/toy"
    record = lessons.fingerprints("models/toy") | {"files": lessons.file_hashes(folder)}
    write(folder / "run.json", json.dumps(record))
    assert lessons.altered_results() == {}
    write(folder / "metrics.json", '{"numbers": 4}')
    (folder / "dot.svg").unlink()
    write(folder / "more.svg", DRAWING)
    (said,) = lessons.altered_results().values()
    assert said.startswith("docs/results/models/toy: dot.svg, metrics.json, more.svg is not what its run left")
    assert "python -m tooling.results models/toy" in said


def test_a_page_as_it_is_read(repository):
    text = pages.as_read("en", "models/toy")
    assert text.lstrip().startswith("# Counting")
    assert "It found 3 numbers" in text and "def count(last: int)" in text and "counted [1, 2, 3]" in text
    assert "--8<--" not in text and "[[" not in text
    assert pages.programs("en", "models/toy") == {"models/toy": ["setup", "count", "main"]}


@pytest.mark.parametrize(
    ("expression", "shown"),
    [("0.98765 | percent", "98.8%"), ("0.98449 | percent", "98.4%"), ("0.98765 | percent(2)", "98.77%"), ("1234567 | thousands", "1,234,567"), ("1234.567 | thousands", "1,235"), ("2.345 | fixed", "2.35"), ("2.345 | fixed(0)", "2")],
)
def test_numbers_are_written_as_asked(expression, shown):
    assert pages.fill_numbers(f"[[ {expression} ]]", "index", "index.md") == shown


def test_words_of_results_speak_the_language_of_the_page():
    said = '[[ "cat" | word ]]'
    assert [pages.fill_numbers(said, "index", f"docs/{language}/index.md") for language in LANGUAGES] == ["猫", "cat"]
    with pytest.raises(SiteError, match="docs/zh/index.md, line 1: .*docs/figures.yml has no Chinese for `dragon`; add it"):
        pages.fill_numbers('[[ "dragon" | word ]]', "index", "docs/zh/index.md")


def test_no_space_stands_behind_a_lead_in_in_chinese():
    text = "<p><strong>刚入门。</strong> 先看 <strong>GPT</strong> 的\n<strong>第二，</strong>\n再看</p>"
    assert pages.lead_ins(text, "zh") == "<p><strong>刚入门。</strong>先看 <strong>GPT</strong> 的\n<strong>第二，</strong>再看</p>"
    assert pages.lead_ins(text, "en") == text


# --- formulas


def test_a_formula_is_set():
    html = katex.to_html(r"\begin{aligned} a &= b < c \end{aligned}", True)
    assert 'class="katex-display"' in html and "<math" in html


@pytest.fixture
def no_packages(monkeypatch):
    """Node packages that are missing and cannot be had."""

    def find(package, file):
        raise SiteError(f"{package} is missing")

    monkeypatch.setattr(packages, "find", find)
    for kept in (katex.available, katex._set):
        kept.cache_clear()
    yield
    for kept in (katex.available, katex._set):
        kept.cache_clear()


def test_without_katex_formulas_show_as_code_and_a_warning_says_why(no_packages, caplog):
    assert katex.to_html("a < b", True) == "<span><code>a &lt; b</code></span>"
    assert [(record.levelname, "katex is missing" in record.message) for record in caplog.records] == [("WARNING", True)]


def test_without_onnxruntime_the_site_has_no_engine_and_says_why(no_packages, caplog):
    caplog.set_level("INFO")
    assert live.engine() == {}
    assert "onnxruntime-web is missing" in caplog.text


def test_a_live_model_gets_a_hidden_button():
    html, count = live.places('<p>a</p><div class="live" data-model="models/cnn"><figure></figure></div>', "en/models/cnn/", hooks.WORDS["en"])
    place = BeautifulSoup(html, "html.parser").select_one(".live")
    assert count == 1
    assert place["data-script"] == "../../../assets/live/models/cnn.js"
    assert place.select_one(".live-start[hidden] button").get_text() == "Run the model here"


def test_a_live_model_that_is_not_there_is_named():
    with pytest.raises(SiteError, match="models/nothing needs docs/assets/live/models/nothing.js"):
        live.places('<div class="live" data-model="models/nothing"></div>', "x/", hooks.WORDS["en"])


def test_a_live_model_that_begins_untrained_needs_its_script_alone(monkeypatch, tmp_path):
    place = '<div class="live" data-model="{}"><figure></figure></div>'
    monkeypatch.setattr(live, "RESULTS", live.DOCS / "nothing")
    assert live.places(place.format("foundations/neuron"), "x/", hooks.WORDS["en"])[1] == 1
    with pytest.raises(SiteError, match="models/cnn needs docs/nothing/models/cnn/model.onnx"):
        live.places(place.format("models/cnn"), "x/", hooks.WORDS["en"])


def test_a_notebook_shows_the_picture_of_a_live_model_alone():
    book = notebooks.notebook("en", "models/cnn", "https://example.org/")
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "feature_maps.svg" in text and "<div" not in text and "</div>" not in text


@pytest.mark.parametrize("formula", [r"\farc{1}{2}", r"\frac{1}{", "卷积"])
def test_a_formula_that_katex_refuses_is_named(formula):
    with pytest.raises(SiteError) as error:
        katex.to_html(formula, False)
    assert f"the formula `{formula}` cannot be set: " in str(error.value)
    assert "katex" in katex.to_html("x", False), "one bad formula stops the next"


# --- results


def test_fresh_results_are_not_stale(repository):
    assert lessons.stale_results() == {}


def test_an_edited_snippet_makes_its_results_stale(repository):
    record = (repository / "docs/results/models/toy/run.json").read_text(encoding="utf-8")
    write(repository / "docs/results/models/toy/letters/run.json", record)
    edit(repository / "snippets/models/toy.py", "# in order", "# one by one")
    edit(repository / "snippets/models/toy.py", '"""Return the numbers up to `last`."""', '"""Return them."""')
    assert not lessons.stale_results(), "a comment trains nothing"
    edit(repository / "snippets/models/toy.py", "range(1, last", "range(0, last")
    assert lessons.stale_results() == {
        "models/toy": "docs/results/models/toy is older than snippets/models/toy.py; run `python -m tooling.results models/toy`",
        "models/toy/letters": (
            "docs/results/models/toy/letters is older than snippets/models/toy.py; run `python -m tooling.results models/toy --data letters=FOLDER`"
        ),
    }


def test_results_over_seeds_are_stale_by_themselves(repository):
    write(repository / "docs/results/models/toy/seeds.json", '{"file": "other", "program": "other", "seeds": [0, 1, 2]}')
    assert lessons.stale_results() == {
        "models/toy": "docs/results/models/toy/seeds.json is older than snippets/models/toy.py; run `python -m tooling.results models/toy --seeds 3`"
    }


def test_missing_results_are_stale(repository):
    (repository / "docs/results/models/toy/run.json").unlink()
    assert "run `python -m tooling.results models/toy`" in lessons.stale_results()["models/toy"]


@pytest.mark.parametrize(
    ("stored", "measured", "found"),
    [
        ({"accuracy": 0.985}, {"accuracy": 0.976}, []),
        ({"accuracy": 0.985}, {"accuracy": 0.974}, ["accuracy: stored 0.985, now 0.974"]),
        ({"accuracy": 0.001}, {"accuracy": 0.010}, []),
        ({"loss": 20.0}, {"loss": 20.9}, []),
        ({"loss": 20.0}, {"loss": 22.0}, ["loss: stored 20, now 22"]),
        ({"a": 1}, {"b": 1}, ["a: only in the stored run", "b: only in this run"]),
        ({"train_seconds": 3, "x": {"seconds": 1}}, {"train_seconds": 30, "x": {"seconds": 9}}, []),
        ({"x": {"list": [1, 50]}}, {"x": {"list": [1, 60]}}, ["x.list[1]: stored 50, now 60"]),
        ({"x": [1, 2]}, {"x": [1]}, ["x[1]: only in the stored run"]),
        ({"loss": 2.0}, {"loss": float("nan")}, ["loss: stored 2, now nan"]),
        ({"name": "a", "done": True}, {"name": "b", "done": False}, []),
    ],
)
def test_differences_are_told_within_tolerances(stored, measured, found):
    assert results.differences(stored, measured) == found


def contents(folder) -> dict[str, bytes]:
    """Return every file below a folder with what it holds."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_are_run_and_stored(repository):
    stored = repository / "docs/results/models/toy"
    write(stored / "letters/metrics.json", '{"numbers": 26}')
    edit(repository / "snippets/models/toy.py", "count(3))\n    (", "count(4))\n    (")
    assert results.main([]) == 0
    assert sorted(contents(stored)) == ["letters/metrics.json", "metrics.json", "output.txt", "run.json"]  # no dot.svg: none was drawn
    assert (stored / "output.txt").read_text(encoding="utf-8") == "counted [1, 2, 3, 4]\n"
    assert lessons.metrics("models/toy") == {"numbers": 3}
    record = lessons.run_record("models/toy")
    assert record["data"] == "as shipped" and re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert record.keys() >= {"file", "program", "python", "torch", "cores", "seconds", "memory"}
    assert lessons.stale_results() == {}
    (stored / "output.txt").write_text("as it was", encoding="utf-8")
    assert results.main([]) == 0
    assert (stored / "output.txt").read_text(encoding="utf-8") == "as it was", "a fresh result was made again"


def test_a_program_that_fails_leaves_the_results_alone(repository, capsys):
    before = contents(repository / "docs/results")
    edit(repository / "snippets/models/toy.py", '    print("counted"', '    print("so far"); raise ValueError("no more")\n    print("counted"')
    assert results.main(["models/toy"]) == 1
    said = capsys.readouterr().err
    assert "snippets/models/toy.py ended with 1; its results stay as they were." in said
    assert "so far" in said and "ValueError: no more" in said
    assert contents(repository / "docs/results") == before


def test_check_runs_again_and_stores_nothing(repository, capsys):
    before = contents(repository / "docs/results")
    assert results.main(["--check"]) == 0
    write(repository / "docs/results/models/toy/metrics.json", '{"numbers": 4}')
    assert results.main(["--check", "models/toy"]) == 1
    assert "models/toy: numbers: stored 4, now 3" in capsys.readouterr().out
    write(repository / "docs/results/models/toy/metrics.json", '{"numbers": 3}')
    assert contents(repository / "docs/results") == before


def test_results_on_real_data_lie_below_the_others(repository, capsys):
    edit(repository / "snippets/models/toy.py", "    main(Path", "    import sys\n    print(sys.argv[1], Path(sys.argv[2]).is_dir())\n    main(Path")
    edit(repository / "snippets/models/toy.py", "(count(3))}", "(count(5))}")
    before = contents(repository / "docs/results")
    assert results.main(["models/toy", "--data", f"letters={repository}"]) == 0
    after = contents(repository / "docs/results")
    assert {path: text for path, text in after.items() if "/letters/" not in path} == before
    assert lessons.metrics("models/toy/letters") == {"numbers": 5}
    assert lessons.run_record("models/toy/letters")["data"] == "letters"
    assert after["models/toy/letters/output.txt"].startswith(b"--data True\n")
    with pytest.raises(SystemExit):
        results.main(["models/toy", "--data", "letters=/no/such/folder"])
    assert "a folder that exists" in capsys.readouterr().err


def test_a_lesson_without_a_snippet_is_named(repository, capsys):
    assert results.main(["models/tyo"]) == 1
    assert "snippets/models/tyo.py does not exist; there are: models/toy" in capsys.readouterr().err


# --- figures and notebooks


def test_a_figure_becomes_a_part_of_the_page():
    figure = BeautifulSoup(figures.inline(DRAWING, "toy", 'A "dot"', "Is 1 < 2?"), "html.parser").figure
    assert figure.figcaption.decode_contents() == "Is 1 &lt; 2?"
    assert figure.svg["role"] == "img" and figure.svg["aria-label"] == 'A "dot"'
    assert {node["id"] for node in figure.select("[id]")} == {"toy-dot", "toy-cut"}
    assert figure.use["xlink:href"] == "#toy-dot" and figure.g["clip-path"] == "url(#toy-cut)"
    assert figure.use["style"] == "stroke: currentColor; fill: #0000ff" and figure.find("text")["style"] == "fill: currentColor"
    assert not figure.select("metadata, style") and "made today" not in figure.get_text()
    assert not BeautifulSoup(figures.inline(DRAWING, "toy", "A dot"), "html.parser").select("figcaption")


def test_the_notebook_is_the_page(repository):
    book = notebooks.notebook("en", "models/toy", "https://example.org/site/")
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.source for cell in code] == list(lessons.sections("models/toy").values())
    prose = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "# Counting\n" in prose and "## The program" in prose and "{" not in prose
    assert re.search(r"^\*\*Mind\*\*\n+The first number\nis one\.$", prose, re.MULTILINE)
    assert "!!!" not in prose
    assert "It found 3 numbers" in prose and r"$n \le 3$" in prose
    assert "[another page](https://example.org/site/en/other/#part)" in prose
    assert "description" not in prose
    assert "counted" not in prose and "It prints:" in prose
    assert [len(cell.outputs) for cell in code] == [0, 0, 1]
    assert code[-1].outputs[0].text == "counted [1, 2, 3]\n"
    (pictured,) = [cell for cell in book.cells if "attachments" in cell]
    assert "![A dot](attachment:dot.svg)" in pictured.source and list(pictured.attachments) == ["dot.svg"]


def test_a_notebook_without_its_figure_is_an_error(repository):
    (repository / "docs/results/models/toy/dot.svg").unlink()
    with pytest.raises(SiteError, match=r"docs/en/models/toy\.md: the figure .*dot\.svg does not exist; run `python -m tooling\.results models/toy`"):
        notebooks.notebook("en", "models/toy", "")


# --- search


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("zh", "softmax回归", ["softmax", "回归"]),
        ("zh", "用BERT做分类", ["用", "BERT", "做分类"]),
        ("zh", "第2章", ["第", "2", "章"]),
        ("zh", "\u200b神经\u200b网络\u200b", ["神经", "网络"]),
        ("zh", "（卷积、池化）：“是”，《书》。", ["卷积", "池化", "是", "书"]),
        ("zh", "torch.nn.functional(x)", ["torch", "nn", "functional", "x"]),
        ("en", "a state-of-the-art 3.14 result.", ["a", "state", "of", "the", "art", "3.14", "result"]),
        ("en", "torch.nn, `load_data`", ["torch", "nn", "load", "data"]),
    ],
)
def test_search_separates_words(language, text, words):
    assert [word for word in re.split(search.SEARCH[language]["separator"], text) if word] == words
