"""The checks of the pages find what is wrong, and leave alone what is right."""

import page_checks as checks
import pytest
from page_checks import texts_of

PAGE = '''\
---
description: A page to look at.
---

# A page

First, with `code`, $x$ and
[a link](other.md) of [[ metrics.x | percent ]].

## Part {#part}

- An **item**
  of two lines.

| a | 1 |
|---|---|

```python title="a.py"
--8<-- "a.py:b"
```

$$
y = 1
$$

![A curve](a.svg "Its caption.")

??? success "Answer"
    Inside.
'''


def paragraph(text: str, section: str = "part") -> checks.Text:
    return texts_of(f"## Part {{#{section}}}\n\n{text}\n")[-1]


def test_texts_of_a_page():
    assert [(text.kind, text.line, text.section, text.words) for text in texts_of(PAGE)] == [
        ("front matter", 2, "", "A page to look at."),
        ("heading", 5, "", "A page"),
        ("paragraph", 7, "", "First, with X, X and\na link of N."),
        ("heading", 10, "part", "Part"),
        ("item", 12, "part", "An item\nof two lines."),
        ("row", 15, "part", "| a | 1 |"),
        ("code title", 18, "part", "a.py"),
        ("alternative", 26, "part", "A curve"),
        ("caption", 26, "part", "Its caption."),
        ("block title", 28, "part", "Answer"),
        ("paragraph", 29, "part", "Inside."),
    ]
    assert checks.words("**刚入门。** 先看 `x`") == "刚入门。先看 X"
    assert checks.words("a `b\nc` d<!-- e\nf -->") == "a X\n d\n", "a line stays a line"


@pytest.mark.parametrize(
    "typed",
    [
        "It reaches 97.5%.",
        "It reaches 97\n%.",
        "It trains in 12 seconds.",
        "It trains 1.5 times as fast.",
        "A gain of 3 points.",
        "A gain is 3-fold.",
        "It has 42 parameters.",
        "An accuracy of 0.98.",
        "It makes 5 mistakes.",
        "It has 1,234 rows.",
        "准确率是 97.5%。",
        "训练用了 12 秒。",
        "高出 3 个百分点。",
        "快了 3 倍。",
        "有 42 个参数。",
        "(Kim, 2014) got 81.5%. Ours is [[ metrics.x ]], and was 79.5%.",
        "Ours is 0.1%, where 0.1 is a setting.",
        "| ours | 97.5% |",
        "In 2012, ours reached 97.5%.",
        "With 2 · 4 = 8 heads it reaches 97.5%.",
    ],
)
def test_typed_results_are_found(typed):
    problems = checks.typed_numbers([paragraph(typed)], {0.1, 5.0})
    assert [line for line, _ in problems] == [3]


@pytest.mark.parametrize(
    "stated",
    [
        "It reaches [[ metrics.x | percent ]] in [[ metrics.s ]] seconds.",
        "Dropout is 0.1, that is 10%, over 128 units.",
        "In 2012 two of the 12 networks of CIFAR-10 had 3 layers of 5 × 5.",
        "Others reach 97.5% (Kim, 2014).",
        "Kim (2014) built one. It reaches 97.5%.",
        "The layer has 12 · 128 = 1,536 weights.",
        "An A-100 costs ¥1,234 and `97.5%` is code, $0.98$ a formula.",
        "A card has 24 GB. <!-- stated: a supposed card -->",
        "多出 24 GB。<!-- stated: 假设的显卡 -->",
    ],
)
def test_numbers_of_others_and_settings_are_not(stated):
    assert not checks.typed_numbers([paragraph(stated)], {0.1, 128.0})


def test_headings_and_papers_keep_their_numbers():
    assert not checks.typed_numbers(texts_of("## The 99.9% {#reading}\n\n- A. Author, *A 99.9% title*, 2014.\n"), set())


def test_copied_results_are_found():
    for text in ("Others got 81.52% (Kim, 2014).", "It has 545,098 of them. <!-- stated: no -->"):
        assert checks.copied_numbers([paragraph(text)], {0.815234, 545098.0}, set())
    for text in ("Others got 81.5 million (Kim, 2014).", "It has 81%.", "It has 545,099."):
        assert not checks.copied_numbers([paragraph(text)], {0.815234, 545098.0}, set())
    assert not checks.copied_numbers([paragraph("Width 256.")], {256.0}, {256.0}), "a setting"


