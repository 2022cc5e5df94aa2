"""What the tests share."""

import functools
import http.server
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from playwright.sync_api import sync_playwright

SNIPPETS = Path(__file__).resolve().parent.parent / "snippets"
RESULTS = SNIPPETS.parent / "docs" / "results"


def load_snippet(name: str) -> ModuleType:
    """Import a snippet by its name, such as `models/cnn`; nothing is trained."""
    specification = importlib.util.spec_from_file_location(f"snippet_{name.replace('/', '_')}", SNIPPETS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


# --- the site, and the browser that reads it


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files without a word."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Build the site, serve it below a folder as GitHub Pages does; yield its `folder` and `url`."""
    root = tmp_path_factory.mktemp("served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    url = f"http://127.0.0.1:{server.server_port}/lessons/"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(root / "lessons")],
        cwd=SNIPPETS.parent, env=os.environ | {"SITE_URL": url}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    warnings = [line for line in built.stdout.splitlines() if line.startswith("WARNING")]
    if built.returncode or warnings:
        server.server_close()
        pytest.fail(f"`mkdocs build --strict` ended with {built.returncode}:\n" + ("\n".join(warnings) or built.stdout[-3000:]), pytrace=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(folder=root / "lessons", url=url)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that finds no host but this machine; $BROWSER_PATH names another one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail(
            f"none of {', '.join(names)} is installed; install one (Debian: `apt-get install chromium`), "
            "or name a Chromium with BROWSER_PATH=/path/to/it", pytrace=False,
        )
    switches = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    switches += ["--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=switches)
        yield chromium
        chromium.close()
