"""A `main` that prints something else than it returns is found."""

from pathlib import Path

import pytest
from main_checks import watched_main

METRICS = {"network": {"accuracy": 0.9375, "loss": 0.251}, "images": 1157, "curve": [0.123, 0.234, 0.345, 0.456, 0.567], "seconds": 1.5}


@pytest.mark.parametrize(("lines", "wrong"), [
    (["accuracy 0.938, loss 0.251"], ""),
    (["accuracy 93.8%", "  epoch  1: loss 0.777"], ""),
    (["accuracy 0.938, loss 0.351"], "prints 0.351, which is no metric"),
    (["1,157 images"], "prints 0 of the 2 numbers"),
    ([], "prints 0 of the 2 numbers"),
])
def test_what_is_printed_is_what_is_returned(lines, wrong, capsys):
    def main(out, seed=0):
        print("\n".join(lines))
        return METRICS

    watched = watched_main(main, Path("snippets/a/b.py"))
    if wrong:
        with pytest.raises(AssertionError, match=wrong):
            watched(Path())
    else:
        assert watched(Path(), seed=1) is METRICS
    assert capsys.readouterr().out == "\n".join(lines) + "\n", "what is printed can be read by a test"


def test_a_program_without_results_prints_what_it_likes():
    assert watched_main(lambda: {"a": 0.5}, Path("snippets/errata/b.py"))() == {"a": 0.5}
