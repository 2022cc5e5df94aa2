"""What a metric came to over seeds, and the claims that pages make of results.

A sentence that compares results carries its claim in a comment below it: `<!-- claim: seeds.cnn.accuracy > seeds.svm.accuracy -->`.
A difference counts where it exceeds the spread of both sides; `alike(a, b)` claims that it does not. Where a program itself
measured a mean and a spread, `over(metrics.SGD)` is both.
"""

import math
import re
import statistics
from dataclasses import dataclass

import jinja2

from tooling.lessons import RESULTS, SiteError, load_json

CLAIM = re.compile(r"<!-- claim: (.+?) -->")


@dataclass(frozen=True, eq=False)
class Spread:
    """A metric of several runs: its mean, and their standard deviation."""

    mean: float
    spread: float
    smallest: float = math.nan
    largest: float = math.nan

    def __format__(self, form: str) -> str:
        """Return the mean and the spread, each in a form such as `.2f`."""
        return f"{self.mean:{form}} ± {self.spread:{form}}"

    def __gt__(self, other: "Spread | float") -> bool:
        """Tell whether the mean is larger, by more than the larger spread."""
        return self._ahead_of(other) > 0

    def __lt__(self, other: "Spread | float") -> bool:
        """Tell whether the mean is smaller, by more than the larger spread."""
        return self._ahead_of(other) < 0

    def _ahead_of(self, other: "Spread | float") -> float:
        """Return by how much the mean exceeds another, 0 where that is within the spread."""
        mean, spread = (other.mean, other.spread) if isinstance(other, Spread) else (other, 0.0)
        return self.mean - mean if abs(self.mean - mean) > max(self.spread, spread) else 0.0


def of_seeds(values: list[float]) -> Spread:
    """Return the mean of a metric over seeds, with the standard deviation of the sample."""
    return Spread(statistics.fmean(values), statistics.stdev(values), min(values), max(values))


def over(summary: dict) -> Spread:
    """Return what a program itself ran several times, and summed up as `mean` and `spread`."""
    return Spread(summary["mean"], summary["spread"])


def alike(one: Spread | float, other: Spread | float) -> bool:
    """Tell whether two results differ by no more than their spread over seeds."""
    return not (one > other or one < other)


def over_seeds(name: str) -> dict:
    """Return the metrics of a result over seeds as a tree of Spread. Raises SiteError where it has none."""
    path = RESULTS / name / "seeds.json"
    if not path.is_file():
        raise SiteError(f"docs/results/{name}/seeds.json is missing; run `python -m tooling.results {name} --seeds 5`")

    def spread(tree: dict | list) -> dict | Spread:
        return {key: spread(child) for key, child in tree.items()} if isinstance(tree, dict) else of_seeds(tree)

    kept = load_json(path)
    return spread(kept["metrics"]) | {"count": len(kept["seeds"])}


def claims(text: str) -> list[tuple[int, str]]:
    """Return the (line, expression) of each claim of a page."""
    return [(text[: match.start()].count("\n") + 1, match[1]) for match in CLAIM.finditer(text)]


def holds(expression: str, values: dict, jinja: jinja2.Environment) -> bool:
    """Tell whether a claim holds by the values. Raises SiteError for one that claims nothing, or of what no result holds."""
    try:
        found = jinja.compile_expression(expression, undefined_to_none=False)(**values, alike=alike, over=over)
        if isinstance(found, bool):
            return found
        problem = f"is {found!r}, neither true nor false"
    except (jinja2.TemplateError, TypeError) as error:
        problem = str(error)
    raise SiteError(f"the claim `{expression}`: {problem}; compare results, as in `seeds.cnn.accuracy > seeds.svm.accuracy`")
