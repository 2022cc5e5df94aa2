"""How fast the live models answer in Chromium: `pytest tests/benchmark_live.py -s` prints medians and asserts nothing."""

import statistics

import pytest
from playwright.sync_api import expect
from reader import address, open_page, reading

# what a later answer is, for each model; `milliseconds(work)` times one
LATER = {
    "models/cnn": """async (model, lesson, milliseconds) => {
        const pictures = await lesson.samples(model.data.samples.labels.length);
        const times = [];
        for (const pixels of pictures) times.push(await milliseconds(() => lesson.ask(model, pixels)));
        return times;
    }""",
    "models/rnn": """async (model, lesson, milliseconds) => {
        const times = [];
        for (const name of model.data.samples.names) times.push(await milliseconds(() => lesson.read(model, name)));
        return times;
    }""",
    "applications/translation": """async (model, lesson, milliseconds) => {
        const times = [];
        for (const { given, to, style } of model.data.samples.filter((one) => one.kind === "dates")) {
            const { numbers } = lesson.encode(model.data.names, given, to, style);
            for (let time = 0; time < 3; time++) times.push(await milliseconds(() => lesson.translate(model, numbers)));
        }
        return times;
    }""",
    "language-models/gpt": """async (model, lesson, milliseconds) => {
        const times = [];
        for (let place = 0; place < 100; place++) times.push(await milliseconds(() => lesson.ask(model, Array(model.data.length).fill(place))));
        return times;
    }""",
}


@pytest.mark.parametrize("lesson", LATER)
def test_medians(site, browser, lesson):
    first = []
    for _ in range(5):
        with reading(browser, site) as tab:  # a new context: nothing is in its cache
            open_page(tab, site, address("en", lesson))
            tab.evaluate("""() => {
                const answered = new MutationObserver(() => {
                    const status = document.querySelector('.live > .live-status');
                    if (status?.textContent.includes('%')) window.answered ??= performance.now();
                });
                answered.observe(document.querySelector('.live'), { subtree: true, childList: true, characterData: true });
                document.querySelector('.live-start button').addEventListener('click', () => window.touched = performance.now(), true);
            }""")
            tab.locator(".live-start button").click()
            expect(tab.locator(".live > .live-status")).to_contain_text("%", timeout=30_000)
            first.append(tab.evaluate("window.answered - window.touched"))
            if len(first) == 5:
                later = tab.evaluate(
                    """async ([runtime, lesson, work]) => {
                        const [{ load }, module] = [await import(runtime), await import(lesson)];
                        const milliseconds = async (work) => { const begun = performance.now(); await work(); return performance.now() - begun; };
                        return (0, eval)(work)(await load(module.lesson), module, milliseconds);
                    }""",
                    [f"{site.url}assets/live/runtime.js", f"{site.url}assets/live/{lesson}.js", LATER[lesson]],
                )
    print(f"\n{lesson}: first answer {statistics.median(first) / 1000:.2f} s, later ones {statistics.median(later):.1f} ms (medians of {len(first)} and {len(later)})")
