"""Every model of a snippet is checked; every function says what it takes, what it returns, and of which shape."""

import ast
import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_checks import UNFINISHED
from torch import nn

from tooling.lessons import ROOT, SNIPPETS, sections, shared, snippet_names, snippet_path

Function = ast.FunctionDef | ast.AsyncFunctionDef
each_snippet = pytest.mark.parametrize("name", snippet_names())

# Python gives MkDocs' events their arguments; MkDocs says which.
EVENT = re.compile("on_[a-z_]+")
# Between brackets, names and numbers parted by commas: (batch, 3, 32, 32), (count,), (..., hidden)
SHAPE = re.compile(r"\((?=[^()]*,)[\w .,+*/-]+\)|\b(?:scalar|shaped like|any shape)\b")
ARRAY = re.compile(r"\b(Tensor|ndarray)\b")


# --- models


def modules(file: Path) -> set[str]:
    """Return the names of the models that a program defines; a class that others only inherit from is none."""
    assert not [node for top in ast.parse(file.read_text(encoding="utf-8")).body for node in ast.walk(top) if isinstance(node, ast.ClassDef) and node is not top], (
        f"{file}: a class within a function or a class cannot be checked; put it at the top"
    )
    defined = runpy.run_path(str(file), run_name="snippet").values()
    classes = {value for value in defined if inspect.isclass(value) and value.__module__ == "snippet"}
    return {kind.__name__ for kind in classes if issubclass(kind, nn.Module) and kind.forward is not nn.Module.forward}


def checked(file: Path) -> set[str]:
    """Return the models that a file of tests hands to checks of model_checks, such as `models/cnn.ConvNet`.

    A call counts with all that its arguments mention: through functions and classes of the file, through variables,
    and through the parameters of the test.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "model_checks"]
    checks = {alias.asname or alias.name for node in imports for alias in node.names if alias.name.startswith("check_")}
    top = meanings(tree.body)
    found = set()
    for function in tree.body:
        if isinstance(function, ast.FunctionDef):
            known = {**top, **meanings(ast.walk(function))}
            known |= {argument.arg: [*known.get(argument.arg, []), *function.decorator_list] for argument in function.args.args}
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in checks:
                    found |= mentioned([*call.args, *call.keywords], known)
    return found | {model for name in found for model in listed(name)}


def listed(mention: str) -> set[str]:
    """Return what a list or dictionary of a snippet, such as `models/overview.MODELS`, is made of."""
    name, _, attribute = mention.rpartition(".")
    tree = ast.parse((SNIPPETS / f"{name}.py").read_text(encoding="utf-8")) if (SNIPPETS / f"{name}.py").is_file() else ast.Module([])
    values = meanings(node for node in tree.body if isinstance(node, ast.Assign)).get(attribute, [])
    return {f"{name}.{node.id}" for value in values for node in ast.walk(value) if isinstance(node, ast.Name)}


def meanings(nodes) -> dict[str, list[ast.AST]]:
    """Return what each name is defined by."""
    found = {}
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(node.value)
    return found


def mentioned(start: list[ast.AST], known: dict[str, list[ast.AST]]) -> set[str]:
    """Follow names to what they mean; return all attributes of snippets on the way."""
    found, seen, open_ends = set(), set(), list(start)
    while open_ends:
        for node in ast.walk(open_ends.pop()):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                for meaning in known.get(node.value.id, []):
                    if isinstance(meaning, ast.Call) and ast.unparse(meaning.func) == "load_snippet":
                        found.add(f"{meaning.args[0].value}.{node.attr}")
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                open_ends += known.get(node.id, [])
    return found


def test_every_model_is_checked():
    """Each class of snippets/x/y.py with a `forward` goes through a check of tests/model_checks.py; copies are checked where they are taught."""
    covered = set().union(*(checked(file) for file in sorted((ROOT / "tests").glob("*/test_*.py"))))
    defined = {f"{name}.{kind}" for name in snippet_names() for kind in modules(snippet_path(name)) - copied(name)}
    assert len(defined) > 20
    assert not defined - covered, f"no check of tests/model_checks.py is applied to {', '.join(sorted(defined - covered))}"


PROGRAM = """
from page_checks import UNFINISHED
from torch import nn
class Base(nn.Module):
    pass
