"""The glossary: a table of the site's terms, and each term explained where a page first uses it."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from bs4 import BeautifulSoup, Comment, NavigableString, Tag

from tooling.lessons import DOCS, SiteError
from tooling.reads import cached

FILE = DOCS / "glossary.yml"
KEYS = ("zh", "en", "zh_text", "en_text")
NAMES = ("also", "avoid", "within")  # lists of names in each language; docs/glossary.yml says what for
HEADINGS = {"zh": "| 中文 | 英文 | 含义 |", "en": "| term | Chinese | meaning |"}
ALSO = {"zh": ("又称", "、", "。"), "en": (" Also called ", ", ", ".")}

# Where no term is marked: what is a title, leads elsewhere or is not prose.
SKIPPED = {
    "h1", "h2", "h3", "h4", "h5", "h6", "a", "abbr", "code", "kbd", "pre", "math", "svg", "figure",
    "summary", "button", "label", "script", "style", "textarea", "th",
}
SKIPPED_CLASSES = {"admonition-title", "arithmatex", "katex", "lesson-bar", "highlight", "jupyter-wrapper"}

# What is set aside while a page is parsed, untouched: most of its size, none of its prose.
OPAQUE = re.compile(
    r'<(pre|svg|figure|script|style)\b.*?</\1>|<(span|div) class="arithmatex">.*?</\2>|<img\b[^>]*>', re.DOTALL
)
SET_ASIDE = re.compile(r"<!--glossary (\d+)-->")


@cached
def terms() -> list[dict[str, Any]]:
    """Return the terms of docs/glossary.yml. Raises SiteError for an entry that is not complete."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    seen: dict[str, set[str]] = {"zh": set(), "en": set()}
    for number, entry in enumerate(entries, 1):
        where = f"docs/glossary.yml, term {number} ({entry.get('en') or entry.get('zh')})"
        if set(entry) - set(NAMES) != set(KEYS) or not all(isinstance(entry[key], str) and entry[key].strip() for key in KEYS):
            raise SiteError(f"{where}: give it exactly {', '.join(KEYS)}, each a text")
        for key in NAMES:
            lists = entry.get(key, {})
            if set(lists) - seen.keys() or not all(name and isinstance(name, str) for names in lists.values() for name in names or [""]):
                raise SiteError(f"{where}: `{key}` lists names, as {{zh: [...], en: [...]}}")
        for language, names in seen.items():
            if entry[language].lower() in names:
                raise SiteError(f"{where}: `{entry[language]}` stands there twice; remove one")
            names.add(entry[language].lower())
    return entries


def table(language: str) -> str:
    """Return the glossary as a Markdown table, in the order of the language's own dictionary."""
    other = "en" if language == "zh" else "zh"
    # the bytes of GB 18030 put common Chinese characters in the order of their pronunciation
    ordered = sorted(terms(), key=lambda term: term[language].lower().encode("gb18030"))
    rows = [f"| {term[language]} | {term[other]} | {term[f'{language}_text']}{also(term, language)} |" for term in ordered]
    return "\n".join([HEADINGS[language], "|---|---|---|", *rows])


def also(term: dict[str, Any], language: str) -> str:
    """Return the sentence that tells the other names of a term."""
    before, comma, end = ALSO[language]
    names = term.get("also", {}).get(language)
    return f"{before}{comma.join(names)}{end}" if names else ""


def is_name(text: str) -> bool:
    """Tell whether a term is written with capitals inside, such as LSTM or LoRA, in any language."""
    return sum(letter.isupper() for letter in text) >= 2


@cached
def pattern(language: str) -> tuple[re.Pattern, dict[str, dict[str, Any] | None]]:
    """Return what finds any term in a text of the language, and the entry of each found form.

    A longer word that a term is a part of, and that means something else, is found too and has no entry.
    """
    entries = {}
    for term in terms():
        entries |= dict.fromkeys(term.get("within", {}).get(language, ()))
    for term in terms():
        entries[term[language]] = term
        if is_name(term["en"]):
            entries[term["en"]] = term
    forms = []
    for name in sorted(entries, key=len, reverse=True):  # `cross-validation` before `validation`
        form = re.escape(name)
        if name[0].isascii():
            first = name[0] if is_name(name) else f"[{name[0]}{name[0].upper()}]"
            # as a word of its own, alone or in the plural, and not a part of a-compound-word
            form = rf"(?<![A-Za-z0-9_-]){first}{re.escape(name[1:])}(?=(?:e?s)?(?![A-Za-z0-9_-]))"
        forms.append(form)
    return re.compile("|".join(forms)), entries


def entry_of(found: str, entries: dict[str, dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return the entry of a form as it was found, at the beginning of a sentence too."""
    return entries[found] if found in entries else entries[found[0].lower() + found[1:]]


def mark(content: str, language: str) -> str:
    """Return a page's HTML with an explanation at the first mention of each term in its prose.

    The term becomes `<abbr title="..." tabindex="0">`, so that the explanation shows on hover
    and can be reached with the keyboard. Code, mathematics, figures, links and headings stay
    as they are.
    """
    aside: list[str] = []

    def set_aside(match: re.Match) -> str:
        aside.append(match[0])
        return f"<!--glossary {len(aside) - 1}-->"

    soup = BeautifulSoup(OPAQUE.sub(set_aside, content), "html.parser")
    find, entries = pattern(language)
    marked: set[str] = set()
    for text in list(prose(soup)):
        pieces: list[NavigableString | Tag] = []
        end = 0
        for match in find.finditer(text):
            term = entry_of(match[0], entries)
            if term is None or term["en"] in marked:
                continue
            marked.add(term["en"])
            explained = soup.new_tag("abbr", title=term[f"{language}_text"], tabindex="0")
            explained.string = match[0]
            pieces += [NavigableString(text[end:match.start()]), explained]
            end = match.end()
        if pieces:
            text.replace_with(*pieces, NavigableString(text[end:]))
    return SET_ASIDE.sub(lambda match: aside[int(match[1])], str(soup))


def prose(node: Tag) -> Iterator[str]:
    """Yield the texts below a node in which terms are explained, in order."""
    for child in node.children:
        if isinstance(child, Tag):
            skipped = child.name in SKIPPED or SKIPPED_CLASSES.intersection(child.get("class", ()))
            if not skipped and not child.has_attr("data-search-exclude"):
                yield from prose(child)
        elif not isinstance(child, Comment) and not child.isspace():
            yield child
