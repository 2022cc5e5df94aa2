"""The notebook of a lesson: the page in its language, its code as cells, what they printed."""

import base64
import posixpath
import re
from copy import deepcopy

import jupytext
import nbformat

from tooling import figures, pictures
from tooling.lessons import DOCS, RESULTS, SiteError, sections
from tooling.pages import FRONT_MATTER, expand, includes, programs, source

HEADING_ID = re.compile(r"^(#+ .+?)[ \t]*\{ *#[\w-]+ *\}[ \t]*$", re.MULTILINE)
PRINTED = re.compile(r'^[ \t]*```[^\n]*\n[ \t]*--8<-- "[^"]+/output\.txt"[ \t]*\n[ \t]*```[ \t]*\n', re.MULTILINE)
# An admonition of the page: `!!! note "Title"` or `??? success "Title"` and what is indented below.
ADMONITION = re.compile(r'^(?:!!!|\?\?\?\+?) \w+ "([^"]*)"\n((?:(?: {4}.*)?\n)+)', re.MULTILINE)
FIGURE = re.compile(r'!\[([^\]]*)\]\(([^)\s]+\.svg)(?: "[^"]*")?\)')
# The section of a live model: its heading, and its picture.
LIVE = re.compile(r'^(## [^\n]+\n+)(?:(?!## ).*\n)*?<div class="live"[^>]*>\n+(.*\n)\n*</div>\n(?:(?!## ).*\n)*', re.MULTILINE)
ELSEWHERE = {
    "zh": "这一课的模型在[课文的网页]({}#live)里可以运行，你能亲手试。下面是程序存下的图。",
    "en": "The model of this lesson runs on [its web page]({}#live), where you can try it. Below is the picture that the program stored.",
}
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?:([^):\s]+)\.md)?(#[\w-]+)?\)")

# A notebook has one namespace, and a page may have several programs that call different things `train`.
MARK = "# Program: {}.py\n"
KEEP_APART = '''\
def enter_program(cell, names=globals(), kept={}, last=[None]):
    """Before a cell runs, let it see the names of its own program alone."""
    program = cell.raw_cell.partition("\\n")[0]
    if program.startswith("# Program: ") and program != last[0]:
        own = [name for name in names
               if name not in shared_names and not name.startswith("_")]
        kept[last[0]] = {name: names.pop(name) for name in own}
        names.update(kept.pop(program, {}))
        last[0] = program


if "shared_names" not in globals():
    shared_names = {*globals(), "shared_names"}
    get_ipython().events.register("pre_run_cell", enter_program)'''
SEVERAL = {
    "zh": "这个笔记本里有 {} 个程序：{}。它们各有自己的 `main` 和其他名字，互不相干。每个单元格的第一行写明它属于哪个程序，"
    "运行时只看得到那个程序的名字；这由下面的单元格负责，请先运行它。你自己新加的单元格，看到的是最近运行的那个程序的名字。",
    "en": "This notebook holds {} programs: {}. Each has its own `main` and other names. The first line of a cell says which "
    "program it belongs to, and the cell sees the names of that program only. The next cell takes care of this, so run it "
    "first. A cell that you add sees the names of the program that ran last.",
}


def _plain(match: re.Match) -> str:
    """Unfold an admonition: a notebook has none."""
    return f"**{match[1]}**\n\n" + re.sub(r"^ {4}", "", match[2], flags=re.MULTILINE)


def notebook(language: str, page: str, site_url: str) -> nbformat.NotebookNode:
    """Return the notebook of a page, its outputs those of the last run of the programs it shows.

    `site_url` is where the site is published: links lead there. A figure is an attachment of its cell, an SVG.
    Raises SiteError for a figure that is not there.
    """
    where = f"docs/{language}/{page}.md"

    def address(of: str) -> str:
        prefix = "" if language == "zh" else f"{language}/"
        return f"{site_url}{prefix}{of.removesuffix('index').rstrip('/')}/"

    def link(match: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), match[2])) if match[2] else page
        return f"[{match[1]}]({address(target)}{match[3] or ''})"

    # What a program printed stands below its last cell; blank lines keep the count for error messages.
    text = PRINTED.sub(lambda match: "\n" * match[0].count("\n"), source(language, page))
    text = FRONT_MATTER.sub("", expand(text, language, page))
    text = LIVE.sub(lambda match: f"{match[1]}{ELSEWHERE[language].format(address(page))}\n\n{match[2]}\n", text)
    text = ADMONITION.sub(_plain, HEADING_ID.sub(r"\1", text))
    book = jupytext.reads(LINK.sub(link, text), fmt="md")
    book.cells = [cell for cell in book.cells if cell.source.strip()]
    shown = [(file.removesuffix(".py"), section) for file, section in includes(source(language, page), where) if file.endswith(".py")]
    several = len(programs(language, page)) > 1
    for cell in book.cells:
        if cell.cell_type == "code":
            name, section = shown.pop(0)
            cell.source = (MARK.format(posixpath.basename(name)) if several else "") + cell.source.strip("\n")
            output = RESULTS / name / "output.txt"
            if section == list(sections(name))[-1] and output.is_file():
                text = output.read_text(encoding="utf-8")
                cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
        else:
            for _, path in FIGURE.findall(cell.source):
                file = (DOCS / language / posixpath.dirname(page) / path).resolve()
                if not file.is_file():
                    raise SiteError(f"{where}: the figure {path} does not exist; run `python -m tooling.results {page}`")
                data = base64.b64encode(figures.read(file, language).encode()).decode()
                cell.setdefault("attachments", {})[file.name] = {"image/svg+xml": data}
            cell.source = FIGURE.sub(lambda m: f"![{m[1]}](attachment:{posixpath.basename(m[2])})", cell.source)
    if several:
        names = [f"`{posixpath.basename(name)}.py`" for name in programs(language, page)]
        told = SEVERAL[language].format(len(names), ("、" if language == "zh" else ", ").join(names))
        first = next(number for number, cell in enumerate(book.cells) if cell.cell_type == "code")
        book.cells[first:first] = [nbformat.v4.new_markdown_cell(told), nbformat.v4.new_code_cell(KEEP_APART)]
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"  # not at random: the rendered page is kept until the text changes
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(book)
    return book


def with_pictures(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook whose figures show wherever it is opened: as PNG, in the text. Colab knows no attachments, and no SVG."""
    book = deepcopy(book)
    for cell in book.cells:
        for name, data in cell.pop("attachments", {}).items():
            svg = base64.b64decode(data["image/svg+xml"]).decode()
            address = f"data:image/png;base64,{base64.b64encode(pictures.png(svg)).decode()}" if pictures.available() else ""
            cell.source = re.sub(
                rf"!\[([^\]]*)\]\(attachment:{re.escape(name)}\)", lambda match: f"![{match[1]}]({address})" if address else f"*({match[1]})*", cell.source
            )
    return book
