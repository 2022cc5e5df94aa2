"""The glossary: its terms are complete, and a page explains each where it is first used."""

import re
import time

import page_checks as checks
import pytest
from bs4 import BeautifulSoup

from tooling import glossary
from tooling.lessons import LANGUAGES, SiteError, page_names


def marks(html: str) -> list[str]:
    return [node.get_text() for node in BeautifulSoup(html, "html.parser").find_all("abbr")]


def text_of(term: str, language: str) -> str:
    return next(entry[f"{language}_text"] for entry in glossary.terms() if term in (entry["zh"], entry["en"]))


def test_there_are_enough_terms_and_each_is_one_sentence():
    assert len(glossary.terms()) >= 60
    for entry in glossary.terms():
        assert re.fullmatch(r"[^。]+。", entry["zh_text"]), entry["zh_text"]
        assert re.fullmatch(r"[A-Z].+[^.]\.", entry["en_text"]) and ". " not in entry["en_text"], entry["en_text"]
        assert "|" not in "".join(entry[key] for key in glossary.KEYS), "a bar would break the table"


def test_avoided_names_are_no_part_of_a_term():
    """Such a name would be found in every text that uses the term."""
    for language in LANGUAGES:
        avoided = [name for entry in glossary.terms() for name in entry.get("avoid", {}).get(language, ())]
        assert len(avoided) >= 25 and len(avoided) == len(set(avoided)), "each once"
        find, _ = checks.avoided(language)
        for entry in glossary.terms():
            assert not find.search(entry[language]), f"docs/glossary.yml: `{entry[language]}` itself holds a name to avoid"


@pytest.mark.parametrize("language", LANGUAGES)
def test_glossary_keeps_to_its_own_terms(language):
    find, _ = checks.avoided(language)
    for entry in glossary.terms():
        text = entry[f"{language}_text"]
        assert not find.search(text), f"docs/glossary.yml: {text}: write {find.search(text)[0]} otherwise"
        assert language == "zh" or not checks.BRITISH.search(text), f"docs/glossary.yml: American spelling: {text}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_table_holds_every_term_once(language):
    lines = glossary.table(language).splitlines()
    assert len(lines) == len(glossary.terms()) + 2
    for entry in glossary.terms():
        row = [line for line in lines if f"| {entry['en']} |" in line and f"| {entry['zh']} |" in line]
        assert len(row) == 1 and entry[f"{language}_text"] in row[0]


def test_table_tells_other_names():
    assert "又称暂退法。 |" in glossary.table("zh") and "暂退法" not in glossary.table("en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_term_is_used(language):
    find, entries = glossary.pattern(language)
    used = set()
    for page in page_names(language):
        if page != "glossary":
            for text in checks.texts(language, page):
                terms = (glossary.entry_of(match[0], entries) for match in find.finditer(text.words) if text.section != "reading")
                used |= {term[language] for term in terms if term}
    unused = [term[language] for term in glossary.terms() if term[language] not in used]
    assert not unused, f"docs/glossary.yml: no page of docs/{language} uses {', '.join(unused)}; use the term, or remove it"


def test_chinese_table_is_in_the_order_of_pronunciation():
    names = [line.split("|")[1].strip() for line in glossary.table("zh").splitlines()[2:]]
    assert names.index("参数") < names.index("激活函数") < names.index("嵌入") < names.index("准确率")


def test_only_the_first_mention_is_marked():
    html = glossary.mark("<p>A gradient, then another gradient.</p><p>Gradients again.</p>", "en")
    assert marks(html) == ["gradient"]
    assert html.startswith(f'<p>A <abbr tabindex="0" title="{text_of("gradient", "en")}">gradient</abbr>,') or (
        f'title="{text_of("gradient", "en")}"' in html and 'tabindex="0"' in html
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Gradients point uphill.", ["Gradient"]),  # the plural, at the start of a sentence
        ("the learning-rate schedule sets the learning rate", ["learning-rate schedule", "learning rate"]),
        ("cross-validation is no invalidation", ["cross-validation"]),
        ("an LSTM and two GRUs, but no lstm", ["LSTM", "GRU"]),
        ("parametric, tokenize, batched", []),
        ("stochastic gradient descent", ["stochastic gradient descent"]),
    ],
)
def test_english_terms_are_whole_words(text, found):
    assert marks(glossary.mark(f"<p>{text}</p>", "en")) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("卷积神经网络由卷积组成。", ["卷积神经网络", "卷积"]),
        ("层归一化不同于归一化。", ["层归一化", "归一化"]),
        ("LSTM 就是长短期记忆网络。", ["LSTM"]),
        ("学习率调度改变学习率，学习率很重要。", ["学习率调度", "学习率"]),
        ("梯度提升树由树组成，梯度是向量。", ["梯度"]),  # not in the name of something else
    ],
)
def test_chinese_terms_prefer_the_longest(text, found):
    assert marks(glossary.mark(f"<p>{text}</p>", "zh")) == found


