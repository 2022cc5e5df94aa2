"""What a section of a program needs of the others, so that a block copied with it runs."""

import html
import json
import re
import symtable
from functools import lru_cache

from tooling.lessons import SiteError, sections


def scopes(table: symtable.SymbolTable) -> list[symtable.SymbolTable]:
    """Return a scope and all those within it."""
    return [table, *(inner for child in table.get_children() for inner in scopes(child))]


@lru_cache(maxsize=4096)
def names(code: str, where: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that a section gives the module, and those that it takes from it, built-in ones among them.

    Raises SiteError, by `where`, for a section that is no Python by itself.
    """
    try:
        module = symtable.symtable(code, where, "exec")
    except SyntaxError as error:
        raise SiteError(f"{where}: a section has to be whole statements: {error.msg} in its line {error.lineno}") from None
    given = {one.get_name() for one in module.get_symbols() if one.is_assigned() or one.is_imported() or one.is_namespace()}
    given |= {one.get_name() for scope in scopes(module)[1:] for one in scope.get_symbols() if one.is_declared_global() and one.is_assigned()}
    taken = {one.get_name() for one in module.get_symbols() if one.is_referenced()}
    taken |= {one.get_name() for scope in scopes(module)[1:] for one in scope.get_symbols() if one.is_global() and one.is_referenced()}
    return frozenset(given), frozenset(taken)


def needs(name: str) -> dict[str, list[str]]:
    """Return for each section of a snippet the sections that it needs, directly or through others, in the order of the file.

    A section needs another where it takes a name that the other gives and that it does not give itself: an import, a
    class, a function, a constant.
    """
    parts = sections(name)
    found = {section: names(code, f"snippets/{name}.py, section `{section}`") for section, code in parts.items()}
    direct = {
        section: [other for other, (given, _) in found.items() if other != section and given & (taken - own)]
        for section, (own, taken) in found.items()
    }
    whole = {}
    for section in parts:
        seen, open_ends = {section}, [section]
        while open_ends:
            fresh = [other for other in direct[open_ends.pop()] if other not in seen]
            seen.update(fresh)
            open_ends += fresh
        whole[section] = [other for other in parts if other in seen and other != section]
    return whole


def with_needs(name: str, section: str) -> str:
    """Return the code of a section behind all that it needs, as the page's second copy button gives it."""
    parts = sections(name)
    return "\n\n\n".join(parts[one] for one in [*needs(name)[section], section])


# --- on a page

BLOCK = re.compile(r'^([ \t]*)```python( title="[^"]*")?\n([ \t]*--8<-- "([^":]+)\.py:([^":]+)"[ \t]*\n[ \t]*```)[ \t]*$', re.MULTILINE)
SHOWN = re.compile(r'(<div\b[^>]*\bdata-needs="([^"]+)"[^>]*>.*?</pre>)(</div>)', re.DOTALL)
WORDS = {
    "zh": {"first": "需要先有：", "comma": "、", "copy": "连同所需的部分一起复制", "copied": "已复制这一段和它需要的部分"},
    "en": {"first": "Needs ", "comma": ", ", "copy": "Copy with all it needs", "copied": "Copied with all it needs"},
}


def identity(name: str, section: str) -> str:
    """Return the id that the block of a section has on a page."""
    return f"code-{name.replace('/', '-')}-{section}"


def mark(text: str) -> str:
    """Return the Markdown of a page, in which each block of a program has its id and the ids of what it needs."""

    def block(match: re.Match) -> str:
        indent, title, rest, name, section = match.groups()
        needed = " ".join(identity(name, other) for other in needs(name)[section])
        attribute = f' data-needs="{needed}"' if needed else ""
        return f"{indent}``` {{.python #{identity(name, section)}{title or ''}{attribute}}}\n{rest}"

    return BLOCK.sub(block, text)


def explain(content: str, language: str) -> str:
    """Return the HTML of a page, in which each block says in words what it needs, and has what copies that with it."""
    words = WORDS[language]

    def block(match: re.Match) -> str:
        shown, needed, end = match.groups()
        links = words["comma"].join(f'<a href="#{one}"><code>{one.rpartition("-")[2]}</code></a>' for one in needed.split())
        said = html.escape(json.dumps([words["copy"], words["copied"]], ensure_ascii=False))
        return f'{shown}<p class="needs" data-words="{said}" data-search-exclude>{words["first"]}{links}</p>{end}'

    return SHOWN.sub(block, content)
