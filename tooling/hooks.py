"""What the site does beyond its plugins: results and code in the pages, notebooks, mathematics,
and one search index for each language.

The site is built once for each language; MkDocs calls each of these functions in both builds.
"""

import base64
import hashlib
import html
import json
import posixpath
import re
import shutil
import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc
from mkdocs.utils import get_relative_url

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tooling import figures, glossary, install, katex, live, needs, pages  # noqa: E402
from tooling.lessons import DOCS, LANGUAGES, RESULTS, ROOT, SNIPPETS, SiteError, page_names, run_record  # noqa: E402
from tooling.notebooks import notebook  # noqa: E402

NOTEBOOKS = ROOT / ".cache" / "notebooks"

WORDS = {
    "zh": {
        "search": "搜索",
        "start": "在这里运行模型",
        "failed": "取不到运行模型的脚本，请检查网络后再试。",
        "ran": "最近一次运行：{date}，Python {python}，PyTorch {torch}，{cores} 个 CPU 核，"
        "用时 {seconds:.0f} 秒，内存峰值 {memory:,} MB。",
        "download": "下载程序",
        "notebook": "笔记本",
        "notebook_file": "下载笔记本",
        "lesson": "返回课文",
    },
    "en": {
        "search": "Search",
        "start": "Run the model here",
        "failed": "The script that runs the model cannot be loaded. Check your connection and try again.",
        "ran": "Last run: {date}, Python {python}, PyTorch {torch}, {cores} CPU cores, "
        "{seconds:.0f} s, {memory:,} MB of memory at most.",
        "download": "Download the program",
        "notebook": "Notebook",
        "notebook_file": "Download the notebook",
        "lesson": "Back to the lesson",
    },
}


def language_of(config: MkDocsConfig) -> str:
    """Return the language that is being built."""
    return config.plugins["i18n"].current_language


def is_notebook(page: Page) -> bool:
    """Tell whether a page is the notebook of a lesson."""
    return page.file.src_uri.endswith(".ipynb")


@event_priority(-200)  # after mkdocs-static-i18n (-100), which builds every File anew
def on_files(files, config):
    """Add the notebooks, the programs to download, KaTeX's style, and onnxruntime-web."""
    language = language_of(config)
    config.plugins["mkdocs-jupyter"].config["cache_dir"] = str(ROOT / ".cache" / "mkdocs-jupyter" / language)
    try:
        books = {page: notebook(language, page, config.site_url) for page in lessons(language)}
    except SiteError as error:
        raise PluginError(str(error)) from None
    for page, book in books.items():
        files.append(notebook_file(language, page, book, config))
    if language == LANGUAGES[0]:
        for path in SNIPPETS.rglob("*.py"):
            uri = f"snippets/{path.relative_to(SNIPPETS).as_posix()}"
            files.append(File.generated(config, uri, abs_src_path=str(path)))
        if katex.available():
            files.append(File.generated(config, "assets/katex/katex.css", content=katex.stylesheet()))
        for path in live.engine():
            files.append(File.generated(config, f"assets/ort/{path.name}", abs_src_path=str(path)))
    return files


class NotebookPage(File):
    """A notebook that becomes a page of the site."""

    def is_documentation_page(self) -> bool:
        """Return True, so that MkDocs makes a page of it."""
        return True


def lessons(language: str) -> list[str]:
    """Return the pages that have a snippet of their name, and so a notebook."""
    return [page for page in page_names(language) if (SNIPPETS / f"{page}.py").is_file()]


def notebook_file(language: str, page: str, book: nbformat.NotebookNode, config: MkDocsConfig) -> File:
    """Write a notebook beside the other build products and return it as a page of the site."""
    path = NOTEBOOKS / language / f"{page}.ipynb"
    text = nbformat.writes(book) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def file_of(locale: str) -> File:
        prefix = "" if locale == LANGUAGES[0] else f"{locale}/"
        return NotebookPage(
            f"{page}.ipynb", str(NOTEBOOKS / locale), config.site_dir, use_directory_urls=True,
            dest_uri=f"{prefix}{page}/notebook/index.html", inclusion=InclusionLevel.NOT_IN_NAV,
        )

    file = file_of(language)
    # what mkdocs-static-i18n asks of a page, for the switch to the other language
    file.locale = file.locale_alternate_of = language
    file.alternates = {locale: file_of(locale) for locale in LANGUAGES}
    return file


