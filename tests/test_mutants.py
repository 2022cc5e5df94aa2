"""Mutants of the programs are what they are called, and drawn by their seed alone."""

import pytest
from faults import mutants

PROGRAM = '''"""A program."""
HALF = x.sum(0)


def f(x: dict[int, 1]) -> int:
    """Say f."""
    return {}
# From a/b.py, word for word:
def g():
    h()
# --8<-- [end:g]
'''


@pytest.mark.parametrize(("line", "kind", "made"), [
    ("x < y == 2", "swapped comparison", {"x <= y == 2", "x < y != 2"}),
    ("x < 0.5", "swapped comparison", {"x >= 0.5"}),
    ("x / 2 <= y", "swapped comparison", {"x / 2 > y"}),
    ("x not in 行", "swapped comparison", {"x in 行"}),
    ("x.softmax(-1)", "another dim", {"x.softmax(-2)"}),
    ("torch.cat([x, y], 1)", "another dim", {"torch.cat([x, y], 0)"}),
    ("x.sum(dim=0)", "another dim", {"x.sum(dim=1)"}),
    ("f(x, lr=1, z=2)", "dropped keyword", {"f(x, z=2)", "f(x, lr=1, )"}),
    ("print(x, flush=True)", "dropped keyword", set()),
    ("axes.plot(x, label=1, color=2)", "dropped keyword", {"axes.plot(x, color=2)"}),
    ("x[1:, -1]", "shifted index", {"x[2:, -1]", "x[1:, 0]"}),
    ("x", "dropped statement", set()),
])
def test_an_expression_is_changed(line, kind, made):
    source = PROGRAM.format(line)
    found = {one.text for one in mutants.mutants("f.py", source) if one.kind == kind}
    assert found == {PROGRAM.format(text) for text in made}


def test_statements_are_dropped():
    source = "def f(x):\n    x.step()  # 步\n    x += 1\n    print(x)\n    axes.grid()\n"
    found = {one.text for one in mutants.mutants("f.py", source) if one.kind == "dropped statement"}
    assert found == {source.replace("x.step()", "pass"), source.replace("x += 1", "pass")}


def test_mutants_are_drawn_by_their_seed(tmp_path):
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets/a.py").write_text("def f(x):\n" + "".join(f"    x[{number}]\n" for number in range(50)), encoding="utf-8")
    first = mutants.draw(tmp_path, 5, 1)
    assert len(first) == 5 and first == mutants.draw(tmp_path, 5, 1) != mutants.draw(tmp_path, 5, 2)
    assert not mutants.draw(tmp_path, 5, 1, "b") and len(mutants.draw(tmp_path, 99, 1, "a")) == 50
