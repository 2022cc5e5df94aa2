"""The GPT in the page predicts as PyTorch does, draws by its temperature, and nothing that a reader types breaks it."""

import json

import numpy as np
import pytest
from model_checks import exported
from playwright.sync_api import expect
from reader import address, open_page, reading
from test_live import ask, put, start, status

from tooling.lessons import LANGUAGES, RESULTS

LESSON = "language-models/gpt"
STORED = json.loads((RESULTS / LESSON / "live.json").read_text(encoding="utf-8"))
TEMPERATURES = (0.3, 0.8, 1, 1.5)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities, (n,), of logits, (n,)."""
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


@pytest.fixture(scope="module")
def predict():
    """Return a function from bytes to the logits, (256,), of the next one, of the stored network."""
    run = exported(RESULTS / LESSON)
    return lambda text: run(tokens=np.frombuffer(text[-STORED["length"]:], np.uint8).astype(np.int32))[0][-1].astype(float)


def shown(byte: int) -> str:
    """Return a byte as the page shows it."""
    return {32: "␣", 10: "⏎"}.get(byte) or (chr(byte) if 32 < byte < 127 else f"0x{byte:02X}")


def test_the_browser_answers_as_pytorch_does(site, browser):
    script = """async ({ load }, { lesson, ask }) => {
        const model = await load(lesson);
        const found = [];
        for (const { text } of model.data.samples) found.push([...(await ask(model, [...new TextEncoder().encode(text)]))]);
        return found;
    }"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, script)
    for one, logits in zip(STORED["samples"], found, strict=True):
        np.testing.assert_allclose(softmax(np.array(logits)), one["chances"], atol=1e-4)


def test_bytes_are_drawn_at_their_temperature(site, browser):
    logits = np.random.default_rng(0).normal(0, 3, 256)
    script = f"""(_, {{ chances, draw }}) => [0, ...{list(TEMPERATURES)}].map((temperature) => {{
        const shares = chances({logits.tolist()}, temperature);
        return [shares, Array.from({{ length: 4000 }}, (_, place) => draw(shares, (place + 0.5) / 4000))];
    }})"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        coldest, *others = ask(tab, site, LESSON, script)
    assert coldest[0][logits.argmax()] == 1 and set(coldest[1]) == {logits.argmax()}
    for temperature, (shares, drawn) in zip(TEMPERATURES, others, strict=True):
        np.testing.assert_allclose(shares, softmax(logits / temperature), atol=1e-12)
        np.testing.assert_allclose(np.bincount(drawn, minlength=256) / 4000, shares, atol=1 / 2000)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_is_continued(site, browser, predict, language):
    with reading(browser, site) as tab:
        panel = start(tab, site, language, LESSON)
        field, temperature, (one, many) = panel.locator("textarea"), panel.locator("input[type=range]"), panel.locator(".live-buttons button").all()
        text = "Return the in"
        field.fill(text)
        for warmth in ("1", "0.5"):
            temperature.fill(warmth)
            shares = softmax(predict(text.encode()) / float(warmth))
            likeliest = np.argsort(-shares)[:8]
            expect(status(tab)).to_contain_text(f"{100 * shares[likeliest[0]]:.1f}%")
            assert panel.locator(".live-near button").all_text_contents() == list(map(shown, likeliest))
            told = [float(share.rstrip("%")) / 100 for share in panel.locator(".live-share").all_text_contents()]
            np.testing.assert_allclose(told, shares[likeliest], atol=2e-3)
        second = chr(likeliest[1])
        panel.locator(".live-near button").nth(1).focus()
        tab.keyboard.press("Enter")
        expect(field).to_have_value(text + second)
        temperature.fill("0")
        written = (text + second).encode()
        for _ in range(101):
            written += bytes([int(predict(written).argmax())])
        one.click()
        expect(field).to_have_value(written[: len(text) + 2].decode())
        many.click()
        expect(field).to_have_value(written.decode(), timeout=60_000)
        expect(many).not_to_have_text("Stop" if language == "en" else "停")


STOPPED_AT_ONCE = """async button => {
    const field = button.closest(".live-panel").querySelector("textarea"), before = field.value;
    button.click();
    while (field.value === before) await new Promise(requestAnimationFrame);
    const writing = button.textContent;
    button.click();
    return [writing, button.textContent];
}"""


def test_writing_stops_when_it_is_told_to(site, browser):
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", LESSON)
        field, many = panel.locator("textarea"), panel.locator(".live-buttons button").nth(1)
        said = many.evaluate(STOPPED_AT_ONCE)  # in the page: a test's own click may come when all is written
        assert said == ["Stop", "Write 100 bytes"]
        text = field.input_value()
        tab.wait_for_timeout(400)
        assert field.input_value() == text and len(text) < 100 + len("Return the ")
        many.click()
        put(field, "Other text")  # what is typed stays
        tab.wait_for_timeout(400)
        assert field.input_value() == "Other text"


def test_odd_texts_do_no_harm(site, browser):
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", LESSON)
        field, note, buttons = panel.locator("textarea"), panel.locator(".live-note"), panel.locator(".live-buttons button")
        for text, long in {"x": False, "你": False, "🙂" * 40: True, "\u0000\u202e": False, "<b>bold</b>": False, "\ud83d": False, "word " * 20_000: True, "字" * 100_000: True}.items():
            put(field, "")
            expect(status(tab)).to_contain_text("Type a text")
            assert buttons.first.is_disabled() and buttons.last.is_disabled() and not panel.locator(".live-near button").count()
            put(field, text)
            expect(status(tab), text[:20]).to_contain_text("Likeliest next byte")
            assert panel.locator(".live-near button").count() == 8 and panel.locator("b").count() == 0
            expect(note).to_have_text(f"The model reads only the last {STORED['length']} bytes." if long else "")


def test_bytes_have_names(site, browser):
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, "(_, { named }) => Array.from({ length: 256 }, (_, byte) => named(byte))")
    assert found == list(map(shown, range(256)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_starts_at_a_touch_and_fits_a_phone(site, browser, language):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    with reading(browser, site, **phone) as tab:
        open_page(tab, site, address(language, LESSON))
        tab.locator(".live figure").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")
        tab.locator(".live figure").tap()
        expect(tab.locator(".live-panel")).to_be_focused(timeout=20_000)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.locator(".live-near button").count() == 8
