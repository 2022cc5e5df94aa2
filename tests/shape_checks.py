"""The shapes that a program tells, in its comments and docstrings, are those that its tensors have.

    module = watched(source, file)      a program as code that compares each `# (batch, time)` as it runs

A comment behind an assignment, a loop, a result or a part of an expression tells its shape: numbers are these sizes, a
name is one size within one call of its function, and that of a variable or constant of its name. `each (batch,)` tells all
of several tensors; else the first shape tells the first of them, and so on.
"""

import ast
import io
import itertools
import re
import sys
import tokenize
from pathlib import Path
from types import CodeType

SHAPE = re.compile(r"\((?=[^()]*,)[\w .,+*/'-]+\)")
WATCH, RECORDS, GIVEN = "__watch__", "__records__", "__given__"
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


def alternatives(docstring: str, variables: dict[str, object]) -> list[list[list[str]]]:
    """Return the shapes of a docstring, those together that `or` parts; `(h,)` of a variable h that is a tensor is none."""
    found, end = [], 0
    for match in SHAPE.finditer(docstring):
        (shape,) = shapes_in(match[0])
        if not any(hasattr(variables.get(part), "shape") for part in shape):
            either = found and re.search(r"\bor\b", docstring[end : match.start()])
            found[-1].append(shape) if either else found.append([shape])
        end = match.end()
    return found


def fits(told: list[list[list[str]]], found: list[Sizes], known: dict[str, int], variables: dict[str, object]) -> bool:
    """Tell whether each of the shapes told, or an alternative, is that of one of some tensors, a name being one size in all of them."""
    if not told:
        return True
    for shape, sizes in itertools.product(told[0], found):
        names = dict(known)
        if mismatch(shape, sizes, names, variables) is None and fits(told[1:], found, names, variables):
            return True
    return False


def is_plain(value: object) -> bool:
    """Tell a tensor, a number or a network, or several of them, from what may hold tensors that cannot be seen."""
    if isinstance(value, (tuple, list)):
        return len(value) > 0 and all(map(is_plain, value))
    return hasattr(value, "shape") or callable(value) or isinstance(value, (int, float, str, type(None)))


class Watch:
    """Compares what the comments of a program tell with the tensors that it makes; knows which were never compared."""

    def __init__(self, file: Path, comments: dict[int, str], docstrings: dict[int, str]):
        self.file, self.comments, self.docstrings, self.unseen = file, comments, docstrings, set(comments)

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


    def given(self, arguments: dict[str, object]) -> tuple[list[object], list[Sizes], dict[str, int]]:
        """Note what a function is given, and its shapes, before it changes any."""
        return list(arguments.values()), sizes_of(list(arguments.values())), {name: value for name, value in arguments.items() if type(value) is int}

    def returned(self, value: object, line: int, given: tuple[list[object], list[Sizes], dict[str, int]]) -> object:
        """Compare a function's docstring with what it was given and returns, and return that. Raises AssertionError where they differ."""
        values, shapes, numbers = given
        told, found = self.docstrings[line], shapes + sizes_of(value)
        if all(map(is_plain, [*values, value])) and found:
            caller = sys._getframe(1)
            assert fits(alternatives(told, caller.f_locals), found, {}, {**caller.f_globals, **numbers}), (
                f"{self.file}:{line}: the docstring tells {', '.join(SHAPE.findall(told))}, but given and returned are {', '.join(map(str, found))}"
            )
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


def method(name: str) -> ast.Attribute:
    """Return the expression of a method of the watch."""
    return ast.Attribute(ast.Name(WATCH, ast.Load()), name, ast.Load())


class Instrument(ast.NodeTransformer):
    """Puts a comparison where a comment with a shape stands."""

    def __init__(self, comments: dict[int, tuple[str, int]]):
        self.comments, self.placed = comments, set()
        self.docstrings: dict[int, str] = {}
        self.around: list[ast.AST] = []

    def call(self, values: list[ast.expr], line: int) -> ast.Call:
        """Return the comparison of values with the comment of a line; it gives back the first, or all."""
        self.placed.add(line)
        value = values[0] if len(values) == 1 else ast.Tuple(values, ast.Load())
        return ast.Call(method("compare"), [value, ast.Constant(line), ast.Name(RECORDS, ast.Load())], [])

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Let a function begin with what its comparisons note, and compare its result with its docstring."""
        told = ast.get_docstring(node) or ""
        yields = any(isinstance(one, (ast.Yield, ast.YieldFrom)) for one in ast.walk(node))
        begin = [ast.Assign([ast.Name(RECORDS, ast.Store())], ast.List([], ast.Load()))]
        if shapes_in(told) and not yields:
            self.docstrings[node.lineno] = told
            note = ast.Call(method("given"), [ast.Call(ast.Name("locals", ast.Load()), [], [])], [])
            begin.insert(0, ast.Assign([ast.Name(GIVEN, ast.Store())], note))
        self.around.append(node)
        node = self.generic_visit(node)
        self.around.pop()
        first = 1 if ast.get_docstring(node) is not None else 0
        node.body[first:first] = begin
        return node

    def visit(self, node: ast.AST) -> ast.AST | list[ast.AST]:
        """Visit a node: a statement by what it fills, the widest expression that ends before a comment by itself."""
        line = getattr(node, "end_lineno", None)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self.function(node)
        if isinstance(node, (ast.ClassDef, ast.Lambda)):
            self.around.append(node)
            node = self.generic_visit(node)
            self.around.pop()
            return node
        if isinstance(node, ast.Return) and node.value and self.around[-1].lineno in self.docstrings:
            told = [ast.Constant(self.around[-1].lineno), ast.Name(GIVEN, ast.Load())]
            return ast.Return(ast.Call(method("returned"), [self.visit(node.value), *told], []))
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


def watched(source: str, file: Path) -> tuple[CodeType, dict[str, object]]:
    """Return a program as code that compares the shapes it tells, and the names that it needs for that.

    Raises SyntaxError as compile does.
    """
    comments = comments_of(source)
    tree = ast.parse(source, str(file))
    instrument = Instrument(comments)
    tree = instrument.visit(tree)
    watch = Watch(file, {line: comment for line, (comment, _) in comments.items()}, instrument.docstrings)
    return compile(ast.fix_missing_locations(tree), str(file), "exec"), {WATCH: watch, RECORDS: []}
