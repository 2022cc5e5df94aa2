"""What the site does beyond its plugins: results and code in the pages, notebooks, mathematics,
and one search index for each language.

The site is built once for each language; MkDocs calls each of these functions in both builds.
"""

import gc
import html
import logging
import os
import posixpath
import re
import shutil
import socket
import sys
from copy import deepcopy
from pathlib import Path

import click
from mkdocs import utils
from mkdocs.config import config_options
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import Abort, PluginError
from mkdocs.plugins import CombinedEvent, event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
if __name__ != "tooling.hooks":  # `mkdocs serve` reads all anew for each build, see `on_pre_build`
    for name in [name for name in sys.modules if name.partition(".")[0] == "tooling" and name != "tooling.reads"]:
        del sys.modules[name]

from tooling import figures, glossary, home, install, katex, kept, live, needs, node, notebook_pages, packages, pages, pictures, repository, search, theme_mends  # noqa: E402
from tooling.aside import set_aside  # noqa: E402
from tooling.lessons import DOCS, LANGUAGES, SNIPPETS, SiteError, lesson_names, run_record, stale_results  # noqa: E402

log = logging.getLogger("mkdocs.hooks")

WORDS = {
    "zh": {
        "search": "搜索",
        "start": "在这里运行模型",
        "failed": "取不到运行模型的脚本，请检查网络后再试。",
        "ran": "最近一次运行：{date}，Python {python}，PyTorch {torch}，{cores} 个 CPU 核，"
        "用时 {seconds:.0f} 秒，内存峰值 {memory:,} MB。",
        "download": "下载程序",
        "notebook": "Jupyter 笔记本",
        "notebook_file": "下载 Jupyter 笔记本",
        "lesson": "返回课文",
    },
    "en": {
        "search": "Search",
        "start": "Run the model here",
        "failed": "The script that runs the model cannot be loaded. Check your connection and try again.",
        "ran": "Last run: {date}, Python {python}, PyTorch {torch}, {cores} CPU {core}, "
        "{seconds:.0f} s, {memory:,} MB of memory at most. ",
        "download": "Download the program",
        "notebook": "Notebook",
        "notebook_file": "Download the notebook",
        "lesson": "Back to the lesson",
    },
}


def language_of(config: MkDocsConfig) -> str:
    """Return the language that is being built."""
    return config.plugins["i18n"].current_language


def serving() -> bool:
    """Tell whether `mkdocs serve` builds. Its pages have no policy: they reload themselves by a script that is not ours."""
    command = click.get_current_context(silent=True)
    return command is not None and command.info_name == "serve"


starting = False  # `mkdocs serve`, which has not opened its port yet


def on_startup(command, dirty):
    """Remember that the port is still to be opened."""
    global starting
    starting = command == "serve"
    if starting:
        utils.clean_directory = remove_files


def remove_files(directory: str) -> None:
    """Empty a folder, but keep its folders and the results, which the next build would make and copy again: with many pages that took most of an edit."""
    for folder, inside, files in os.walk(directory):
        if folder == directory and "results" in inside:
            inside.remove("results")  # see `add_files`
        for file in files:
            os.unlink(os.path.join(folder, file))


def remove_others(directory: Path, kept: set[str]) -> None:
    """Remove the files below a folder that are not among those to keep."""
    for folder, _, files in os.walk(directory):
        for path in (os.path.join(folder, file) for file in files):
            if path not in kept:
                os.unlink(path)


def on_config(config):
    """Say before all work that the port of `mkdocs serve` is in use; later, let go of the build before this one.

    Its pages refer to each other in circles, and would stay until Python looks for such by itself: half as much memory again.
    """
    global starting
    if starting:
        host, port = config.dev_addr
        try:
            socket.create_server((host, port)).close()
        except OSError as error:
            raise Abort(
                f"{host}:{port} cannot be opened ({error.strerror}); end what serves there, another `mkdocs serve` perhaps "
                f"(Ctrl-C ends it), or choose another port: mkdocs serve -a {host}:{port + 1}"
            ) from None
        starting = False
    elif serving():
        gc.collect()


