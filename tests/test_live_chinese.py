"""The poet in the page predicts as PyTorch does, keeps what it is given and the form that is chosen, and nothing that a reader types breaks it."""

import json
import re

import numpy as np
import pytest
from conftest import load_snippet
from playwright.sync_api import expect
from reader import address, open_page, reading
from test_live import ask, put, start, status

from tooling.lessons import LANGUAGES, RESULTS

PAGE, LESSON = "language-models/chinese", "language-models/chinese/tang-quatrains"
STORED = json.loads((RESULTS / LESSON / "live.json").read_text(encoding="utf-8"))
program = load_snippet("language-models/chinese_baselines")
WORDS = {"zh": ("给出首句", "藏头诗"), "en": ("the first line", "the first character of each line")}


def poem(tab) -> str:
    """Return the poem that the page shows."""
    return "".join(tab.locator(".live-poem p").all_text_contents())


def written(tab) -> None:
    """Wait until a poem is complete."""
    expect(status(tab)).to_contain_text("Written: " if tab.locator("html").get_attribute("lang") == "en" else "写好了：", timeout=30_000)


def test_the_browser_answers_as_pytorch_does(site, browser):
    script = """async ({ load }, { lesson, ask, chances }) => {
        const model = await load(lesson);
        const found = [];
        for (const { tokens, likeliest } of model.data.samples) {
            const shares = chances(await ask(model, tokens), 1);
            found.push(likeliest.map((token) => shares[token]));
        }
        return found;
    }"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", PAGE))
        found = ask(tab, site, LESSON, script)
    assert len(found) >= 3
    for one, shares in zip(STORED["samples"], found, strict=True):
        np.testing.assert_allclose(shares, one["shares"], atol=1e-4)


def test_the_form_and_the_heads_are_kept(site, browser):
    """Of poems at a high temperature all have the form that is chosen; freely written, they begin as they are told to."""
    names = STORED["names"]
    heads = [names.index(name) for name in "春山月人"]
    script = f"""async ({{ load }}, {{ lesson, compose }}) => {{
        const model = await load(lesson);
        const told = (tokens) => tokens.map((token) => [...model.data.names][token]).join("");
        const found = [];
        for (const size of [5, 7]) for (let turn = 0; turn < 6; turn++) found.push(told((await compose(model, [0], {{ heads: {heads}, size, temperature: 1.5 }})).tokens));
        const free = told((await compose(model, [0, ...{heads}], {{ temperature: 0 }})).tokens);
        return [found, free, told((await compose(model, [0, ...{heads}], {{ temperature: 0 }})).tokens)];
    }}"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", PAGE))
        found, free, again = ask(tab, site, LESSON, script)
    for number, text in enumerate(found):
        assert re.fullmatch(program.POEM, text) and len(text) == (24 if number < 6 else 32) and "□" not in text
        assert re.findall(r"\b\w", text) == list("春山月人")
    assert free.startswith("春山月人") and free == again, "at a temperature of 0 the likeliest is always written"


def test_characters_are_understood_in_both_forms(site, browser):
    script = "async ({ load }, { lesson, encode }) => { const { data } = await load(lesson); return ['云后 山！', 'a', '', '床', '千里還', '千里还'].map((text) => encode(data, text)); }"
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", PAGE))
        found = ask(tab, site, LESSON, script)
    names = STORED["names"]
    assert found[0] == {"signs": list("云后山"), "tokens": [names.index("雲"), names.index("後"), names.index("山")]}
    assert found[1] == {"signs": ["a"], "tokens": [None]} and found[2] == {"signs": [], "tokens": []}
    assert names[found[3]["tokens"][0]] == "牀"
    assert ["".join(names[token] for token in one["tokens"]) for one in found[4:]] == ["千里還", "千裏還"], "a text in traditional characters is changed"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_poem_is_written_and_changed(site, browser, language):
    with reading(browser, site) as tab:
        panel = start(tab, site, language, PAGE)
        field, (mode, size), temperature = panel.locator("input[type=text]"), panel.locator("select").all(), panel.locator("input[type=range]")
        written(tab)
        size.select_option("7")
        field.fill("朝辞白帝彩云间")
        written(tab)
        box = panel.locator("input[type=checkbox]")
        assert box.is_checked() == (language == "zh")
        box.set_checked(False)
        expect(panel.locator(".live-poem p")).to_have_count(4)
        assert re.fullmatch(program.POEM, poem(tab)) and poem(tab).startswith("朝辭白帝彩雲間，") and len(poem(tab)) == 32
        box.set_checked(True)
        assert poem(tab).startswith("朝辞白帝彩云间，")
        mode.select_option(label=WORDS[language][1])
        size.select_option("5")
        field.fill("春夏")
        expect(panel.locator(".live-poem p").nth(1)).to_contain_text("夏")
        written(tab)
        box.set_checked(False)
        expect(panel.locator(".live-poem p")).to_have_count(4)
        before = poem(tab)
        assert re.fullmatch(program.POEM, before) and len(before) == 24
        assert [line.text_content()[0] for line in panel.locator(".live-poem p").all()[:2]] == ["春", "夏"]
        temperature.fill("0.3")
        expect(panel.locator(".live-poem p")).to_have_count(4)
        written(tab)
        panel.locator(".live-poem p").nth(2).locator("button").nth(1).click()
        expect(panel.locator(".live-note")).not_to_have_text("")
        other = panel.locator(".live-buttons button").first
        expect(other).to_be_visible()
        kept, sign = poem(tab)[:13], other.text_content()[0]
        other.click()
        expect(panel.locator(".live-poem p").nth(2).locator("button").nth(1)).to_have_text(sign)
        expect(panel.locator(".live-poem p")).to_have_count(4)
        assert poem(tab).startswith(kept + sign)


def test_odd_texts_get_a_sentence(site, browser):
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", PAGE)
        field, mode = panel.locator("input[type=text]"), panel.locator("select").first
        written(tab)
        for kind, texts in {
            0: {"": "Type a first line", "  ，": "Type a first line", "明月": "5 or 7 characters", "hello": "does not know these: h e l o", "🙂" * 5: "does not know these: 🙂", "龘龘龘龘龘": "does not know these: 龘", "字" * 100_000: "5 or 7 characters", "<b>x</b>": "does not know these: < b > x", "明月照高楼": "Written: "},
            1: {"": "first characters", "春夏秋冬春": "4 characters at most", "abcd": "does not know these: a b c d", "□": "does not know", "字" * 100_000: "4 characters at most", "春": "Written: "},
        }.items():
            mode.select_option(index=kind)
            for text, says in texts.items():
                put(field, text)
                expect(status(tab), text[:20]).to_contain_text(says, timeout=30_000)
                assert panel.locator("b").count() == 0
                if not says.startswith("Written"):
                    expect(panel.locator(".live-poem p")).to_have_count(0)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_starts_at_a_touch_and_fits_a_phone(site, browser, language):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    with reading(browser, site, **phone) as tab:
        open_page(tab, site, address(language, PAGE))
        tab.locator(".live figure").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")
        tab.locator(".live figure").tap()
        expect(tab.locator(".live-panel")).to_be_focused(timeout=20_000)
        written(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
