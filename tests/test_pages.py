"""What holds for every page: its code is tested, its two languages agree, its results are fresh."""

import io
import itertools
import json
import re
from collections.abc import Iterator

import markdown
import page_checks as checks
import pytest
import pytest_codeblocks
import yaml

from tooling import glossary, hooks, pages, results
from tooling.claims import claims
from tooling.lessons import DOCS, LANGUAGES, RESULTS, ROOT, SNIPPETS, altered_results, load_json, metrics, page_names, run_record, sections, snippet_names, snippet_path, stale_results

PAGES = [(language, page) for language in LANGUAGES for page in page_names(language)]
each_page = pytest.mark.parametrize(("language", "page"), PAGES)
each_snippet = pytest.mark.parametrize("name", snippet_names())

FENCE = re.compile(r"^([ \t]*`{3,})[ \t]*\{?[ \t]*\.?(\w+)[^\n`]*$", re.MULTILINE)
HEADING = re.compile(r"^(#{1,6}) (.+?)(?:[ \t]*\{ *#([\w-]+) *\})?[ \t]*$")
FIGURE = checks.FIGURE
LIVE = re.compile(r'^<div class="live" data-model="([^"]+)"', re.MULTILINE)
TITLED = re.compile(r'^```python title="([^"]+)"\n--8<-- "([^":]+)', re.MULTILINE)
SHARE = re.compile(r"(?<![\d.-])(?:(-?[01]\.\d{3})(?![\d%])|(\d+\.\d+)%)")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FORMULA = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)


def blocks(language: str, page: str) -> list[str]:
    """Return the Python blocks of a page as pytest-codeblocks finds them.

    It passes over a fence that says more than the language, so each is reduced to that.
    """
    text = FENCE.sub(r"\1\2", pages.as_read(language, page))
    found = pytest_codeblocks.extract_from_buffer(io.StringIO(text))
    return [block.code.strip("\n") for block in found if block.syntax in ("python", "py", "python3")]


def rendered_blocks(language: str, page: str) -> int:
    """Return how many Python blocks the page shows, by the site's own Markdown extensions."""
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    names, options = [], {}
    for extension in config["markdown_extensions"]:
        if isinstance(extension, str):
            names.append(extension)
        elif not next(iter(extension)).endswith(("toc", "highlight")):
            names.append(next(iter(extension)))
    options["pymdownx.highlight"] = {"use_pygments": False}  # its colors take most of the time
    html = markdown.markdown(pages.as_read(language, page), extensions=[*names, "pymdownx.highlight"], extension_configs=options)
    return len(re.findall(r'<code [^>]*class="language-(?:python|py|python3)"', html))