class Model(Base):
    def forward(self, x): return x
class Other(nn.Sequential):
    pass
class Data:
    pass
"""


def test_models_are_found(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    assert modules(tmp_path / "program.py") == {"Model", "Other"}
    (tmp_path / "program.py").write_text("def make():\n    class Hidden: pass\n    return Hidden()\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="cannot be checked"):
        modules(tmp_path / "program.py")


@pytest.mark.parametrize(("test", "found"), [
    ("def test():\n    check_model(program.Model, 1)", {"a/b.Model"}),
    ("def test():\n    check_model(lambda: program.Model(3), 1)", {"a/b.Model"}),
    ("def test():\n    program.Model()\n    assert_equal(program.Model, 1)", set()),
    ("def test():\n    program.Other()\n    check_model(program.Model)", {"a/b.Model"}),
    ("def test():\n    model = program.Model()\n    check_model(model)", {"a/b.Model"}),
    ("@pytest.mark.parametrize('make', [program.Model, program.Other])\ndef test(make):\n    check_model(make)", {"a/b.Model", "a/b.Other"}),
    ("class Part(nn.Module):\n    def __init__(self):\n        self.model = program.Model()\ndef test():\n    check_model(Part)", {"a/b.Model"}),
    ("def make():\n    return program.Model()\ndef test():\n    check_model(make)", {"a/b.Model"}),
    ("def make():\n    return program.Model()\ndef test():\n    make()", set()),
    ("def test():\n    other = load_snippet('c')\n    check_model(other.Model)", {"c.Model"}),
])
def test_checks_are_found(tmp_path, test, found):
    (tmp_path / "test_b.py").write_text(f"from model_checks import assert_equal, check_model\nprogram = load_snippet('a/b')\n{test}\n", encoding="utf-8")
    assert {name for name in checked(tmp_path / "test_b.py")} == found


# --- classes of one name

GENERAL = {"Data", "DataError", "Network", "Run"}  # each lesson has its own
# Others that several programs write on their own, and why. A copy is a shared section.
OWN = {
    "Block": ({"foundations/deep_layers", "language-models/gpt"}, "one is a layer with what mends it, one has attention"),
    "ConvNet": ({"concepts/counting", "models/cnn", "models/overview"}, "one is counted, one is for images, one for sequences"),
    "GroupedAttention": ({"language-models/experts_latent", "language-models/modern_layers"}, "one has the cache that it is compared by, one the normalized queries and keys of Qwen3; tests hold both equal to PyTorch's"),
    "LayerNorm": ({"foundations/deep_layers", "models/transformer_layers"}, "one is compared with other normalizations, one is a part of the Transformer; tests hold both equal to PyTorch's"),
    "RMSNorm": ({"foundations/deep_layers", "language-models/modern_layers"}, "one is compared with other normalizations, one has the small number that checkpoints tell; tests hold both equal to PyTorch's"),
    "Setting": ({"language-models/experts", "language-models/gpt_nano"}, "one says how experts are balanced, one how large a network is and how long it trains"),
    "TextError": ({"language-models/chinese_baselines", "language-models/gpt"}, "one tells of too few bytes, one of a folder of poems"),
    "Tokenizer": ({"language-models/evaluation", "language-models/tokenizer"}, "one has the merges of the simple way and no special token, one is for real texts"),
    "Transformer": ({"models/overview", "models/transformer"}, "one for sequences of numbers, one translates"),
}


def classes(code: str) -> set[str]:
    """Return the names of the classes at the top of a program or section."""
    return {node.name for node in ast.parse(code).body if isinstance(node, ast.ClassDef)}


def copied(name: str) -> set[str]:
    """Return the names of the classes that a program holds as another teaches them, word for word."""
    return classes("\n".join(sections(name)[section] for section in shared(name)))


def given_twice(source: str) -> list[str]:
    """Return the names that the first level of a file gives to one thing after another: who reads the first gets the second."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)]
    return sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize("folder", ["snippets", "tooling", "tests"])