def on_page_markdown(markdown, page, config, files):
    """Fill in numbers and code, and say below the title how the lesson's program last ran."""
    if is_notebook(page):
        return None
    language, name = language_of(config), name_of(page)
    try:
        text = pages.as_read(language, name).replace("<!-- glossary -->", glossary.table(language))
        if name in lessons(language):
            title, _, rest = text.lstrip("\n").partition("\n")
            text = f"{title}\n\n{lesson_bar(language, name, page)}\n{rest}"
        for key in ("description", "result"):
            if key in page.meta:
                page.meta[key] = pages.fill_numbers(page.meta[key], name, f"docs/{page.file.src_uri}")
    except SiteError as error:
        raise PluginError(str(error)) from None
    return text


def name_of(page: Page) -> str:
    """Return the name of a page, such as `models/cnn`."""
    return page.file.src_uri.partition("/")[2].removesuffix(".md")


def lesson_bar(language: str, name: str, page: Page) -> str:
    """Return the line that says when, on what and how well the program ran, and the downloads."""
    words, record = WORDS[language], run_record(name)
    program = get_relative_url(f"snippets/{name}.py", page.url)
    file = f"{posixpath.basename(name)}.ipynb"
    result = page.meta.get("result", "")
    if result:
        result = pages.fill_numbers(result, name, f"docs/{page.file.src_uri}")
    return (
        f'<div class="lesson-bar" data-search-exclude><p>{words["ran"].format(**record)} {result}</p>'
        f'<p><a href="{program}" download>{words["download"]}</a> '
        f'<a href="notebook/">{words["notebook"]}</a> '
        f'<a href="notebook/{file}" download>{words["notebook_file"]}</a></p></div>\n\n'
        f"``` {{.bash .install}}\n{install.command(list(pages.programs(language, name)))}\n```\n"
    )


IMAGE = re.compile(r'(?:<p>)?<img alt="([^"]*)" src="([^"]+)"(?: title="([^"]*)")? ?/?>(?:</p>)?')
FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)


def on_page_content(content, page, config, files):
    """Explain terms where they are first used, set the mathematics and draw the figures."""
    where = f"docs/{page.file.src_uri}"
    try:
        if is_notebook(page):
            return notebook_content(content, page, config)
        if name_of(page) != "glossary":  # that page explains every term already
            content = glossary.mark(content, language_of(config))
        formulas = 0

        def formula(match: re.Match) -> str:
            nonlocal formulas
            formulas += 1
            formula = katex.to_html(html.unescape(match[2] or match[3]).strip(), match[3] is not None)
            return set_aside(formula, katex.words(formula) if match[2] else "")

        content = needs.explain(FORMULA.sub(formula, content), language_of(config))
        page.meta["formulas"] = formulas > 0 and katex.available()
        content, models = live.places(content, page.url, WORDS[language_of(config)])
        page.meta["live"] = models > 0
        return IMAGE.sub(lambda match: figure(match, page), content)
    except SiteError as error:
        raise PluginError(f"{where}: {error}") from None


def figure(match: re.Match, page: Page) -> str:
    """Return the figure that an image of a result stands for; leave other images alone."""
    alternative, address, caption = (html.unescape(group or "") for group in match.groups())
    path = posixpath.normpath(posixpath.join(page.url, address))
    if not path.startswith("results/") or not path.endswith(".svg"):
        return match[0]
    file = DOCS / path
    prefix = file.relative_to(RESULTS).with_suffix("").as_posix().replace("/", "-")
    return set_aside(figures.inline(file.read_text(encoding="utf-8"), prefix, alternative, caption))


# Figures, formulas and the code of notebooks are most of a page's size: a mark stands for each of them until the page
# is finished, so that they are not parsed again and again. That halves the time of a build.
aside: list[str] = []
ASIDE = re.compile(r'<span data-aside="(\d+)">[^<]*</span>')