def headings(language: str, page: str) -> list[tuple[int, str, str | None, int]]:
    """Return (level, text, id, line) of each heading outside code."""
    found, fenced = [], False
    for number, line in enumerate(pages.source(language, page).splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        match = None if fenced else HEADING.match(line)
        if match:
            found.append((len(match[1]), match[2], match[3], number))
    return found


def same(kind: str, page: str, chinese: list, english: list) -> None:
    """Fail with the first place where the two languages of a page part."""
    for number, (left, right) in enumerate(zip(chinese, english), 1):
        assert left == right, f"{kind} {number} of {page}: docs/zh/{page}.md has {left!r}, docs/en/{page}.md has {right!r}; make them agree"
    assert len(chinese) == len(english), (
        f"{page}: docs/zh/{page}.md has {len(chinese)} {kind}s, docs/en/{page}.md {len(english)}; "
        f"only one has {(chinese[len(english):] or english[len(chinese):])!r}"
    )


# --- the code of the pages


@each_page
def test_every_python_block_is_found_by_the_tests(language, page):
    found, shown = len(blocks(language, page)), rendered_blocks(language, page)
    assert found == shown, f"docs/{language}/{page}.md shows {shown} Python blocks, but {found} are tested"


@each_page
def test_blocks_of_a_page_are_whole_programs(language, page):
    expected = []
    for name, included in pages.programs(language, page).items():
        known = sections(name)
        assert included == list(known), (
            f"docs/{language}/{page}.md includes of snippets/{name}.py the sections {included}; "
            f"the program is {list(known)}: include each once, in this order"
        )
        expected += known.values()
    found = blocks(language, page)
    assert sorted(found) == sorted(expected), (
        f"docs/{language}/{page}.md: Python comes in by `--8<--` alone; "
        f"these blocks are no section of a snippet: {[block[:80] for block in found if block not in expected]}"
    )


@each_page
def test_blocks_of_a_page_run_as_they_stand(language, page):
    """Run the blocks of each program in order, as in a notebook, up to the last, which trains."""
    found = blocks(language, page)
    for name in pages.programs(language, page):
        known = list(sections(name).values())
        code = [block for block in known if block in found]  # a shared section stands on the page more than once
        assert '__name__ == "__main__"' in code[-1], f"snippets/{name}.py: its last section runs it, under `if __name__ == \"__main__\":`"
        exec(compile("\n\n".join(code), f"{page}: {name}", "exec"), {"__name__": "page"})


@each_page
def test_prose_stands_between_blocks_of_code(language, page):
    in_page(checks.runs_of_code(pages.source(language, page)), language, page)


@each_page
def test_figures_and_command_line_are_folded_at_the_end_of_a_program(language, page):
    programs = {name: sections(name) for name in pages.programs(language, page)}
    in_page(checks.unfolded_ends(pages.source(language, page), programs), language, page)


@each_snippet
def test_a_program_is_short_and_narrow(name):
    none_of(checks.too_long(snippet_path(name).read_text(encoding="utf-8"), sections(name)), f"snippets/{name}.py")


@each_snippet
def test_what_a_program_printed_is_narrow(name):
    printed = RESULTS / name / "output.txt"
    lines = printed.read_text(encoding="utf-8").splitlines() if printed.is_file() else []
    wide = [(number, f"{len(line)} columns; at most {checks.WIDEST}: let snippets/{name}.py print it in two") for number, line in enumerate(lines, 1) if len(line) > checks.WIDEST]
    none_of(wide, f"docs/results/{name}/output.txt")


@each_page
def test_titles_of_blocks_are_names_of_their_programs(language, page):
    for title, name in TITLED.findall(pages.source(language, page)):
        assert title == name.rpartition("/")[2], f"docs/{language}/{page}.md: the block of snippets/{name} has the title {title}"


@each_page
def test_what_a_program_printed_stands_below_it(language, page):
    included = pages.includes(pages.source(language, page), f"docs/{language}/{page}.md")
    for (above, section), (file, _) in zip([("nothing", ""), *included], included):
        if not file.endswith(".py"):
            name = above.removesuffix(".py")
            assert file == f"{name}/output.txt" and section == list(sections(name))[-1], (
                f"docs/{language}/{page}.md: {file} stands below {above}:{section}; put it below the last section of its program"
            )


@each_snippet
def test_every_snippet_is_shown_and_tested(name):
    for language in LANGUAGES:
        assert any(name in pages.programs(language, page) for page in page_names(language)), f"no page of docs/{language} shows snippets/{name}.py"
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py") if path.parent != ROOT / "tests")
    assert f'"{name}"' in tests, f"no test loads snippets/{name}.py; write one below tests/"


@each_snippet
def test_snippet_imports_only_what_readers_have(name):
    text = "\n".join(sections(name).values())
    imported = set(re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE))
    own = {"tooling", "conftest", *(path.stem for path in SNIPPETS.rglob("*.py"))}
    assert not {module.split(".")[0] for module in imported} & own, f"snippets/{name}.py imports a part of this repository; a copy of it alone would not run"


# --- results


@each_snippet
def test_results_are_not_older_than_their_snippets(name):
    sections(name)  # a program with a mistake is told of that first
    stale = stale_results([name])
    assert not stale, "\n".join(stale.values())


def test_results_are_as_their_run_left_them():
    altered = altered_results()
    assert not altered, "\n".join(altered.values())


def test_results_belong_to_snippets():
    for record in RESULTS.rglob("run.json"):
        folder = record.parent.relative_to(RESULTS)
        data = json.loads(record.read_text(encoding="utf-8"))["data"]
        name = folder if data == "as shipped" else folder.parent
        assert (SNIPPETS / f"{name}.py").is_file(), f"docs/results/{folder} belongs to no snippet; delete it"


@pytest.mark.parametrize("name", [str(path.parent.relative_to(RESULTS)) for path in sorted(RESULTS.rglob("metrics.json"))])
def test_what_a_program_printed_is_what_it_measured(name):
    """Each share it printed, but for those of a moment in training, is one of its metrics, or what one leaves to 1."""
    measured = [number for _, number in results.numbers(metrics(name))]
    lines = (RESULTS / name / "output.txt").read_text(encoding="utf-8").splitlines()
    printed = SHARE.findall("\n".join(line for line in lines if not re.match(r" *(epoch|step|fold) ", line)))
    for share, percent in printed if measured else ():
        scale, digits = (100, len(percent.partition(".")[2])) if percent else (1, 3)
        told = {f"{scale * number:.{digits}f}" for measure in measured for number in (measure, 1 - measure)}
        assert (percent or share) in told, f"docs/results/{name}/output.txt says {percent and percent + '%' or share}, which metrics.json does not"


