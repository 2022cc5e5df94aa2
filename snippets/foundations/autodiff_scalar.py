# --8<-- [start:setup]
"""Reverse-mode differentiation of single numbers, in its shortest form."""

import itertools
import json
import math
from pathlib import Path
# --8<-- [end:setup]


# --8<-- [start:value]
COUNTER = itertools.count()  # numbers all that is computed, in order


class Value:
    """A number that knows which ones it was computed from, with each slope."""

    __slots__ = ("data", "paths", "grad", "number")  # takes less memory

    def __init__(self, data: float, *paths: tuple["Value", float]):
        """Keep a number, and the slope along the path to each before it."""
        self.data, self.paths, self.grad = data, paths, 0.0
        self.number = next(COUNTER)

    def __add__(self, b: "Value") -> "Value":
        return Value(self.data + b.data, (self, 1.0), (b, 1.0))

    def __mul__(self, b: "Value") -> "Value":
        return Value(self.data * b.data, (self, b.data), (b, self.data))

    def relu(self) -> "Value":
        """Return the number, or 0 where it is below."""
        return Value(max(self.data, 0.0), (self, float(self.data > 0)))

    def exp(self) -> "Value":
        """Return e to the power of the number."""
        power = math.exp(self.data)
        return Value(power, (self, power))

    def log(self) -> "Value":
        """Return the natural logarithm of the number."""
        return Value(math.log(self.data), (self, 1 / self.data))

    def backward(self) -> None:
        """Add to `grad` of each number how this one depends on it."""
        self.grad = 1.0
        for node in newest_first(self):
            for parent, slope in node.paths:
                parent.grad += slope * node.grad


def newest_first(end: object) -> list:
    """Return a result and all that it was computed from, the last first."""
    found, ends = {end}, [end]
    while ends:
        parents = {parent for parent, _ in ends.pop().paths} - found
        found |= parents
        ends += parents
    return sorted(found, key=lambda node: node.number, reverse=True)
# --8<-- [end:value]


# --8<-- [start:main]
def main(out: Path) -> dict:
    """Compute the example of the diagram and its gradients; keep both."""
    out.mkdir(parents=True, exist_ok=True)
    w, x, y = Value(3.0), Value(2.0), Value(4.0)
    product = w * x
    difference = product + y * Value(-1.0)
    square = difference * difference
    decay = w * w
    loss = square + decay
    loss.backward()
    values = {
        "w": w, "x": x, "y": y, "product": product, "difference": difference,
        "square": square, "decay": decay, "loss": loss,
    }
    for name, value in values.items():
        print(f"{name:10} {value.data:4.0f}   gradient {value.grad:4.0f}")
    metrics = {
        name: {"value": value.data, "gradient": value.grad}
        for name, value in values.items()
    }
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    return metrics
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
    run(main, "autodiff_scalar-results")
# --8<-- [end:run]
