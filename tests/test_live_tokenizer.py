"""The tokenizer in the page cuts as the program does, and nothing that a reader types breaks it."""

import json

import pytest
from conftest import load_snippet
from odd_texts import odd_texts
from playwright.sync_api import expect
from reader import address, open_page, reading
from test_live import ask, put, start, status

from tooling.lessons import LANGUAGES, RESULTS

LESSON = "language-models/tokenizer"
program = load_snippet(LESSON)
STORED = json.loads((RESULTS / LESSON / "live.json").read_text(encoding="utf-8"))


def spans(tab) -> list[str]:
    """Return the tokens that the page shows."""
    return tab.locator(".live-tokens span").all_text_contents()


def test_the_page_cuts_a_thousand_texts_as_the_program_does(site, browser):
    texts = odd_texts(1000)
    script = f"""async ({{ stored }}, {{ lesson, tokenizer }}) => {{
        const {{ data }} = await stored(lesson);
        return Object.keys(data.merges).map((name) => {{
            const {{ encode, tokens }} = tokenizer(data, name);
            return [name, {json.dumps(texts)}.map((text) => [encode(text), encode(text, true)]), tokens];
        }});
    }}"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, script)
    assert [name for name, *_ in found] == list(STORED["merges"]) == ["English", "Chinese", "both"]
    for name, answers, tokens in found:
        tokenizer = program.Tokenizer(STORED["merges"][name])
        assert list(map(bytes, tokens)) == tokenizer.tokens
        for text, (plain, trusted) in zip(texts, answers, strict=True):
            assert plain == tokenizer.encode(text), f"{name}: {text!r}"
            assert trusted == tokenizer.encode_trusted(text), f"{name}: {text!r}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_is_cut_as_it_is_typed(site, browser, language):
    tokenizers = {name: program.Tokenizer(merges) for name, merges in STORED["merges"].items()}
    with reading(browser, site) as tab:
        panel = start(tab, site, language, LESSON)
        field, kind, trusted = panel.locator("textarea"), panel.locator("select"), panel.locator("input[type=checkbox]")
        field.fill("")
        expect(status(tab)).to_contain_text("输入一段文本" if language == "zh" else "Type a text")
        assert spans(tab) == []
        text = "The array 人人生而自由<|end|>"
        field.press_sequentially(text)
        for name in ("both", "English", "Chinese"):
            kind.select_option(name)
            tokens = tokenizers[name].encode(text)
            expect(status(tab)).to_contain_text(f"{len(tokens)} 个词元，{len(text)} 个字符" if language == "zh" else f"{len(tokens)} tokens for {len(text)} characters")
            for shown, token in zip(spans(tab), tokens, strict=True):
                content = tokenizers[name].tokens[token]
                whole = content.decode("utf-8", "replace")
                assert shown == (content.hex(" ").upper() if "\ufffd" in whole else whole.replace(" ", "␣"))
        trusted.focus()
        tab.keyboard.press("Space")
        expect(tab.locator(".live-tokens span").last).to_have_text("<|end|>")
        assert tab.locator(".live-special").count() == 1 and tab.locator(".live-tokens span").last.get_attribute("title").split()[-1 if language == "en" else 1] == str(tokenizers["Chinese"].end)


def test_odd_texts_do_no_harm(site, browser):
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", LESSON)
        field, note = panel.locator("textarea"), panel.locator(".live-note")
        for text, says in {
            "x": "1 token for 1 character: 1.00", "🙂" * 3: "for 3 characters", "\u0000\u202e\u200d": "for 3 characters", "<b>bold</b>": "for 11 characters",
            "\ud83d": "for 1 character", "word " * 20_000: "for 100000 characters", "x" * 100_001: "for 100000 characters", "字" * 100_000: "for 100000 characters",
        }.items():
            put(field, "")
            expect(status(tab)).to_contain_text("Type a text")
            put(field, text)
            expect(status(tab), text[:20]).to_contain_text(says, timeout=15_000)
            expect(note).to_contain_text("first 100,000") if len(text) > 100_000 else expect(note).not_to_contain_text("characters")
            assert panel.locator("b").count() == 0 and tab.locator(".live-tokens span").count() <= 1000


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_starts_at_a_touch_and_fits_a_phone(site, browser, language):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    with reading(browser, site, **phone) as tab:
        asked = []
        open_page(tab, site, address(language, LESSON))
        tab.locator(".live figure").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")
        tab.on("request", lambda request: asked.append(request.url.removeprefix(site.url)))
        tab.locator(".live figure").tap()
        panel = tab.locator(".live-panel")
        expect(panel).to_be_focused(timeout=20_000)
        needed = {f"results/{LESSON}/live.json", f"assets/live/{LESSON}.js", "assets/live/runtime.js", "assets/live/live.css"}
        assert {url for url in asked if not url.startswith("assets/katex/fonts/")} == needed, "it needs neither a network nor WebAssembly"
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        for control in panel.locator("textarea, input, select").all():
            assert control.evaluate("node => node.labels[0].textContent.trim()")