def test_results_are_small():
    for path in RESULTS.rglob("*"):
        assert not path.is_file() or path.stat().st_size <= 2**20, f"{path.relative_to(ROOT)} is larger than 1 MB"


@each_page
def test_every_figure_exists_and_is_described(language, page):
    for alternative, target, _ in FIGURE.findall(pages.source(language, page)):
        path = (DOCS / language / f"{page}.md").parent / target
        assert path.is_file(), f"docs/{language}/{page}.md: {target} does not exist; run `python -m tooling.results {page}`"
        assert len(alternative) >= 8, f"docs/{language}/{page}.md: say in words what {target} shows, between ![ and ]"


@pytest.mark.parametrize("page", page_names("zh"))
def test_every_figure_of_a_result_is_shown(page):
    if (SNIPPETS / f"{page}.py").is_file():
        shown = {target.rpartition("results/")[2] for _, target, _ in FIGURE.findall(pages.source("zh", page))}
        drawn = {path.relative_to(RESULTS).as_posix() for path in (RESULTS / page).glob("*.svg")}
        assert drawn <= shown, f"docs/zh/{page}.md shows no {sorted(drawn - shown)} of docs/results/{page}"


@each_page
def test_live_models_are_of_programs_of_the_page(language, page):
    shown = pages.programs(language, page)
    other = [name for name in LIVE.findall(pages.source(language, page)) if shown and name not in shown]  # the home page shows none
    assert not other, f"docs/{language}/{page}.md lets {other} run, and shows the programs {list(shown)}"


# --- the two languages


def test_languages_have_the_same_pages():
    chinese, english = set(page_names("zh")), set(page_names("en"))
    assert chinese == english, f"pages in one language only: {sorted(chinese ^ english)}"


@pytest.mark.parametrize("page", page_names("zh"))
def test_every_page_is_in_the_navigation(page):
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(page)}\.md$", text, re.MULTILINE), f"mkdocs.yml: nav does not lead to {page}.md; add the line `- {page}.md` below its chapter"


def test_chapters_have_names_in_chinese():
    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    chapters = {name for entry in config["nav"] if isinstance(entry, dict) for name in entry}
    (languages,) = [plugin["i18n"]["languages"] for plugin in config["plugins"] if "i18n" in plugin]
    chinese = next(one for one in languages if one["locale"] == "zh")["nav_translations"]
    assert len(chapters) > 2 and chapters <= set(chinese), f"mkdocs.yml: nav_translations has no Chinese for {sorted(chapters - set(chinese))}"
    assert all(re.search("[\u4e00-\u9fff]", name) for name in chinese.values())


each_pair = pytest.mark.parametrize("page", sorted(set(page_names("zh")) & set(page_names("en"))))


@each_pair
def test_headings_agree(page):
    for language in LANGUAGES:
        for level, text, identity, line in headings(language, page):
            assert level == 1 or identity, f"docs/{language}/{page}.md, line {line}: give `{text}` an id, such as {{#data}}, the same in both languages"
    same("heading", page, *([(level, identity) for level, _, identity, _ in headings(language, page)] for language in LANGUAGES))


@each_pair
def test_includes_agree(page):
    same("include", page, *(pages.includes(pages.source(language, page), f"docs/{language}/{page}.md") for language in LANGUAGES))


@each_pair
def test_figures_agree(page):
    same("figure", page, *([target for _, target, _ in FIGURE.findall(pages.source(language, page))] for language in LANGUAGES))


@each_pair
def test_live_models_agree(page):
    same("live model", page, *(LIVE.findall(pages.source(language, page)) for language in LANGUAGES))


@each_pair
def test_links_agree(page):
    same("link", page, *(LINK.findall(pages.source(language, page)) for language in LANGUAGES))


@each_pair
def test_formulas_agree(page):
    def formulas(language):
        return ["".join(re.sub(r"\\text\{[^}]*\}", "", formula).split()) for formula in FORMULA.findall(pages.source(language, page))]

    same("formula", page, *map(formulas, LANGUAGES))