@pytest.mark.parametrize(
    "kept",
    [
        "<h2 id=\"token\">The token</h2>",
        '<p><a href="x.html">token</a></p>',
        "<p><code>token</code></p>",
        '<div class="language-python highlight"><pre><span></span><code>token &lt; 1\n</code></pre></div>',
        '<p><span class="arithmatex">\\(token &lt; 1\\)</span></p>',
        '<p><span class="katex"><span class="katex-html" aria-hidden="true">token</span></span></p>',
        "<figure class=\"result\"><svg viewBox=\"0 0 1 1\"><text>token</text></svg><figcaption>token</figcaption></figure>",
        '<p><img alt="a &quot;token&quot;" src="x.svg" title="token" /></p>',
        '<p class="admonition-title">token</p>',
        "<details><summary>token</summary></details>",
        '<div class="lesson-bar" data-search-exclude><p>token</p></div>',
        "<!-- token -->",
    ],
)
def test_what_is_not_prose_stays_as_it_is(kept):
    html = glossary.mark(f"{kept}<p>One token.</p>", "en")
    assert marks(html) == ["token"] and html.endswith(">token</abbr>.</p>"), "marked in the prose that follows, not before"
    inner = re.search(r"<(pre|span class=\"arithmatex\"|svg|img).*?(</(pre|span|svg)>|/>)", kept, re.DOTALL)
    assert inner is None or inner[0] in html, "set aside and put back letter by letter"


def test_text_stays_the_same():
    html = "<p>Loss &amp; gradient: a &lt; b.</p><ul><li>A <strong>token</strong>&nbsp;is</li></ul>"
    before, after = (BeautifulSoup(text, "html.parser").get_text() for text in (html, glossary.mark(html, "en")))
    assert before == after
    assert "&amp;" in glossary.mark(html, "en") and "&lt;" in glossary.mark(html, "en")


def test_an_explanation_with_quotes_and_angles_is_safe(monkeypatch):
    entry = {"zh": "甲", "en": "zeta", "zh_text": "“甲”。", "en_text": 'A "zeta" < 1 & > 0.'}
    monkeypatch.setattr(glossary, "terms", lambda: [entry])
    glossary.pattern.cache_clear()
    try:
        node = BeautifulSoup(glossary.mark("<p>zeta</p>", "en"), "html.parser").abbr
    finally:
        glossary.pattern.cache_clear()
    assert node["title"] == entry["en_text"]


@pytest.mark.parametrize(
    "damaged",
    [
        "- {zh: 甲, en: a, zh_text: 是甲。}",
        "- {zh: 甲, en: a, zh_text: 是甲。, en_text: ''}",
        "- {zh: 甲, en: a, zh_text: 是甲。, en_text: Is a., avoid: {de: [b]}}",
        "- {zh: 甲, en: a, zh_text: 是甲。, en_text: Is a., avoid: {zh: []}}",
        "- {zh: 甲, en: a, zh_text: 是甲。, en_text: Is a., also: 乙}",
        "- {zh: 甲, en: a, zh_text: 是甲。, en_text: Is a., avoid: {zh: ['']}}",
        "- {zh: 甲, en: a, zh_text: 是甲。, en_text: Is a.}\n- {zh: 乙, en: A, zh_text: 是乙。, en_text: Is b.}",
    ],
)
def test_damaged_entry_is_named(tmp_path, monkeypatch, damaged):
    (tmp_path / "glossary.yml").write_text(damaged, encoding="utf-8")
    monkeypatch.setattr(glossary, "FILE", tmp_path / "glossary.yml")
    glossary.terms.cache_clear()
    try:
        with pytest.raises(SiteError, match="glossary.yml, term"):
            glossary.terms()
    finally:
        glossary.terms.cache_clear()


def test_cost_grows_with_the_prose_not_with_the_code():
    """Code is most of a page; ten times as much of it must not cost ten times as much."""
    prose = "<p>A network of layers learns its parameters from data, step by step.</p>" * 200
    code = '<div class="highlight"><pre>' + "<span class='n'>x</span>" * 20000 + "</pre></div>"

    def seconds(html: str) -> float:
        times = []
        for _ in range(3):
            started = time.process_time()
            glossary.mark(html, "en")
            times.append(time.process_time() - started)
        return min(times)

    assert seconds(prose + code) < 3 * seconds(prose) + 0.01
