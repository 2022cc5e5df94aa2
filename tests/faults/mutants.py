"""Small changes of the programs that nobody thought of: a swapped comparison, a dropped statement or keyword, another dim, a shifted index.

mutmut and cosmic-ray change one package that tests import; these programs are no package, and tensors need changes of their own.
"""

import ast
import difflib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

# Between real numbers < and <= are alike: there the comparison is turned around.
TURNED = {ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<"}
SWAPPED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"}
# What takes a dim by its place, and at which.
PLACES = {"softmax": 0, "argmax": 0, "mean": 0, "sum": 0, "amax": 0, "cumsum": 0, "unsqueeze": 0, "squeeze": 0, "flatten": 0, "cat": 1, "stack": 1}
# What changes nothing that anybody reads. A line that is no longer printed is missed by who reads the page, where the output stands;
# a color or a width is for the eye too. What a figure says is held by figure_checks.py.
UNSEEN = {"plt.close(figure)", "end", "flush", "indent"}
LOOKS = {
    "alpha", "bbox_to_anchor", "capsize", "cmap", "color", "colors", "edgecolor", "edgecolors", "facecolor", "figsize", "fontsize", "frameon", "ha", "interpolation", "levels", "linestyle", "linestyles",
    "linewidth", "linewidths", "loc", "lw", "marker", "markersize", "ms", "ncols", "rotation_mode", "s", "text_kw", "va", "width_ratios", "zorder",
}


class Mutant(NamedTuple):
    """A program with one small change."""

    file: str  # below the root
    line: int
    kind: str
    text: str  # of the whole program

    def told(self, root: Path) -> str:
        """Return where the change is, and the lines that differ from the program below `root`."""
        before = (root / self.file).read_text(encoding="utf-8").splitlines()
        lines = [line for line in difflib.unified_diff(before, self.text.splitlines(), lineterm="", n=0) if not line.startswith(("---", "+++", "@@"))]
        return f"{self.file}, line {self.line}, {self.kind}\n" + "\n".join(f"        {line}" for line in lines)


def mutants(file: str, text: str) -> list[Mutant]:
    """Return all mutants of a program, but for what it has from another one word for word, and what no reader sees."""
    data, tree = text.encode(), ast.parse(text)
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    foreign = copied(text)

    def place(line: int, column: int) -> int:
        return starts[line - 1] + column

    return [
        Mutant(file, node.lineno, kind, (data[:begin] + instead.encode() + data[end:]).decode())
        for node, kind, begin, end, instead in changes(tree, place, data) if node.lineno not in foreign
    ]


def copied(text: str) -> set[int]:
    """Return the lines of the sections that a program has from another one."""
    found, inside = set(), False
    for number, line in enumerate(text.splitlines(), 1):
        inside = (inside or line.startswith("# From ")) and "# --8<-- [end:" not in line
        if inside:
            found.add(number)
    return found


def changes(tree: ast.Module, place: Callable[[int, int], int], data: bytes) -> Iterator[tuple[ast.AST, str, int, int, str]]:
    """Yield the changed node, the kind of change, the bytes from where to where, and what stands there instead."""
    for node in inside(tree):
        if isinstance(node, ast.Compare):
            left = node.left
            for operator, right in zip(node.ops, node.comparators):
                swapped = SWAPPED | TURNED if is_real(left) or is_real(right) else SWAPPED
                yield node, "swapped comparison", place(left.end_lineno, left.end_col_offset), place(right.lineno, right.col_offset), f" {swapped[type(operator)]} "
                left = right
        if isinstance(node, ast.AugAssign) or isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not is_unseen(node.value):
            yield node, "dropped statement", place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset), "pass"
        if isinstance(node, ast.Call):
            yield from changed_arguments(node, place, data)
        if isinstance(node, ast.Subscript):
            for index in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
                for bound in (index.lower, index.upper) if isinstance(index, ast.Slice) else [index]:
                    if (value := number(bound)) is not None:
                        yield bound, "shifted index", place(bound.lineno, bound.col_offset), place(bound.end_lineno, bound.end_col_offset), str(value + 1)


def changed_arguments(node: ast.Call, place: Callable[[int, int], int], data: bytes) -> Iterator[tuple[ast.AST, str, int, int, str]]:
    """Yield a call's changes: another dim, and each keyword dropped."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    dims = [keyword.value for keyword in node.keywords if keyword.arg in ("dim", "axis")]
    dims += node.args[PLACES[name] :][:1] if name in PLACES else []
    for dim in dims:
        if (value := number(dim)) is not None:
            yield dim, "another dim", place(dim.lineno, dim.col_offset), place(dim.end_lineno, dim.end_col_offset), str(value - 1 if value else 1)
    for keyword in (one for one in node.keywords if one.arg not in UNSEEN | LOOKS):
        begin, end = place(keyword.lineno, keyword.col_offset), place(keyword.end_lineno, keyword.end_col_offset)
        while data[end : end + 1] in (b",", b" "):
            end += 1
        yield keyword, "dropped keyword", begin, end, ""


def is_unseen(call: ast.Call) -> bool:
    """Tell whether a statement that is a call changes no more than what is printed, or how a figure looks."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return ast.unparse(call) in UNSEEN or name in ("print", "grid") or name == "set_visible" and "spines" in ast.unparse(call)


def is_real(node: ast.expr) -> bool:
    """Tell whether an expression is a real number, by a constant or a division in it."""
    return any(isinstance(one, ast.Constant) and type(one.value) is float or isinstance(one, ast.Div) for one in ast.walk(node))


def number(node: ast.AST | None) -> int | None:
    """Return the whole number that an expression is, with its sign; None for others."""
    sign = -1 if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else 1
    inner = node.operand if sign < 0 else node
    return sign * inner.value if isinstance(inner, ast.Constant) and type(inner.value) is int else None


def inside(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes within functions, types left out."""
    open_ends = [statement for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for statement in node.body if not isinstance(statement, ast.FunctionDef)]
    seen = set()
    while open_ends:
        node = open_ends.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            open_ends += [child for name, value in ast.iter_fields(node) if name not in ("annotation", "returns") for child in (value if isinstance(value, list) else [value]) if isinstance(child, ast.AST)]


def draw(root: Path, count: int, seed: int, name: str | tuple[str, ...] = "") -> list[Mutant]:
    """Return so many mutants of the programs below `root` whose names begin so, the same ones for the same seed."""
    files = sorted(path.relative_to(root).as_posix() for path in (root / "snippets").rglob("*.py"))
    found = [one for file in files if file.removeprefix("snippets/").startswith(name) for one in mutants(file, (root / file).read_text(encoding="utf-8"))]
    return random.Random(seed).sample(found, min(count, len(found)))