@each_pair
def test_numbers_agree(page):
    """The same measured numbers stand in both languages; a sentence may order them otherwise."""
    def numbers(language):  # a list is joined by the comma of its language
        return sorted(number.replace("、", ", ") for number in pages.NUMBER.findall(pages.source(language, page)))

    chinese, english = map(numbers, LANGUAGES)
    same("number", page, chinese, english)


@each_page
def test_claims_hold(language, page):
    text = pages.source(language, page)
    in_page([(line, f"the results do not bear out `{claim}`") for line, claim in pages.false_claims(text, page)], language, page)
    in_page(checks.unclaimed(checks.texts(language, page)), language, page)


@each_pair
def test_claims_agree(page):
    same("claim", page, *([claim for _, claim in claims(pages.source(language, page))] for language in LANGUAGES))


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("seeds.json")), ids=lambda path: path.parent.relative_to(RESULTS).as_posix())
def test_the_first_seed_is_the_run_that_the_page_shows(path):
    """And all seeds came from one program: what the others measured differs from it by their seed alone."""
    result = path.parent.relative_to(RESULTS).as_posix()
    kept = load_json(path)
    assert kept["program"] == run_record(result)["program"]
    shown = dict(results.numbers(metrics(result)))
    several = dict(leaves(kept["metrics"]))
    assert {name: values[0] for name, values in several.items()} == {name: shown[name] for name in several}
    assert all(len(values) == len(kept["seeds"]) for values in several.values())


def leaves(tree: dict, path: str = "") -> Iterator[tuple[str, list[float]]]:
    """Yield the values over seeds of each metric, with its path."""
    for key, child in tree.items():
        name = f"{path}.{key}" if path else key
        if isinstance(child, dict):
            yield from leaves(child, name)
        else:
            yield name, child


def front_matter(language: str, page: str) -> dict:
    """Return what a page's front matter says."""
    front = pages.FRONT_MATTER.match(pages.source(language, page))
    return yaml.safe_load(front[0].strip("-\n")) if front else {}


@each_page
def test_the_keys_of_the_front_matter_are_known(language, page):
    unknown = sorted(front_matter(language, page).keys() - pages.FRONT_MATTER_KEYS.keys())
    known = ", ".join(f"`{key}` ({what})" for key, what in pages.FRONT_MATTER_KEYS.items())
    assert not unknown, f"docs/{language}/{page}.md: nothing reads `{', '.join(unknown)}` of its front matter; known are {known}"


@each_page
def test_page_is_described(language, page):
    description = front_matter(language, page).get("description", "")
    assert 20 <= len(description) <= 200, f"docs/{language}/{page}.md: its front matter needs a `description` of 20 to 200 characters"


# --- what the reader reads; tests/page_checks.py says what is wrong and what is not


def none_of(problems: list[checks.Problem], file: str) -> None:
    """Fail with all that is wrong in a file, each with its line."""
    assert not problems, "\n" + "\n".join(f"{file}, line {line}: {what}" for line, what in problems)


def in_page(problems: list[checks.Problem], language: str, page: str) -> None:
    none_of(problems, f"docs/{language}/{page}.md")


@each_page
def test_measured_numbers_come_from_the_results(language, page):
    found, known = checks.texts(language, page), checks.known_values(language, page)
    in_page(checks.typed_numbers(found, known), language, page)
    in_page(checks.copied_numbers(found, checks.measured_values(language, page), known), language, page)
    in_page(checks.idle_excuses(found, known), language, page)


@each_page
def test_arithmetic_comes_out(language, page):
    found = [problem for text in checks.texts(language, page) for problem in checks.wrong_equations(text)]
    in_page(found + checks.wrong_formulas(pages.source(language, page)), language, page)


@each_page
def test_texts_are_in_the_language_of_the_page(language, page):
    """Titles, captions, alternatives, descriptions and tables too."""
    found = [(text.line, f"this {text.kind} {wrong}") for text in checks.texts(language, page) if (wrong := checks.wrong_language(text, language))]
    in_page(found + checks.wrong_formula_words(pages.source(language, page), language), language, page)


@pytest.mark.parametrize("page", page_names("zh"))
def test_words_of_results_are_in_chinese(page):
    """A program saves the names of its classes in English."""
    source, where = checks.without_code(pages.source("zh", page)), f"docs/zh/{page}.md"
    for number, line in enumerate(source.split("\n"), 1):
        for match in pages.NUMBER.finditer(line):
            filled = pages.fill_numbers(match[0], page, where)
            assert not re.search("[A-Za-z]{3}", filled), f"{where}, line {number}: {match[0]} says {filled}: give it the filter `word`, which takes the Chinese from docs/figures.yml"


