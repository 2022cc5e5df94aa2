"""The network that learns in the page: its gradients are PyTorch's, and every control does what it says."""

import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import load_snippet
from playwright.sync_api import expect
from reader import address, open_page, reading
from test_live import ask, start, status

LESSON = "foundations/neuron"
WORDS = {
    "zh": {"pause": "暂停", "learn": "开始学习", "one": "走一步", "reset": "重新开始", "clear": "清空", "blue": "蓝色方点", "erase": "橡皮"},
    "en": {"pause": "Pause", "learn": "Learn", "one": "One step", "reset": "Start over", "clear": "Clear the points", "blue": "a blue square", "erase": "or erases"},
}
languages = pytest.mark.parametrize("language", WORDS)


def still(tab, site, language: str = "en"):
    """Start the model for a reader who wants no motion: it learns only when asked."""
    tab.emulate_media(reduced_motion="reduce")
    return start(tab, site, language, LESSON)


def numbers(tab) -> tuple[int, float, float, int]:
    """Return the step, the loss, the share that is right, and the number of points, as the page tells them."""
    told = tab.locator(".live-numbers").text_content()
    step, loss, *rest = re.findall(r"[\d.]+(?:e[+-]?\d+)?", told)
    share = float(re.search(r"([\d.]+)%", told)[1]) / 100
    count = next(int(one) for one in rest if "." not in one)
    return int(step), float(loss), share, count


def plane_click(tab, x: float, y: float) -> None:
    """Click the plane at a point of it, each number from -2 to 2."""
    plane = tab.locator(".live-plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    plane.click(position={"x": (x + 2) / 4 * box["width"], "y": (2 - y) / 4 * box["height"]})


def network_of(found: dict) -> torch.nn.Sequential:
    """Return the network of the page in PyTorch."""
    model = load_snippet(LESSON).network(len(found["b1"]), torch.nn.Tanh)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (found["w1"], found["b1"], [found["w2"]], [found["b2"]]), strict=True):
            parameter.copy_(torch.tensor(value, dtype=torch.float64))
    return model


# --- the same as PyTorch


