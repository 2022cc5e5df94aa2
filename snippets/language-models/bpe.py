# --8<-- [start:setup]
"""Byte-pair encoding in a few lines, on four words."""

import json
from collections import Counter
from pathlib import Path
# --8<-- [end:setup]


# --8<-- [start:naive]
def pairs(word: str) -> list[str]:
    """Return the tokens of a word two by two: abc holds ab and bc."""
    return [word[at:at + 2] for at in range(len(word) - 1)]


def train_naively(words: Counter[str], size: int) -> list[str]:
    """Return the merges that make a vocabulary of `size` tokens.

    R. Sennrich, B. Haddow and A. Birch, Neural machine translation of rare
    words with subword units, 2016. Merge number n makes the token 256 + n.
    """
    merges: list[str] = []
    while len(merges) < size - 256:
        counts = Counter()
        for word, times in words.items():
            for pair in pairs(word):
                counts[pair] += times
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        token = chr(256 + len(merges))
        words = {word.replace(best, token): words[word] for word in words}
        merges.append(best)
    return merges
# --8<-- [end:naive]


# --8<-- [start:encode]
def encode(word: str, merges: list[str]) -> str:
    """Return the tokens of a word: apply all merges in their order."""
    for number, pair in enumerate(merges):
        word = word.replace(pair, chr(256 + number))
    return word
# --8<-- [end:encode]


# --8<-- [start:main]
WORDS = Counter({"low": 5, "lower": 2, "newest": 6, "widest": 3})


def main(out: Path, size: int = 260) -> dict:
    """Merge pairs until there are `size` tokens; write them into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    merges = train_naively(WORDS, size)
    names = [chr(byte) for byte in range(256)]  # what each token stands for
    for pair in merges:
        left, right = (names[ord(token)] for token in pair)
        print(f"token {len(names)}: {left} and {right} become {left + right}")
        names.append(left + right)
    for word in WORDS:
        print(f"{word:6} is", *(names[ord(t)] for t in encode(word, merges)))
    text = json.dumps({"merges": names[256:]}, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return {"merges": names[256:]}
# --8<-- [end:main]


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
    run(main, "bpe-results")
# --8<-- [end:run]