@each_page
def test_alternatives_differ(language, page):
    """The same words for two figures describe one of them falsely."""
    found = [text.source for text in checks.texts(language, page) if text.kind == "alternative"]
    assert len(found) == len(set(found)), f"docs/{language}/{page}.md: two figures have the same words between ![ and ]"


@each_pair
def test_texts_agree(page):
    """Text by text, both languages have the same kind, the same numbers in digits, and about the same length."""
    chinese = [text for text in checks.texts("zh", page) if "[《" not in text.source]  # but for Chinese books to read
    english = checks.texts("en", page)
    for left, right in zip(chinese, english):
        where = f"docs/zh/{page}.md, line {left.line}, and docs/en/{page}.md, line {right.line}"
        assert (left.kind, left.section) == (right.kind, right.section), f"{where}: a {left.kind} and a {right.kind}; one language has a text that the other lacks"
        alone = [" ".join((one - other).elements()) or "none" for one, other in itertools.permutations((checks.numbers(left), checks.numbers(right)))]
        assert checks.numbers(left) == checks.numbers(right), f"{where}: numbers that the other language lacks: in Chinese {alone[0]}, in English {alone[1]}"
        ratio = 1 if left.kind == "code title" else checks.length_ratio(left.words, right.words)
        # it is 0.76 to 1.31 on all pages; a paragraph that lost a third is outside
        assert 0.72 < ratio < 1.38, f"{where}: the English is {ratio:.2f} times as long as it should be; is a part missing in one language?"
    assert len(chinese) == len(english), f"{page}: {len(chinese)} texts in Chinese, {len(english)} in English; translate what is missing at the end"


@each_page
def test_words_follow_the_glossary(language, page):
    in_page([problem for text in checks.texts(language, page) for problem in checks.wrong_words(text, language)], language, page)


@pytest.mark.parametrize("page", [page for page in page_names("zh") if page != "glossary"])
def test_terms_are_introduced_with_their_english(page):
    in_page(checks.unnamed_terms(checks.texts("zh", page)), "zh", page)


@each_page
def test_nothing_is_left_unfinished(language, page):
    found = [problem for text in checks.texts(language, page) for problem in checks.careless(text, language)]
    in_page(found + checks.cut_off(checks.texts(language, page), pages.source(language, page)), language, page)


@pytest.mark.parametrize("page", page_names("zh"))
def test_chinese_typography(page):
    in_page([(text.line, wrong) for text in checks.texts("zh", page) for wrong in checks.typography(text.words)], "zh", page)


def test_chinese_typography_elsewhere():
    """The same holds for the Chinese of the read-me, the navigation, the glossary and the site's own words."""
    def strings(part):
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from strings(inner)
        if isinstance(part, str):
            yield part

    readme = checks.texts_of((ROOT / "README.zh.md").read_text(encoding="utf-8"))
    none_of([(text.line, wrong) for text in readme for wrong in checks.typography(text.words)], "README.zh.md")
    for file, part in {
        "mkdocs.yml": yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader),
        "docs/glossary.yml": glossary.terms(),
        "tooling/hooks.py": [re.sub(r"\{[^}]*\}", "X", text) for text in strings(hooks.WORDS["zh"])],
    }.items():
        for text in strings(part):
            assert not checks.typography(text), f"{file}: {text}: {checks.typography(text)}"


@each_page
def test_links_lead_somewhere(language, page):
    text = pages.source(language, page)
    found = [(line, f"{address} {wrong}") for line, address in checks.targets(text) if (wrong := checks.wrong_link(address, language, page))]
    for piece in checks.texts(language, page):
        if match := re.search(r"https?:\S+|\bwww\.\S+", piece.words):
            found.append((piece.line_of(match.start()), f"{match[0]} is a bare address: write [words]({match[0]})"))
    in_page(found, language, page)
    assert not checks.missing_footnotes(text), f"docs/{language}/{page}.md: footnotes without text or mention: {checks.missing_footnotes(text)}"


def test_addresses_in_programs_and_glossary():
    for path in [*SNIPPETS.rglob("*.py"), DOCS / "glossary.yml"]:
        text = path.read_text(encoding="utf-8")
        addresses = [(text[: match.start()].count("\n") + 1, match[0].rstrip(".,;")) for match in re.finditer(r"https?://[^\s)>\"'`，。；（）]+", text)]
        none_of([(line, f"{address} {wrong}") for line, address in addresses if (wrong := checks.wrong_address(address))], str(path.relative_to(ROOT)))