def set_aside(piece: str, words: str = "") -> str:
    """Return the mark that stands for a piece of HTML until its page is finished; the search finds its words."""
    aside.append(piece)
    return f'<span data-aside="{len(aside) - 1}">{words}</span>'


def on_pre_build(config):
    """Forget what was set aside in the build before this one."""
    aside.clear()


# What mkdocs-jupyter brings for a page without a theme; this site's theme has it.
UNUSED = ".zeroclipboard-container, .clipboard-copy-txt, .jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser, .anchor-link"
STYLE_OR_SCRIPT = re.compile(r"<(style|script)\b.*?</\1>", re.DOTALL)
PREFORMATTED = re.compile(r"(?<=<pre>).*?(?=</pre>)", re.DOTALL)


def notebook_content(content: str, page: Page, config: MkDocsConfig) -> str:
    """Keep of mkdocs-jupyter's page what the theme does not bring itself.

    Half a megabyte of style, and scripts from other hosts, stay behind; the code takes the
    theme's colors and copy button; the headings take the ids that they have in the lesson.
    """
    language, lesson = language_of(config), page.file.src_uri.removesuffix(".ipynb")
    content = PREFORMATTED.sub(lambda match: set_aside(match[0]), STYLE_OR_SCRIPT.sub("", content))
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
    words, file = WORDS[language], f"{posixpath.basename(lesson)}.ipynb"
    back = f'<p><a href="../">{words["lesson"]}</a> · <a href="{file}" download>{words["notebook_file"]}</a></p>'
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


def on_page_context(context, page, config, nav):
    """Let the theme look for the search index of the page's own language."""
    language = language_of(config)
    if language != LANGUAGES[0]:
        context["base_url"] = get_relative_url(f"{language}/", page.url)
    return context


# Where the theme falls short: what it writes, and what stands there instead.
MENDS = (
    # a dialog without a name is lost on a screen reader
    (
        '<div class="md-search" data-md-component="search" role="dialog">',
        '<div class="md-search" data-md-component="search" role="dialog" aria-label="{search}">',
    ),
    # the theme's script asks for a sitemap below each address in such a link, where there is
    # none; the space keeps the link from its selector, and search engines do not mind
    ('<link rel="alternate" href', '<link rel="alternate " href'),
)


def on_startup(command, dirty):
    """Leave the policy out of `mkdocs serve`: its page reloads itself by a script that is not ours."""
    global with_policy
    with_policy = command != "serve"


def on_post_page(output, page, config):
    """Finish a page of the site: put back what was set aside."""
    return finish(ASIDE.sub(lambda mark: aside[int(mark[1])], output), language_of(config))


def on_post_template(output, template_name, config):
    """Finish the page for an address that is not there."""
    return finish(output, language_of(config)) if template_name == "404.html" else output


def finish(output: str, language: str) -> str:
    """Mend what the theme leaves undone, and add the policy. Raises PluginError where the theme has changed."""
    for bare, mended in MENDS:
        if bare not in output:
            raise PluginError(f"The theme no longer writes `{bare}`; see whether MENDS in tooling/hooks.py is still needed.")
        output = output.replace(bare, mended.format(**WORDS[language]))
    if 'id="__toc"' not in output:  # a page outside the navigation has no box that this label could tick
        output = output.replace(' for="__toc"', "")
    output = LINES.sub(with_lines, output)
    output = TABLE.sub(r'<div class="md-typeset__scrollwrap"><div class="md-typeset__table">\g<0></div></div>', output)
    if with_policy:
        output = output.replace('<meta charset="utf-8">', f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy(output)}">', 1)
    return output


def with_lines(block: re.Match) -> str:
    """Return the beginning of a block of code that says how many lines it has, for the room it takes before it is laid out."""
    return f'<pre{block[1] or ""} style="--lines: {block[2].count(chr(10)) + 1}">{block[2]}'


