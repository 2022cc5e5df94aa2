"""The home page: cards of the chapters and a table of what runs, from the navigation and what each page says of itself.

A page says with `card:` in its front matter what stands beside its title on the card, and a lesson with `result:` what
its program measured.
"""

import re
from collections.abc import Iterator

import yaml

from tooling.lessons import DOCS, SNIPPETS, SiteError, run_record
from tooling.pages import FRONT_MATTER, fill_numbers, source

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
TITLE = re.compile(r"^# (.+?)(?: *\{[^}]*\})?$", re.MULTILINE)
PICTURES = DOCS / "assets" / "chapters"
WORDS = {
    "zh": ("| 课程 | 测得 | 在默认数据上从头跑一遍 |", "{seconds:.0f} 秒，{cores} 个 CPU 核"),
    "en": ("| lesson | measured | the whole program on its default data |", "{seconds:.0f} s on {cores} CPU {core}"),
}


def front_matter(language: str, page: str) -> dict:
    """Return what stands above a page, its numbers filled in."""
    found = FRONT_MATTER.match(source(language, page))
    if found is None:
        raise SiteError(f"docs/{language}/{page}.md has no front matter; begin it with `---`, `description: ...`, `---`")
    return yaml.load(fill_numbers(found[0].strip("-\n"), page, f"docs/{language}/{page}.md"), Loader=LOADER)


def title(language: str, page: str) -> str:
    """Return the title of a page. Raises SiteError where it has none."""
    found = TITLE.search(FRONT_MATTER.sub("", source(language, page)))
    if found is None:
        raise SiteError(f"docs/{language}/{page}.md has no title; write `# Title` below its front matter")
    return found[1]


def chapters(nav: list) -> Iterator[tuple[str, list[str]]]:
    """Yield the chapters of the navigation, each with its pages, such as `models/cnn`."""
    for entry in nav:
        for name, pages in entry.items() if isinstance(entry, dict) else ():
            if isinstance(pages, list):
                files = [next(iter(page.values())) if isinstance(page, dict) else page for page in pages]
                yield name, [file.removesuffix(".md") for file in files]


def cards(language: str, nav: list, names: dict[str, str]) -> str:
    """Return a card for each chapter: its picture, its name, and its pages. Raises SiteError for one without a picture.

    `names` are the chapters' names in the language; a chapter keeps its name where there is none.
    """
    found = ['<div class="chapters" data-search-exclude markdown>']
    for name, pages in chapters(nav):
        picture = PICTURES / f"{name.lower().replace(' ', '-')}.svg"
        if not picture.is_file():
            raise SiteError(f"mkdocs.yml: the chapter {name} has no picture; draw docs/assets/chapters/{picture.name} like its neighbors there")
        lines = [f"- [{title(language, page)}]({page}.md) {front_matter(language, page).get('card', '')}".rstrip() for page in pages]
        found += ['<div class="chapter" markdown>', picture.read_text(encoding="utf-8").strip(), "", f"**[{names.get(name, name)}]({pages[0]}.md)**", "", *lines, "</div>"]
    return "\n".join([*found, "</div>"])


def runs(language: str, nav: list) -> str:
    """Return a table of the lessons: what each measured, and how long its program ran on what."""
    heading, time = WORDS[language]
    rows = [heading, "|---|---|---|"]
    for page in (page for _, pages in chapters(nav) for page in pages if (SNIPPETS / f"{page}.py").is_file()):
        result = front_matter(language, page).get("result", "").rstrip("。.")
        record = run_record(page)
        took = time.format(**record, core="core" if record["cores"] == 1 else "cores")
        rows.append(f"| [{title(language, page)}]({page}.md) | {result} | {took} |")
    return "\n".join(rows)


def fill(text: str, language: str, nav: list, names: dict[str, str]) -> str:
    """Return the home page with its marks replaced by the cards and by the table."""
    for mark, made in (("<!-- chapters -->", lambda: cards(language, nav, names)), ("<!-- runs -->", lambda: runs(language, nav))):
        if mark in text:
            text = text.replace(mark, made())
    return text
