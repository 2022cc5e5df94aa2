"""The watch over shapes accepts what is told rightly and says what is not, and where."""

from pathlib import Path

import pytest
import torch
from shape_checks import WATCH, comments_of, watched

PROGRAM = '''
import torch
SIZE = 3

def f(x, count=2):
    """Return (batch, 3) of x, (batch, time, 3)."""
    y = x.sum(1)  # (batch, 3)
    z = torch.cat([
        x.flatten(1)  # (batch, time * 3)
        .unsqueeze(0),  # (1, batch, ...)
    ])
    pair, _ = y.T, x  # (SIZE, batch)
    a, b = y, y  # each (batch, SIZE)
    for row in y.split(1):  # (1, 3)
        w = row.flatten()  # (three,), of one
    for part in x.unbind(1):  # (batch, 3)
        pass
    return y
'''


def run(old="", new="", x=torch.zeros(4, 5, 3)):
    """Run the program, with one text of it replaced."""
    assert old in PROGRAM
    code, names = watched(PROGRAM.replace(old, new, 1) if old else PROGRAM, Path("program.py"))
    exec(code, names)
    result = names["f"](x)
    assert not names[WATCH].unseen
    return result


def test_shapes_that_are_right_pass():
    assert len(comments_of(PROGRAM)) == 8
    assert run().shape == (4, 3)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("# (batch, 3)", "# (batch, 4)", r"program.py:7: `# \(batch, 4\)`, but the tensor has the shape \(4, 3\): it has 3 where 4 is 4"),
    ("# (batch, 3)", "# (batch, time, 3)", "program.py:7: .* it has 2 dimensions"),
    ("# (batch, time * 3)", "# (batch, batch * 3)", r"program.py:9: .* it has 15 where batch \* 3 is 12"),
    ("# (1, batch, ...)", "# (2, batch, ...)", "program.py:10: .* it has 1 where 2 is 2"),
    ("# (SIZE, batch)", "# (batch, SIZE)", "program.py:12: .* it has 3 where batch is 4"),
    ("# each (batch, SIZE)", "# each (batch, count)", "program.py:13: .* it has 3 where count is 2"),
    ("# (1, 3)", "# (batch, 3)", "program.py:14: .* it has 1 where batch is 4"),
    ("x, (batch, time, 3)", "x, (time, batch, 4)", r"program.py:5: the docstring tells .* given and returned are \(4, 5, 3\), \(4, 3\)"),
    ("Return (batch, 3)", "Return (batch, time)", "program.py:5: the docstring tells"),
])
def test_a_wrong_shape_is_told_with_its_line(old, new, said):
    with pytest.raises(AssertionError, match=said):
        run(old, new)


def test_each_call_has_its_own_sizes():
    code, names = watched(PROGRAM, Path("program.py"))
    exec(code, names)
    for batch in (4, 2):
        names["f"](torch.zeros(batch, batch + 1, 3))


def test_alternatives_and_names_of_variables_are_known():
    source = 'def f(x, rows):\n    """Take x, (n, m); return a scale, (1, 1) or (n, 1), and (s,)."""\n    s = x\n    return s[:, :1] if rows else s[:1, :1]\n'
    code, names = watched(source, Path("program.py"))
    exec(code, names)
    assert names["f"](torch.zeros(3, 2), True).shape == (3, 1) and names["f"](torch.zeros(3, 2), False).shape == (1, 1)