def test_an_excuse_without_a_number_is_found():
    assert checks.idle_excuses([paragraph("No number. <!-- stated: nothing -->")], set())
    assert not checks.idle_excuses([paragraph("It takes\n12 s. <!-- stated: a guess -->")], set())


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("4 · 256 · (100 + 256 + 2) = 366,592 weights", True),
        ("4 · 256 · (100 + 256 + 2) = 366,593 weights", False),
        ("12 · 12 · 768² ≈ 84.9 million", True),
        ("12 · 12 · 768² ≈ 84.9 billion", False),
        ("24 · 10⁹ / 16 = 15 亿参数", True),
        ("24 · 10⁹ / 16 = 14 亿参数", False),
        ("1,797 − 600 = 1,197", True),
        ("1797 − 600 = 1187", False),
    ],
)
def test_arithmetic(text, right):
    assert (checks.wrong_equations(paragraph(text)) == []) == right


@pytest.mark.parametrize(
    ("formula", "right"),
    [
        (r"-0.91 \ln 0.91 - 0.09 \ln 0.01 \approx 0.50", True),
        (r"-0.91 \ln 0.91 - 0.09 \ln 0.01 \approx 0.51", False),
        (r"L = \ln 10 \approx 2.303", True),
        (r"L = \ln 10 \approx 2.304", False),
        (r"\sigma(3) \approx 0.95", True),
        (r"\sigma(3) \approx 0.96", False),
        (r"2^{-64} \approx 5 \cdot 10^{-20}", True),
        (r"2^{-64} \approx 5 \cdot 10^{-19}", False),
        (r"2\,(2^5 - 1) = 62", True),
        (r"2\,(2^5 - 1) = 64", False),
        (r"\sqrt{0.9 \cdot 0.1 / 100} = 0.03", True),
        (r"\sqrt{0.9 \cdot 0.1 / 100} = 0.3", False),
        (r"K = s = 2", True),
    ],
)
def test_formulas_of_numbers(formula, right):
    assert (checks.wrong_formulas(f"$$\nx\n$$\n${formula}$") == []) == right


@pytest.mark.parametrize(
    ("language", "text", "right"),
    [
        ("zh", "训练用 AdamW（Loshchilov 和 Hutter，2019）。", True),
        ("zh", "“The plot was not bad although the ending was really quite dull”是褒。", True),
        ("zh", "This paragraph was never translated.", False),
        ("zh", "前半句是中文，but the second half of this sentence is still in plain English。", False),
        ("zh", "| SVM | [[ metrics.x ]] |", True),
        ("zh", "| support vector machine | [[ metrics.x ]] |", False),
        ("en", "A convolution.", True),
        ("en", "A 卷积.", False),
        ("en", "It says `卷积`.", True),
    ],
)
def test_language_of_a_text(language, text, right):
    assert (checks.wrong_language(paragraph(text), language) is None) == right


def test_language_of_figures_titles_and_formulas():
    for text in texts_of('![A curve falls](a.svg "The loss.")\n\n??? tip "Answer"\n    答案。\n')[:3]:
        assert checks.wrong_language(text, "zh") and not checks.wrong_language(text, "en"), text
    for text in texts_of('![下降的曲线](a.svg "损失。")\n\n??? tip "答案"\n    Here.\n')[:3]:
        assert checks.wrong_language(text, "en") and not checks.wrong_language(text, "zh"), text
    assert checks.wrong_formula_words(r"a" "\n" r"$\text{result from }$", "zh") == [(2, r"`\text{result from }` is not in the page's language: translate it")]
    assert not checks.wrong_formula_words(r"$\text{softmax}\text{由 }$", "zh") and checks.wrong_formula_words(r"$\text{由 }$", "en")


def test_numbers_agree_across_languages():
    assert checks.numbers(paragraph("13 亿参数，0.5，3 层")) == checks.numbers(paragraph("three layers, 0.5, a 1.3-billion-parameter model")) != checks.numbers(paragraph("1.4 billion, 0.5"))


@pytest.mark.parametrize(("chinese", "english"), [
    ("二十倍", "twenty times"), ("三十六个", "thirty-six"), ("两千张", "two thousand"), ("一百个样本里", "a hundred samples"), ("五十万参数", "half a million parameters"),
    ("一万倍", "ten-thousandfold"), ("百分之百", "one hundred percent"), ("一千亿", "a hundred billion"), ("上千亿、上万种", "over a hundred billion, over ten thousand"), ("十四个", "fourteen"), ("一千零二十四", "1,024"),
    ("第三层，十来个", "the third layer, about ten"), ("好几百、十几个、一二三", "hundreds and dozens"), ("共 3 kB", "3 kB"),
])
def test_numbers_in_words_agree_across_languages(chinese, english):
    assert checks.numbers(paragraph(chinese)) == checks.numbers(paragraph(english))