@event_priority(-200)  # after mkdocs-static-i18n (-100), which chooses the language in on_config
def on_pre_build(config):
    """Warn of results that are older than their programs, and look up what is kept of the builds before this one."""
    global of_this_build
    config_options.Hooks._load_hook.cache_clear()  # what changes below tooling/ takes effect in the next build
    language = language_of(config)
    if language == LANGUAGES[0]:
        for told in stale_results().values():
            log.warning(told)
    of_this_build = kept.Kept(config, language, serving(), config.plugins["material/search"].search_index)


def is_notebook(page: Page) -> bool:
    """Tell whether a page is the notebook of a lesson."""
    return page.file.src_uri.endswith(".ipynb")


def lay_aside(files: Files, config: MkDocsConfig) -> Files:
    """Keep from mkdocs-static-i18n what both languages share: it would take a second to look at the files of many results."""
    of_this_build.shared = [file for file in files if file.src_uri.startswith(("results/", "assets/"))]
    for file in of_this_build.shared:
        files.remove(file)
        live.rename(file)
    return files


@event_priority(-200)  # after mkdocs-static-i18n (-100), which builds every File anew
def add_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what both languages share, the notebooks, the programs to download, KaTeX's style, and onnxruntime-web."""
    language = language_of(config)
    results = {file.abs_dest_path for file in of_this_build.shared if file.src_uri.startswith("results/")}
    remove_others(Path(config.site_dir, "results"), results)
    for file in of_this_build.shared:
        if language != LANGUAGES[0]:
            file.copy_file = lambda dirty=False: None  # the build of the first language has copied it
        elif file.abs_dest_path in results:
            file.copy_file = lambda dirty=False, copy=file.copy_file: copy(True)  # where it is not there as it is
        files.append(file)
    for page in lesson_names(language):
        files.append(notebook_pages.file_of(language, page, config))
    if language == LANGUAGES[0]:
        for path in SNIPPETS.rglob("*.py"):
            uri = f"snippets/{path.relative_to(SNIPPETS).as_posix()}"
            files.append(File.generated(config, uri, abs_src_path=str(path)))
        if katex.available():
            files.append(File.generated(config, "assets/katex/katex.css", content=katex.stylesheet()))
            files.append(File.generated(config, "assets/katex/copy-tex.js", abs_src_path=str(packages.find("katex", "dist/contrib/copy-tex.min.js"))))
        for name, path in live.engine().items():
            files.append(File.generated(config, f"assets/ort/{name}", abs_src_path=str(path)))
    return files


on_files = CombinedEvent(lay_aside, add_files)


@event_priority(-200)
def on_nav(nav, config, files):
    """Make the contents of all pages that are not kept."""
    of_this_build.on_nav(nav, config, files)


def on_pre_page(page, config, files):
    """Make the notebook of a lesson, which mkdocs-jupyter is about to read."""
    if is_notebook(page):
        try:
            notebook_pages.make(page, language_of(config))
        except SiteError as error:
            raise PluginError(str(error)) from None
    return page


def on_page_markdown(markdown, page, config, files):
    """Fill in numbers and code, and say below the title how the lesson's program last ran."""
    if is_notebook(page):
        return None
    language, name = language_of(config), name_of(page)
    try:
        text = pages.as_read(language, name).replace("<!-- glossary -->", glossary.table(language))
        text = home.fill(text, language, config.nav, config.plugins["i18n"].current_language_config.nav_translations or {})
        if (SNIPPETS / f"{name}.py").is_file():
            title, _, rest = text.lstrip("\n").partition("\n")
            text = f"{title}\n\n{lesson_bar(language, name, page, config)}\n{rest}"
        for key in ("description", "result"):
            if key in page.meta:
                page.meta[key] = pages.fill_numbers(page.meta[key], name, f"docs/{page.file.src_uri}")
    except SiteError as error:
        raise PluginError(str(error)) from None
    return text


def name_of(page: Page) -> str:
    """Return the name of a page, such as `models/cnn`."""
    return page.file.src_uri.partition("/")[2].removesuffix(".md")


