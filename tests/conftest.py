"""What the tests share."""

import contextlib
import functools
import gzip
import http.server
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType, SimpleNamespace

import filelock
import pytest
from playwright.sync_api import sync_playwright

from tooling import packages

SNIPPETS = Path(__file__).resolve().parent.parent / "snippets"
RESULTS = SNIPPETS.parent / "docs" / "results"


def load_snippet(name: str) -> ModuleType:
    """Import a snippet by its name, such as `models/cnn`; nothing is trained."""
    specification = importlib.util.spec_from_file_location(f"snippet_{name.replace('/', '_')}", SNIPPETS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def fresh_gradients(request):
    """Hold every training loop that a test of a snippet runs to clearing its gradients."""
    if not loaded(request.path):
        yield
        return
    from model_checks import check_gradients_are_fresh

    with check_gradients_are_fresh():
        yield


# --- the processes of a run: pytest-xdist starts one for each core

# Where the site is served: by the main process, below a folder as GitHub Pages does.
SERVED = pytest.StashKey[dict[str, str]]()


def pytest_configure(config):
    """Serve a folder, empty until a test asks for the site; let each process compute on one core."""
    if hasattr(config, "workerinput"):
        config.stash[SERVED] = config.workerinput["served"]
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other processes start with it: torch, NumPy and scikit-learn obey
    packages.install(tests=True)  # here, before several processes need them at once
    folder = tempfile.TemporaryDirectory()
    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=folder.name))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config.stash[SERVED] = {"folder": folder.name, "url": f"http://127.0.0.1:{server.server_port}/lessons/"}
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(server.server_close)
    config.add_cleanup(server.shutdown)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a process of pytest-xdist where the site is served."""
    node.workerinput["served"] = node.config.stash[SERVED]


def pytest_addoption(parser):
    """Add `--of` for those who write, `--thorough` for each week, `--built` and `--first` for those who plant faults."""
    parser.addoption("--of", action="append", default=[], metavar="NAME", help="run the quick checks of a lesson or page alone, such as models/cnn")
    parser.addoption("--thorough", action="store_true", help="measure the English pages too, and look for barriers on every page both wide and on a phone")
    parser.addoption("--built", type=Path, metavar="FOLDER", help="take the site from where it was built, with the files of docs/assets as they are now")
    parser.addoption("--first", action="append", default=[], metavar="NAME", help="run the checks of a lesson or page, or a file of tests, before all others")


def concerns(item: pytest.Item, names: list[str]) -> bool:
    """Tell whether a test is about one of these lessons or pages: by its parameters, or by the snippets it loads."""
    if any(item.nodeid.startswith(f"{name}::") for name in names):
        return True
    return item.path.name != "test_tooling.py" and mentions(f"{item.nodeid.partition('::')[2]} {loaded(item.path)}", names)


def mentions(text: str, names: list[str]) -> bool:
    """Tell whether a text holds one of these names whole."""
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names)


@functools.cache
def loaded(file: Path) -> str:
    """Return the names of the snippets that a file of tests loads."""
    return " ".join(re.findall(r'load_snippet\("([^"]+)"\)', file.read_text(encoding="utf-8")))


def pytest_ignore_collect(collection_path, config):
    """Leave out files without quick checks of the lessons that were asked for: to read them takes seconds."""
    of = config.getoption("of")
    if not of or collection_path.suffix != ".py":
        return None
    if collection_path.parent == Path(__file__).parent:
        return True if collection_path.name.startswith(("test_site", "test_live", "test_tooling", "test_weekly")) else None
    return None if mentions(loaded(collection_path), of) else True


def pytest_collection_modifyitems(config, items):
    """Keep or put first the tests that were asked for; those that need the whole site come after the others."""
    of, first = config.getoption("of"), config.getoption("first")
    if not config.getoption("thorough"):
        items[:] = [item for item in items if not (item.name.startswith("test_lighthouse[/en/"))]
    if of:
        kept = [item for item in items if "site" not in item.fixturenames and concerns(item, of)]
        if not kept:
            raise pytest.UsageError(f"no test is about {', '.join(of)}; name a lesson or page such as models/cnn")
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    if first:
        built = any(name.startswith(("tests/test_site", "tests/test_live")) for name in first)  # then it is the site that has changed

        def late(item: pytest.Item) -> tuple[bool, ...]:
            """What is about it comes first; then one lesson, before all the others; then what is quick."""
            other = "[" in item.name and "models/cnn" not in item.name
            needs = item.fixturenames
            return ("site" in needs) != built, not concerns(item, first), "checkout" in needs, other, "lighthouse" in needs, "browser" in needs

        items.sort(key=late)


# --- the site, and the browser that reads it


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve files without a word, text compressed, as a host of static sites does."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send_head(self):
        path = Path(self.translate_path(self.path))
        if path.is_dir() and self.path.partition("?")[0].endswith("/"):
            path /= "index.html"
        if path.suffix not in (".html", ".css", ".js", ".mjs", ".json", ".svg", ".xml") or not path.is_file():
            return super().send_head()
        body = compressed(path, path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)) + "; charset=utf-8")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return io.BytesIO(body)


class Server(http.server.ThreadingHTTPServer):
    """Let a browser leave in the middle of an answer without a word."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@functools.cache