@pytest.mark.parametrize(("chinese", "english"), [("二十倍", "thirty times"), ("两千张", "200"), ("共 3 kB", "3 MB"), ("十四个", "some"), ("十五 ms", "15 s")])
def test_numbers_in_words_that_differ_are_seen(chinese, english):
    assert checks.numbers(paragraph(chinese)) != checks.numbers(paragraph(english))


def test_a_number_that_touches_a_chinese_word_is_one():
    assert checks.numbers(paragraph("把64个像素")) == checks.numbers(paragraph("64 pixels"))


def test_a_lost_sentence_shows_in_the_length():
    chinese = "卷积让一个小窗口在图像上滑动。每到一个位置，就把窗口里的像素和一组权重逐个相乘再求和，这组权重叫作卷积核。窗口每次移动的距离叫步幅。"
    english = "A convolution slides a small window over the image. At every place it multiplies the pixels of the window by its weights, the kernel, and adds the products up. "
    rest = "How far it moves is its stride."
    assert 0.8 < checks.length_ratio(chinese, english + rest) < 1.25
    assert checks.length_ratio(chinese, english[:52] + rest) < 0.72 and checks.length_ratio(chinese[:16], english + rest) > 1.38


@pytest.mark.parametrize(
    ("language", "text", "wrong"),
    [
        ("zh", "卷积神经网路和激活函式。", ["卷积神经网路", "激活函式"]),
        ("zh", "梯度弥散，过度拟合。", ["梯度弥散", "过度拟合"]),
        ("zh", "卷积神经网络和激活函数。", []),
        ("en", "Mini-batches and over-fitting.", ["Mini-batch", "over-fitting"]),
        ("en", "A cross\nvalidation.", ["cross validation"]),
        ("en", "Batches, overfitting, cross-validation, FLOPs.", []),
        ("en", "We normalise the colour of a dataset and analyse it.", ["normalise", "colour", "dataset", "analyse"]),
        ("en", "A precise, otherwise wise promise to exercise and revise; see *Datasheets for datasets*.", []),
    ],
)
def test_words(language, text, wrong):
    assert [problem.split("`")[1] for _, problem in checks.wrong_words(paragraph(text), language)] == wrong


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "This is the\nthe end."),
        ("en", "TODO: say more."),
        ("en", "An open (bracket."),
        ("en", 'An open "quote.'),
        ("en", "A “curly” quote."),
        ("zh", "这是我们的的结果。"),
        ("zh", "结果，。"),
        ("zh", "用 SGD, AdamW 等。"),
        ("zh", "每個張量。"),
        ("zh", "待补。"),
        ("zh", "没有合上（括号。"),
        ("zh", "没有合上“引号。"),
        ("zh", "准确率是 [[ metrics.x ]] %。"),
        ("en", "At 5 % it is slow."),
    ],
)
def test_careless_texts(language, text):
    assert checks.careless(paragraph(text), language)


def test_careful_texts():
    assert not checks.careless(paragraph('The (first) "end", and that is it.'), "en")
    assert not checks.careless(paragraph("一个词一个词地读（“good, bad”），形状 (batch, time)，得多得多。"), "zh")


def test_cut_off_paragraphs():
    for source, whole in [("It is\n\n$$\nx\n$$\n", True), ("You can\n\n- read.\n", True), ("It is.\n\nMore.\n", True), ("It is\n\nMore.\n", False), ("结果是\n", False), ("**Natural language**\n", True)]:
        assert (checks.cut_off(texts_of(source), source) == []) == whole, source


def test_unnamed_terms():
    assert checks.unnamed_terms(texts_of("**池化**把图像变小。"))
    assert not checks.unnamed_terms(texts_of("**池化**（pooling）把图像变小。以后**池化**不必再注。补零（**填充**，padding）。**不加**填充。"))


@pytest.mark.parametrize(
    "wrong",
    [
        "你好,世界。", "网络A和B。", "用`flatten`展平。", "值$x$很大。", "用了[[ metrics.x ]]秒。", "使用**CNN**和", "为３层", "你好!", "第一步;第二步",
        "网络(network)。", "他说 “好”。", "结果。 下一句", "好 ，坏", '一个 "词"', "| 方法 | 用5层 |", "约(大概)三秒", "[链接A](a.md)处",
    ],
)  # fmt: skip
def test_wrong_typography(wrong):
    assert checks.typography(paragraph(wrong).words)


