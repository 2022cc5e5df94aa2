"""What the tests of the pages look at: a page's texts, without its code and its formulas, and what can be wrong in them."""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

import autocorrect_py
import yaml
from sklearn import datasets

from tooling import glossary, pages, references
from tooling.claims import CLAIM
from tooling.lessons import DOCS, SHARED, SNIPPETS, metrics

UNFINISHED = re.compile(r"TODO|FIXME|TBD|lorem ipsum|待补|待定|待续|未完")
FIGURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)(?: \"([^\"]*)\")?\)")
HEADING = re.compile(r"#{1,6} (.+?)(?:[ \t]*\{ *#([\w-]+) *\})?[ \t]*$")
BLOCK = re.compile(r'(?:\?\?\?\+?|!!!) [\w ]+"(.*)"$')
ITEM = re.compile(r"(?:[-*+]|\d+\.|\[\^[\w-]+\]:) ")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CHINESE = re.compile("[一-鿿]")


class Text(NamedTuple):
    """A piece of a page that its reader reads: what it is, where it stands, as it is written and as it is read."""

    kind: str  # front matter, heading, paragraph, item, row, block title, code title, alternative, caption
    line: int
    section: str  # the id of the heading above
    source: str
    words: str  # on as many lines; code, a formula or an address is X, a number from the results N

    def line_of(self, position: int) -> int:
        return self.line + self.words[:position].count("\n")


def words(source: str) -> str:
    """Return a text as it is read, without its marks."""
    def instead(mark: str):
        return lambda match: mark + "\n" * match[0].count("\n")

    source = COMMENT.sub(instead(""), source)
    source = re.sub(r"\[\[ .+? \]\]", instead("N"), source, flags=re.DOTALL)
    source = re.sub(r"(`+).+?\1|\$[^$]+\$|<https?:[^>]+>", instead("X"), source, flags=re.DOTALL)
    source = re.sub(r"\[([^\]]+)\]\([^)]+\)(?:\{[^}\n]*\})?", r"\1", source)
    source = re.sub(r"\[\^[\w-]+\]|^\{ *[.#:][^}\n]*\}$|</?\w[^>\n]*>", "", source, flags=re.MULTILINE)
    # a space has to follow `**In bold.**` for Markdown to see its end, in Chinese too
    source = re.sub(r"(?<=[。？！：])\*\* ", "", source)
    return source.replace("*", "")


@cache
def texts(language: str, page: str) -> list[Text]:
    """Return the texts of a page, in order, its references written out."""
    return texts_of(references.fill(pages.source(language, page), language, f"docs/{language}/{page}.md"))


def texts_of(source: str) -> list[Text]:
    found: list[Text] = []
    section, kind, start, lines = "", "paragraph", 0, []

    def add(kind: str, line: int, source: str) -> None:
        found.append(Text(kind, line, section, source, words(source)))

    def end() -> None:
        """Add the paragraph or item that ends here, and the texts of the figures in it."""
        text = "\n".join(lines)
        if words(FIGURE.sub("", text)).strip():
            add(kind, start, FIGURE.sub("", text))
        for match in FIGURE.finditer(text):
            line = start + text[: match.start()].count("\n")
            add("alternative", line, match[1])
            if match[3]:
                add("caption", line, match[3])
        lines.clear()

    front = pages.FRONT_MATTER.match(source)
    if front:
        for key, value in yaml.safe_load(front[0].strip("-\n")).items():
            if isinstance(value, str):
                add("front matter", front[0][: front[0].index(f"{key}:")].count("\n") + 1, value)
    closing = None  # what ends the code or the formula around this line
    for number, line in enumerate(source.split("\n"), 1):
        bare = line.strip()
        if number <= (front[0].count("\n") if front else 0):
            continue
        if closing:
            closing = None if bare.endswith(closing) else closing
            continue
        fence = re.match(r"`{3,}|\$\$", bare)
        heading = HEADING.match(line)
        block = BLOCK.match(bare)
        if fence or heading or block or not bare or bare.startswith(("<div", "</div", "|")) or ITEM.match(bare):
            end()
        if fence:
            closing = fence[0] if fence[0] != "$$" or not bare[2:].endswith("$$") else None
            if title := re.search(r'title="([^"]*)"', bare):
                add("code title", number, title[1])
        elif heading:
            section = heading[2] or ""
            add("heading", number, heading[1])
        elif block:
            add("block title", number, block[1])
        elif bare.startswith("|"):
            if not re.fullmatch(r"[|: -]+", bare):
                add("row", number, bare)
        elif bare and not bare.startswith(("<div", "</div")):
            item = None if lines else ITEM.match(bare)
            if not lines:
                start, kind = number, "item" if item else "paragraph"
            lines.append(bare[item.end() :] if item else bare)
    end()
    return found


