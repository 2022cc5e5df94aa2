"""The models that run in the page: the same answers as PyTorch's, and nothing that a reader does breaks them."""

import io
import json
import re
import unicodedata

import numpy as np
import pytest
import torch
from conftest import load_snippet
from model_checks import exported
from PIL import Image, ImageDraw
from playwright.sync_api import expect
from reader import address, open_page, reading

from tooling.lessons import LANGUAGES, RESULTS

LESSONS = ["models/cnn", "models/rnn", "applications/translation"]
each_model = pytest.mark.parametrize(("language", "lesson"), [(language, lesson) for language in LANGUAGES for lesson in LESSONS])
PLACES = [(language, page) for language in LANGUAGES for page in [*LESSONS, "index"]]


def start(tab, site, language: str, page: str):
    """Open a page and start its live model; return its panel."""
    open_page(tab, site, address(language, page))
    tab.locator(".live-start button").click()
    panel = tab.locator(".live-panel")
    expect(panel).to_be_visible()
    return panel


def status(tab):
    """Return the live region that tells the answer."""
    return tab.locator(".live > .live-status")


def share(tab) -> float:
    """Return the share that the answer tells."""
    return float(status(tab).text_content().rpartition("%")[0].split()[-1]) / 100


def shades(canvas) -> np.ndarray:
    """Return the numbers, (height, width), that a canvas shows as shades."""
    height, width, alpha = canvas.evaluate("""canvas => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return [height, width, Array.from({ length: width * height }, (_, place) => data[4 * place + 3])];
    }""")
    return np.array(alpha).reshape(height, width) / 255


# --- what is fetched, and when


@pytest.mark.parametrize(("language", "page"), [("zh", "models/cnn"), ("en", "models/rnn"), ("zh", "applications/translation"), ("en", "index")])
def test_nothing_of_a_model_is_fetched_before_it_is_started(site, browser, language, page):
    with reading(browser, site) as tab:
        asked = []
        tab.on("request", lambda request: asked.append(request.url.removeprefix(site.url)))
        open_page(tab, site, address(language, page))
        tab.locator(".live").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")
        assert not [url for url in asked if url.startswith(("assets/live", "assets/ort", "results"))]
        before = len(asked)
        tab.locator(".live-start button").click()
        expect(tab.locator(".live-panel")).to_be_visible()
        lesson = tab.locator(".live").get_attribute("data-model")
        expected = {f"results/{lesson}/{file}" for file in ("model.bin", "live.json")}
        expected |= {"assets/ort/ort.wasm.bundle.min.js", "assets/ort/ort-wasm-simd-threaded.wasm"}
        expected |= {"assets/live/runtime.js", "assets/live/live.css", f"assets/live/{lesson}.js"}
        expected |= {"results/models/cnn/samples.png"} if lesson == "models/cnn" else set()
        fetched = {url for url in asked[before:] if not url.startswith("assets/katex/fonts/")}  # those come as formulas come into sight
        assert fetched == expected


def test_two_files_of_onnxruntime_are_in_the_site(site):
    assert {path.name for path in (site.folder / "assets" / "ort").iterdir()} == {"ort.wasm.bundle.min.js", "ort-wasm-simd-threaded.wasm"}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_server_of_classic_types_runs_the_models(classic, browser, lesson):
    """Stock nginx calls no `.mjs` a script, and IIS sends no `.onnx`."""
    with reading(browser, classic) as tab:
        start(tab, classic, "en", lesson)
        expect(status(tab)).to_contain_text("%")


# --- the same answers as PyTorch's


ASK = {
    "models/cnn": """async ({ load }, lesson) => {
        const model = await load(lesson.lesson);
        const pictures = await lesson.samples(model.data.samples.labels.length);
        const found = [];
        for (const pixels of pictures) found.push([...(await lesson.ask(model, pixels)).probabilities.data]);
        return found;
    }""",
    "models/rnn": """async ({ load }, lesson) => {
        const model = await load(lesson.lesson);
        const found = [];
        for (const name of model.data.samples.names) found.push([...(await lesson.read(model, name)).at(-1).probabilities]);
        return found;
    }""",
    "applications/translation": """async ({ load }, lesson) => {
        const model = await load(lesson.lesson);
        const found = [];
        for (const { given, to, style } of model.data.samples) {
            const { numbers } = lesson.encode(model.data.names, given, to, style);
            const { tokens, logarithms } = await lesson.translate(model, numbers.map((number) => number ?? 3)); // a name may hold unknown characters
            found.push({ answer: tokens.filter((token) => token !== 2).map((token) => model.data.names[token]).join(""), shares: logarithms.map(Math.exp) });
        }
        return found;
    }""",
}


