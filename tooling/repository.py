"""Links to the repository, where the environment names it: REPO_URL=https://github.com/OWNER/NAME mkdocs build.

Without it there are none. Nothing is fetched from there while a page is read.
"""

import html
import re
from urllib.parse import quote

from mkdocs.config.defaults import MkDocsConfig

from tooling.lessons import SiteError

FORM = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
BRANCH, NOTEBOOKS = "main", "notebooks"  # of the sources, and of the notebooks that the workflow publishes
WORDS = {
    "zh": {"edit": "编辑此页", "report": "报告错误", "colab": "在 Colab 中打开", "other": "其他笔记本服务用的地址"},
    "en": {"edit": "Edit this page", "report": "Report a mistake", "colab": "Open in Colab", "other": "Address for other notebook services"},
}


def named(config: MkDocsConfig) -> str:
    """Return `OWNER/NAME` of the repository, or nothing where none is named. Raises SiteError for another form."""
    address = (config.extra.get("repository") or "").rstrip("/")
    match = FORM.fullmatch(address)
    if address and match is None:
        raise SiteError(f"REPO_URL is `{address}`; write https://github.com/OWNER/NAME, or leave it out for a site without links to its repository")
    return match[1] if match else ""


def page_links(config: MkDocsConfig, language: str, file: str) -> str:
    """Return the links below a page, such as docs/en/career.md: to edit it, and to report a mistake in it."""
    name, words = named(config), WORDS[language]
    if not name:
        return ""
    edit = f"https://github.com/{name}/edit/{BRANCH}/{quote(file)}"
    report = f"https://github.com/{name}/issues/new?title={quote(f'{file}: ', safe='')}"
    return f'\n<p class="page-links" data-search-exclude>{_link(edit, words["edit"])} {_link(report, words["report"])}</p>\n'


def notebook_links(config: MkDocsConfig, language: str, path: str) -> str:
    """Return the links that open a notebook elsewhere; `path` is where it lies in the site, such as en/models/cnn/notebook/cnn.ipynb."""
    name, words = named(config), WORDS[language]
    if not name:
        return ""
    colab = f"https://colab.research.google.com/github/{name}/blob/{NOTEBOOKS}/{quote(path)}"
    other = f"https://raw.githubusercontent.com/{name}/{NOTEBOOKS}/{quote(path)}"
    return f' {_link(colab, words["colab"])} {_link(other, words["other"])}'


def _link(address: str, words: str) -> str:
    return f'<a href="{html.escape(address)}">{words}</a>'