Problem = tuple[int, str]  # line, what is wrong and what to do


# --- numbers

NUMBER = re.compile(r"(?<![\w.,/¥$€])(?<!\w-)(\d+(?:,\d{3})+|\d+)(\.\d+)?(?![A-Za-z_]|-(?!fold|times|percent|point)[A-Za-z])")
# what is measured, and never a setting of a program
MEASURED = re.compile(
    r"[\s-]?(?:percent\b|(?:percentage )?points?\b|(?:milli)?seconds?\b|m?s\b|minutes?\b|hours?\b|[kMGT]i?B\b|fold\b|errors?\b|mistakes\b"
    r"|个百分点|毫秒|秒|分钟|小时|个错误)"
)
COUNTED = re.compile(
    r"[\s-]?(?:times\b|bytes?\b|parameters?\b|weights\b|multiplications\b|million\b|billion\b|trillion\b|倍|字节|个参数|个权重|次乘法|[万亿])"
)
CITED = re.compile(r"(?:, |，|[(（])(?:19|20)\d\d(?:[)）,;；]| \|)")  # (Kim, 2014), Kim（2014）
OURS = re.compile(r"(?<![A-Za-z])N(?![A-Za-z])")
STATED = re.compile(r"<!-- stated: .{4,} -->")
EQUATION = re.compile(
    r"(?<![\w.])((?:\(|\d)[\d.,()²³⁰¹⁴-⁹·×+−/ ]*[·×+−/][\d.,()²³⁰¹⁴-⁹·×+−/ ]*?)\s([=≈])\s(\d[\d,]*(?:\.\d+)?)(?:\s?(million|billion|trillion|万亿|万|亿))?"
)
SCALE = {"": 1.0, "万": 1e4, "million": 1e6, "亿": 1e8, "billion": 1e9, "万亿": 1e12, "trillion": 1e12}


def value(text: str, scale: str | None = None) -> float:
    return float(text.replace(",", "")) * SCALE[scale or ""]


