# --8<-- [start:setup]
"""Fit scaling laws to made losses: what does a fit find of a known law?"""

import json
import math
from itertools import product
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares
# --8<-- [end:setup]


# --8<-- [start:sizes]
LENGTH, BATCH = 64, 32  # bytes in a sequence, sequences in a batch


class Size(NamedTuple):
    """How large a GPT over bytes is."""

    layers: int
    hidden: int

    @property
    def heads(self) -> int:
        """Return how many heads it has, of some 32 numbers each."""
        return max(1, self.hidden // 32)

    @property
    def inner(self) -> int:
        """Return its parameters without the tables for input and output."""
        return 12 * self.layers * self.hidden**2

    @property
    def parameters(self) -> int:
        """Return all its parameters."""
        return self.inner + 2 * 256 * self.hidden

    @property
    def flops(self) -> int:
        """Return the FLOPs of training on one byte, but for the optimizer's.

        Three passes, one forward and two backward, with two FLOPs for each
        weight of a matrix, and those of the attention between positions.
        """
        weights = self.inner + 256 * self.hidden
        return 3 * (2 * weights + 4 * self.layers * LENGTH * self.hidden)


SIZES = [Size(*one) for one in (
    (1, 4), (1, 8), (1, 12), (1, 16), (1, 24), (2, 24), (2, 32), (2, 40),
    (2, 56), (3, 64), (4, 80), (5, 128))]
# --8<-- [end:sizes]


# --8<-- [start:law]
class Run(NamedTuple):
    """What a training had, and the loss on the test part."""

    size: Size
    steps: int
    loss: float

    @property
    def text(self) -> int:
        """Return how many bytes it read."""
        return self.steps * BATCH * LENGTH


class Law(NamedTuple):
    """The loss by parameters and bytes of text, in nats a byte.

    J. Hoffmann et al., Training compute-optimal large language models, 2022.
    A network of 100,000 parameters loses `by_size` for its size, training on
    a million bytes loses `by_text` for the shortness of the text.
    """

    floor: float
    by_size: float
    by_text: float
    alpha: float
    beta: float

    def __call__(self, parameters: np.ndarray | float,
                 text: np.ndarray | float) -> np.ndarray | float:
        """Return losses, (n,), of (n,) parameters and (n,) bytes of text."""
        return (self.floor + self.by_size * (parameters / 1e5) ** -self.alpha
                + self.by_text * (text / 1e6) ** -self.beta)


def fit(runs: list[Run], starts: list[Law]) -> Law:
    """Fit a law to runs, from the best of some starts.

    Differences of logarithms count by their squares up to 0.001, beyond by
    their size, as Hoffmann et al. have it. Raises ValueError for fewer than
    five runs.
    """
    if len(runs) < len(Law._fields):
        raise ValueError(f"{len(runs)} runs are too few for a law: at least "
                         f"{len(Law._fields)} are needed")
    parameters, text, losses = np.array(
        [(run.size.parameters, run.text, run.loss) for run in runs]).T

    def differences(logs: np.ndarray) -> np.ndarray:
        return np.log(Law(*np.exp(logs))(parameters, text) / losses)

    tried = [least_squares(differences, np.log(start), loss="huber",
                           f_scale=0.001) for start in starts]
    best = min(tried, key=lambda one: one.cost)
    return Law(*np.exp(best.x).tolist())
# --8<-- [end:law]


# --8<-- [start:laws]
STARTS = [Law(floor, 0.3, 0.3, alpha, beta) for floor, alpha, beta
          in product((0.3, 1.0), (0.2, 0.6), (0.2, 0.6))]


def laws_of(runs: list[Run], count: int, seed: int) -> list[Law]:
    """Return the law of runs, and `count` of runs drawn with replacement.

    How far these lie apart tells how certain the first is.
    """
    law, chance = fit(runs, STARTS), np.random.default_rng(seed)
    draws = chance.integers(len(runs), size=(count, len(runs)))
    return [law, *(fit([runs[at] for at in draw], [law]) for draw in draws)]


def spread(values: list[float]) -> dict[str, float]:
    """Return the first value, and between what 95 % of the others lie."""
    low, high = np.nanpercentile(values[1:], (2.5, 97.5)).tolist()
    return {"value": float(values[0]), "low": low, "high": high}
# --8<-- [end:laws]


# --8<-- [start:best_size]
def best_size(runs: list[Run]) -> float:
    """Return the parameters at which runs of one budget lose least.

    A parabola is fitted to the losses over the logarithm of the parameters.
    Where the runs do not reach past its lowest point, or are fewer than
    three, nobody knows: nan.
    """
    if len(runs) < 3:
        return math.nan
    logs = np.log([run.size.parameters for run in runs])
    bend, slope, _ = np.polyfit(logs, [run.loss for run in runs], 2)
    best = -slope / 2 / bend if bend > 0 else math.inf
    return math.exp(best) if logs[0] < best < logs[-1] else math.nan


def exponent(budgets: np.ndarray, parameters: np.ndarray) -> float:
    """Return a where (n,) parameters grow as (n,) budgets to the power a.

    Budgets whose best size nobody knows are left out; a is nan where fewer
    than two remain.
    """
    known = np.isfinite(parameters)
    if known.sum() < 2:
        return math.nan
    return float(np.polyfit(np.log(budgets)[known],
                            np.log(parameters)[known], 1)[0])
# --8<-- [end:best_size]


# --8<-- [start:optima]
def optima(law: Law, budgets: np.ndarray, inner: bool) -> np.ndarray:
    """Return the parameters, (n,), at which a law loses least for budgets.

    A budget, of (n,), is 6 FLOPs for each parameter and byte. With `inner`,
    both count parameters without the tables, as Kaplan et al. do. Between
    the sizes above, the width grows as a power of them.
    """
    known = np.log([(size.inner, size.hidden) for size in SIZES])  # (12, 2)
    logs = np.linspace(known[0, 0], known[-1, 0], 2000)
    width = np.exp(np.polyval(np.polyfit(*known.T, 1), logs))  # (2000,)
    every = np.exp(logs) + 2 * 256 * width
    counted = np.exp(logs) if inner else every
    losses = law(every, budgets[:, None] / 6 / counted)  # (n, 2000)
    return counted[losses.argmin(1)]
# --8<-- [end:optima]


# --8<-- [start:invent]
TRUE = Law(floor=0.8, by_size=0.4, by_text=0.4, alpha=0.35, beta=0.35)
STEPS = (75, 150, 300, 600)
NOISE = 0.003  # the standard deviation, as a share of the loss


def invent(sizes: list[Size], chance: np.random.Generator) -> list[Run]:
    """Return runs of some sizes whose losses are the law's, but for noise."""
    runs = [Run(size, steps, 0.0) for size, steps in product(sizes, STEPS)]
    return [run._replace(loss=TRUE(run.size.parameters, run.text)
                         * math.exp(chance.normal(scale=NOISE)))
            for run in runs]
# --8<-- [end:invent]


# --8<-- [start:main]
RANGES = {"6 sizes": SIZES[:6], "11 sizes": SIZES[:11]}
FAR = {"a million": 1e6, "a billion": 1e9}
DRAWN = 200  # times that losses are made


def main(out: Path, seed: int = 0) -> dict:
    """Fit laws to made losses; write what they say; return the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    fields = ("floor", "alpha", "beta")
    metrics, bands = {}, {}
    print("".join(f"{name:>13}" for name in ("", *fields, *FAR)))
    print(f"{'the law':>13}" + "".join(f"{one:13.2f}" for one in (
        TRUE.floor, TRUE.alpha, TRUE.beta,
        *(TRUE(n, 20 * n) for n in FAR.values()))))
    for name, sizes in RANGES.items():
        bands[name] = [fit(invent(sizes, chance), [TRUE])
                       for _ in range(DRAWN)]
        laws = [TRUE, *bands[name]]
        metrics[name] = {field: spread([getattr(law, field) for law in laws])
                         for field in fields} | {
            far: spread([law(n, 20 * n) for law in laws])
            for far, n in FAR.items()}
        print(f"{name:>13}" + "".join(
            f" {one['low']:.2f} to {one['high']:.2f}"
            for one in metrics[name].values()))
    budgets = np.geomspace(1e10, 1e12, 9)
    metrics["exponents"] = {
        name: exponent(budgets, optima(TRUE, budgets, inner))
        for name, inner in (("all", False), ("inner", True))}
    print("the best size grows as the budget to the power "
          "{all:.2f}; without tables {inner:.2f}".format(
              **metrics["exponents"]))
    text = json.dumps(metrics, indent=2) + "\n"
    (out / "metrics.json").write_text(text, encoding="utf-8")
    plot(bands, out / "range.svg")
    return metrics
# --8<-- [end:main]


# --8<-- [start:report]
def plot(bands: dict[str, list[Law]], file: Path) -> None:
    """Draw how far laws are off for larger networks, 95 % of them."""
    plt.rcParams["svg.fonttype"] = "none"  # text stays text
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    x = np.geomspace(SIZES[0].parameters, FAR["a billion"], 100)
    for (name, laws), color in zip(bands.items(), ("#e07b39", "#2f8fd0")):
        off = [100 * (law(x, 20 * x) / TRUE(x, 20 * x) - 1) for law in laws]
        low, high = np.percentile(off, (2.5, 97.5), axis=0)  # each (100,)
        axes.fill_between(x, low, high, color=color, alpha=0.5, lw=0,
                          label=name)
    axes.axhline(0, color="#808080")
    axes.set(xscale="log", xlabel="parameters", ylabel="off the law, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
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
    run(main, "scaling_law-results")
# --8<-- [end:run]