with_policy = True
LINES = re.compile(r'<pre( tabindex="0")?>(.*?)(?=\s*(?:</code>)?</pre>)', re.DOTALL)
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
SCRIPT = re.compile(r'<script(?: type="module")?>(.*?)</script>', re.DOTALL)


def policy(page: str) -> str:
    """Return the content security policy of a page: its own host, and of inline scripts those it now holds.

    Styles are free: KaTeX and the figures place their parts by style attributes.
    """
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in SCRIPT.findall(page)}
    scripts = ["'self'", *(f"'sha256-{code}'" for code in sorted(hashes))]
    if "data-script=" in page:  # a live model is WebAssembly
        scripts.append("'wasm-unsafe-eval'")
    return (
        f"default-src 'self'; script-src {' '.join(scripts)}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'self'"
    )


# What separates words: in Chinese text the marks that jieba sets, full-width punctuation,
# and the places where Latin letters and Chinese characters meet.
SEARCH = {
    "zh": {
        "separator": r"[\s\u200b\u2014-\u2026\u3000-\u303f\uff00-\uffef\-_,:!=\[\]()\"/`.]+"
        r"|(?<=[a-zA-Z0-9])(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])(?=[a-zA-Z0-9])",
        "pipeline": [],
    },
    "en": {
        "separator": r"[\s\u200b\-_,:!=\[\]()\"/`]+|\.(?!\d)",
        "pipeline": ["stopWordFilter"],
    },
}


@event_priority(-200)  # after mkdocs-static-i18n (-100), which merges the languages
def on_post_build(config):
    """Mend the theme's script, split the search index, and add KaTeX's fonts as far as the pages need them."""
    if config.plugins["i18n"].building:
        return  # the build of one language within that of the site
    mend_script(config)
    split_search(config)
    if katex.available():
        target = Path(config.site_dir, "assets", "katex", "fonts")
        target.mkdir(parents=True, exist_ok=True)
        for path in katex.fonts():
            shutil.copy(path, target / f"{path.stem.rpartition('-')[0]}.woff2")


# Where the theme's script falls short. What changes the whole page while it opens makes the browser style it all over again.
SCRIPT_MENDS = (
    # a page full of nameless landmarks is hard to hear
    ('"nav",{class:"md-code__nav"}', '"div",{class:"md-code__nav"}'),
    # tables stand in their scrolling frame already, see `finish`
    ('"table:not([class])"', '":not(.md-typeset__table)>table:not([class])"'),
    # transitions stop where the colors change, not where a page opens in its own
    (
        'document.body.setAttribute("data-md-color-switching","")',
        's.color.scheme!==document.body.getAttribute("data-md-color-scheme")&&document.body.setAttribute("data-md-color-switching","")',
    ),
    # the style says it, see site.css
    (';document.head.appendChild(o);', ';'),
)


def mend_script(config: MkDocsConfig) -> None:
    """Mend the theme's script. Raises PluginError where it has changed."""
    (script,) = Path(config.site_dir, "assets", "javascripts").glob("bundle.*.min.js")
    text = script.read_text(encoding="utf-8")
    for bare, mended in SCRIPT_MENDS:
        if text.count(bare) != 1:
            raise PluginError(f"The theme's script no longer holds `{bare}` once; see whether SCRIPT_MENDS in tooling/hooks.py is still needed.")
        text = text.replace(bare, mended)
    script.write_text(text, encoding="utf-8")


def split_search(config: MkDocsConfig) -> None:
    """Split the search index: a reader of one language does not get the pages of the other."""
    path = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    others = {f"{language}/": language for language in LANGUAGES[1:]}
    for language in LANGUAGES:
        prefix = "" if language == LANGUAGES[0] else f"{language}/"
        entries = [
            entry | {"location": entry["location"].removeprefix(prefix)}
            for entry in index["docs"]
            if (entry["location"].startswith(prefix) if prefix else not entry["location"].startswith(tuple(others)))
        ]
        target = Path(config.site_dir) / prefix / "search" / "search_index.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        part = {"config": index["config"] | SEARCH[language], "docs": entries}
        target.write_text(json.dumps(part, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
