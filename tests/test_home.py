"""The home page tells of every chapter and every lesson by itself."""

import re

import pytest
import yaml

from tooling import home
from tooling.lessons import LANGUAGES, ROOT, SNIPPETS, SiteError, page_names, run_record
from tooling.pages import source

NAV = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)["nav"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_home_page_has_its_marks(language):
    text = source(language, "index")
    for mark in ("<!-- chapters -->", "<!-- runs -->"):
        assert text.count(mark) == 1, f"docs/{language}/index.md: write `{mark}` where the site puts what it stands for"
        assert mark not in home.fill(text, language, NAV, {})


@pytest.mark.parametrize("language", LANGUAGES)
def test_cards_lead_to_every_page_once(language):
    text = home.cards(language, NAV, {"Models": "模型"})
    assert "**[模型](models/cnn.md)**" in text and "**[Foundations](" in text
    led = re.findall(r"^- \[[^\]]+\]\(([^)]+)\.md\)", text, re.MULTILINE)
    assert sorted(led) == sorted(set(page_names(language)) - {"index"})


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_lesson_says_what_it_measured_and_how_long_it_ran(language):
    rows = home.runs(language, NAV).splitlines()[2:]
    lessons = [page for _, pages in home.chapters(NAV) for page in pages if (SNIPPETS / f"{page}.py").is_file()]
    assert len(rows) == len(lessons) > 3
    for row, page in zip(rows, lessons):
        title, result, time = (cell.strip() for cell in row.strip("|").split("|"))
        assert f"({page}.md)" in title and result, f"docs/{language}/{page}.md: say in `result:` of its front matter what the program measured"
        assert time.startswith(f"{run_record(page)['seconds']:.0f} ")


@pytest.mark.parametrize("page", sorted(set(page_names("zh")) - {"index"}))
def test_a_page_says_on_its_card_what_it_is_about(page):
    for language in LANGUAGES:
        card = home.front_matter(language, page).get("card", "")
        assert card and not card.endswith(("。", ".")), f"docs/{language}/{page}.md: add `card:` to its front matter, a few words without a full stop, for its card on the home page"
        assert len(card) <= (24 if language == "zh" else 50), f"docs/{language}/{page}.md: `card:` is too long for a card"


def test_a_chapter_without_a_picture_is_named():
    with pytest.raises(SiteError, match="the chapter Space Travel has no picture.*space-travel.svg"):
        home.cards("en", [{"Space Travel": ["models/cnn.md"]}], {})


def test_a_page_without_a_title_is_named(monkeypatch):
    monkeypatch.setattr(home, "source", lambda *_: "---\ndescription: x\n---\n\nText.\n")
    with pytest.raises(SiteError, match="docs/en/models/cnn.md has no title"):
        home.title("en", "models/cnn")


def test_pictures_of_chapters_are_small_and_follow_both_schemes():
    pictures = sorted(home.PICTURES.glob("*.svg"))
    assert len(pictures) > 4
    for picture in pictures:
        text = picture.read_text(encoding="utf-8")
        assert len(text) < 2000 and "currentColor" in text and not re.search("<text|#[0-9a-fA-F]{3}", text), f"{picture.name}: lines in currentColor or by class, no words"