def ask(tab, site, lesson: str, script: str = ""):
    """Run a script in the page with the runtime and the lesson's module; return what it returns."""
    return tab.evaluate(
        f"async ([runtime, lesson]) => ({script or ASK[lesson]})(await import(runtime), await import(lesson))",
        [f"{site.url}assets/live/runtime.js", f"{site.url}assets/live/{lesson}.js"],
    )


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_browser_answers_as_pytorch_does(site, browser, lesson):
    samples = json.loads((RESULTS / lesson / "live.json").read_text(encoding="utf-8"))["samples"]
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", lesson))
        found = ask(tab, site, lesson)
    assert len(found) >= 50
    if lesson == "applications/translation":
        for sample, answer in zip(samples, found, strict=True):
            assert answer["answer"] == sample["answer"]
            np.testing.assert_allclose(answer["shares"], sample["probabilities"], atol=1e-3)
    else:
        np.testing.assert_allclose(found, samples["probabilities"], atol=1e-3)


class Stored:
    """The model of the page, for the program's own search: it has the logarithms of the probabilities, (batch, n, vocabulary), of the last place alone."""

    def __init__(self, lesson: str):
        self.run = exported(RESULTS / lesson)

    def eval(self):
        return self

    def encode(self, source):
        return source

    def decode(self, target, memory, source):
        return torch.tensor(self.run(source=source.int().numpy(), target=target.int().numpy())[0])[:, None]

    def projection(self, last):
        return last


def test_the_page_searches_as_the_program_does(site, browser):
    """Sample by sample, and with as many beginnings as a reader can choose."""
    lesson = "applications/translation"
    program, model = load_snippet(lesson), Stored(lesson)
    script = """async ({ load }, lesson) => {
        const model = await load(lesson.lesson);
        const found = [];
        for (const { given, to, style } of model.data.samples.filter((one) => one.kind === "intervals" || one.kind === "names")) {
            const source = lesson.encode(model.data.names, given, to, style).numbers.map((number) => number ?? 3);
            for (const width of [1, 2, 4]) found.push([source, width, (await lesson.translate(model, source, { width })).tokens]);
        }
        return found;
    }"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", lesson))
        found = ask(tab, site, lesson, script)
    searches = {width: [program.beam(model, torch.tensor([source]), width)[0] for source, of, _ in found if of == width] for width in (1, 2, 4)}
    for width, expected in searches.items():
        pages = [[token for token in tokens if token != program.END] for _, of, tokens in found if of == width]
        assert pages == expected, f"with {width} beginnings, the page writes otherwise than the program"
    assert searches[4] != searches[1], "a wider beam changes nothing"


def test_a_digit_is_painted_as_the_program_paints_it(site, browser):
    """Ink that fills its square comes out as the program's own interpolation of it."""
    import torch
    import torch.nn.functional as F

    shares = np.random.default_rng(0).integers(0, 17, (8, 8)) / 16
    paper, ink = [200, 180, 20], [10, 60, 250]
    script = f"async (runtime, lesson) => [...lesson.paint(Float32Array.from({shares.flatten().tolist()}), {paper}, {ink})]"
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", "models/cnn"))
        painted = np.array(ask(tab, site, "models/cnn", script)).reshape(32, 32, 3)
    large = F.interpolate(torch.tensor(shares)[None, None], size=(32, 32), mode="bilinear")[0, 0].numpy()
    expected = np.array(paper) + (np.array(ink) - np.array(paper)) * large[:, :, None]
    assert np.abs(painted - expected).max() <= 1


# --- the convolutional network