def compressed(path: Path, _changed: int) -> bytes:
    """Return a file as it is sent."""
    return gzip.compress(path.read_bytes())


def plain(name: str) -> str:
    """Return a package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def programs_alone() -> list[str]:
    """Return the modules that only the programs need: those of the packages that requirements.txt itself names."""
    text = (SNIPPETS.parent / "requirements.txt").read_text(encoding="utf-8")
    packages = {plain(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    return sorted(module for module, owners in packages_distributions().items() if packages & {plain(owner) for owner in owners})


def build(folder: Path, url: str) -> None:
    """Build the site without the packages that only the programs need; fail with its first warning or error."""
    without = folder.parent / "without"
    without.mkdir(exist_ok=True)
    (without / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({programs_alone()}))\n", encoding="utf-8")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        cwd=SNIPPETS.parent, env=os.environ | {"SITE_URL": url, "PYTHONPATH": str(without)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    warnings = [line for line in built.stdout.splitlines() if line.startswith("WARNING")]
    if built.returncode or warnings:
        pytest.fail(f"`mkdocs build --strict` ended with {built.returncode}:\n" + ("\n".join(warnings) or built.stdout[-3000:]), pytrace=False)


@pytest.fixture(scope="session")
def site(pytestconfig):
    """Build the site where it is served; yield its `folder` and `url`. The first process that asks builds for all."""
    place = pytestconfig.stash[SERVED]
    folder, built = Path(place["folder"]) / "lessons", Path(place["folder"]) / "built"
    with filelock.FileLock(f"{built}.lock"):
        if not built.exists():
            ready = pytestconfig.getoption("built")
            if ready:
                shutil.copytree(ready, folder)
                shutil.copytree(SNIPPETS.parent / "docs" / "assets", folder / "assets", dirs_exist_ok=True)
            else:
                build(folder, place["url"])
            built.touch()
    return SimpleNamespace(folder=folder, url=place["url"])


@pytest.fixture(scope="session")
def machine(pytestconfig):
    """The lock of the machine: tests share it by `read_lock()`; one that measures time takes it alone by `write_lock()`."""
    return filelock.ReadWriteLock(f"{pytestconfig.stash[SERVED]['folder']}/machine.db")


@pytest.fixture(autouse=True)
def beside_others(request, machine):
    """Let a test run beside those of other processes; one that measures time takes its turns itself."""
    with contextlib.nullcontext() if "lighthouse" in request.fixturenames else machine.read_lock():
        yield


# Chromium finds no host but this machine.
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def browser_path() -> str:
    """Return where Chromium lies; $BROWSER_PATH names another one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail(
            f"none of {', '.join(names)} is installed; install one (Debian: `apt-get install chromium`), "
            "or name a Chromium with BROWSER_PATH=/path/to/it", pytrace=False,
        )
    return path


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_path(), args=SWITCHES)
        yield chromium
        chromium.close()
