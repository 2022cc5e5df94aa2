"""The page of a notebook: what mkdocs-jupyter makes of it, in the theme of the site."""

import base64
import html
import posixpath
import re
from pathlib import Path

import nbconvert.exporters.html
import nbformat
from bs4 import BeautifulSoup
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc
from mkdocs_jupyter import nbconvert2, plugin

from tooling import figures, katex, pages, repository
from tooling.aside import set_aside
from tooling.lessons import LANGUAGES, ROOT, SiteError
from tooling.notebooks import notebook, with_pictures
from tooling.templates import kept_templates

NOTEBOOKS = ROOT / ".cache" / "notebooks"


class NotebookPage(File):
    """A notebook that becomes a page of the site."""

    def is_documentation_page(self) -> bool:
        """Return True, so that MkDocs makes a page of it."""
        return True


def file_of(language: str, page: str, config: MkDocsConfig) -> File:
    """Return the notebook of a lesson as a page of the site."""

    def page_in(locale: str) -> File:
        prefix = "" if locale == LANGUAGES[0] else f"{locale}/"
        return NotebookPage(
            f"{page}.ipynb", str(NOTEBOOKS / locale), config.site_dir, use_directory_urls=True,
            dest_uri=f"{prefix}{page}/notebook/index.html", inclusion=InclusionLevel.NOT_IN_NAV,
        )

    file = page_in(language)
    # what mkdocs-static-i18n asks of a page, for the switch to the other language
    file.locale = file.locale_alternate_of = language
    file.alternates = {locale: page_in(locale) for locale in LANGUAGES}
    return file


# Where the site is published, in what is made before it is known.
SITE = "site:/"


def make(page: Page, language: str) -> None:
    """Write the notebook of a lesson where mkdocs-jupyter looks for it. Raises SiteError for what is wrong in the lesson."""
    book = notebook(language, page.file.src_uri.removesuffix(".ipynb"), SITE)
    path = Path(page.file.abs_src_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(book), encoding="utf-8")
    page.book = nbformat.writes(with_pictures(book)) + "\n"


def download(page: Page, config: MkDocsConfig) -> File:
    """Return the notebook of a lesson as a file to download."""
    uri = posixpath.join(posixpath.dirname(page.file.dest_uri), posixpath.basename(page.file.src_uri))
    return File.generated(config, uri, content=page.book.replace(f"]({SITE}", f"]({config.site_url}"))


def linked(output: str, config: MkDocsConfig) -> str:
    """Return a page of the site whose links lead to where the site is published."""
    return output.replace(f'href="{SITE}', f'href="{config.site_url}')


class Unparsed(str):
    """What nbconvert wrote, which it would parse for marks that `content_of` makes or removes: half of its time."""

    def __new__(cls, text: str, features: str) -> "Unparsed":
        """Take the text as it is."""
        return super().__new__(cls, text)

    def select(self, _: str) -> list:
        """Find nothing to mark."""
        return []


class Exporter(nbconvert.exporters.html.HTMLExporter):
    """nbconvert's, which does not compile its templates for each notebook."""

    def _create_environment(self):
        environment = super()._create_environment()
        environment.bytecode_cache = kept_templates()
        return environment


nbconvert.exporters.html.BeautifulSoup = Unparsed
nbconvert2.HTMLExporter = Exporter
plugin._get_nb_toc_tokens = lambda path, depth: ([], None)  # `content_of` makes it of the headings


# What mkdocs-jupyter brings for a page without a theme; this site's theme has it.
UNUSED = ".zeroclipboard-container, .clipboard-copy-txt, .jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser, .anchor-link"
STYLE_OR_SCRIPT = re.compile(r"<(style|script)\b.*?</\1>", re.DOTALL)
PREFORMATTED = re.compile(r"(?<=<pre>).*?(?=</pre>)", re.DOTALL)


def content_of(content: str, page: Page, config: MkDocsConfig, language: str, words: dict[str, str]) -> str:
    """Keep of mkdocs-jupyter's page what the theme does not bring itself.

    Half a megabyte of style, and scripts from other hosts, stay behind; the code takes the
    theme's colors and copy button; the headings take the ids that they have in the lesson.
    """
    lesson = page.file.src_uri.removesuffix(".ipynb")
    content = PREFORMATTED.sub(lambda match: set_aside(match[0]), STYLE_OR_SCRIPT.sub("", pages.lead_ins(content, language)))
    soup = BeautifulSoup(content, "html.parser")
    for node in soup.select(UNUSED):
        node.decompose()
    for node in soup.select(".highlight-ipynb"):
        node["class"] = ["highlight"]
        code = node.pre
        code.name = "code"
        code.wrap(soup.new_tag("pre"))
    for node in soup.select("[tabindex]"):
        del node["tabindex"]
    for node in soup.select(".jp-OutputArea-output pre"):
        node["tabindex"] = "0"  # a wide output scrolls by the keys too
    for node in soup.select('[id^="cell-id="]'):  # the theme's copy button makes a selector of it
        del node["id"]

    ids = re.findall(r"^#{2,} .+\{ *#([\w-]+) *\}", pages.source(language, lesson), re.MULTILINE)
    headings = soup.find_all(re.compile("^h[2-6]$"))
    if len(ids) != len(headings):
        raise SiteError("the notebook's headings are not those of the page; has each heading its `{#id}`?")
    tokens = []
    for heading, identity in zip(headings, ids):
        heading["id"] = identity
        name = heading.get_text(strip=True)
        tokens.append({"level": int(heading.name[1]), "id": identity, "name": name, "html": name, "children": []})
    title = soup.find("h1")
    page.title = title.get_text(strip=True)
    title["id"] = "notebook"
    top = {"level": 1, "id": "notebook", "name": title.get_text(strip=True), "html": title.get_text(strip=True)}
    page.toc = get_toc([top | {"children": [token for token in tokens if token["level"] == 2]}])
    page.meta |= {"search": {"exclude": True}, "formulas": False}

    for text in soup.find_all(string=re.compile(r"\$")):
        if not text.find_parent(["pre", "code"]):
            page.meta["formulas"] = katex.available()
            text.replace_with(BeautifulSoup(mathematics(str(text)), "html.parser"))
    for number, image in enumerate(soup.select('img[src^="data:image/svg+xml"]')):
        svg = base64.b64decode(image["src"].partition(",")[2]).decode()
        drawn = BeautifulSoup(set_aside(figures.inline(svg, f"figure-{number}", image.get("alt", ""))), "html.parser")
        alone = image.parent.name == "p" and not image.parent.get_text(strip=True)
        (image.parent if alone else image).replace_with(drawn)  # a paragraph holds no figure
    file = f"{posixpath.basename(lesson)}.ipynb"
    elsewhere = repository.notebook_links(config, language, f"{page.url}{file}")
    back = f'<p><a href="../">{words["lesson"]}</a> · <a href="{file}" download>{words["notebook_file"]}</a>{elsewhere}</p>'
    title.insert_after(BeautifulSoup(back, "html.parser"))
    return str(soup.select_one(".jupyter-wrapper"))


def mathematics(text: str) -> str:
    """Return a piece of text with its `$formula$` and `$$formula$$` set."""
    def set_piece(match: re.Match) -> str:
        display, inline, other = match.groups()
        if other is not None:
            return html.escape(other, quote=False)
        return set_aside(katex.to_html((display or inline).strip(), display is not None))

    return re.sub(r"\$\$(.+?)\$\$|\$([^$]+)\$|([^$]+|\$)", set_piece, text, flags=re.DOTALL)
