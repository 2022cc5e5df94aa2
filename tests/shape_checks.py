"""The shapes that a program tells, in its comments and docstrings, are those that its tensors have.

    module = watched(source, file)      a program as code that compares each `# (batch, time)` as it runs

A comment behind an assignment, a loop, a result or a part of an expression tells its shape: numbers are these sizes, a
name is one size within one call of its function, and that of a variable or constant of its name. `each (batch,)` tells all
of several tensors; else the first shape tells the first of them, and so on.
"""

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from types import CodeType

SHAPE = re.compile(r"\((?=[^()]*,)[\w .,+*/-]+\)")
RECORDS, COMPARE = "__records__", "__compare__"
Sizes = tuple[int, ...]


def shapes_in(text: str) -> list[list[str]]:
    """Return the shapes that a text tells, each as its parts: `(batch, 3)` is ["batch", "3"]."""
    return [[part.strip() for part in found[1:-1].split(",") if part.strip()] for found in SHAPE.findall(text)]


def sizes_of(value: object) -> list[Sizes]:
    """Return the shape of a tensor, or those of the tensors in a tuple or list; symbols of an export are no sizes."""
    if isinstance(value, (tuple, list)):
        return [sizes for part in value for sizes in sizes_of(part)]
    shape = getattr(value, "shape", None)
    return [tuple(shape)] if shape is not None and all(isinstance(size, int) for size in shape) else []


def mismatch(told: list[str], sizes: Sizes, known: dict[str, int], variables: dict[str, object]) -> str | None:
    """Tell where sizes are not those told; note in `known` what each name stands for."""
    if "..." in told:
        place = told.index("...")
        behind = len(told) - place - 1
        if len(sizes) < len(told) - 1:
            return f"has only {len(sizes)} dimensions"
        told, sizes = told[:place] + told[place + 1 :], sizes[:place] + sizes[len(sizes) - behind :]
    if len(told) != len(sizes):
        return f"has {len(sizes)} dimensions"
    for part, size in zip(told, sizes):
        values = {name: value for name, value in variables.items() if type(value) is int} | known
        if part.isidentifier() and part not in values:
            known[part] = size
        try:
            expected = eval(part, {"__builtins__": {}}, values)
        except (NameError, SyntaxError):
            continue  # a name in an expression that stands for nothing yet
        if expected != size:
            return f"has {size} where {part} is {expected}"
    return None


class Watch:
    """Compares what the comments of a program tell with the tensors that it makes; knows which were never compared."""

    def __init__(self, file: Path, comments: dict[int, str]):
        self.file, self.comments, self.unseen = file, comments, set(comments)

    def compare(self, value: object, line: int, records: list) -> object:
        """Compare a value with the comment of a line, and return it. Raises AssertionError where they differ.

        `records` holds what this call of the function has compared, in order: (line, names), from the round before.
        """
        comment = self.comments[line]
        told, found = shapes_in(comment), sizes_of(value)
        self.unseen.discard(line)
        for number, (before, _) in enumerate(records):
            if before == line:  # another round of a loop: its sizes may be others
                del records[number:]
                break
        known = {name: size for _, names in records for name, size in names.items()}
        names: dict[str, int] = {}
        records.append((line, names))
        caller = sys._getframe(1)
        pairs = [(told[0], sizes) for sizes in found] if re.search(r"\beach\b", comment) else zip(told, found)
        for parts, sizes in pairs:
            both = {**known, **names}
            wrong = mismatch(parts, sizes, both, {**caller.f_globals, **caller.f_locals})
            assert wrong is None, f"{self.file}:{line}: `# {comment}`, but the tensor has the shape {sizes}: it {wrong}"
            names.update({name: size for name, size in both.items() if name not in known})
        return value


def comments_of(source: str) -> dict[int, tuple[str, int]]:
    """Return the comments with shapes that stand behind code: by their line, the text and where the code ends."""
    found, end, lines = {}, {}, source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT:
            if row in end and shapes_in(token.string):
                found[row] = token.string.lstrip("# "), end[row]
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT) and token.string != ",":
            end[token.end[0]] = len(lines[token.end[0] - 1][: token.end[1]].encode())  # as ast counts
    return found


def loaded(target: ast.expr) -> list[ast.expr]:
    """Return what an assignment has filled, but for what it throws away, as expressions."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return [one for part in target.elts for one in loaded(part)]
    if isinstance(target, ast.Starred):
        return []
    thrown = isinstance(target, ast.Name) and target.id == "_"
    return [] if thrown else [ast.parse(ast.unparse(target), mode="eval").body]


class Instrument(ast.NodeTransformer):
    """Puts a comparison where a comment with a shape stands."""

    def __init__(self, comments: dict[int, tuple[str, int]]):
        self.comments, self.placed = comments, set()

    def call(self, values: list[ast.expr], line: int) -> ast.Call:
        """Return the comparison of values with the comment of a line; it gives back the first, or all."""
        self.placed.add(line)
        value = values[0] if len(values) == 1 else ast.Tuple(values, ast.Load())
        return ast.Call(ast.Name(COMPARE, ast.Load()), [value, ast.Constant(line), ast.Name(RECORDS, ast.Load())], [])

    def visit(self, node: ast.AST) -> ast.AST | list[ast.AST]:
        """Visit a node: a statement by what it fills, the widest expression that ends before a comment by itself."""
        line = getattr(node, "end_lineno", None)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node = self.generic_visit(node)
            first = 1 if ast.get_docstring(node) is not None else 0
            node.body.insert(first, ast.Assign([ast.Name(RECORDS, ast.Store())], ast.List([], ast.Load())))
            return node
        if isinstance(node, ast.For) and node.iter.end_lineno in self.comments:
            line = node.iter.end_lineno
            node.body.insert(0, ast.Expr(self.call(loaded(node.target), line)))
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and line in self.comments:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            after = ast.Expr(self.call([one for target in targets for one in loaded(target)], line))
            return [self.generic_visit(node), after]
        elif isinstance(node, ast.expr) and line in self.comments and line not in self.placed and node.end_col_offset == self.comments[line][1]:
            if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                return node
            made = self.call([node], line)
            self.generic_visit(node)
            return made
        return self.generic_visit(node)


def watched(source: str, file: Path) -> tuple[CodeType, dict[str, object], Watch]:
    """Return a program as code that compares the shapes it tells, the names it needs for that, and the watch.

    Raises SyntaxError as compile does.
    """
    comments = comments_of(source)
    tree = ast.parse(source, str(file))
    tree = Instrument(comments).visit(tree)
    watch = Watch(file, {line: comment for line, (comment, _) in comments.items()})
    return compile(ast.fix_missing_locations(tree), str(file), "exec"), {COMPARE: watch.compare, RECORDS: []}, watch
