# --8<-- [start:setup]
"""Predict bytes by counting, and by two programs that compress files."""

import json
import lzma
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor
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


# --8<-- [start:data]
# From language-models/gpt.py, word for word:
class TextError(ValueError):
    """There is not enough text; the message says where."""


def load_data(folder: Path | None = None,
              size: int = 5_000_000) -> dict[str, Tensor]:
    """Return the bytes of the parts train, valid and test, each (n,).

    They are about `size` bytes of docstrings, a file of Python in one part
    alone; or the .txt files in a folder, whose last tenth is divided between
    valid and test. Raises TextError for less than 20,000 bytes there.
    """
    parts = {"train": b"", "valid": b"", "test": b""}
    if folder is None:
        for number, texts in enumerate(docstrings()):
            part = {8: "valid", 9: "test"}.get(number % 10, "train")
            parts[part] += "\n\n".join([*texts, ""]).encode()
            if sum(map(len, parts.values())) >= size:
                break
    else:
        files = sorted(folder.glob("*.txt"))
        text = b"".join(file.read_bytes() for file in files)
        if len(text) < 20_000:
            raise TextError(f"{folder}: its .txt files hold {len(text):,} "
                            "bytes; at least 20,000 are needed")
        cuts = 0, len(text) * 9 // 10, len(text) * 19 // 20, len(text)
        for part, start, end in zip(parts, cuts, cuts[1:]):
            parts[part] = text[start:end]
    return {part: torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
            for part, text in parts.items()}
# --8<-- [end:data]


# --8<-- [start:counts]
def extend(grams: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Number the sequences that end at each byte, (n,), one byte longer.

    `grams`, (n,), numbers those before; equal sequences get equal numbers.
    """
    before = np.concatenate([[0], grams[:-1]])  # (n,)
    return np.unique(256 * before + text, return_inverse=True)[1]


def discounts(counts: np.ndarray) -> np.ndarray:
    """Return how much to take off each count, (sequences,), for unseen ones.

    S. F. Chen and J. Goodman, An empirical study of smoothing techniques
    for language modeling, 1999: modified Kneser-Ney.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)  # (6,)
    n = np.maximum(n, 1)  # how many occur 0, 1, 2, 3, 4 times, and more often
    y = n[1] / (n[1] + 2 * n[2])
    off = [0] + [np.clip(c - (c + 1) * y * n[c + 1] / n[c], 0.1, c)
                 for c in (1, 2, 3)]
    return np.take(off, np.minimum(counts, 3))
# --8<-- [end:counts]


# --8<-- [start:predict]
def predict(
    train: np.ndarray, text: np.ndarray, longest: int
) -> list[np.ndarray]:
    """Return the probability of each byte of `text` by n-grams, (m,) each.

    The first answer is by single bytes, the last by `longest` of them; all
    counts are of `train`, (n,). Orders are interpolated: each begins with
    its counts, and what the discount leaves over goes to the shorter ones.
    """
    whole, n = np.concatenate([train, text]), len(train)
    grams = np.zeros(len(whole), np.int64)  # (n + m,)
    lower = np.full(len(text), 1 / 256)  # (m,)
    longer, found = extend(grams, whole), []
    for order in range(1, longest + 1):
        before = np.concatenate([[0], grams[:-1]])  # (n + m,): the contexts
        grams, longer = longer, extend(longer, whole)  # each (n + m,)
        size = grams.max() + 1
        context = np.zeros(size, np.int64)  # of each sequence
        context[grams] = before
        counts = np.bincount(grams[order - 1:n], minlength=size)  # (size,)
        # For the shorter orders: behind how many different bytes it stands.
        _, first = np.unique(longer[order:n], return_index=True)
        kinds = np.bincount(grams[order:n][first], minlength=size)  # (size,)

        def blend(counts: np.ndarray) -> np.ndarray:
            off = discounts(counts)  # (size,)
            total = np.bincount(context, counts)[before[n:]]  # (m,)
            rest = np.bincount(context, off)[before[n:]]  # (m,)
            own = (counts - off)[grams[n:]]  # (m,)
            mixed = (own + rest * lower) / np.maximum(total, 1)  # (m,)
            return np.where(total > 0, mixed, lower)

        found.append(blend(counts))
        lower = blend(kinds)  # (m,)
    return found


def bits(chances: np.ndarray) -> float:
    """Return the mean bits a byte of the probabilities, (m,), of the bytes."""
    return float(-np.log2(chances).mean())
# --8<-- [end:predict]


# --8<-- [start:compress]
def compressed(train: bytes, text: bytes) -> dict[str, float]:
    """Return the bits a byte that compressing a text takes.

    What stood in `train` may be used: zlib knows its last 32 kB, lzma all.
    """
    known = zlib.compressobj(9, zdict=train[-32_768:])
    size = len(known.compress(text) + known.flush())
    alone, both = (len(lzma.compress(one)) for one in (train, train + text))
    return {
        "zlib": 8 * size / len(text), "lzma": 8 * (both - alone) / len(text),
    }
# --8<-- [end:compress]


# --8<-- [start:main]
LONGEST = 20  # the highest order that is tried


def main(out: Path, folder: Path | None = None, size: int = 5_000_000) -> dict:
    """Measure all of them on the test part; write the results into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    data = load_data(folder, size)
    train, valid, test = (data[part].numpy() for part in data)
    found = predict(train, np.concatenate([valid, test]), LONGEST)
    tried = [bits(chances[:len(valid)]) for chances in found]
    tested = [bits(chances[len(valid):]) for chances in found]
    best = int(np.argmin(tried))
    metrics = {"order": best + 1, "ngram": tested[best], "valid": tried,
               "unigram": tested[0], "fivegram": tested[min(4, best)]}
    metrics |= compressed(bytes(train.tolist()), bytes(test.tolist()))
    report(metrics)
    plot(metrics, out / "orders.svg")
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def report(metrics: dict) -> None:
    """Print the bits a byte of the test text."""
    print("bits a byte of the test text")
    rows = {
        "all bytes alike": 8, "single bytes": metrics["unigram"],
        "zlib": metrics["zlib"], "lzma": metrics["lzma"],
        "5-gram": metrics["fivegram"],
        f"{metrics['order']}-gram": metrics["ngram"],
    }
    for name, value in rows.items():
        print(f"{name:16} {value:.3f}")


def plot(metrics: dict, file: Path) -> None:
    """Draw the bits a byte over the order of the n-grams."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.plot(range(1, len(metrics["valid"]) + 1), metrics["valid"], "o-",
              color="#2f8fd0", label="n-gram")
    axes.axhline(metrics["lzma"], color="#e07b39", label="lzma")
    axes.axhline(metrics["zlib"], color="#e07b39", linestyle=":",
                 label="zlib")
    axes.set(xlabel="bytes in a sequence", ylabel="bits a byte", ylim=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
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
    run(
        main, "gpt_baselines-results", (TextError, ModuleNotFoundError),
        data={
            "dest": "folder", "type": Path, "default": argparse.SUPPRESS,
            "help": "folder of .txt files to learn from",
        },
    )
# --8<-- [end:run]