@pytest.mark.parametrize("units", [1, 3, 16])
def test_gradients_and_steps_are_those_of_pytorch(site, browser, units):
    random = np.random.default_rng(units)
    x, y = random.normal(size=(23, 2)), random.integers(0, 2, (23, 1)).astype(float)
    points = [{"at": at, "label": label} for at, (label,) in zip(x.tolist(), y.tolist())]
    script = f"""async (runtime, lesson) => {{
        const points = {json.dumps(points)};
        const network = lesson.fresh({units});
        const before = structuredClone(network);
        const scores = points.map(({{ at }}) => lesson.forward(network, at).score);
        const {{ loss, by }} = lesson.backward(network, points);
        const losses = [];
        for (let step = 0; step < 200; step++) losses.push(lesson.descend(network, points, 0.7));
        return {{ before, scores, loss, by, after: network, losses }};
    }}"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, script)
    model = network_of(found["before"])
    scores = model(torch.tensor(x))
    np.testing.assert_allclose(found["scores"], scores.detach()[:, 0], atol=1e-12)
    loss = F.binary_cross_entropy_with_logits(scores, torch.tensor(y))
    loss.backward()
    assert found["loss"] == pytest.approx(loss.item(), abs=1e-12)
    for name, parameter in zip(("w1", "b1", "w2", "b2"), model.parameters(), strict=True):
        np.testing.assert_allclose(np.array(found["by"][name]).reshape(parameter.shape), parameter.grad, atol=1e-12, err_msg=name)
    model.zero_grad()
    losses = load_snippet(LESSON).train(model, x, y, 0.7, 200)
    np.testing.assert_allclose(found["losses"], losses, atol=1e-9)
    for name, parameter in zip(("w1", "b1", "w2", "b2"), model.parameters(), strict=True):
        np.testing.assert_allclose(np.array(found["after"][name]).reshape(parameter.shape), parameter.detach(), atol=1e-8, err_msg=name)


def test_a_new_network_begins_as_those_of_pytorch_do(site, browser):
    script = "async (runtime, lesson) => Array.from({ length: 400 }, () => lesson.fresh(16))"
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, script)
    for name, inputs in (("w1", 2), ("b1", 2), ("w2", 16), ("b2", 16)):
        values, bound = np.ravel([network[name] for network in found]), 1 / np.sqrt(inputs)
        assert np.abs(values).max() <= bound and values.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("kind", "units", "enough"), [("moons", 8, 0.97), ("xor", 8, 0.97), ("circles", 8, 0.97), ("clouds", 1, 0.95)])
def test_every_set_of_points_is_balanced_fits_the_plane_and_can_be_learned(site, browser, kind, units, enough):
    script = f"""async (runtime, lesson) => {{
        let state = 7;
        const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
        const points = lesson.sample("{kind}", random);
        const network = lesson.fresh({units}, random);
        for (let step = 0; step < 3000; step++) lesson.descend(network, points, 1);
        return {{ points, right: points.filter(({{ at, label }}) => lesson.forward(network, at).score > 0 === Boolean(label)).length }};
    }}"""
    with reading(browser, site) as tab:
        open_page(tab, site, address("en", LESSON))
        found = ask(tab, site, LESSON, script)
    at = np.array([point["at"] for point in found["points"]])
    assert np.abs(at).max() < 2 and sum(point["label"] for point in found["points"]) == 50
    assert found["right"] / len(at) >= enough


# --- what a reader does


@languages
def test_it_learns_from_the_start_and_can_be_paused(site, browser, language):
    words = WORDS[language]
    with reading(browser, site) as tab:
        panel = start(tab, site, language, LESSON)
        expect(panel.get_by_role("button", name=words["pause"], exact=True)).to_be_visible()
        tab.wait_for_function("() => parseInt(document.querySelector('.live-numbers').textContent.match(/\\d+/)[0]) > 300", timeout=20_000)
        panel.get_by_role("button", name=words["pause"], exact=True).click()
        step, loss, share, count = numbers(tab)
        assert loss < 0.6 and share > 0.7 and count == 100
        expect(status(tab)).to_contain_text(f"{100 * share:.1f}%")
        tab.wait_for_timeout(200)
        assert numbers(tab)[0] == step, "it goes on while it is paused"


@languages
def test_one_step_is_one_step_and_starting_over_starts_over(site, browser, language):
    words = WORDS[language]
    with reading(browser, site) as tab:
        panel = still(tab, site, language)
        assert numbers(tab)[0] == 0, "it learns unasked though the reader wants no motion"
        for _ in range(3):
            panel.get_by_role("button", name=words["one"]).click()
        assert numbers(tab)[0] == 3
        expect(status(tab)).to_contain_text("3")
        first = tab.locator(".live-plane").evaluate("canvas => canvas.toDataURL()")
        panel.get_by_role("button", name=words["reset"]).click()
        assert numbers(tab)[0] == 0
        assert tab.locator(".live-plane").evaluate("canvas => canvas.toDataURL()") != first
        panel.locator("select").last.select_option("1")
        assert numbers(tab)[0] == 0
        panel.locator("select").first.select_option("circles")
        tab.wait_for_function("() => parseInt(document.querySelector('.live-numbers').textContent.match(/\\d+/)[0]) > 20")
        panel.get_by_role("button", name=words["pause"], exact=True).click()
        assert numbers(tab)[2] < 0.85, "one unit draws a straight border and cannot part circles"


@languages
def test_points_are_placed_and_erased_by_mouse_and_by_keyboard(site, browser, language):
    words = WORDS[language]
    with reading(browser, site) as tab:
        panel = still(tab, site, language)
        panel.get_by_role("button", name=words["clear"]).click()
        expect(status(tab)).to_contain_text("两种颜色" if language == "zh" else "both colors")
        plane_click(tab, -1, 1)
        expect(status(tab)).to_contain_text("-1.0")
        panel.get_by_role("button", name=words["one"]).click()
        expect(status(tab)).to_contain_text("一种颜色" if language == "zh" else "only one color")
        panel.get_by_role("button", name=words["blue"]).focus()
        tab.keyboard.press("Enter")
        expect(panel.get_by_role("button", name=words["blue"])).to_have_attribute("aria-pressed", "true")
        tab.locator(".live-plane").focus()
        for _ in range(15):
            tab.keyboard.press("ArrowRight")
        for _ in range(3):
            tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        assert numbers(tab)[3] == 2
        expect(status(tab)).to_contain_text("0.5")  # from the click at -1, 1
        expect(status(tab)).to_contain_text("0.7")
        tab.keyboard.press("Backspace")
        assert numbers(tab)[3] == 1
        panel.get_by_role("button", name=words["erase"]).click()
        plane_click(tab, 1.5, -1.5)
        assert numbers(tab)[3] == 1, "the eraser takes a point that is far away"
        plane_click(tab, -1, 1)
        expect(tab.locator(".live-numbers")).to_contain_text("两种颜色" if language == "zh" else "both colors")


def test_the_background_is_what_the_network_says(site, browser):
    """Two points, learned: each half has the color of its point, which stands where it was placed."""
    with reading(browser, site) as tab:
        panel = still(tab, site)
        panel.get_by_role("button", name="Clear the points").click()
        plane_click(tab, -0.5, 1)
        panel.get_by_role("button", name="a blue square").click()
        plane_click(tab, 0.5, -1)
        panel.get_by_role("button", name="Learn", exact=True).click()
        tab.wait_for_function("() => parseInt(document.querySelector('.live-numbers').textContent.match(/\\d+/)[0]) > 300", timeout=20_000)
        panel.get_by_role("button", name="Pause", exact=True).click()
        color = "([x, y]) => [...document.querySelector('.live-plane').getContext('2d').getImageData(x, y, 1, 1).data]"
        (*orange, clear), (*blue, _) = (tab.evaluate(color, spot) for spot in ([320, 20], [320, 620]))
        assert orange[0] > orange[2] and blue[2] > blue[0] and clear < 255, (orange, blue)
        assert tab.evaluate(color, [240, 160]) == [224, 123, 57, 255] and tab.evaluate(color, [400, 480]) == [47, 143, 208, 255]


@languages
def test_too_large_a_rate_is_told(site, browser, language):
    words = WORDS[language]
    with reading(browser, site) as tab:
        tab.add_init_script("{ let state = 7; Math.random = () => (state = (state * 16807) % 2147483647) / 2147483647 }")
        panel = still(tab, site, language)
        slider = panel.locator("input[type=range]")
        panel.locator("select").first.select_option("circles")
        slider.fill("2")
        expect(panel.locator("label").last).to_contain_text("100")
        expect(status(tab)).to_contain_text("学习率太大" if language == "zh" else "learning rate is too large", timeout=10_000)
        slider.fill("-1")
        expect(panel.locator("label").last).to_contain_text("0.1")
        panel.get_by_role("button", name=words["reset"]).click()
        expect(status(tab)).not_to_contain_text("学习率太大" if language == "zh" else "too large")


def test_there_is_an_end_to_points(site, browser):
    with reading(browser, site) as tab:
        still(tab, site)
        tab.locator(".live-plane").focus()
        for _ in range(402):
            tab.keyboard.press("Enter")
        assert numbers(tab)[3] == 500
        expect(status(tab)).to_contain_text("No more than 500")


@languages
def test_a_touch_starts_it_on_a_phone_and_nothing_else_is_fetched(site, browser, language):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark", "reduced_motion": "reduce"}
    with reading(browser, site, **phone) as tab:
        asked = []
        open_page(tab, site, address(language, LESSON))
        tab.locator(".live figure").scroll_into_view_if_needed()
        tab.wait_for_load_state("networkidle")
        tab.on("request", lambda request: asked.append(request.url.removeprefix(site.url)))
        tab.locator(".live figure").tap()
        panel = tab.locator(".live-panel")
        expect(panel).to_be_focused(timeout=20_000)
        expect(status(tab)).to_contain_text("%")
        assert {url for url in asked if not url.startswith("assets/katex/fonts/")} == {"assets/live/foundations/neuron.js", "assets/live/runtime.js", "assets/live/live.css"}
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.locator(".live-plane").tap(position={"x": 100, "y": 100})
        assert numbers(tab)[3] == 101
        for control in panel.locator("button, input, select, [tabindex='0']").all():
            name = control.evaluate("node => node.getAttribute('aria-label') || node.textContent || node.labels?.[0]?.textContent")
            assert name and name.strip()


def test_without_javascript_the_picture_shows(site, browser):
    with reading(browser, site, java_script_enabled=False) as tab:
        open_page(tab, site, address("en", LESSON))
        expect(tab.locator(".live figure svg")).to_be_visible()
        expect(tab.locator(".live-start button")).to_be_hidden()
