"""The notebooks that a reader downloads: they run from top to bottom, and what they show and promise is in them."""

import ast
import base64
import contextlib
import functools
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from PIL import Image

from tooling import notebooks, pages, pictures
from tooling.lessons import LANGUAGES, lesson_names, sections

SITE = "https://example.org/"
each_lesson = pytest.mark.parametrize("lesson", lesson_names(LANGUAGES[0]))
each_notebook = pytest.mark.parametrize(("lesson", "language"), [(lesson, language) for lesson in lesson_names(LANGUAGES[0]) for language in LANGUAGES])

PICTURE = re.compile(r"!\[[^\]]*\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)")

# What each program that takes more than a moment is asked for here, instead of its defaults.
SMALL = {
    "applications/recognition": "epochs=1",
    "applications/sentiment": "epochs=1",
    "applications/translation": "steps=1, share=0.005",
    "foundations/autodiff": "steps=30",
    "foundations/deep": "epochs=1",
    "foundations/deep_layers": "draws=1",
    "foundations/neuron": "steps=20",
    "foundations/neuron_exercises": "starts=1, steps=2",
    "foundations/neuron_overfitting": "steps=2",
    "language-models/cooccurrence": "size=200_000",
    "language-models/embeddings": "size=200_000, epochs=1",
    "language-models/modern": "size=100_000, steps=1, seeds=1",
    "language-models/tokenizer": "data_size=30_000",
    "models/cnn": "epochs=1",
    "models/cnn_exercises": "epochs=1",
    "models/overview": "distances=[2], lengths=[16], most=1, repeats=1",
    "models/rnn": "epochs=1",
    "models/rnn_cells": "steps=1",
    "models/rnn_exercises": "epochs=1",
    "models/transformer": "steps=1, train_days=50",
    "models/transformer_ablation": "steps=1, train_days=50",
}

# Those that take long all the same: only `pytest --thorough` lets them run.
LONG = {"applications/recognition", "models/cnn", "models/cnn_exercises", "models/rnn", "models/rnn_exercises", "models/transformer", "models/transformer_ablation"}


@functools.cache
def book_of(language: str, lesson: str) -> nbformat.NotebookNode:
    """Return the notebook of a lesson."""
    return notebooks.notebook(language, lesson, SITE)


def code_of(language: str, lesson: str) -> list[str]:
    """Return the cells of code of a notebook."""
    return [cell.source for cell in book_of(language, lesson).cells if cell.cell_type == "code"]


def prose_of(language: str, lesson: str) -> str:
    """Return the text of a notebook."""
    return "\n\n".join(cell.source for cell in book_of(language, lesson).cells if cell.cell_type == "markdown")


LITTLE = """\
import functools, inspect

def doing(main, **small):
    @functools.wraps(main)
    def run(*given, **more):
        bound = inspect.signature(main).bind(*given, **more)
        bound.arguments |= small
        return main(*bound.args, **bound.kwargs)
    return run

main = doing(main, {})"""


# What each name of a program is, told by its own code.
TOLD = """\
import inspect, json

def code(value):
    found = [value, *vars(value).values()] if inspect.isclass(value) else [value]
    return [inspect.getsource(one) for one in map(inspect.unwrap, found) if inspect.isfunction(one) and one.__module__ == "__main__"]

print(json.dumps({name: code(value) for name, value in list(globals().items()) if name[0] != "_" and hasattr(value, "__dict__")}))"""


def with_small_runs(cells: list[str], lesson: str, thorough: bool) -> Iterator[str]:
    """Yield the cells of a notebook, with one before the last cell of each program that lets its `main` do little, or nothing."""
    folder = lesson.rpartition("/")[0]
    for cell in cells:
        if '__name__ == "__main__"' in cell:
            mark = re.match(notebooks.MARK.format(r"(\w+)"), cell)
            name = f"{folder}/{mark[1]}" if mark else lesson
            asked = LITTLE.format(SMALL.get(name, "")) if thorough or name not in LONG else "main = lambda *given, **more: None"
            yield (mark[0] if mark else "") + asked
        yield cell


