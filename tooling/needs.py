"""What a section of a program needs of the others, so that a block copied with it runs."""

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
