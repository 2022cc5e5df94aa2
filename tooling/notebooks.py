"""The notebook of a lesson: the page in its language, its code as cells, what they printed."""

import base64
import posixpath
import re

import jupytext
import nbformat

from tooling import figures
from tooling.lessons import DOCS, RESULTS, SiteError, sections
from tooling.pages import FRONT_MATTER, expand, programs, source

HEADING_ID = re.compile(r"^(#+ .+?)[ \t]*\{ *#[\w-]+ *\}[ \t]*$", re.MULTILINE)
PRINTED = re.compile(r'^[ \t]*```[^\n]*\n[ \t]*--8<-- "[^"]+/output\.txt"[ \t]*\n[ \t]*```[ \t]*\n', re.MULTILINE)
# An admonition of the page: `!!! note "Title"` or `??? success "Title"` and what is indented below.
ADMONITION = re.compile(r'^(?:!!!|\?\?\?\+?) \w+ "([^"]*)"\n((?:(?: {4}.*)?\n)+)', re.MULTILINE)
FIGURE = re.compile(r'!\[([^\]]*)\]\(([^)\s]+\.svg)(?: "[^"]*")?\)')
LIVE = re.compile(r'^<div class="live"[^>]*>\n(.*?)^</div>\n', re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^):\s]+)\.md(#[\w-]+)?\)")


def _plain(match: re.Match) -> str:
    """Unfold an admonition: a notebook has none."""
    return f"**{match[1]}**\n\n" + re.sub(r"^ {4}", "", match[2], flags=re.MULTILINE)


def notebook(language: str, page: str, site_url: str) -> nbformat.NotebookNode:
    """Return the notebook of a page, its outputs those of the last run of the programs it shows.

    `site_url` is where the site is published: links to its other pages lead there.
    """
    where = f"docs/{language}/{page}.md"
    # What a program printed stands below its last cell; blank lines keep the count for error messages.
    text = PRINTED.sub(lambda match: "\n" * match[0].count("\n"), source(language, page))
    text = LIVE.sub(r"\1", FRONT_MATTER.sub("", expand(text, language, page)))
    text = ADMONITION.sub(_plain, HEADING_ID.sub(r"\1", text))

    def link(match: re.Match) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), match[2]))
        target = target.removesuffix("index").rstrip("/")
        prefix = "" if language == "zh" else f"{language}/"
        return f"[{match[1]}]({site_url}{prefix}{target}/{match[3] or ''})"

    book = jupytext.reads(LINK.sub(link, text), fmt="md")
    printed = {
        list(sections(name).values())[-1]: RESULTS / name / "output.txt" for name in programs(language, page)
    }
    book.cells = [cell for cell in book.cells if cell.source.strip()]
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"  # not at random: the rendered page is kept until the text changes
        if cell.cell_type == "code":
            cell.source = cell.source.strip("\n")
            output = printed.get(cell.source)
            if output is not None and output.is_file():
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
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(book)
    return book
