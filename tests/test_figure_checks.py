"""The checks of figures find what a reader cannot read, and let pass what is fine."""

import warnings

import matplotlib.pyplot as plt
import pytest
from figure_checks import check_figures, unread


def made(columns: int = 1, **named):
    """Return a figure and its axes, each with two lines that have names."""
    figure, axes = plt.subplots(1, columns, squeeze=False, layout="constrained", **named)
    for one in axes[0]:
        one.plot([1, 2, 3], label="first")
        one.plot([3, 2, 1], label="second")
        one.set(xlabel="steps", ylabel="loss")
    axes[0, -1].legend()
    plt.close(figure)
    return figure, axes[0]


def shared_names():
    figure, axes = made(2, sharey=True)
    axes[1].set(ylabel="")
    return figure


def without_name():
    figure, axes = made()
    axes[0].set(xlabel="")
    return figure


def words_for_numbers():
    figure, axes = made()
    axes[0].set(xlabel="")
    axes[0].set_xticks([0, 1, 2], ["one", "two", "three"])
    return figure


def empty():
    figure, axes = made(2)
    axes[0].clear()
    axes[0].set(xlabel="steps", ylabel="loss")
    return figure


def images(title):
    figure, axes = plt.subplots(1, 2, layout="constrained")
    for one in axes:
        one.imshow([[1, 2], [3, 4]])
        one.axis("off")
    axes[0].set_title(title)
    plt.close(figure)
    return figure


def without_legend():
    figure, axes = made()
    axes[0].get_legend().remove()
    return figure


def legend_of_nothing():
    figure, axes = made()
    for line in list(axes[0].lines):
        line.remove()
    axes[0].scatter([1, 2], [3, 4])
    with warnings.catch_warnings(action="ignore"):
        axes[0].legend()
    return figure


def crowded():
    figure, axes = made()
    axes[0].set_xticks([0, 1, 2], ["one " * 20, "two " * 20, "three " * 20])
    return figure


def cut_off():
    figure, axes = made()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    axes[0].set_position([0, 0, 1, 1])
    return figure


@pytest.mark.parametrize(("make", "wrong"), [
    (lambda: made()[0], ""), (shared_names, ""), (without_name, "the x axis has numbers and no name"), (words_for_numbers, ""),
    (empty, "nothing is drawn on axes 0"), (without_legend, "no legend shows `first`"), (crowded, "stand on one another"), (cut_off, "is cut off"),
])
def test_a_figure_that_cannot_be_read_is_found(make, wrong):
    found = "; ".join(unread(make()))
    assert wrong in found if wrong else not found


def test_a_figure_is_looked_at_where_it_is_saved(tmp_path):
    with check_figures(), pytest.raises(AssertionError, match=r"test_figure_checks.py:\d+: the figure cannot be read: no legend"):
        without_legend().savefig(tmp_path / "a.svg")
    with check_figures():
        made()[0].savefig(tmp_path / "b.svg")