def draw_one(tab) -> None:
    """Draw a 1 with the mouse."""
    pad = tab.locator(".live-pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    middle = box["x"] + box["width"] / 2
    tab.mouse.move(middle, box["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(middle, box["y"] + box["height"] - 20, steps=20)
    tab.mouse.up()


def test_feature_maps_are_those_of_the_network_in_their_order(site, browser):
    folder = RESULTS / "models" / "cnn"
    pixels = np.asarray(Image.open(folder / "samples.png").convert("RGB").crop((224, 0, 256, 32)), np.float32)  # sample 7
    answer, *expected = exported(folder)(image=pixels.transpose(2, 0, 1)[None])
    with reading(browser, site) as tab:
        start(tab, site, "zh", "models/cnn")
        tab.locator(".live-picks button").nth(7).click()
        expect(status(tab)).to_contain_text(f"网络认为是 {np.argmax(answer)}")
        for number, layer in enumerate(expected):
            shown, side = shades(tab.locator(".live-maps").nth(number)), layer.shape[-1]
            for index, right in enumerate(layer[0]):
                top, left = (side + 1) * (index // 16), (side + 1) * (index % 16)
                np.testing.assert_allclose(shown[top : top + side, left : left + side], right / max(right.max(), 1e-6), atol=0.01)


@pytest.mark.parametrize(("language", "page"), [("zh", "models/cnn"), ("en", "index")])
def test_a_digit_is_drawn_and_read(site, browser, language, page):
    says, empty = ("网络认为是 1", "先写一个数字") if language == "zh" else ("The network says 1", "Draw a digit")
    with reading(browser, site) as tab:
        # the same colors each time: a faint 1 may be read as another digit
        tab.add_init_script("{ let state = 7; Math.random = () => (state = (state * 16807) % 2147483647) / 2147483647 }")
        panel = start(tab, site, language, page)
        panel.get_by_role("button", name="清除" if language == "zh" else "Clear").click()
        expect(status(tab)).to_contain_text(empty)
        draw_one(tab)
        expect(status(tab)).to_contain_text(says)
        before = tab.locator(".live-seen").evaluate("canvas => canvas.toDataURL()")
        panel.get_by_role("button", name="换一组颜色" if language == "zh" else "Other colors").click()
        tab.wait_for_function("before => document.querySelector('.live-seen').toDataURL() !== before", arg=before)
        expect(status(tab)).to_contain_text(says)


def test_samples_are_picked_by_keyboard(site, browser):
    live = json.loads((RESULTS / "models" / "cnn" / "live.json").read_text(encoding="utf-8"))
    with reading(browser, site) as tab:
        start(tab, site, "en", "models/cnn")
        picks = tab.locator(".live-picks button")
        for number in (0, 7):
            picks.nth(number).focus()
            tab.keyboard.press("Enter")
            probabilities = live["samples"]["probabilities"][number]
            best = int(np.argmax(probabilities))
            expect(status(tab)).to_have_text(f"The network says {best}, with probability {100 * probabilities[best]:.1f}%.")
            bars = tab.locator(".live-bars li").evaluate_all("items => items.map(item => item.lastChild.textContent)")
            assert bars == [f"{100 * each:.1f}%" for each in probabilities]
            filled = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value)"
            assert all(tab.locator(".live-maps").nth(layer).evaluate(filled) for layer in (0, 1))


def photograph(size=(900, 1200), what: str = "1") -> bytes:
    """Return a photograph of a stroke on grayish paper, with a shadow, or of nothing, or of noise."""
    random = np.random.default_rng(0)
    pixels = np.full((size[1], size[0], 3), 225.0) - np.linspace(0, 12, size[0])[None, :, None]
    if what == "noise":
        pixels = random.uniform(0, 255, pixels.shape)
    image = Image.fromarray(pixels.astype(np.uint8))
    if what == "1":
        middle = size[0] * 0.6
        ImageDraw.Draw(image).line([(middle, size[1] * 0.2), (middle, size[1] * 0.7)], fill=(30, 30, 90), width=size[0] // 12)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def test_photographs(site, browser):
    photographs = {
        "one.jpg": (photograph(), "The network says 1"),
        "blank.jpg": (photograph(what="blank"), "No digit found"),
        "large.jpg": (photograph((8000, 5000)), "The network says 1"),  # 40 megapixels
        "notes.png": (b"no image at all", "cannot be opened"),
        "noise.jpg": (photograph(what="noise"), "The network says|No digit found"),
        "empty.png": (b"", "cannot be opened"),
        "again.jpg": (photograph(), "The network says 1"),
        "half.jpg": (photograph()[:300], "cannot be opened"),
    }
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", "models/cnn")
        for name, (content, says) in photographs.items():
            tab.locator(".live-panel input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
            expect(status(tab), name).to_have_text(re.compile(says), timeout=20_000)
        panel.get_by_role("button", name="Clear").click()
        draw_one(tab)
        expect(status(tab)).to_contain_text("The network says 1")


# --- the recurrent network


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_is_read_character_by_character(site, browser, language):
    samples = json.loads((RESULTS / "models" / "rnn" / "live.json").read_text(encoding="utf-8"))["samples"]
    name, probabilities = samples["names"][3], samples["probabilities"][3]
    with reading(browser, site) as tab:
        panel = start(tab, site, language, "models/rnn")
        field = panel.get_by_label("名称" if language == "zh" else "Name", exact=True)
        field.fill("")
        expect(status(tab)).to_contain_text("输入" if language == "zh" else "Type")
        field.press_sequentially(name)
        expect(status(tab)).to_contain_text(f"{100 * max(probabilities):.1f}%")
        heads = tab.locator(".live-along tr").first.locator("th").all_text_contents()
        assert heads[1:] == [letter.replace(" ", "␣") for letter in name]
        assert tab.locator(".live-along tr").count() == 11
        assert tab.locator(".live-state").evaluate("canvas => [canvas.width, canvas.height]") == [len(name), 256]
        example = panel.locator(".live-buttons button").nth(1)
        example.focus()
        tab.keyboard.press("Enter")
        expect(field).to_have_value(samples["names"][1])
        expect(status(tab)).to_contain_text(f"{100 * max(samples['probabilities'][1]):.1f}%")


def test_the_state_is_that_of_the_second_layer(site, browser):
    folder, name = RESULTS / "models" / "rnn", "P☂ru"
    step = exported(folder)
    letters = json.loads((folder / "live.json").read_text(encoding="utf-8"))["letters"]
    hidden = cell = np.zeros((2, 1, 256), np.float32)
    states = []
    for letter in name:
        _, hidden, cell = step(letter=np.array([letters.get(letter, 1)], np.int32), hidden=hidden, cell=cell)
        states.append(np.abs(hidden[1, 0]))
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", "models/rnn")
        panel.get_by_label("Name", exact=True).fill(name)
        expect(tab.locator(".live-along tr").first.locator("th")).to_have_count(1 + len(name))
        np.testing.assert_allclose(shades(tab.locator(".live-state")), np.stack(states, 1), atol=0.01)


def put(field, text: str) -> None:
    """Set the text of a field at once, as pasting or a script does, whatever length the field allows."""
    field.evaluate("(field, text) => { field.value = text; field.dispatchEvent(new Event('input')) }", text)


def test_odd_names_do_no_harm(site, browser):
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", "models/rnn")
        field, note = panel.get_by_label("Name", exact=True), panel.locator(".live-note")
        for text in ("x" * 10_000, "😀😀", "中文", "\u0000\u202e\u200d", "<b>bold</b>", "a" * 60):
            put(field, "  ")
            expect(status(tab)).to_contain_text("Type the name")
            put(field, text)
            expect(status(tab), text[:20]).to_contain_text("%", timeout=15_000)
            expect(note).to_contain_text("first 60") if len(text) > 60 else expect(note).not_to_contain_text("first 60")
            expect(note).to_contain_text("😀") if "😀" in text else expect(note).not_to_contain_text("😀")
            assert panel.locator("b").count() == 0
        field.fill("Deutschland")
        expect(status(tab)).to_contain_text("German")


@pytest.mark.parametrize("name", ["Österreich", "Curaçao", "Côte d’Ivoire", "Åland", "Việt Nam"])
def test_a_letter_and_its_accent_are_one_however_they_are_typed(site, browser, name):
    """Some systems write é as e and an accent; the program has learned whole letters."""
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert composed != apart
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", "models/rnn")
        field, told = panel.get_by_label("Name", exact=True), []
        for text in (composed, apart):
            put(field, "  ")
            expect(status(tab)).to_contain_text("Type the name")
            put(field, text)
            expect(status(tab)).to_contain_text("%")
            told.append((status(tab).text_content(), panel.locator(".live-note").text_content()))
    assert told[0] == told[1], "an accent that is typed by itself is read as a letter by itself"


# --- the Transformer


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_control_of_the_translator(site, browser, language):
    sample = next(one for one in json.loads((RESULTS / "applications" / "translation" / "live.json").read_text(encoding="utf-8"))["samples"]
                  if one["kind"] == "dates" and one["to"] == "en" and one["style"] == "full")
    with reading(browser, site) as tab:
        panel = start(tab, site, language, "applications/translation")
        field, output = panel.locator("input[type=text]"), panel.locator(".live-output")
        to, style = panel.locator("select").first, panel.locator("select").last
        width, temperature = panel.locator("input[type=range]").first, panel.locator("input[type=range]").last
        to.select_option("zh")
        style.select_option("full")
        field.fill(sample["given"])
        expect(to).to_have_value("en")  # the script that was typed tells the direction
        expect(status(tab)).to_contain_text(sample["answer"])
        assert output.text_content().replace("␣", " ").rstrip("⏎") == sample["answer"]

        heads = panel.locator(".live-heads button")
        assert heads.count() == 8
        large = panel.locator(".live-along")
        first = large.inner_html()
        heads.nth(5).focus()
        tab.keyboard.press("Enter")
        expect(heads.nth(5)).to_have_attribute("aria-pressed", "true")
        assert large.inner_html() != first
        rows = large.locator("tr").count() - 1
        assert rows == output.locator("span").count()

        before = status(tab).text_content()
        style.select_option("short")
        expect(status(tab)).not_to_have_text(before)
        style.select_option("full")
        width.fill("4")
        expect(temperature).to_be_disabled()
        expect(status(tab)).to_contain_text(sample["answer"])
        width.fill("1")
        expect(temperature).to_be_enabled()
        temperature.fill("2")
        drawn = set()
        for _ in range(6):
            panel.get_by_role("button", name="再译一次" if language == "zh" else "Translate again").click()
            tab.wait_for_timeout(500)
            drawn.add(output.text_content())
        assert len(drawn) > 1, "at a temperature of 2 every translation is the same"
        temperature.fill("0")
        panel.locator(".live-buttons button").nth(3).click()
        expect(status(tab)).to_contain_text("%")


def test_the_maps_show_the_attention_of_each_head(site, browser):
    folder = RESULTS / "applications" / "translation"
    sample = next(one for one in json.loads((folder / "live.json").read_text(encoding="utf-8"))["samples"] if one["kind"] == "dates" and one["to"] == "zh")
    script = f"""async ({{ load }}, lesson) => {{
        const model = await load(lesson.lesson);
        const {{ numbers }} = lesson.encode(model.data.names, {json.dumps(sample["given"])}, "zh", {json.dumps(sample["style"])});
        return [numbers, (await lesson.translate(model, numbers)).tokens];
    }}"""
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", "applications/translation")
        panel.locator("select").first.select_option("zh")
        panel.locator("select").last.select_option(sample["style"])
        panel.locator("input[type=text]").fill(sample["given"])
        expect(status(tab)).to_contain_text(sample["answer"])
        source, written = ask(tab, site, "applications/translation", script)
        target = np.array([[1, *written[:-1]]], np.int32)  # START comes first
        _, attention = exported(folder)(source=np.array([source], np.int32), target=target)
        heads = attention.reshape(-1, len(written), len(source))
        buttons = panel.locator(".live-heads button")
        for number, right in enumerate(heads):
            np.testing.assert_allclose(shades(buttons.nth(number).locator("canvas")), right, atol=0.01)
        buttons.nth(3).click()
        expect(buttons.nth(3)).to_have_attribute("aria-pressed", "true")
        told = panel.locator(".live-along td[title]").evaluate_all("cells => cells.map(cell => parseFloat(cell.title))")
        np.testing.assert_allclose(np.array(told).reshape(heads[3].shape) / 100, heads[3], atol=0.001)


def test_what_the_translator_cannot_read_gets_a_sentence(site, browser):
    sentences = {
        "😀": "never seen", "今天🎉": "never seen", "鰐魚": "never seen", "  ": "Type a date",
        "3" * 200: "Too long", "%" * 10_000: "Too long|never seen", "hello world": "%",
    }
    with reading(browser, site) as tab:
        panel = start(tab, site, "en", "applications/translation")
        field, output = panel.locator("input[type=text]"), panel.locator(".live-output")
        for text, says in sentences.items():
            put(field, "3/5/24")
            expect(status(tab)).to_contain_text("Translation")
            put(field, text)
            expect(status(tab), text[:20]).to_have_text(re.compile(says), timeout=15_000)
            if says != "%":
                expect(output).to_have_text("")
        expect(panel.locator(".live-note")).to_contain_text("probably wrong")


# --- where it cannot run, and how it looks


@each_model
def test_without_webassembly_the_page_says_so_and_keeps_its_picture(site, browser, language, lesson):
    with reading(browser, site) as tab:
        tab.add_init_script("delete window.WebAssembly")
        open_page(tab, site, address(language, lesson))
        tab.locator(".live-start button").click()
        expect(status(tab)).to_have_text(re.compile("不运行 WebAssembly，模型动不起来" if language == "zh" else "does not run WebAssembly, so the model cannot run"))
        expect(tab.locator(".live figure svg")).to_be_visible()
        expect(tab.locator(".live-start button")).to_be_enabled()


@pytest.mark.parametrize("missing", ["assets/ort/ort.wasm.bundle.min.js", "assets/ort/ort-wasm-simd-threaded.wasm", "results/models/cnn/model.bin", "assets/live/models/cnn.js"])
def test_a_missing_file_is_named_and_a_second_try_works(site, browser, missing):
    context = browser.new_context()  # `reading` would complain of the missing file
    tab = context.new_page()
    tab.route(f"**/{missing}", lambda route: route.abort())
    open_page(tab, site, address("en", "models/cnn"))
    button = tab.locator(".live-start button")
    button.click()
    expect(tab.locator(".live")).to_contain_text("cannot be loaded")
    if "live/" not in missing:
        expect(status(tab)).to_contain_text(missing)
        expect(status(tab)).to_contain_text("npm ci")
    expect(tab.locator(".live figure svg")).to_be_visible()
    expect(button).to_be_enabled()
    if missing.endswith(".bin"):  # a browser keeps the failure of a module until the page is loaded anew
        tab.unroute(f"**/{missing}")
        button.click()
        expect(tab.locator(".live-panel")).to_be_visible()
    context.close()


@pytest.mark.parametrize(("language", "page"), PLACES)
def test_a_touch_on_the_picture_starts_a_model_that_fits_a_phone(site, browser, language, page):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    with reading(browser, site, **phone) as tab:
        open_page(tab, site, address(language, page))
        tab.locator(".live figure").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")  # what comes into sight is laid out first
        tab.locator(".live figure").tap()
        panel = tab.locator(".live-panel")
        expect(panel).to_be_focused(timeout=20_000)
        expect(tab.locator(".live-start")).to_have_count(0)
        expect(status(tab)).to_contain_text("%")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        for control in panel.locator("button, input, select").all():
            name = control.evaluate("node => node.getAttribute('aria-label') || node.textContent || node.labels?.[0]?.textContent")
            assert name and name.strip(), f"a control without a name: {control.evaluate('node => node.outerHTML')}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_without_javascript_the_picture_shows_and_no_button(site, browser, lesson):
    with reading(browser, site, java_script_enabled=False) as tab:
        open_page(tab, site, address("en", lesson))
        expect(tab.locator(".live figure svg")).to_be_visible()
        expect(tab.locator(".live-start")).to_be_hidden()
