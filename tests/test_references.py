"""Every source stands once, in docs/references.bib, and the pages and programs cite it as it stands there."""

import ast
import re
import unicodedata

import page_checks as checks
import pytest

from tooling import pages, references
from tooling.lessons import DOCS, LANGUAGES, SNIPPETS, SiteError, page_names, snippet_names

PAGES = [(language, page) for language in LANGUAGES for page in page_names(language)]
each_page = pytest.mark.parametrize(("language", "page"), PAGES)
each_work = pytest.mark.parametrize("key", references.entries())

# A name and a year as prose would give them: Kim (2014), (Kim et al., 2014), Kim 等人（2014）, （Kim，2014）.
BY_HAND = re.compile(r"[A-Z][\w'’-]+(?:\set\sal\.)?(?:,\s|\s\()(?:1[89]|20)\d\d[);]|(?:[A-Za-z一-鿿]| 等人?)[（，](?:1[89]|20)\d\d[）；]")


def prose(language: str, page: str) -> str:
    """Return a page's Markdown without code and comments, on as many lines."""
    return checks.COMMENT.sub(lambda match: "\n" * match[0].count("\n"), checks.without_code(pages.source(language, page)))


def cited(language: str, page: str) -> list[tuple[int, str, bool]]:
    return references.citations(pages.source(language, page))


# --- the bibliography


@each_work
def test_an_entry_is_complete(key):
    work, where = references.entry(key), f"docs/references.bib, {key}"
    fields = work.fields
    missing = [name for name in ("title", "year") if not fields.get(name)] + ["author"] * ("author" not in work.persons)
    assert not missing, f"{where}: add {', '.join(missing)}"
    assert re.fullmatch(r"(?:1[89]|20)\d\d", fields["year"]), f"{where}: the year is {fields['year']}"
    assert {"url", "eprint", "doi"} & set(fields), f"{where}: say where to find it: `url`, `eprint` (of arXiv) or `doi`"
    assert "eprint" in fields or set(references.PLACES) & set(fields), f"{where}: say where it appeared: {', '.join(references.PLACES)}"
    wrong = checks.wrong_address(references.address(work))
    assert not wrong, f"{where}: {references.address(work)} {wrong}"
    for name, value in fields.items():
        assert name in ("url", "doi") or not re.search(r'[\\"*_$|]|\s{2}|[.,]$', value), f"{where}: `{name}`: letters as they are, in UTF-8, without marks of TeX or Markdown, and no end mark"


@each_work
def test_a_key_is_a_name_and_a_year(key):
    work = references.entry(key)
    first = references.family_name(work.persons["author"][0])
    letters = "".join(letter for letter in unicodedata.normalize("NFKD", first.replace("ı", "i")).lower() if letter.isascii() and letter.isalpha())
    name = re.match("[a-z]+", key)
    assert name and key[name.end() :].startswith(work.fields["year"]), f"docs/references.bib: name `{key}` by its first author and its year"
    assert references.is_chinese(work) or name[0] in letters, f"docs/references.bib: `{key}` is by {first}"


@each_work
def test_a_year_is_not_before_that_on_arxiv(key):
    fields = references.entry(key).fields
    if "eprint" in fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"]), f"docs/references.bib, {key}: `eprint` is a number such as 1408.5882"
        there, only_there = 2000 + int(fields["eprint"][:2]), not set(references.PLACES) & set(fields)
        assert int(fields["year"]) == there or not only_there and int(fields["year"]) > there, (
            f"docs/references.bib, {key}: it has been on arXiv since {there}; look up the year and where it appeared"
        )


def test_no_work_stands_there_twice():
    for name in ("title", "eprint", "url", "doi"):
        values = [work.fields[name].lower() for work in references.entries().values() if name in work.fields]
        twice = sorted({value for value in values if values.count(value) > 1})
        assert not twice, f"docs/references.bib: {name} {', '.join(twice)} stands there twice"


def test_every_work_is_cited():
    unused = set(references.entries()) - {key for language, page in PAGES for _, key, _ in cited(language, page)}
    assert not unused, f"docs/references.bib: no page cites {', '.join(sorted(unused))}; cite or remove it"


# --- the pages


@each_page
def test_works_that_are_cited_are_in_the_bibliography(language, page):
    references.fill(pages.source(language, page), language, f"docs/{language}/{page}.md")


