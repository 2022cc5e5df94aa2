"""Where the parts of a lesson lie, and what its snippet and its results hold."""

import ast
import hashlib
import json
import re
from pathlib import Path

from tooling import reads

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SNIPPETS = ROOT / "snippets"
RESULTS = DOCS / "results"
LANGUAGES = ("zh", "en")

MARKER = re.compile(r"# --8<-- \[(start|end):([a-z][a-z0-9_]*)\]")
# The first line of a section that stands word for word as in the program that teaches it.
SHARED = re.compile(r"# From ([\w/-]+)\.py, word for word:")


class SiteError(Exception):
    """Something in the sources is wrong; the message names the file and says what to do."""


def snippet_names() -> list[str]:
    """Return the names of all snippets, such as `models/cnn`, sorted."""
    return sorted(path.relative_to(SNIPPETS).with_suffix("").as_posix() for path in SNIPPETS.rglob("*.py"))


def page_names(language: str) -> list[str]:
    """Return the names of all pages of a language, such as `models/cnn`, sorted."""
    root = DOCS / language
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.md"))


def lesson_names(language: str) -> list[str]:
    """Return the names of the pages that have a snippet of their name, and so a notebook, sorted."""
    return [page for page in page_names(language) if (SNIPPETS / f"{page}.py").is_file()]


def snippet_path(name: str) -> Path:
    """Return the file of a snippet, also of one that made a result on real data. Raises SiteError where there is none."""
    path = SNIPPETS / f"{program_of(name)}.py"
    if not path.is_file():
        raise SiteError(f"snippets/{name}.py does not exist; there are: {', '.join(snippet_names())}")
    return path


def exporter_path(name: str) -> Path:
    """Return where the exporter of a live model lies, whether there is one or not: `models/cnn`, on real data `models/cnn/cifar10`."""
    return ROOT / "tooling" / "live" / f"{name}.py"


def sections(name: str) -> dict[str, str]:
    """Return the code of each section of a snippet, in the order of the file.

    Raises SiteError where a marker is missing, repeated or nested, or code stands outside
    every section: a page that includes all sections would not show the whole program.
    """
    found: dict[str, list[str]] = {}
    current = None
    for number, line in enumerate(snippet_path(name).read_text(encoding="utf-8").splitlines(), 1):
        where = f"snippets/{name}.py, line {number}"
        marker = MARKER.fullmatch(line.strip())
        if marker is None:
            if "--8<--" in line:
                raise SiteError(f"{where}: not a section marker; write `# --8<-- [start:name]` or `# --8<-- [end:name]`")
            if current is not None:
                found[current].append(line)
            elif line.strip():
                raise SiteError(f"{where} stands outside every section; was a [start:...] marker deleted above it?")
            continue
        kind, section = marker.groups()
        if kind == "start":
            if current is not None:
                raise SiteError(f"{where}: section `{section}` starts inside `{current}`; add `# --8<-- [end:{current}]` before it")
            if section in found:
                raise SiteError(f"{where}: there is a section `{section}` above already; give this one another name")
            found[section] = []
            current = section
        else:
            if section != current:
                raise SiteError(f"{where}: section `{section}` ends here but does not start before; add `# --8<-- [start:{section}]`")
            current = None
    if current is not None:
        raise SiteError(f"snippets/{name}.py: section `{current}` has no end; add `# --8<-- [end:{current}]`")
    return {section: "\n".join(lines).strip("\n") for section, lines in found.items()}


def shared(name: str) -> dict[str, str]:
    """Return the sections of a snippet that are taught in another one, each with the name of that snippet."""
    origins = {section: SHARED.match(code) for section, code in sections(name).items()}
    return {section: origin[1] for section, origin in origins.items() if origin}


def load_json(path: Path) -> dict:
    """Read a result file. Raises SiteError where it is missing or damaged."""
    name = path.parent.relative_to(RESULTS).as_posix()
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SiteError(f"{path.relative_to(ROOT)} is missing; run `python -m tooling.results {name}`") from None
    except json.JSONDecodeError as error:
        raise SiteError(f"{path.relative_to(ROOT)} is damaged ({error}); run `python -m tooling.results {name}`") from None


def metrics(name: str) -> dict:
    """Return what the last run of a snippet measured; `models/cnn/cifar10` is its run on that data."""
    return load_json(RESULTS / name / "metrics.json")


