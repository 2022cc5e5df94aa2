"""The figures speak the language of their page, and every diagram is on one."""

import re
from functools import cache
from xml.etree import ElementTree

import numpy as np
import page_checks as checks
import pytest
import torch
from conftest import load_snippet

from tooling import figures, pages
from tooling.lessons import DOCS, RESULTS, ROOT, page_names

FIGURES = {figures.figure_name(path): path for path in [*RESULTS.rglob("*.svg"), *figures.DIAGRAMS.glob("*.svg")]}


def shown(page: str) -> list[str]:
    """Return the names of the figures of a page, in order."""
    folder = (DOCS / "zh" / f"{page}.md").parent
    targets = [(folder / target).resolve() for _, target, _ in checks.FIGURE.findall(pages.source("zh", page))]
    return [name for path in targets if (name := figures.figure_name(path)) in FIGURES]


@cache
def labels(name: str) -> list[str]:
    """Return what the texts of a figure say."""
    root = ElementTree.fromstring(FIGURES[name].read_text(encoding="utf-8"))
    return list(dict.fromkeys(figures.label(text) for text in root.iter(f"{{{figures.SVG}}}text")))


@pytest.mark.parametrize("page", page_names("zh"))
def test_every_label_has_its_chinese(page):
    missing = [(name, words) for name in shown(page) for words in labels(name) if figures.chinese(words, name)[0] is None]
    said = [f"{FIGURES[name].relative_to(ROOT)}: `{words}` has no Chinese: add it to docs/figures.yml, to `same` where both languages write it alike" for name, words in missing]
    if missing:
        pytest.fail("\n".join(said), pytrace=False)


def test_the_table_holds_nothing_unused():
    table = figures.table()
    entries = {("same", name) for name in table["same"]} | {("chinese", words) for words in table["chinese"]}
    entries |= {("figures", figure, words) for figure, own in table["figures"].items() for words in own}
    used = {entry for name in FIGURES for words in labels(name) for entry in figures.chinese(words, name)[1]}
    unused = sorted(" / ".join(entry) for entry in entries - used)
    assert not unused, "docs/figures.yml: no figure needs\n" + "\n".join(unused)


def test_the_chinese_is_chinese():
    """An entry says something else than its English, but for the text of the data; its numbers are those of the label."""
    table = figures.table()
    for words, chinese in [*table["chinese"].items(), *(entry for own in table["figures"].values() for entry in own.items())]:
        assert words.count("…") == chinese.count("…"), f"docs/figures.yml: `{words}` and `{chinese}` differ in their numbers"
        assert not checks.typography(chinese), f"docs/figures.yml: {chinese}: {checks.typography(chinese)}"
    for words, chinese in table["chinese"].items():
        assert re.search("[一-鿿，：（）]", chinese), f"docs/figures.yml: `{chinese}` is not Chinese; a name in both languages belongs to `same`"


@pytest.mark.parametrize("diagram", sorted(name for name in FIGURES if name.startswith("diagrams/")))
def test_every_diagram_is_shown(diagram):
    assert any(diagram in shown(page) for page in page_names("zh")), f"docs/assets/{diagram}.svg is on no page; show it or delete it"


def test_the_numbers_of_the_attention_diagram_come_out():
    root = ElementTree.fromstring((figures.DIAGRAMS / "attention.svg").read_text(encoding="utf-8"))

    def matrix(name: str, columns: int) -> np.ndarray:
        (group,) = (group for group in root.iter(f"{{{figures.SVG}}}g") if group.get("id") == name)
        return np.array([float(figures.label(text).replace("−∞", "-inf")) for text in group]).reshape(-1, columns)

    queries, keys, values = matrix("queries", 4), matrix("keys", 3), matrix("values", 4)
    assert (matrix("scores", 3) == queries @ keys).all()
    masked = np.where(np.triu(np.ones((3, 3)), 1) > 0, -np.inf, queries @ keys / np.sqrt(4))
    assert (matrix("masked", 3) == masked).all()
    weights = np.exp(masked) / np.exp(masked).sum(1, keepdims=True)
    for name in ("weights", "weights-again"):
        assert abs(matrix(name, 3) - weights).max() <= 0.005
    assert abs(matrix("results", 4) - weights @ values).max() <= 0.005


def test_the_shapes_of_the_network_diagram_are_those_of_the_program():
    network, shapes = load_snippet("models/cnn").ConvNet(), set()
    for layer in (network.conv1, network.conv2, network.fc1, network.fc2):
        layer.register_forward_hook(lambda layer, given, made: shapes.update((given[0].shape[1:], made.shape[1:])))
    with torch.inference_mode():
        network(torch.zeros(1, 3, 32, 32))
    said = {tuple(map(int, words.split()[:1] if "scores" in words else words.split(" × "))) for words in labels("diagrams/cnn") if re.fullmatch(r"\d+( × \d+ × \d+| scores .*)?", words)}
    assert {shape for shape in said if shape not in {(digit,) for digit in range(10)}} == shapes | {(64, 8, 8)}


def test_labels():
    """Rules, by example: numbers fill `…`, sides of an arrow stand for themselves, tokens and single letters stay."""
    said = {words: figures.chinese(words, "any")[0] for words in ("with position 40", "cat → frog", "41%", "<en>", "August␣", "年", "x", "GPT-3", "surprise", "cat → surprise")}
    assert said == {
        "with position 40": "与位置 40", "cat → frog": "猫 → 蛙", "41%": "41%", "<en>": "<en>", "August␣": "August␣", "年": "年", "x": "x", "GPT-3": "GPT-3",
        "surprise": None, "cat → surprise": None,
    }
    assert figures.chinese("step", "questions/schedules/schedules")[0] != figures.chinese("step", "any")[0]


def test_a_translated_text_stands_where_it_stood():
    svg = f"""<svg xmlns="{figures.SVG}" viewBox="0 0 9 9">
    <text style="font-size: 10px" transform="translate(10 20)">cat → frog</text>
    <text style="font-size: 10px" transform="translate(10 20) rotate(-45)">airplane</text>
    <text style="font-size: 10px; text-anchor: end" x="5">dog</text>
    <text><tspan x="0">1</tspan><tspan x="5">0</tspan></text></svg>"""
    middle, slanted, end, formula = ElementTree.fromstring(figures.translated(svg, "any")).iter(f"{{{figures.SVG}}}text")
    assert (middle.text, middle.get("x"), middle.get("style")) == ("猫 → 蛙", "28.0", "font-size: 10px; text-anchor: middle")
    assert (slanted.text, slanted.get("x"), slanted.get("style")) == ("飞机", "44.8", "font-size: 10px; text-anchor: end")
    assert (end.text, end.get("x"), end.get("style")) == ("狗", "5", "font-size: 10px; text-anchor: end")
    assert len(formula) == 2