def test_a_name_is_given_once(folder):
    wrong = {path.relative_to(ROOT).as_posix(): names for path in sorted((ROOT / folder).rglob("*.py")) if (names := given_twice(path.read_text(encoding="utf-8")))}
    assert not wrong, f"names of two things in one file, of which only the last is used: {wrong}"


@pytest.mark.parametrize(("source", "names"), [
    ("A = 1\nA = 2", ["A"]), ("def a(): pass\ndef a(): pass", ["a"]), ("A, B = 1, 2\nclass B: pass", ["B"]), ("A = 1\nA.b = 2\nA[0] = 3", []), ("if x:\n    A = 1\nA = 2", []),
])
def test_a_name_that_is_given_twice_is_found(source, names):
    assert given_twice(source) == names


def test_classes_of_one_name_are_one_or_declared():
    """Two programs whose models have one name teach one model, word for word, unless it says here that they differ."""
    found: dict[str, set[str]] = {}
    for name in (one for one in snippet_names() if not one.startswith("errata/")):  # those show what was wrong
        for kind in classes(snippet_path(name).read_text(encoding="utf-8")) - copied(name) - GENERAL:
            found.setdefault(kind, set()).add(name)
    several = {kind: names for kind, names in found.items() if len(names) > 1}
    for kind in several.keys() | OWN.keys():
        declared = OWN.get(kind, (set(),))[0]
        assert several.get(kind, set()) == declared, (
            f"{kind} is written by {', '.join(sorted(several.get(kind, [])))}; tests/test_snippets.py declares {', '.join(sorted(declared)) or 'none'}: "
            "share its section (see tooling/shared.py), name it otherwise, or say in OWN why they differ"
        )


# --- functions


