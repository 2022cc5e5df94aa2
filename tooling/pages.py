"""A page as its reader sees it: numbers filled in from the results, code included."""

import re
from functools import cache

import jinja2
import markdown

from tooling import figures, needs, references
from tooling.claims import CLAIM, Spread, claims, holds, over_seeds
from tooling.lessons import DOCS, RESULTS, SNIPPETS, SiteError, metrics, run_record, sections, snippet_path

INCLUDE = re.compile(r'^[ \t]*--8<-- "([^":]+)(?::([^":]+))?"[ \t]*$')
NUMBER = re.compile(r"\[\[ (.+?) \]\]")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)

jinja = jinja2.Environment(undefined=jinja2.StrictUndefined)


def percent(share: float | Spread, digits: int = 1) -> str:
    """Return a share such as 0.906 as `90.6%`; over seeds as `90.6 ± 0.4%`, the mean and its spread."""
    if isinstance(share, Spread):
        return f"{100 * share.mean:.{digits}f} ± {100 * share.spread:.{digits}f}%"
    return f"{100 * share:.{digits}f}%"


@jinja2.pass_context
def word(context: jinja2.runtime.Context, said: str) -> str:
    """Return a word that a program saved, such as the name of a class, in the language of the page, by docs/figures.yml.

    Raises SiteError for a word that has no Chinese there.
    """
    chinese = figures.table()["chinese"]
    if context["language"] == "zh" and said not in chinese:
        raise SiteError(f"docs/figures.yml has no Chinese for `{said}`; add it below `chinese`")
    return chinese[said] if context["language"] == "zh" else said


# The filters of a number on a page, `[[ metrics.accuracy | percent ]]`, besides Jinja's own.
FILTERS = {
    "percent": percent,
    "thousands": lambda number: f"{number:,.0f}",
    "fixed": lambda number, digits=2: f"{number:.{digits}f}",
    "word": word,
}
jinja.filters |= FILTERS

# What the front matter of a page may say.
FRONT_MATTER_KEYS = {
    "description": "a sentence for search engines",
    "result": "what the line below the title, and the home page, say of the last run",
    "card": "a few words beside the title on the home page",
    "hide": "what the theme leaves out: navigation, toc",
}


class Results:
    """All results, by the name of the snippet: `results["models/cnn"].parameters`."""

    def __getitem__(self, name: str) -> dict:
        return {**metrics(name), "run": run_record(name), **seeds_of(name)}


def seeds_of(name: str) -> dict:
    """Return the metrics over seeds as `seeds`, of a result that has them."""
    return {"seeds": over_seeds(name)} if (RESULTS / name / "seeds.json").is_file() else {}


def values_of(page: str) -> dict:
    """Return what the expressions of a page may name: `results` of all programs, `metrics` and `seeds` of its own."""
    own = {"metrics": metrics(page), **seeds_of(page)} if (RESULTS / page / "metrics.json").is_file() else {}
    return {"results": Results(), **own}


@cache
def expression(text: str) -> jinja2.Template:
    """Return what fills in the value of an expression."""
    return jinja.from_string("{{ " + text + " }}")


def fill_numbers(text: str, page: str, where: str) -> str:
    """Replace each `[[ expression ]]` by its value.

    Raises SiteError, naming file and line, for a number that no result holds.
    """
    values = values_of(page) | {"language": "zh" if where.startswith("docs/zh/") else "en"}

    def fill(line: str, number: int) -> str:
        def value(match: re.Match) -> str:
            try:
                return expression(match[1]).render(values)
            except jinja2.TemplateAssertionError as error:  # a filter that is not there
                raise SiteError(
                    f"{where}, line {number}: {match[0]}: {error.message} There are {', '.join(FILTERS)}, and Jinja's own, such as round"
                ) from None
            except (jinja2.TemplateError, SiteError, TypeError, ValueError) as error:
                raise SiteError(
                    f"{where}, line {number}: {match[0]}: {error}; "
                    f"see docs/results/{page}/metrics.json for what was measured"
                ) from None

        return NUMBER.sub(value, line)

    return "\n".join(fill(line, number) for number, line in enumerate(text.split("\n"), 1))


def false_claims(text: str, page: str) -> list[tuple[int, str]]:
    """Return the (line, expression) of each claim of a page that its results do not bear out. Raises SiteError."""
    values = values_of(page)
    return [(line, claim) for line, claim in claims(text) if not holds(claim, values, jinja)]


def includes(text: str, where: str) -> list[tuple[str, str | None]]:
    """Return the (file, section) of each include of a page, in order.

    Raises SiteError, naming page and line, for an include that leads nowhere.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if "--8<--" not in line:
            continue
        match = INCLUDE.match(line)
        if match is None:
            raise SiteError(f'{where}, line {number}: write an include as `--8<-- "models/cnn.py:model"`')
        file, section = match.groups()
        program = file.removesuffix(".py") if file.endswith(".py") else None
        # a mistake within the program is none of this page's: it is told without it
        known = sections(program) if program and (SNIPPETS / file).is_file() else {}
        try:
            if program:
                snippet_path(program)
                if section is None:
                    raise SiteError(f"name a section of snippets/{file}; it has: {', '.join(known)}")
                if section not in known:
                    raise SiteError(f"snippets/{file} has no section `{section}`; it has: {', '.join(known)}")
            elif not (RESULTS / file).is_file():
                raise SiteError(f"docs/results/{file} does not exist; run `python -m tooling.results`, or mend the name")
        except SiteError as error:
            raise SiteError(f"{where}, line {number}: {error}") from None
        found.append((file, section))
    return found


@cache
def _snippets() -> markdown.preprocessors.Preprocessor:
    options = {"base_path": [str(SNIPPETS), str(RESULTS)], "check_paths": True, "restrict_base_path": True}
    reader = markdown.Markdown(extensions=["pymdownx.snippets"], extension_configs={"pymdownx.snippets": options})
    return reader.preprocessors["snippet"]


def expand(text: str, language: str, page: str) -> str:
    """Return a page's Markdown with its numbers and references filled in and its files included."""
    where = f"docs/{language}/{page}.md"
    includes(text, where)
    text = references.fill(fill_numbers(CLAIM.sub("", text), page, where), language, where)
    return "\n".join(_snippets().run(text.split("\n")))


def source(language: str, page: str) -> str:
    """Return a page's Markdown as it is written, front matter and all."""
    return (DOCS / language / f"{page}.md").read_text(encoding="utf-8")


def as_read(language: str, page: str) -> str:
    """Return a page's Markdown as its reader sees it, without the front matter."""
    text = source(language, page)
    includes(text, f"docs/{language}/{page}.md")
    body = expand(needs.mark(text), language, page)
    return FRONT_MATTER.sub("", body)


LEAD_IN = re.compile(r"(?<=[，。：；！？])</strong>[ \n]")


def lead_ins(content: str, language: str) -> str:
    """Return a page's HTML without the space behind `**In bold.**`: Markdown needs it to see the end, Chinese has none."""
    return LEAD_IN.sub("</strong>", content) if language == "zh" else content


def programs(language: str, page: str) -> dict[str, list[str]]:
    """Return the snippets that a page shows, each with the sections it includes, in order."""
    shown: dict[str, list[str]] = {}
    for file, section in includes(source(language, page), f"docs/{language}/{page}.md"):
        if file.endswith(".py"):
            shown.setdefault(snippet_path(file.removesuffix(".py")).relative_to(SNIPPETS).with_suffix("").as_posix(), []).append(section)
    return shown
