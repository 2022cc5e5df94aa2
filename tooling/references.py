"""The bibliography: pages cite it by key, and their reading lists are made of it.

In a text, `@kim2014` becomes "Kim (2014)", and brackets around keys, `[see @kim2014; @lin2004]`, become "(see Kim, 2014;
Lin, 2004)"; both lead to the paper. Below the heading with the id `reading`, an item that begins with a key becomes the
whole reference, before the page's own remark: `- @kim2014 Convolution on words.`
"""

import difflib
import re
from collections.abc import Callable
from typing import NamedTuple

from pybtex.database import Entry, Person
from pybtex.database.input.bibtex import Parser
from pybtex.exceptions import PybtexError
from pybtex.textutils import abbreviate

from tooling.lessons import DOCS, SiteError
from tooling.reads import cached

FILE = DOCS / "references.bib"
# Where a work appeared: one of these fields, or arXiv alone.
PLACES = ("journal", "booktitle", "publisher", "school", "institution", "howpublished")


class Style(NamedTuple):
    """How a language writes references."""

    comma: str
    stop: str
    left: str
    right: str
    listed: str  # between two of several authors
    last: str  # before the last of them
    others: str  # instead of all but the first, in brackets and lists
    in_text: str  # the same in a sentence


STYLES = {
    "zh": Style("，", "。", "（", "）", "、", " 和 ", " 等", " 等人"),
    "en": Style(", ", ".", " (", ")", ", ", " and ", " et al.", " et al."),
}
NAMED_IN_TEXT, NAMED_IN_LIST = 3, 5  # so many authors are named; of more, the first

READING = re.compile(r"^#+ .+\{ *#reading *\}", re.MULTILINE)
CITATION = re.compile(
    r"^[ \t]*(?P<fence>`{3,}).*?^[ \t]*(?P=fence)[ \t]*$|`[^`\n]+`|<!--.*?-->"  # holds none
    r"|^- @(?P<item>[A-Za-z0-9-]+)(?P<gap> ?)"
    r"|\[(?P<group>(?:[^][\n]|\n(?!\s*\n))*?@(?:[^][\n]|\n(?!\s*\n))*)\](?!\()"
    r"|(?P<before> ?)(?<![A-Za-z0-9_.@])@(?P<key>[A-Za-z0-9-]+)(?P<space> ?)",
    re.MULTILINE | re.DOTALL,
)
KEY = re.compile(r"@([A-Za-z0-9-]+)")


@cached
def entries() -> dict[str, Entry]:
    """Return the works of docs/references.bib by their keys. Raises SiteError for what BibTeX does not understand."""
    try:
        return dict(Parser(encoding="utf-8").parse_file(str(FILE)).entries)
    except PybtexError as error:
        raise SiteError(f"docs/references.bib: {error}") from None


def entry(key: str) -> Entry:
    """Return the work of a key. Raises SiteError, with the nearest key, where there is none."""
    if key not in entries():
        near = difflib.get_close_matches(key, entries(), n=1, cutoff=0)
        raise SiteError(f"docs/references.bib has no `{key}`; did you mean `{''.join(near)}`? Add a work that is not there")
    return entries()[key]


def plain(text: str) -> str:
    """Return a value without the braces that keep its capitals."""
    return re.sub("[{}]", "", text)


def family_name(person: Person) -> str:
    """Return what an author is cited by."""
    return plain(" ".join(person.prelast_names + person.last_names))


def whole_name(person: Person) -> str:
    """Return an author's name, the first names as letters."""
    first = [abbreviate(name) for name in person.first_names + person.middle_names]
    return " ".join([*first, family_name(person)])


def authors(work: Entry, language: str, others: str, named: int, name: Callable[[Person], str] = family_name) -> str:
    """Return the authors of a work, or, where there are more than `named`, the first and `others`."""
    style = STYLES[language]
    names = [name(person) for person in work.persons["author"]]
    if len(names) > named or names[-1] == "others":
        return names[0] + others
    return style.listed.join(names[:-1]) + style.last * (len(names) > 1) + names[-1]


def close(text: str) -> str:
    """Return a text without the spaces between Chinese characters."""
    return re.sub("(?<=[一-鿿]) (?=[一-鿿])", "", text)


def place(work: Entry) -> str:
    """Return where a work appeared."""
    return plain(next((work.fields[field] for field in PLACES if field in work.fields), "arXiv"))


def address(work: Entry) -> str:
    """Return where a work can be read: at its own address, on arXiv, or where its DOI leads."""
    fields = work.fields
    found = fields.get("url") or ("eprint" in fields and f"https://arxiv.org/abs/{fields['eprint']}") or f"https://doi.org/{fields['doi']}"
    return found.replace("(", "%28").replace(")", "%29")


def link(words: str, work: Entry) -> str:
    """Return words that lead to a work and tell its title."""
    title = f"{plain(work.fields['title'])}, {place(work)}".replace("(", "&#40;").replace(")", "&#41;")
    return f'[{words}]({address(work)} "{title}")'


def reference(work: Entry, language: str) -> str:
    """Return a work as a reading list names it."""
    style, title = STYLES[language], plain(work.fields["title"])
    title = f"《{title}》" if is_chinese(work) else f"*{title}*"
    who = authors(work, language, style.others, NAMED_IN_LIST, whole_name)
    return style.comma.join([close(who), f"[{title}]({address(work)})", place(work), work.fields["year"]]) + style.stop


def is_chinese(work: Entry) -> bool:
    """Tell whether a work is written in Chinese."""
    return work.fields.get("langid") == "chinese"


def citations(text: str) -> list[tuple[int, str, bool]]:
    """Return (line, key, whether it is listed) of each citation of a page's Markdown, in order."""
    reading = READING.search(text)
    found = []
    for match in CITATION.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["item"]:
            found.append((line, match["item"], reading is not None and match.start() > reading.start()))
        else:
            found += [(line, key, False) for key in KEY.findall(match["group"] or match["key"] and match[0] or "")]
    return found


def fill(text: str, language: str, where: str) -> str:
    """Return a page's Markdown with its citations and its reading list written out, on as many lines.

    Raises SiteError, naming file and line, for a key that the bibliography does not have.
    """
    style, reading = STYLES[language], READING.search(text)

    def in_brackets(match: re.Match) -> str:
        work = entry(match[1])
        return link(close(authors(work, language, style.others, NAMED_IN_TEXT)) + style.comma + work.fields["year"], work)

    def in_text(key: str) -> str:
        work = entry(key)
        return link(close(authors(work, language, style.in_text, NAMED_IN_TEXT)) + style.left + work.fields["year"] + style.right, work)

    def written(match: re.Match) -> str:
        space = (match["gap"] or match["space"] or "") if language == "en" else ""  # none behind a Chinese mark
        if match["item"]:
            listed = reading is not None and match.start() > reading.start()
            return "- " + (reference(entry(match["item"]), language) if listed else in_text(match["item"])) + space
        if match["key"]:
            before = "" if is_chinese(entry(match["key"])) else match["before"]
            return before + in_text(match["key"]) + space
        return style.left.strip() + KEY.sub(in_brackets, match["group"]) + style.right if match["group"] else match[0]

    def told(match: re.Match) -> str:
        try:
            return written(match)
        except SiteError as error:
            line = text.count("\n", 0, match.start()) + 1
            raise SiteError(f"{where}, line {line}: {error}") from None

    return CITATION.sub(told, text)
