"""What every figure of a program must pass, whatever test draws it.

    with check_figures(): ...

looks at each figure that is saved meanwhile, once a place, and raises an AssertionError that says what a reader cannot read.
"""

import contextlib
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

# Their figures are drawn right with tooling/matplotlibrc, as for the pages; a reader who runs the program alone loses the name of an axis
# at the edge. When one of them is run again, let it ask for layout="constrained", and take it out here.
ON_PAGES_ALONE = {
    "cleaning", "deep", "deep_layers", "membership", "neuron", "neuron_overfitting", "optimizers", "overview", "rules", "schedules", "search", "splitting",
}
NUMBER = re.compile(r"[−-]?[\d.,]+ ?%?|\$\\mathdefault\{.*\}\$")
SEEN: set[tuple[str, int]] = set()  # files of programs and the lines that saved a figure which passed


@contextlib.contextmanager
def check_figures() -> Iterator[None]:
    """Hold all figures that are saved meanwhile to what the checks below say."""
    save = Figure.savefig

    def checked(figure: Figure, *given, **named) -> None:
        save(figure, *given, **named)
        caller = sys._getframe(1)
        place = caller.f_code.co_filename, caller.f_lineno
        if place not in SEEN:
            if Path(place[0]).stem in ON_PAGES_ALONE:
                figure.set_layout_engine("constrained")
            wrong = unread(figure, cut=named.get("bbox_inches") != "tight")
            assert not wrong, f"{Path(place[0]).name}:{place[1]}: the figure cannot be read: " + "; ".join(wrong)
            SEEN.add(place)

    with mock.patch.object(Figure, "savefig", checked):
        yield


def unread(figure: Figure, cut: bool = True) -> list[str]:
    """Return what a reader of a figure cannot read; `cut` tells whether what stands beyond its edge is lost."""
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    blank = [axes.get_visible() and not (axes.has_data() or axes.texts or axes.patches) for axes in figure.axes]
    filled = max((number for number, nothing in enumerate(blank) if not nothing), default=-1)  # behind it, places of a grid may stay free
    empty = [f"nothing is drawn on axes {number}" for number, axes in enumerate(figure.axes) if blank[number] and (axes.axison or number < filled)]
    silent = [] if words(texts_of(figure)) else ["it says no word"]
    return [*silent, *empty, *itertools.chain.from_iterable(map(nameless, shown)), *unexplained(figure), *hidden(figure, cut)]


def words(artists: list[Text]) -> list[str]:
    """Return what texts say, without those that say nothing."""
    return [said for one in artists if one.get_visible() and (said := one.get_text().strip())]


def nameless(axes: Axes) -> Iterator[str]:
    """Yield the axes of numbers that have no name; one for a row or column may have it at one end alone."""
    figure = axes.get_figure()
    for axis, siblings, whole in (
        (axes.xaxis, axes.get_shared_x_axes(), figure.get_supxlabel()), (axes.yaxis, axes.get_shared_y_axes(), figure.get_supylabel()),
    ):
        ticks = words(ticks_of(axis))
        numbers = [said for said in ticks if NUMBER.fullmatch(said)]
        names = [one for other in siblings.get_siblings(axes) for one in words([getattr(other, f"{axis.axis_name}axis").label])]
        names += words([axes.title]) if axis is axes.yaxis else []  # that of a panel tells what is drawn
        if axis.get_visible() and ticks and len(numbers) == len(ticks) and not names and not whole:
            yield f"the {axis.axis_name} axis{' of `' + axes.get_title() + '`' if axes.get_title() else ''} has numbers and no name"


def unexplained(figure: Figure) -> Iterator[str]:
    """Yield what has a name for a legend that does not stand there, and legends of nothing."""
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    yield from ("a legend shows nothing" for legend in legends if not legend.get_texts())
    explained = {said for legend in legends for said in words(legend.get_texts())}
    for axes in figure.axes:
        for name in axes.get_legend_handles_labels()[1]:
            if name not in explained:
                yield f"no legend shows `{name}`"


def hidden(figure: Figure, cut: bool) -> Iterator[str]:
    """Yield the texts that stand on one another, or beyond the edge."""
    drawn = [one for one in texts_of(figure) if one.get_visible() and one.get_text().strip()]
    texts = [(one.get_text(), one.get_window_extent()) for one in drawn]
    straight = [text for text, one in zip(texts, drawn) if one.get_rotation() % 90 == 0]  # the box around a slanted text is larger than the text
    yield from (f"`{text}` is cut off" for text, box in texts if cut and not inside(box, figure.bbox))
    for (one, box), (other, second) in itertools.combinations(straight, 2):
        both = Bbox.intersection(box, second)
        if both and both.width * both.height > 0.15 * min(box.width * box.height, second.width * second.height):
            yield f"`{one}` and `{other}` stand on one another"


def texts_of(figure: Figure) -> list[Text]:
    """Return the texts that are drawn: not those of an axis that is switched off, or of a tick beyond its limits."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in filter(Axes.get_visible, figure.axes):
        found += [*axes.texts, axes.title, *(axes.get_legend().get_texts() if axes.get_legend() else [])]
        for axis in (axes.xaxis, axes.yaxis) if axes.axison else ():
            found += [axis.label, *ticks_of(axis)] if axis.get_visible() else []
    return found


def ticks_of(axis: Axis) -> list[Text]:
    """Return the labels of an axis's ticks between its limits."""
    low, high = sorted(axis.get_view_interval())
    return [label for label, place in zip(axis.get_majorticklabels(), axis.get_majorticklocs()) if low <= place <= high]


def inside(box: Bbox, edge: Bbox, slack: float = 2) -> bool:
    """Tell whether a box, in pixels, lies within an edge but for a little."""
    return box.x0 >= edge.x0 - slack and box.y0 >= edge.y0 - slack and box.x1 <= edge.x1 + slack and box.y1 <= edge.y1 + slack
