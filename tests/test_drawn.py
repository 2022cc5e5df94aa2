"""Figures show what they are given, on the axes that they name: each is drawn of numbers whose picture is known."""

from collections.abc import Callable
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import load_snippet


def drawn(draw: Callable) -> plt.Axes:
    """Return the first axes of the figure that a function saves or returns."""
    saved = []
    with mock.patch.object(plt.Figure, "savefig", lambda figure, *_, **__: saved.append(figure)), mock.patch.object(plt, "close"):
        made = draw()
    figure = made or saved[0]
    plt.close(figure)
    return figure.axes[0]


def series(axes: plt.Axes) -> dict[str, np.ndarray]:
    """Return what is drawn under each name of the legend: the points, (count, 2)."""
    found = {}
    for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
        line = handle if hasattr(handle, "get_xydata") else handle[0]
        found[name] = np.array(line.get_xydata() if hasattr(line, "get_xydata") else [[bar.get_width(), bar.get_y() + bar.get_height() / 2] for bar in handle])
    return found


def some(count: int, number: int) -> list[float]:
    """Return numbers between 0 and 1, no two alike."""
    return np.random.default_rng(number).random(count).tolist()


def of_membership(program):
    curves = {name: (sorted(some(4, number)), sorted(some(4, number + 9))) for number, name in enumerate(("a", "b", "c"))}
    return lambda: program.draw(curves, "f"), ("strangers accused", "members found"), {name: np.transpose(curve) for name, curve in curves.items()}


def of_quantization(program):
    names, count = ("one scale a matrix", "one scale a row"), len(program.BITS)
    metrics = {name: {f"bits_{bits}": {"mean": mean, "spread": 0.01} for bits, mean in zip(program.BITS, some(count, number))} for number, name in enumerate(names)}
    points = {name: np.transpose([program.BITS, 100 * np.array(some(count, number))]) for number, name in enumerate(names)}
    return lambda: program.draw(metrics | {"full": {"mean": 0.5}}, "f"), ("bits of a weight", "test accuracy, %"), points


def of_optimizers(program):
    scores = {name: some(len(program.RATES), number) for number, name in enumerate(program.RULES)}
    points = {name: np.transpose([program.RATES, 100 * np.array(score)]) for name, score in scores.items()}
    return lambda: program.draw({name: {"validation": score} for name, score in scores.items()}, 0.5, "f"), ("learning rate", "validation accuracy, %"), points


def of_cleaning(program):
    means = {name: some(len(program.NOISE), number) for number, name in enumerate(program.LEARNERS)}
    noise = {name: [{"mean": one, "spread": 0.01} for one in mean] for name, mean in means.items()}
    points = {name: 100 * np.transpose([program.NOISE, mean]) for name, mean in means.items()}
    return lambda: program.draw(noise, "f"), ("wrong labels in the training part, %", "test accuracy, %"), points


def of_splitting(program):
    means = {kind: some(len(program.WAYS), number) for number, kind in enumerate(("claimed", "true"))}
    metrics = {way: {kind: {"mean": means[kind][row], "spread": 0.01} for kind in means} for row, way in enumerate(program.WAYS)}
    points = {kind: np.transpose([100 * np.array(mean), np.arange(len(mean)) + (-0.2 if kind == "claimed" else 0.2)]) for kind, mean in means.items()}
    return lambda: program.draw(metrics, "f"), ("accuracy in %", ""), points


def of_cells(program):
    curves = {name: some(5, number) for number, name in enumerate(("RNN", "GRU", "LSTM", "LSTM, forget bias 3"))}
    return lambda: program.draw(curves, "f"), ("distance in time (steps)", "norm of the gradient, 1 at distance 0"), {name: np.transpose([range(5), curve]) for name, curve in curves.items()}


def of_losses(program):
    losses = {rate: some(7, number) for number, rate in enumerate((0.1, 0.2, 0.3))}
    runs = {rate: program.Run(None, loss, rate, 0) for rate, loss in losses.items()}
    points = {name: np.transpose([np.linspace(0, 100, 7), losses[rate]]) for name, rate in (("SGD, rate 0.1", 0.1), ("AdamW", 0.3))}
    return lambda: program.draw_losses({"SGD": {0.1: runs[0.1]}, "AdamW": {rate: runs[rate] for rate in (0.2, 0.3)}}), ("% of training", "loss"), points


@pytest.mark.parametrize(("name", "given"), [
    ("trends/membership", of_membership), ("trends/quantization", of_quantization), ("questions/optimizers", of_optimizers), ("questions/cleaning", of_cleaning),
    ("questions/splitting", of_splitting), ("models/rnn_cells", of_cells), ("models/cnn", of_losses),
])
def test_a_figure_shows_what_it_is_given(name, given):
    draw, labels, expected = given(load_snippet(name))
    axes = drawn(draw)
    assert (axes.get_xlabel(), axes.get_ylabel()) == labels, "an axis has another name"
    found = series(axes)
    assert found.keys() == expected.keys(), "the legend names other things"
    for label, points in expected.items():
        np.testing.assert_allclose(found[label], points, err_msg=f"what is drawn as `{label}` is not what was given")
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert name != "questions/splitting" or rows == list(load_snippet(name).WAYS), "the rows have other names"


def test_languages_stand_by_row_and_their_answers_by_column():
    """Each language got the next one for its answer, the last one the first."""
    rnn = load_snippet("models/rnn")
    labels = np.arange(len(rnn.LANGUAGES))
    axes = drawn(lambda: rnn.draw_confusion(labels, np.roll(labels, -1), "f"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    np.testing.assert_array_equal(axes.images[0].get_array(), np.roll(np.eye(len(labels)), 1, axis=1))
    assert [text.get_text() for text in axes.get_yticklabels()] == list(rnn.LANGUAGES.values()) == [text.get_text() for text in axes.get_xticklabels()]


def test_trials_are_drawn_against_their_own_setting():
    search = load_snippet("questions/search")
    pairs = {name: list(zip(some(4, number), some(4, number + 9))) for number, name in enumerate(("first", "second", "third"))}
    axes = drawn(lambda: search.draw(pairs, "f"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first", "validation accuracy, %")
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.array(pairs["first"]) * [1, 100])