@each_page
def test_the_reading_list_holds_what_the_page_cites(language, page):
    where, listed = f"docs/{language}/{page}.md", [key for _, key, is_listed in cited(language, page) if is_listed]
    assert len(listed) == len(set(listed)), f"{where}: its reading list names {sorted({key for key in listed if listed.count(key) > 1})} twice"
    for line, key, is_listed in cited(language, page):
        assert is_listed or key in listed, f"{where}, line {line}: add `- @{key}` to the list below the heading {{#reading}}"


@each_page
def test_no_source_is_typed_by_hand(language, page):
    text, where = prose(language, page), f"docs/{language}/{page}.md"
    for match in BY_HAND.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        pytest.fail(f"{where}, line {line}: `{match[0]}`: cite it by its key in docs/references.bib, `@kim2014` or `[@kim2014]`", pytrace=False)
    reading = references.READING.search(text)
    if reading:
        for match in re.finditer(r"^- (?!@[a-z]+\d{4}).*", text[reading.end() :], re.MULTILINE):
            line = text.count("\n", 0, reading.end() + match.start()) + 1
            pytest.fail(f"{where}, line {line}: begin each item of the reading list with a key, `- @kim2014`", pytrace=False)


@each_page
def test_works_of_a_page_have_names_of_their_own(language, page):
    """Two works that a page calls by the same name and year cannot be told apart."""
    names: dict[tuple[str, str], str] = {}
    for line, key, _ in cited(language, page):
        work = references.entry(key)
        name = references.authors(work, language, " et al.", references.NAMED_IN_TEXT), work.fields["year"]
        assert names.setdefault(name, key) == key, f"docs/{language}/{page}.md, line {line}: {key} and {names[name]} are both called {' '.join(name)}"


@pytest.mark.parametrize("page", page_names("zh"))
def test_languages_cite_the_same_works_in_the_same_order(page):
    """Chinese works stand on Chinese pages alone."""
    both = {language: [(key, listed) for _, key, listed in cited(language, page)] for language in LANGUAGES}
    chinese = [key for key, _ in both["en"] if references.is_chinese(references.entry(key))]
    assert not chinese, f"docs/en/{page}.md: {', '.join(chinese)} is in Chinese: cite it on the Chinese page"
    both["zh"] = [(key, listed) for key, listed in both["zh"] if not references.is_chinese(references.entry(key))]
    for number, (left, right) in enumerate(zip(both["zh"], both["en"]), 1):
        assert left == right, f"citation {number} of {page}: docs/zh has {left[0]}, docs/en {right[0]}; make them agree"
    assert len(both["zh"]) == len(both["en"]), f"{page}: docs/zh cites {len(both['zh'])} works, docs/en {len(both['en'])}"


# --- the programs


def wrong_sources(docstring: str) -> list[str]:
    """Return the works that a docstring names, as "Authors, title, year" or "Authors, year", and the bibliography does not."""
    text, wrong = " ".join(docstring.split()), []
    for match in re.finditer(r", ((?:1[89]|20)\d\d)\b", text):
        before = text[: match.start()]

        def is_meant(work) -> bool:
            title, names = references.plain(work.fields["title"]), [references.family_name(person) for person in work.persons["author"]]
            if work.fields["year"] != match[1]:
                return False
            if not before.lower().endswith(title.lower()):
                return before.endswith(references.authors(work, "en", " et al.", references.NAMED_IN_TEXT))
            who = before[: -len(title)].rstrip(", ")
            return who.endswith(f"{names[0]} et al.") or who.endswith(names[-1]) and all(name in who for name in names)

        if not any(map(is_meant, references.entries().values())):
            wrong.append(before[-70:] + match[0])
    return wrong