def public(tree: ast.Module) -> Iterator[tuple[str, Function | ast.ClassDef, ast.ClassDef | None]]:
    """Yield the public functions and classes of a program, and their methods, each with its name and its class."""
    for node in tree.body:
        if isinstance(node, (*Function.__args__, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node, None
            for method in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(method, Function) and (method.name == "__init__" or not method.name.startswith("_")):
                    yield f"{node.name}.{method.name}", method, node


def missing(source: str, shapes: bool = True) -> list[str]:
    """Return what the public functions and classes of a program do not say."""
    found = []
    for name, node, owner in public(ast.parse(source)):
        told = ast.get_docstring(node) or ""
        if not told and not name.endswith(".__init__"):
            found.append(f"{name} has no docstring")
        if isinstance(node, ast.ClassDef):
            types = [field.annotation for field in node.body if isinstance(field, ast.AnnAssign)]
        else:
            asked = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            asked = list(filter(None, asked))[owner is not None and "staticmethod" not in map(ast.unparse, node.decorator_list) :]
            found += [f"{name} does not say the type of {argument.arg}" for argument in asked if argument.annotation is None]
            if node.returns is None and not name.endswith(".__init__"):
                found.append(f"{name} does not say the type that it returns")
            types = [*(argument.annotation for argument in asked), node.returns]
        told += ast.get_docstring(owner) or "" if owner else ""
        if shapes and any(ARRAY.search(ast.unparse(kind)) for kind in types if kind) and not SHAPE.search(told):
            found.append(f"{name} takes or returns tensors and names no shape such as (batch, 3, 32, 32)")
    return found


def unfinished(file: Path) -> list[str]:
    """Return what an author left to be done in a file, each with its place."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [f"{file.relative_to(file.parents[2])}, line {number}: `{found[0]}` is left: finish it" for number, line in enumerate(lines, 1) if (found := UNFINISHED.search(line))]


@each_snippet
def test_nothing_is_left_unfinished_in_a_program_or_its_test(name):
    chapter, _, short = name.rpartition("/")
    left = unfinished(snippet_path(name)) + unfinished(ROOT / "tests" / chapter / f"test_{short}.py")
    assert not left, "\n".join(left)


def test_what_is_left_unfinished_is_found(tmp_path):
    (tmp_path / "toy.py").write_text('"""Say what it does: TODO."""\n', encoding="utf-8")
    assert len(unfinished(tmp_path / "toy.py")) == 1 and unfinished(tmp_path / "none.py") == []


@each_snippet
def test_functions_say_types_and_shapes(name):
    found = missing(snippet_path(name).read_text(encoding="utf-8"))
    assert not found, f"snippets/{name}.py: " + "; ".join(found)


@pytest.mark.parametrize("file", sorted((ROOT / "tooling").rglob("*.py")), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_functions_of_the_tooling_say_types(file):
    found = missing(file.read_text(encoding="utf-8"), shapes=False)
    found = [said for said in found if not (EVENT.match(said) and "type" in said)]
    assert not found, f"{file.relative_to(ROOT)}: " + "; ".join(found)


@pytest.mark.parametrize(("source", "said"), [
    ('def f(x: int) -> int:\n    """Double x."""', []),
    ("def f(x: int) -> int:\n    return x", ["f has no docstring"]),
    ('def f(x, *y: int) -> int:\n    """Add."""', ["f does not say the type of x"]),
    ('def f(x: int):\n    """Double x."""', ["f does not say the type that it returns"]),
    ("def _f(x): pass", []),
    ('def f(x: Tensor) -> int:\n    """Count images, (count, 3, 32, 32)."""', []),
    ('def f(x: Tensor) -> int:\n    """Count (many) images."""', ["f takes or returns tensors and names no shape such as (batch, 3, 32, 32)"]),
    ('def f() -> list[np.ndarray]:\n    """Return images."""', ["f takes or returns tensors and names no shape such as (batch, 3, 32, 32)"]),
    ('class A:\n    """Holds labels, (count,)."""\n    x: Tensor\n    def __init__(self, x: Tensor): pass', []),
    ('class A:\n    """Holds x."""\n    def forward(self, x: Tensor): pass', [
        "A.forward has no docstring", "A.forward does not say the type that it returns",
        "A.forward takes or returns tensors and names no shape such as (batch, 3, 32, 32)",
    ]),
])
def test_what_is_missing_is_found(source, said):
    assert missing(source) == said


# --- the folder of the results


def keeps_nowhere(source: str) -> bool:
    """Tell whether a program's `main` takes a folder for its results and does not make it, with those above it, or stops where it is there."""
    mains = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "main" and "out" in [one.arg for one in node.args.args]]
    return any("out.mkdir(parents=True, exist_ok=True)" not in map(ast.unparse, ast.walk(main)) for main in mains)


@each_snippet
def test_main_makes_the_folder_of_its_results(name):
    """Called from another program, which has no command line to make it."""
    assert not keeps_nowhere(snippet_path(name).read_text(encoding="utf-8")), f"snippets/{name}.py: `main` has to do `out.mkdir(parents=True, exist_ok=True)` before it writes"


@pytest.mark.parametrize(("line", "wrong"), [
    ("out.mkdir(parents=True, exist_ok=True)", False), ("out.mkdir(parents=True)", True), ("out.mkdir(exist_ok=True)", True), ("print(out)", True),
])
def test_a_folder_that_is_not_made_is_seen(line, wrong):
    assert keeps_nowhere(f"def main(out):\n    {line}\n") == wrong and not keeps_nowhere("def main():\n    pass\n")


# --- seeds


def seeds_forgotten(source: str) -> list[int]:
    """Return the lines where a function that has a seed calls another one of its program that asks for one, and gives it none."""
    functions = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    takes = {name: [one.arg for one in node.args.args] for name, node in functions.items()}
    found = set()
    for node in functions.values():
        for call in ast.walk(node) if "seed" in takes[node.name] else ():
            names = takes.get(call.func.id, []) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else []
            given = "seed" in names and (len(call.args) > names.index("seed") or any(isinstance(one, ast.Starred) for one in call.args))
            if "seed" in names and not given and not {"seed", None} & {keyword.arg for keyword in call.keywords}:
                found.add(call.lineno)
    return sorted(found)


@each_snippet
def test_a_seed_is_handed_on(name):
    """Else `--seed 1` makes some of the random numbers anew and leaves others, and the spread over seeds is too small."""
    lines = seeds_forgotten(snippet_path(name).read_text(encoding="utf-8"))
    assert not lines, f"snippets/{name}.py, lines {lines}: the function that is called takes a seed; give it the one that is there"


@pytest.mark.parametrize(("call", "wrong"), [("load(3)", True), ("load(3, seed)", False), ("load(3, seed=seed)", False), ("load(**more)", False), ("other()", False)])
def test_a_seed_that_is_forgotten_is_seen(call, wrong):
    program = f"def load(count, seed=0): pass\ndef main(out, seed=0):\n    data = {call}\n"
    assert seeds_forgotten(program) == ([3] if wrong else [])
    assert not seeds_forgotten(program.replace("main(out, seed=0)", "main(out)"))


# --- what is written out

# What decides a result is written where it is decided: a reader does not know the default, and the next version may have another.
WRITTEN = {
    "train_test_split": ("random_state", "stratify"), "StratifiedKFold": ("shuffle", "random_state"), "GroupShuffleSplit": ("test_size", "random_state"),
    "SimpleImputer": ("strategy",), "KNNImputer": ("n_neighbors",), "SelectKBest": ("k",),
    **dict.fromkeys(("DecisionTreeClassifier", "RandomForestClassifier", "SGDClassifier"), ("random_state",)), "multinomial": ("generator",), "std": ("ddof",), **dict.fromkeys(("SGD", "Adam", "AdamW", "Muon"), ("lr",)),
}
# Where the default is meant, and why.
MEANT = {
    ("questions/splitting", "stratify"): "it shows how a class is lost without",
    ("concepts/counting", "lr"): "a step is counted, none is learned",
    ("applications/sentiment", "ddof"): "of all folds that there are",
}


def unwritten(source: str) -> list[tuple[int, str]]:
    """Return the lines of a program that leave to a default what decides a result, and the keyword."""
    found, tree = [], ast.parse(source)
    spreads = {id(part) for node in ast.walk(tree) for key, part in spread_of(node)}
    for call in ast.walk(tree):
        name = getattr(call.func, "attr", getattr(call.func, "id", "")) if isinstance(call, ast.Call) else ""
        named = {keyword.arg for keyword in getattr(call, "keywords", [])}
        for keyword in WRITTEN.get(name, ()):
            by_place = keyword == "lr" and len(call.args) > 1
            set_later = keyword == "lr" and "OneCycleLR(" in source  # whose highest rate stands there
            if keyword not in named and not by_place and not set_later and (name != "std" or id(call) in spreads):
                found.append((call.lineno, keyword))
    return found


def spread_of(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield all parts of what is called a spread: by a key of a dictionary, or a variable."""
    if isinstance(node, ast.Dict):
        pairs = [(key.value, value) for key, value in zip(node.keys, node.values) if isinstance(key, ast.Constant)]
    elif isinstance(node, ast.Assign):
        names = [one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)]
        pairs = [(name, node.value) for name in names]
    else:
        pairs = []
    yield from ((str(name), part) for name, value in pairs if str(name).endswith("spread") for part in ast.walk(value))


@each_snippet
def test_what_decides_a_result_is_written_out(name):
    left = [(line, keyword) for line, keyword in unwritten(snippet_path(name).read_text(encoding="utf-8")) if (name, keyword) not in MEANT]
    assert not left, f"snippets/{name}.py: write {', '.join(f'{keyword}= in line {line}' for line, keyword in left)}; tests/test_snippets.py says where a default is meant"


def test_defaults_that_are_meant_are_there():
    known = {(name, keyword) for name in snippet_names() for _, keyword in unwritten(snippet_path(name).read_text(encoding="utf-8"))}
    assert known == set(MEANT)


@pytest.mark.parametrize(("line", "keywords"), [
    ("torch.optim.SGD(model.parameters())", ["lr"]), ("torch.optim.SGD(model.parameters(), lr=1)", []), ("torch.optim.Adam(given, rate)", []),
    ("OneCycleLR(torch.optim.Adam(given), 0.1)", []), ("train_test_split(x, test_size=1)", ["random_state", "stratify"]),
    ("train_test_split(x, random_state=0, stratify=None)", []), ("torch.multinomial(x, 1)", ["generator"]), ("x.std()", []),
    ("spread = np.std(x)", ["ddof"]), ("{'spread': float(x.std(ddof=1))}", []), ("mean, spread = x.mean(), x.std()", ["ddof"]),
])
def test_a_default_is_seen(line, keywords):
    assert [keyword for _, keyword in unwritten(line)] == keywords