def run_record(name: str) -> dict:
    """Return when, on what and from which code the results of a snippet were made."""
    return load_json(RESULTS / name / "run.json")


def program_of(result: str) -> str:
    """Return the snippet that made a result: `models/cnn` for its run on real data, `models/cnn/cifar10`, too."""
    return "/".join(result.split("/")[:2])


def fingerprints(name: str, root: Path | None = None, result: str | None = None) -> dict[str, str]:
    """Return the hash of a snippet's file, that of its program, comments and docstrings aside, and that of its exporter.

    `root` is where the repository lies, if it is another one; `result` is `models/cnn/cifar10` for a run on real data, which
    has its own exporter. Raises SyntaxError for what is no program.
    """
    text = (root / "snippets" / f"{name}.py" if root else snippet_path(name)).read_text(encoding="utf-8")
    return file_fingerprints(name, root, result) | {"program": program_fingerprint(text)}


@reads.follows
def program_fingerprint(text: str) -> str:
    """Return the hash of a program without its comments and docstrings. Raises SyntaxError."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def file_fingerprints(name: str, root: Path | None = None, result: str | None = None) -> dict[str, str]:
    """Return the hash of a snippet's file and that of the exporter of a result, which are quickly found."""
    text = (root / "snippets" / f"{name}.py" if root else snippet_path(name)).read_text(encoding="utf-8")
    found = {"file": hashlib.sha256(text.encode()).hexdigest()}
    parts = [(root or ROOT) / "tooling" / "live" / file for file in (f"{result or name}.py", "export.py")]
    if parts[0].is_file():
        found["live"] = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
    return found


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file that a run left: not of its record, nor of what other seeds measured."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in ("run.json", "seeds.json"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def altered_results() -> dict[str, str]:
    """Return the results that are not as their run left them, each with what to do."""
    altered = {}
    for record in sorted(RESULTS.rglob("run.json")):
        name = record.parent.relative_to(RESULTS).as_posix()
        stored, found = run_record(name).get("files", {}), file_hashes(record.parent)
        odd = sorted(file for file in stored.keys() | found.keys() if stored.get(file) != found.get(file))
        if odd:
            altered[name] = f"docs/results/{name}: {', '.join(odd)} is not what its run left; take it back, or run `python -m tooling.results {name}`"
    return altered


def stale_results(names: list[str] | None = None) -> dict[str, str]:
    """Return the results that are older than their program, each with what to do; of all snippets, or of those named.

    A comment or a docstring may change: it takes no hour of training to see that a comment trains nothing.
    """
    stale = {}
    for name in snippet_names() if names is None else names:
        current = file_fingerprints(name)

        def older(record: dict) -> bool:
            return record.get("file") != current["file"] and record.get("program") != fingerprints(name)["program"]

        def exported(record: dict, result: str) -> bool:
            return record.get("live") == file_fingerprints(name, result=result).get("live")

        try:
            record = run_record(name)
        except SiteError:
            record = {}
        if older(record):
            stale[name] = f"docs/results/{name} is older than snippets/{name}.py; run `python -m tooling.results {name}`"
        elif not exported(record, name):
            stale[name] = f"docs/results/{name} is older than tooling/live/{name}.py, or than tooling/live/export.py; run `python -m tooling.results {name}`"
        for path in sorted((RESULTS / name).glob("*/run.json")):
            data, record = path.parent.name, load_json(path)
            again = f"run `python -m tooling.results {name} --data {data}=FOLDER`"
            if older(record):
                stale[f"{name}/{data}"] = f"docs/results/{name}/{data} is older than snippets/{name}.py; {again}"
            elif not exported(record, f"{name}/{data}"):
                stale[f"{name}/{data}"] = f"docs/results/{name}/{data} is older than tooling/live/{name}/{data}.py, or than tooling/live/export.py; {again}"
        for path in sorted((RESULTS / name).rglob("seeds.json")):
            result = path.parent.relative_to(RESULTS).as_posix()
            kept = load_json(path)
            if result not in stale and older(kept):
                stale[result] = f"docs/results/{result}/seeds.json is older than snippets/{name}.py; run `python -m tooling.results {name} --seeds {len(kept['seeds'])}`"
    return stale