@pytest.mark.parametrize(
    "right",
    [
        "你好，世界。", "网络 A 和 B。", "用 `flatten` 展平。", "值 $x$ 很大，$y$。", "用了 [[ metrics.x | fixed(1) ]] 秒，约 3%。", "**刚入门。** 先看",
        "卷积（convolution，CNN）", "他说“好”。", "| 方法 | 用 5 层 |", "- D. H. Hubel、T. N. Wiesel，*Receptive fields*，1962。", "1 到 4 个，32 → 30", "a[0] (b)",
    ],
)  # fmt: skip
def test_right_typography(right):
    assert not checks.typography(paragraph(right).words)


def test_links():
    assert checks.targets("a\n[b](c.md#d) `[e](f)`\n```\n[g](h)\n```\n![i](j.svg \"k\") <https://l.org>") == [(2, "c.md#d"), (6, "j.svg"), (6, "https://l.org")]
    for address in ("index.md", "models/cnn.md#training", "#what-runs", "../results/models/cnn/loss.svg", "https://example.org/a?b=c#d"):
        assert checks.wrong_link(address, "en", "index") is None, address
    for address in ("no.md", "models/cnn.md#no", "#no", "../results/no.svg", "../zh/index.md", "http://example.org", "//example.org", "mailto:a@b.org", "models"):
        assert checks.wrong_link(address, "en", "index"), address
    assert checks.missing_footnotes("a[^1] b[^2]\n\n[^1]: c.\n[^3]: d.") == {"2", "3"}


@pytest.mark.parametrize(
    "address",
    ["http://a.org", "https://localhost/a", "https://me:secret@a.org", "https://a.org:8000", "https://a.org/x?utm_source=y", "https://a.org/x.", "https://a.org/，", "https://A.org", "https://a.org/ x"],
)
def test_wrong_addresses(address):
    assert checks.wrong_address(address)


def test_right_addresses():
    for address in ("https://a.org", "https://download.pytorch.org/whl/cpu", "https://a.org/b?c=d&e=f#g", "https://a.org/b/"):
        assert not checks.wrong_address(address)


# --- code

CODE = """\
# A page

```python
--8<-- "models/a.py:setup"
```

## Only a heading {#heading}

```python
--8<-- "models/a.py:model"
```

A word.

```python
--8<-- "models/a.py:train"
```

??? code "What another lesson teaches"
    ```python
    --8<-- "models/a.py:shared"
    ```

```python
--8<-- "models/a.py:main"
```

??? code "The figures and the command line"
    ```python
    --8<-- "models/a.py:figures"
    ```

    ```python
    --8<-- "models/a.py:command"
    ```
"""
SECTIONS = {name: "x = 1" for name in ("setup", "model", "train", "shared", "main", "figures", "command")}


def test_code_without_a_word_between_is_found():
    assert [line for line, _ in checks.runs_of_code(CODE)] == [9, 24]
    assert not checks.runs_of_code(CODE.replace("## Only", "Not only").replace("\n```python\n--8<-- \"models/a.py:main", "\nIt runs.\n\n```python\n--8<-- \"models/a.py:main"))


@pytest.mark.parametrize(("old", "new", "line"), [
    ("", "", None),
    ('??? code "The', '???+ code "The', 33),
    ('??? code "The', '??? note "The', 33),
    ("    ```\n\n    ```python\n    --8<-- \"models/a.py:command", "    ```\n\n??? code \"More\"\n    ```python\n    --8<-- \"models/a.py:command", 34),
    ('??? code "The', 'A word.\n\n', 35),
])
def test_ends_that_are_not_folded_are_found(old, new, line):
    text = CODE.replace(old, new, 1) if old else CODE
    assert [line for line, _ in checks.unfolded_ends(text, {"models/a": SECTIONS})] == ([line] if line else [])


def test_a_shared_section_before_the_end_may_be_folded_by_itself():
    text = CODE.replace('```python\n--8<-- "models/a.py:main"\n```\n\n', "").replace("    ```python\n    --8<-- \"models/a.py:command\"\n    ```\n", "")
    assert checks.unfolded_ends(text, {"models/a": SECTIONS})
    assert not checks.unfolded_ends(text, {"models/a": SECTIONS | {"shared": "# From models/b.py, word for word:\nx = 1"}})


def test_long_and_wide_programs_are_found():
    lines = "\n".join(["x = 1", ""] * 250)
    assert not checks.too_long("x" * 79, {"all": lines, "shared": f"# From models/b.py, word for word:\n{lines}"})
    (wide, long) = checks.too_long("x = 1\n" + "x" * 80, {"all": lines, "more": "y = 1"})
    assert wide[0] == 2 and "2 (80)" in wide[1] and "251 lines" in long[1]