def lesson_bar(language: str, name: str, page: Page, config: MkDocsConfig) -> str:
    """Return the line that says when, on what and how well the program ran, and the downloads."""
    words, record = WORDS[language], run_record(name)
    program = utils.get_relative_url(f"snippets/{name}.py", page.url)
    file = f"{posixpath.basename(name)}.ipynb"
    result = page.meta.get("result", "")
    if result:
        result = pages.fill_numbers(result, name, f"docs/{page.file.src_uri}")
    return (
        f'<div class="lesson-bar" data-search-exclude><p>{words["ran"].format(**record, core="core" if record["cores"] == 1 else "cores")}{result}</p>'
        f'<p><a href="{program}" download>{words["download"]}</a> '
        f'<a href="notebook/">{words["notebook"]}</a> '
        f'<a href="notebook/{file}" download>{words["notebook_file"]}</a>'
        f'{repository.notebook_links(config, language, f"{page.url}notebook/{file}")}</p></div>\n\n'
        f"``` {{.bash .install}}\n{install.command(list(pages.programs(language, name)))}\n```\n"
    )


IMAGE = re.compile(r'(?:<p>)?<img alt="([^"]*)" src="([^"]+)"(?: title="([^"]*)")? ?/?>(?:</p>)?')
FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)


def on_page_content(content, page, config, files):
    """Explain terms where they are first used, set the mathematics and draw the figures."""
    where = f"docs/{page.file.src_uri}"
    try:
        if is_notebook(page):
            return notebook_pages.content_of(content, page, config, language_of(config), WORDS[language_of(config)])
        content = pages.lead_ins(content, language_of(config))
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
        content += repository.page_links(config, language_of(config), where)
        content, models = live.places(content, page.url, WORDS[language_of(config)])
        page.meta["live"] = models > 0
        return IMAGE.sub(lambda match: figure(match, page, language_of(config)), content)
    except SiteError as error:
        raise PluginError(f"{where}: {error}") from None


def figure(match: re.Match, page: Page, language: str) -> str:
    """Return the figure that an image of a result or a diagram stands for; leave other images alone."""
    alternative, address, caption = (html.unescape(group or "") for group in match.groups())
    file = DOCS / posixpath.normpath(posixpath.join(page.url, address))
    name = figures.figure_name(file)
    if name is None:
        return match[0]
    svg = figures.read(file, language)
    return set_aside(figures.inline(svg, name.replace("/", "-"), alternative, caption))


@event_priority(-200)
def on_env(env, config, files):
    """Offer the notebooks for download, and set into the theme all pages that are not kept."""
    for file in files.documentation_pages():
        if is_notebook(file.page):
            files.append(notebook_pages.download(file.page, config))
    of_this_build.on_env(env, config, files)
    return env


def on_template_context(context, template_name, config):
    """Let the languages lead to their home pages, not to those of the page that was made before."""
    config.extra.alternate = deepcopy(config.plugins["i18n"].extra_alternate)
    return context


def on_page_context(context, page, config, nav):
    """Let the theme look for the search index of the page's own language."""
    language = language_of(config)
    if language != LANGUAGES[0]:
        context["base_url"] = utils.get_relative_url(f"{language}/", page.url)
    return context


def on_post_page(output, page, config):
    """Finish a page of the site."""
    return theme_mends.finish(notebook_pages.linked(output, config), WORDS[language_of(config)], not serving())


def on_post_template(output, template_name, config):
    """Finish the page for an address that is not there. MkDocs would write those of all languages to one place."""
    if template_name != "404.html":
        return output
    language = language_of(config)
    output = theme_mends.finish(output, WORDS[language], not serving())
    if language == LANGUAGES[0]:
        return output
    path = Path(config.site_dir, language, template_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # as `on_page_context` does it for a page
    path.write_text(re.sub(r'("base": "[^"]*?)/?"', rf'\1/{language}/"', output, count=1), encoding="utf-8")
    return ""


@event_priority(-200)  # after mkdocs-static-i18n (-100), which merges the languages
def on_post_build(config):
    """Mend the theme's script, split the search index, and add KaTeX's fonts as far as the pages need them."""
    if config.plugins["i18n"].building:
        return  # the build of one language within that of the site
    node.end()
    kept.tidy()
    pictures.tidy()
    theme_mends.mend_script(config)
    search.split(config)
    search.put_worker(config)
    if katex.available():
        target = Path(config.site_dir, "assets", "katex", "fonts")
        target.mkdir(parents=True, exist_ok=True)
        for path in katex.fonts(kept.letters):
            shutil.copy(path, target / f"{path.stem.rpartition('-')[0]}.woff2")