def computed(expression: str) -> float:
    """Return the value of arithmetic as it is printed: `4 · 256 · (100 + 2)`, `12 · 768²`."""
    code = re.sub("[⁰¹²³⁴-⁹]+", lambda match: "**" + match[0].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")), expression)
    code = code.replace(",", "").translate(str.maketrans("·×−", "**-"))
    return float(eval(compile(code.strip(), expression, "eval"), {"__builtins__": {}}))


def wrong_equations(text: Text) -> list[Problem]:
    """Return the arithmetic in a text that does not come out: `=` exactly, `≈` within two percent."""
    found = []
    for match in EQUATION.finditer(text.words):
        left, right = computed(match[1]), value(match[3], match[4])
        if abs(left - right) > (1e-9 if match[2] == "=" else 0.02) * abs(left):
            found.append((text.line_of(match.start()), f"`{match[0]}` does not come out: it is {left:,.6g}"))
    return found


def computed_formula(tex: str) -> float | None:
    """Return the value of a formula such as `0.9 \\ln 2^{-3}`; None where it holds a variable."""
    code = tex.replace(r"\cdot", "*").replace(r"\,", "*").replace(r"\sigma", "sigma")
    code = re.sub(r"\\ln\s+([\d.]+)", r"log(\1)", code)
    code = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", code)
    code = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", code).replace("^", "**")
    code = re.sub(r"(?<=[\d)])\s*(?=log|sqrt|sigma)", "*", code).strip()
    if not code or re.search(r"[A-Za-z\\{}_,]", re.sub("log|sqrt|sigma", "", code)):
        return None
    functions = {"log": math.log, "sqrt": math.sqrt, "sigma": lambda x: 1 / (1 + math.exp(-x))}
    try:
        return float(eval(compile(code, tex, "eval"), {"__builtins__": {}} | functions))
    except (SyntaxError, TypeError):
        return None


def wrong_formulas(source: str) -> list[Problem]:
    """Return the formulas in a page's text whose two sides are numbers that differ, beyond the digits written."""
    found = []
    source = re.sub(r"\$\$.+?\$\$", lambda match: "\n" * match[0].count("\n"), without_code(source), flags=re.DOTALL)
    for match in re.finditer(r"\$([^$]+)\$", source):
        sides = re.split(r"(=|\\approx)", match[1])
        for left, sign, right in zip(sides[::2], sides[1::2], sides[2::2]):
            values = computed_formula(left), computed_formula(right)
            if None in values:
                continue
            decimals = re.fullmatch(r"\s*-?\d+\.?(\d*)\s*", right)
            allowed = 1e-9 if sign == "=" else 0.5 * 10.0 ** -len(decimals[1]) if decimals else 0.1 * abs(values[0])
            if abs(values[0] - values[1]) > allowed * (1 + 1e-9):
                found.append((source[: match.start()].count("\n") + 1, f"`{match[0]}` does not come out: the left is {values[0]:.6g}"))
    return found


COMPARISON = re.compile(
    r"\b(?:than|better|worse|best|worst|ahead|behind|beats?|exceeds?|outperforms?|as (?:well|good) as|no difference)\b"
    r"|比.{1,30}?(?:高|低|好|差|多|少|大|小|快|慢|强|弱)|高于|低于|优于|胜过|超过|不如|领先|落后|最[高低好差]|相当|没有(?:明显)?差别"
)
OF_A_RESULT = re.compile(r"\[\[ [^]]*?(?:metrics|seeds|results\[[^]]+\])\.(?!run\b)")


def unclaimed(found: list[Text]) -> list[Problem]:
    """Return the paragraphs that compare results without saying, as an expression, what they claim."""
    return [
        (text.line, f"compares results ({match[0]}): say below it what it claims, `<!-- claim: seeds.cnn.accuracy > seeds.svm.accuracy -->`")
        for text in found
        if text.kind in ("paragraph", "item") and len(OF_A_RESULT.findall(text.source)) > 1 and not CLAIM.search(text.source)
        if (match := COMPARISON.search(text.words))
    ]


def sentences(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for match in re.finditer(r"(?<=[.?!])\s+(?=[A-Z\"(])|(?<=[。？！；])", text):
        yield start, text[start : match.start()]
        start = match.end()
    yield start, text[start:]


@cache
def sizes() -> set[float]:
    """Return how many samples scikit-learn's data sets have."""
    return {float(len(load().target)) for load in (datasets.load_digits, datasets.load_wine, datasets.load_breast_cancer)}


def known_values(language: str, page: str) -> set[float]:
    """Return the settings of the programs that a page shows, the sizes of their data, and what arithmetic on the page gives."""
    known = set(sizes())
    for name in pages.programs(language, page):
        for node in ast.walk(ast.parse((SNIPPETS / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
                known.add(float(node.value))
    for text in texts(language, page):
        known.update(value(match[3], match[4]) for match in EQUATION.finditer(text.words))
    return known


def measured_values(language: str, page: str) -> set[float]:
    """Return all numbers that the programs of a page measured."""
    def leaves(part) -> Iterator[float]:
        if isinstance(part, (dict, list)):
            for inner in part.values() if isinstance(part, dict) else part:
                yield from leaves(inner)
        elif isinstance(part, (int, float)):
            yield float(part)

    return {number for name in pages.programs(language, page) for number in leaves(metrics(name))}


def copied_numbers(found: list[Text], measured: set[float], known: set[float]) -> list[Problem]:
    """Return the numbers of three digits and more that were typed off a result; no source excuses them."""
    problems = []
    for text in found:
        if text.section == "reading" or text.kind == "code title" or EQUATION.search(text.words):
            continue
        for match in NUMBER.finditer(text.words):
            digits = match[1].replace(",", "") + (match[2] or "")
            rest = text.words[match.end() :]
            if len(digits.replace(".", "").strip("0")) < 3 or float(digits) in known or re.match(r"\s?(million|billion|trillion|[万亿])", rest):
                continue
            factor, places = (100 if re.match(r"\s?%", rest) else 1), len(match[2] or ".") - 1
            if any(round(factor * number, places) == float(digits) for number in measured):
                problems.append((text.line_of(match.start()), f"`{match[0]}` is a result of this page's program: write it as [[ metrics.x ]]"))
    return problems


def typed_numbers(found: list[Text], known: set[float]) -> list[Problem]:
    """Return the numbers of a page's texts that look measured but were typed.

    Suspicious is a number with a unit, with decimals or with three digits that count. It may stand
    where it is a setting of the program, a part of arithmetic, or a source's: named in its sentence, or in
    the one beside it if that holds no number of ours. `<!-- stated: whence -->` excuses a text.
    """
    problems = []
    for position, text in enumerate(found):
        if text.kind in ("heading", "code title") or text.section == "reading" or STATED.search(text.source):
            continue
        pieces = list(sentences(text.words))
        beside = [piece for _, piece in pieces]
        if text.kind == "row":
            beside = [other.words for other in found[max(0, position - 1) : position + 2] if other.kind == "row"]
        for number, (start, sentence) in enumerate(pieces):
            around = beside if text.kind == "row" else beside[max(0, number - 1) : number + 2]
            if CITED.search(sentence) or not OURS.search(sentence) and any(CITED.search(piece) for piece in around):
                continue
            worked_out = EQUATION.search(sentence) is not None
            for match in NUMBER.finditer(sentence):
                if problem := suspicious(sentence, match, known, worked_out):
                    problems.append((text.line_of(start + match.start()), problem))
    return problems


def suspicious(sentence: str, match: re.Match, known: set[float], worked_out: bool) -> str | None:
    """Tell what is wrong with a number of a sentence; in one that works something out, only units betray."""
    whole, decimals = match[1].replace(",", ""), match[2] or ""
    number, rest = float(whole + decimals), sentence[match.end() :]
    percent, measured = re.match(r"\s?%", rest), MEASURED.match(rest)
    counted = COUNTED.match(rest) or decimals or len(whole.rstrip("0")) > 2
    if percent:
        suspect = round(number / 100, 9) not in known
    elif measured:
        suspect = True
    else:
        suspect = counted and not worked_out and number not in known and not re.fullmatch(r"(19|20)\d\d", match[1])
    if suspect:
        unit = (percent or measured or COUNTED.match(rest) or [""])[0]
        return (
            f"`{match[0]}{unit}` is typed: take it from metrics.json as [[ metrics.x ]], name the source in its sentence, "
            "write out the arithmetic, or say whence it is in <!-- stated: ... -->"
        )
    return None


# Units whose signs both languages write.
UNIT = re.compile(r"(?<![A-Za-z])(?:[kMGT]i?B|k?Hz|kW|[nmck]m|ms)(?![A-Za-z])")
ONES = {word: number for number, word in enumerate("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), 1)}
TENS = {word: 10 * number for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
LARGE = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
ENGLISH = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(TENS)})(?:-(?P<one>{'|'.join(list(ONES)[:9])}))?|(?P<ones>half an?|an?|next|{'|'.join(ONES)}))"
    rf"(?P<large>(?:[ -](?:{'|'.join(LARGE)}))*)(?:fold)?\b",
    re.IGNORECASE,
)
CHINESE_NUMBER = re.compile(r"(?<![数几多好〇零一二两三四五六七八九十百千万亿])(?:百分之百|(?:上(?!百分)(?=[百千万亿])|[一二两三四五六七八九十])[零一二三四五六七八九十百千万亿]*)(?![几来多余])")


def numbers(text: Text) -> Counter:
    """Return the numbers of a text, in digits or in words, and its units: 1.3 billion is 13 亿, and twenty is 二十."""
    scales = "|".join(sorted(filter(None, SCALE), key=len, reverse=True))
    found = re.finditer(rf"(?<![A-Za-z0-9_.,])(\d+(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)[\s-]?({scales})?", spelled(text.words))
    values = [value(match[1], match[2]) for match in found]
    return Counter([*(f"{number:,.6g}" for number in values if number > 12 or number % 1), *UNIT.findall(text.words)])


def spelled(text: str) -> str:
    """Return a text with its numbers above twelve in digits: 20 for twenty and 二十, 2000 for two thousand and 两千."""
    def english(match: re.Match) -> str:
        tens, one, ones, large = ((match[name] or "").lower() for name in ("tens", "one", "ones", "large"))
        number = TENS.get(tens, 0) + ONES.get(one, 0) + ONES.get(ones, 0.5 if ones.startswith("half") else 1 if ones else 0)
        for word in re.findall(r"[a-z]+", large):
            number *= LARGE[word]
        return f"{number:.0f}" if number > 12 else match[0]

    def chinese(match: re.Match) -> str:
        if match[0] == "百分之百":
            return "100"
        total = section = digit = 0
        for sign in match[0].removeprefix("上"):  # 上万: ten thousand and more
            if place := {"十": 10, "百": 100, "千": 1000}.get(sign):
                section, digit = section + (digit or 1) * place, 0
            elif sign in SCALE:
                total, section, digit = (total + section + digit or 1) * SCALE[sign], 0, 0
            elif digit:  # 一二三: no number, or one digit after the other
                return match[0]
            else:
                digit = "零一二三四五六七八九".index(sign.replace("两", "二"))
        number = total + section + digit
        return f"{number:.0f}" if number > 12 else match[0]

    return CHINESE_NUMBER.sub(chinese, ENGLISH.sub(english, text))


def idle_excuses(found: list[Text], known: set[float]) -> list[Problem]:
    """Return the `<!-- stated: ... -->` of texts that need none."""
    bare = [text._replace(source=STATED.sub("", text.source)) for text in found]
    lines = {line for line, _ in typed_numbers(bare, known)}
    return [
        (text.line, "`<!-- stated: ... -->` excuses no number here: remove it")
        for text in found
        if STATED.search(text.source) and lines.isdisjoint(range(text.line, text.line_of(len(text.words)) + 1))
    ]


# --- two languages


def wrong_language(text: Text, language: str) -> str | None:
    """Tell what is wrong if a text is not in the language of its page."""
    if text.section == "reading" or text.kind == "code title":
        return None  # papers keep their titles; a program's file its name
    if language == "en":
        return "is in Chinese: translate it; an example goes into `code`" if CHINESE.search(text.words) else None
    if CHINESE.search(text.words) or text.kind == "heading" or not re.search("[A-Za-z]{4}", text.words):
        foreign = re.search(r"(?:[A-Za-z0-9][A-Za-z0-9'’-]*[ ,;]+){5,}", re.sub("“[^”]*”", "", text.words))
        return f"holds a sentence in English: translate `{foreign[0][:40]}...`" if foreign else None
    return "is not in Chinese: translate it"


def wrong_formula_words(source: str, language: str) -> list[Problem]:
    """Return the words inside formulas that are in the other language; the name of a function has none."""
    return [
        (source[: match.start()].count("\n") + 1, f"`{match[0]}` is not in the page's language: translate it")
        for match in re.finditer(r"\\text\{([^}]*)\}", source)
        if (CHINESE.search(match[1]) if language == "en" else re.search(r"[A-Za-z]{2,} +[A-Za-z]{2,}", match[1]))
    ]


def expected_length(chinese: str) -> float:
    """Return how long the English of a Chinese text is; the constants fit these pages within about a tenth."""
    characters = len(CHINESE.findall(chinese))
    return 3.35 * characters + 1.2 * (len(re.sub(r"\s", "", chinese)) - characters)


def length_ratio(chinese: str, english: str) -> float:
    return (len(english) + 40) / (expected_length(chinese) + 40)  # short texts vary more


# --- words


BRITISH = re.compile(
    r"\b(?:colour|behaviour|neighbour|favour|labour|honour|flavour|rumour|armour|endeavour|(?:un)?favourabl)\w*"
    r"|\b\w{2,}(?:al|ar|im|er|in|or|it|an|ol|on|gn|un|tim|ken|phas|tor|dom)is(?:e|es|ed|ing|ation|ations|er|ers)\b(?<!promise)(?<!premise)(?<!promised)(?<!promises)"
    r"|\banalys(?:e|ed|ing)\b|\b(?:centre|metre|litre|fibre|theatre)s?\b|\bgrey\w*"
    r"|\b(?:model|label|travel|cancel|signal|total|level|fuel|channel|tunnel)l(?:ed|ing|er|ers)\b"
    r"|\b(?:programme|licence|defence|offence|whilst|amongst|learnt|spelt|burnt|judgement|artefacts?|ageing|sceptic\w*|maths|cheques?"
    r"|mould|plough|fulfil|enrol|skilful|storey|per cent|practise[ds]?|focuss\w+|towards|data-?sets?)\b",
    re.IGNORECASE,
)


@cache
def avoided(language: str) -> tuple[re.Pattern, dict[str, str]]:
    """Return what finds the glossary's variants to avoid, and the term for each."""
    instead = {variant: term[language] for term in glossary.terms() for variant in term.get("avoid", {}).get(language, ())}
    forms = [re.escape(variant) for variant in sorted(instead, key=len, reverse=True)]
    if language == "en":
        forms = [rf"(?<![A-Za-z0-9-])(?:{form if form != form.lower() else '(?i:' + form + ')'})(?=(?:e?s)?(?![A-Za-z0-9-]))" for form in forms]
    return re.compile("|".join(forms) or r"(?!)"), instead


def wrong_words(text: Text, language: str) -> list[Problem]:
    """Return the words of a text that the glossary, or American spelling, replaces."""
    if text.section == "reading" or text.kind == "code title":
        return []
    find, instead = avoided(language)
    flat = text.words.replace("\n", " ")  # as long, so that the places stay
    found = [
        (text.line_of(match.start()), f"`{match[0]}`: the glossary's term is `{instead.get(match[0]) or instead[match[0].lower()]}`")
        for match in find.finditer(flat)
    ]
    if language == "en":
        titles = " ".join(re.findall(r"(?<!\*)\*[^*]+\*(?!\*)", text.source))  # a paper's title stays as it is
        found += [
            (text.line_of(match.start()), f"`{match[0]}`: the site's spelling is American, and `data set` two words")
            for match in BRITISH.finditer(flat)
            if match[0] not in titles
        ]
    return found


def careless(text: Text, language: str) -> list[Problem]:
    """Return what was left unfinished in a text: notes, doubled words, brackets and quotes without a partner."""
    found = [(text.line, f"`{match[0]}` is left in the text: finish it") for match in UNFINISHED.finditer(text.source)]
    found += [(text.line_of(match.start()), f"`{match[0]}`: no space before the %, as programs print it") for match in re.finditer(r"[\dNxy] %", text.words)]
    doubled = r"\b([A-Za-z]+)\s+\1\b" if language == "en" else "的的|了了|是是|在在|和和|有有|不不|就就|把把|会会|[，。；：、？！]{2}|(?!一)([一-鿿]{3,})\\1"
    for match in re.finditer(doubled, text.words, re.IGNORECASE):
        found.append((text.line_of(match.start()), f"`{match[0]}` stands there twice"))
    for left, right in ("（）", "“”", "()", "《》"):
        if text.words.count(left) != text.words.count(right):
            found.append((text.line, f"{left} and {right} do not pair"))
    if text.words.count('"') % 2:
        found.append((text.line, 'a " has no partner'))
    if language == "zh":  # GB 2312 has the characters of simplified Chinese and no other
        other = [character for character in CHINESE.findall(text.words) if not character.encode("gb2312", "ignore")]
        found += [(text.line, f"`{''.join(other)}` is not simplified Chinese")] if other else []
    if language == "zh" and text.section != "reading" and CHINESE.search(text.words):
        own = re.sub(r"“[^”]*”|\([^)]*\)", "", text.words)  # but for quotes and shapes
        found += [(text.line, f"`{match[0]}`: full-width punctuation, between Latin words too") for match in re.finditer(r"\w+[,;] ", own)]
    if language == "en" and (match := re.search("[“”‘’，。；：（）、]", text.words)) and text.section != "reading":
        found.append((text.line_of(match.start()), f"{match[0]} on an English page: quotes are straight, punctuation half-width"))
    return found


def cut_off(found: list[Text], source: str) -> list[Problem]:
    """Return the paragraphs that end without a mark, though no formula, list or code goes on after them."""
    lines, problems = source.split("\n"), []
    for text in found:
        read = text.words.strip()
        if text.kind != "paragraph" or re.search(r"[.:?!。：？！][\"”’)）]*$", read) or re.fullmatch(r"\*\*[^*]+\*\*|\[.*\}", text.source.strip(), re.DOTALL):
            continue
        after = next((line.strip() for line in lines[text.line + text.source.count("\n") :] if line.strip()), "")
        if not after.startswith("$$") and not ITEM.match(after):
            problems.append((text.line, f"`...{read[-20:]}` ends without a mark: is its end missing?"))
    return problems


def unnamed_terms(found: list[Text]) -> list[Problem]:
    """Return the glossary's terms that a Chinese page introduces in bold without their English."""
    problems, seen = [], set()
    names = {entry["zh"] for entry in glossary.terms()}
    for text in found:
        for match in re.finditer(r"\*\*([^*\n]+)\*\*", text.source):
            term = match[1]
            if term in names and term not in seen and not re.match(r"(?:（[^）]*|，)[A-Za-z]{2}", text.source[match.end() :]):
                problems.append((text.line, f"**{term}** is introduced here: put the English term in brackets behind it"))
            seen.add(term)
    return problems


# --- Chinese typography

HALF_WIDTH = re.compile(
    r"[一-鿿][,;:?!]|[,;:?!](?=[一-鿿])|(?<=[一-鿿]) ?\((?=[A-Za-z一-鿿])|\([^)（）]*[一-鿿][^)（）]*\)|[一-鿿] ?[\"']|[\"'] ?[一-鿿]"
)
SPACED = re.compile(r"[，。；：？！、（）“”《》] +| +[，。；：？！、（）“”《》]")


def typography(text: str) -> list[str]:
    """Return what is wrong in a Chinese text as it is read: by AutoCorrect, and the marks that it leaves alone.

    It takes lines without a Chinese character for English, so those are left out.
    """
    found = []
    for line in re.split(r"\n| \| |^\| | \|$", text):
        line = line.strip()
        if not CHINESE.search(line):
            continue
        right = autocorrect_py.format(line)
        if right != line:
            at = next((i for i, (old, new) in enumerate(zip(line, right)) if old != new), min(len(line), len(right)))
            found.append(f"write `{right[max(0, at - 6) : at + 10]}` instead of `{line[max(0, at - 6) : at + 10]}`")
        for kind, pattern in (("full-width punctuation", HALF_WIDTH), ("no space beside full-width punctuation", SPACED)):
            found += [f"{kind}: `{line[max(0, match.start() - 6) : match.end() + 6]}`" for match in pattern.finditer(line)]
    return found


# --- code

FENCE = re.compile(r"( *)(`{3,})(\w*)")
DETAILS = re.compile(r"( *)(\?\?\?\+?|!!!) (\w+)")


class Block(NamedTuple):
    """A block of Python on a page: its lines, the program and section that it includes, and the folded block it stands in."""

    line: int
    end: int
    program: str
    section: str
    folded: tuple[int, str] | None  # the line and the kind of a closed `??? kind "..."`


def blocks(source: str) -> list[Block]:
    """Return the blocks of Python of a page that include a section of a program."""
    found, around, fence = [], [], None
    for number, line in enumerate(source.split("\n"), 1):
        indent = len(line) - len(line.lstrip(" "))
        if fence:
            start, mark, language = fence
            if include := pages.INCLUDE.match(line):
                included = include
            if line.strip() == mark:
                if language == "python" and included:
                    closed = [(row, kind) for _, opener, kind, row in around if opener == "???"]
                    found.append(Block(start, number, included[1].removesuffix(".py"), included[2] or "", closed[-1] if closed else None))
                fence = None
            continue
        if line.strip():
            around = [one for one in around if indent > one[0]]
        if match := DETAILS.match(line):
            around.append((indent, match[2], match[3], number))
        elif match := FENCE.match(line):
            fence, included = (number, match[2], match[3]), None
    return found


def runs_of_code(source: str) -> list[Problem]:
    """Return the open blocks of code that follow another one without a paragraph between them."""
    prose = [text.line for text in texts_of(source) if text.kind in ("paragraph", "item")]
    open_ones = [block for block in blocks(source) if not block.folded]
    return [
        (block.line, f"{block.program}.py:{block.section} follows {above.program}.py:{above.section} without a word: write a paragraph between them")
        for above, block in zip(open_ones, open_ones[1:])
        if not any(above.end < line < block.line for line in prose)
    ]


def unfolded_ends(source: str, programs: dict[str, dict[str, str]]) -> list[Problem]:
    """Return the programs whose figures and command line do not stand folded, in one block, at their end.

    `programs` holds the code of each section of the programs that the page shows.
    """
    problems = []
    for name, sections in programs.items():
        shown = [block for block in blocks(source) if block.program == name]
        *before, last = shown
        if last.folded is None or last.folded[1] != "code":
            problems.append((last.line, f'{name}.py:{last.section} is the end of its program: fold it, `??? code "The figures and the command line"`, indented below'))
        elif before and before[-1].folded and before[-1].folded != last.folded and not SHARED.match(sections[before[-1].section]):
            problems.append((last.line, f"{name}.py:{last.section} stands in another folded block than {before[-1].section}: put both into one"))
    return problems


LONGEST, WIDEST = 250, 79


def too_long(source: str, sections: dict[str, str]) -> list[Problem]:
    """Return what makes a program too long or too wide; sections that another program teaches do not count."""
    problems = []
    wide = [(number, len(line)) for number, line in enumerate(source.split("\n"), 1) if len(line) > WIDEST]
    if wide:
        listed = ", ".join(f"{number} ({width})" for number, width in wide)
        problems.append((wide[0][0], f"more than {WIDEST} columns, so that readers have to scroll sideways: break the lines {listed}"))
    own = sum(bool(line.strip()) for code in sections.values() if not SHARED.match(code) for line in code.split("\n"))
    if own > LONGEST:
        problems.append((1, f"{own} lines of its own, blank ones, marks and shared sections aside; at most {LONGEST}: cut what does not teach, or make two programs"))
    return problems


# --- links

TARGET = re.compile(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)|<((?:https?|mailto):[^>]*)>")


def without_code(source: str) -> str:
    """Return Markdown with blanks for its code, line by line as it was."""
    return re.sub(r"^[ \t]*(`{3,}).*?^[ \t]*\1[ \t]*$|`[^`\n]+`", lambda match: "\n" * match[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE)


def targets(source: str) -> list[tuple[int, str]]:
    """Return (line, address) of each link and figure of a page."""
    source = without_code(source)
    return [(source[: match.start()].count("\n") + 1, match[1] or match[2]) for match in TARGET.finditer(source)]


def wrong_address(address: str) -> str | None:
    """Tell what is wrong with the address of another site."""
    parts = urlsplit(address)
    if parts.scheme != "https":
        return "is not https"
    if not re.fullmatch(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", parts.netloc):
        return "has no plain host: in lower case, with a dot, without a name or a port"
    if re.search(r"(?:^|&)(?:utm_\w+|fbclid|gclid|spm|ref|from)=", parts.query):
        return "follows its reader: leave out what comes after `?`"
    if re.search(r"[\s<>\"{}|\\^`]|[^ -~]", address) or re.search(r"[.,;:!?'。，；]$", address):
        return "holds a character that does not belong there"
    return None


def anchors(source: str) -> set[str]:
    """Return the ids that a page's Markdown gives."""
    return set(re.findall(r"\{[^}\n]*#([\w-]+)[^}\n]*\}", without_code(source)))


def wrong_link(address: str, language: str, page: str) -> str | None:
    """Tell what is wrong with a link or figure of a page."""
    if re.match(r"[a-z]+:|//", address):
        return wrong_address(address)
    path, _, anchor = address.partition("#")
    file = ((DOCS / language / f"{page}.md").parent / path).resolve() if path else DOCS / language / f"{page}.md"
    if not file.is_file():
        return "leads to no file"
    if file.suffix == ".md" and not file.is_relative_to(DOCS / language):
        return "leads to the other language"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return f"leads to no heading: {file.name} has no {{#{anchor}}}"
    return None


def missing_footnotes(source: str) -> set[str]:
    """Return the footnotes that are used and not written, or written and not used."""
    source = without_code(source)
    written = set(re.findall(r"^\[\^([\w-]+)\]:", source, re.MULTILINE))
    return written ^ set(re.findall(r"\[\^([\w-]+)\](?!:)", source))


# --- what a program printed

SHARE = re.compile(r"(?<![\d.-])(?:(-?[01]\.\d{3})(?![\d%])|(\d+\.\d+)%)")


def unmeasured(printed: str, measured: list[float]) -> list[str]:
    """Return the shares that a program printed, but for those of a moment in training, that are none of its metrics, nor what one leaves to 1."""
    lines = [line for line in printed.splitlines() if not re.match(r" *(epoch|step|fold) ", line)]
    found = []
    for share, percent in SHARE.findall("\n".join(lines)) if measured else ():
        scale, digits = (100, len(percent.partition(".")[2])) if percent else (1, 3)
        if (percent or share) not in {f"{scale * number:.{digits}f}" for measure in measured for number in (measure, 1 - measure)}:
            found.append(percent + "%" if percent else share)
    return found