# A kernel as it was when it started, but for the modules that it has imported: to import them takes longer than most notebooks.
FRESH = """\
for _ in get_ipython().events.callbacks["pre_run_cell"][:]:
    if _.__name__ == "enter_program":
        get_ipython().events.unregister("pre_run_cell", _)
%cd -q {}
%reset -f"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    """The kernel that runs one notebook after the other."""
    manager, client = start_new_kernel()
    yield client
    client.stop_channels()
    manager.shutdown_kernel()


def run(kernel: BlockingKernelClient, cell: str) -> str:
    """Run a cell; return what it printed. Fails with its traceback."""
    printed = []
    answer = kernel.execute_interactive(cell, timeout=200, output_hook=lambda message: printed.append(message["content"].get("text", "")))
    assert answer["content"]["status"] == "ok", "\n".join([cell, *answer["content"]["traceback"]])
    return "".join(printed)


@each_lesson
def test_a_notebook_runs_from_top_to_bottom(kernel, tmp_path, pytestconfig, lesson):
    """And then each cell of its programs sees the names of its own program, whichever ran last."""
    run(kernel, FRESH.format(tmp_path))
    for cell in with_small_runs(code_of("en", lesson), lesson, pytestconfig.getoption("thorough")):
        run(kernel, cell)
    programs = list(pages.programs("en", lesson))
    for name in programs:
        mark = notebooks.MARK.format(name.rpartition("/")[2]) if len(programs) > 1 else ""
        told = json.loads(run(kernel, mark + TOLD))
        program = "\n".join(sections(name).values())
        defined = {node.name for node in ast.parse(program).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        defined -= {"main"}  # which was replaced above
        assert defined <= told.keys(), f"cells of {name} do not find {defined - told.keys()}"
        for one in defined:
            assert all(code in program for code in told[one]), f"in cells of {name}, `{one}` is that of another program"


@each_notebook
def test_the_figures_of_a_notebook_show_in_any_program(language, lesson):
    """As PNG within the text: neither JupyterLab nor Colab shows an SVG there, and Colab no attachment."""
    book = notebooks.with_pictures(book_of(language, lesson))
    shown = [picture for cell in book.cells for picture in PICTURE.findall(cell.source)]
    assert len(shown) == len(pages_figures(language, lesson)) and not any("attachments" in cell for cell in book.cells)
    for picture in shown:
        width, height = Image.open(io.BytesIO(base64.b64decode(picture))).size
        assert 200 <= width <= 1600 and 50 <= height <= 2400
    assert len(nbformat.writes(book)) < 1_500_000


def test_letters_of_a_figure_are_drawn_and_not_boxes():
    drawn = {letter: pictures.png(f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><text x="5" y="30" font-size="24">{letter}</text></svg>') for letter in "中国aéσ␣"}
    assert len(set(drawn.values())) == len(drawn)


def test_a_figure_is_drawn_once_and_kept_while_it_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "CACHE", tmp_path)
    first, second = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="40"/>' for width in (40, 50))
    drawn = [pictures.png(first), pictures.png(second)]
    monkeypatch.setattr(pictures.node, "ask", lambda *_: pytest.fail("drawn again"))
    assert [pictures.png(first), pictures.png(second)] == drawn and drawn[0] != drawn[1]
    kept = sorted(tmp_path.glob("*.png"))
    assert len(kept) == 2
    for file in kept:
        os.utime(file, (0, 0))
    pictures.png(first)
    pictures.tidy()
    assert pictures.png(first) == drawn[0] and len(list(tmp_path.glob("*.png"))) == 1


def pages_figures(language: str, lesson: str) -> list[str]:
    """Return the figures of a page."""
    return re.findall(r"^!\[[^\]]*\]\((\S+\.svg)", pages.as_read(language, lesson), re.MULTILINE)


def test_jupyterlab_shows_the_figures(browser, tmp_path):
    """As its reader sees the notebook: each figure is drawn in the cell of its text."""
    book = notebooks.with_pictures(book_of("zh", "models/rnn"))
    book.cells = [cell for cell in book.cells if PICTURE.search(cell.source)]
    pictures = sum(len(PICTURE.findall(cell.source)) for cell in book.cells)
    nbformat.write(book, tmp_path / "rnn.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    command = ["jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={tmp_path}"]
    with open(tmp_path / "said.txt", "w", encoding="utf-8") as said, subprocess.Popen([sys.executable, "-m", *command], stdout=said, stderr=said, env=os.environ | own) as server:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            tab = browser.new_page()
            tab.goto(f"http://127.0.0.1:{port}/lab/tree/rnn.ipynb?reset")
            tab.wait_for_function(f"document.querySelectorAll('.jp-RenderedMarkdown img').length >= {pictures}", timeout=60_000)
            widths = tab.locator(".jp-RenderedMarkdown img").evaluate_all("all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth, () => 0)))")
            assert len(widths) == pictures and min(widths) > 200
            tab.close()
        finally:
            server.terminate()


@each_lesson
def test_the_notebooks_of_both_languages_hold_the_same_code(lesson):
    assert code_of("zh", lesson) == code_of("en", lesson)


@each_lesson
def test_each_cell_of_several_programs_names_its_own(lesson):
    programs = pages.programs("en", lesson)
    marks = [re.match(notebooks.MARK.format(r"(\w+)"), cell) for cell in code_of("en", lesson)]
    if len(programs) == 1:
        assert not any(marks)
    else:
        assert [mark[1] for mark in marks[1:]] == [name.rpartition("/")[2] for name, sections in programs.items() for _ in sections]
        assert code_of("en", lesson)[0] == notebooks.KEEP_APART


@each_notebook
def test_every_link_of_a_notebook_leads_to_an_address(lesson, language):
    links = re.findall(r"(?<!!)\[[^\]]+\]\(([^)\s]+)", prose_of(language, lesson))
    wrong = [link for link in links if not link.startswith("https://")]
    assert not wrong, f"links that lead nowhere from a notebook of docs/{language}/{lesson}.md: {', '.join(wrong)}"


@each_notebook
def test_a_notebook_promises_no_model_that_it_lacks(lesson, language):
    text, page = prose_of(language, lesson), pages.source(language, lesson)
    assert "<div" not in text
    if 'class="live"' in page:
        section = re.search(r"^## [^\n]*\{#live\}\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)[1]
        told = [line for line in section.split("\n") if len(line) > 20 and not line.startswith(("!", "<"))]
        assert [line for line in told if line in text] == [], "a notebook has no model to play with"
        assert f"{'' if language == 'zh' else 'en/'}{lesson}/#live" in text