@pytest.mark.parametrize("name", snippet_names())
def test_programs_name_their_sources_as_the_bibliography_does(name):
    tree = ast.parse((SNIPPETS / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            for wrong in wrong_sources(ast.get_docstring(node) or ""):
                pytest.fail(f"snippets/{name}.py, line {node.body[0].lineno}: `...{wrong}` is no work of docs/references.bib; write it as it stands there", pytrace=False)


def test_what_a_docstring_may_say():
    for good in ("Sum over time: Yoon Kim, Convolutional neural networks for\n    sentence classification, 2014.", "After Smith and Topin, 2017, in another shape.", "K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine translation, 2014.", "It has 3 layers."):
        assert not wrong_sources(good), good
    for bad in ("Yoon Kim, Convolutional neural networks for sentence classification, 2015.", "Smith, 2017.", "Yoon Lim, Convolutional neural networks for sentence classification, 2014.", "Yoon Kim, Convolutional networks for sentence classification, 2014."):
        assert wrong_sources(bad), bad


# --- how they are written


@pytest.mark.parametrize(
    ("language", "source", "written"),
    [
        ("en", "As @kim2014 did.", "As Kim (2014) did."),
        ("en", "It works [@kim2014].", "It works (Kim, 2014)."),
        ("en", "It works [see @kim2014;\n@loshchilov2019].", "It works (see Kim, 2014;\nLoshchilov and Hutter, 2019)."),
        ("en", "@krizhevsky2012, @vaswani2017", "Krizhevsky, Sutskever and Hinton (2012), Vaswani et al. (2017)"),
        ("zh", "由 @kim2014 提出。", "由 Kim（2014）提出。"),
        ("zh", "有效[@kim2014]。", "有效（Kim，2014）。"),
        ("zh", "有效[卷积，@kim2014；@loshchilov2019]。", "有效（卷积，Kim，2014；Loshchilov 和 Hutter，2019）。"),
        ("zh", "@krizhevsky2012 和 @vaswani2017", "Krizhevsky、Sutskever 和 Hinton（2012）和 Vaswani 等人（2017）"),
        ("zh", "见 @zhou2016", "见周志华（2016）"),
        ("en", "`@kim2014` and a@kim2014 stay", "`@kim2014` and a@kim2014 stay"),
        ("en", "```python\n@kim2014\n```\n- @kim2014 did.", "```python\n@kim2014\n```\n- Kim (2014) did."),
        ("en", "## Papers {#reading}\n\n- @kim2014 On words.\n- @hubel1962", "## Papers {#reading}\n\n- Y. Kim, *Convolutional neural networks for sentence classification*, EMNLP, 2014. On words.\n"
         "- D. H. Hubel and T. N. Wiesel, *Receptive fields, binocular interaction and functional architecture in the cat's visual cortex*, The Journal of Physiology, 1962."),
        ("zh", "## 论文 {#reading}\n\n- @oord2016 声音。\n- @zhou2016", "## 论文 {#reading}\n\n- A. van den Oord 等，*WaveNet: A generative model for raw audio*，arXiv，2016。声音。\n- 周志华，《机器学习》，清华大学出版社，2016。"),
    ],
)
def test_references_are_written_in_the_page_s_language(language, source, written):
    found = references.fill(source, language, "page.md")
    assert re.sub(r'\[([^\]]+)\]\(https://[^)\s]+(?: "[^")]+")?\)', r"\1", found) == written


def test_references_lead_to_the_work():
    assert '[Kim (2014)](https://arxiv.org/abs/1408.5882 "Convolutional neural networks for sentence classification, EMNLP")' in references.fill("@kim2014", "en", "page.md")
    assert "(https://doi.org/10.1016/0041-5553%2864%2990137-5 " in references.fill("@polyak1964", "en", "page.md"), "an address with brackets ends a link of Markdown"


def test_an_unknown_key_is_told_with_its_place(monkeypatch, tmp_path):
    for source in ("One.\n\nAs @vaswan2017 did.", "One.\n\nIt works [@vaswan2017].", "# A {#reading}\n\n- @vaswan2017"):
        with pytest.raises(SiteError, match=r"docs/en/page\.md, line 3: .*no `vaswan2017`; did you mean `vaswani2017`"):
            references.fill(source, "en", "docs/en/page.md")


def test_a_damaged_bibliography_is_told(monkeypatch, tmp_path):
    text = (DOCS / "references.bib").read_text(encoding="utf-8")
    monkeypatch.setattr(references, "FILE", tmp_path / "references.bib")
    for damaged in (text.replace("  year = {1990},", "  year = {1990"), text + text):
        references.FILE.write_text(damaged, encoding="utf-8")
        references.entries.cache_clear()
        with pytest.raises(SiteError, match="docs/references.bib: "):
            references.entries()
    monkeypatch.undo()
    references.entries.cache_clear()
