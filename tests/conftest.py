"""What the tests share."""

import ast
import collections
import contextlib
import functools
import gzip
import hashlib
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
from reader import SAMPLES, address
from shape_checks import watched

from tooling import packages, pages
from tooling.lessons import LANGUAGES, RESULTS, ROOT, SNIPPETS, SiteError, page_names

os.environ["PYTHONIOENCODING"] = "utf-8"  # of the programs that tests run, whose output they read as such


def load_snippet(name: str) -> ModuleType:
    """Import a snippet by its name, such as `models/cnn`; nothing is trained.

    It compares the shapes of its tensors with its comments while it runs; `module.__watch__` knows what it compared.
    """
    file = SNIPPETS / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"snippet_{name.replace('/', '_')}", file)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    code, names = watched(file.read_text(encoding="utf-8"), file.relative_to(ROOT))
    vars(module).update(names)
    exec(code, vars(module))
    if hasattr(module, "main"):
        from main_checks import watched_main

        module.main = watched_main(module.main, file.relative_to(ROOT))
    return module


@pytest.fixture(autouse=True)
def sound_training(request):
    """Hold every training loop that a test of a snippet runs to what model_checks and training_checks ask of it."""
    if not loaded(request.path):
        yield
        return
    import torch
    from figure_checks import check_figures
    from model_checks import check_gradients_are_fresh, check_losses_get_logits
    from training_checks import check_training

    torch.set_float32_matmul_precision("highest")  # a program that ran before may have asked for less
    with check_gradients_are_fresh(), check_losses_get_logits(), check_training(), check_figures():
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


def concerns(item: pytest.Item, names: list[str], shown: list[str] = ()) -> bool:
    """Tell whether a test is about one of these lessons or pages: by its parameters, or by the snippets it loads.

    `shown` are programs of the pages: what is asked of every program is asked of them too.
    """
    if any(item.nodeid.startswith(f"{name}::") for name in names):
        return True
    told = item.nodeid.partition("::")[2]
    its = " ".join(loads(item.path).get(part, "") for part in ("", item.function.__name__))
    return item.path.name != "test_tooling.py" and (mentions(f"{told} {its}", names) or mentions(told, shown))


def mentions(text: str, names: list[str]) -> bool:
    """Tell whether a text holds one of these names whole."""
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names)


def shown_by(names: list[str]) -> list[str]:
    """Return the programs that pages of these names show, as far as they are there."""
    found = {file for language in LANGUAGES for name in names if name in page_names(language) for file in re.findall(pages.INCLUDE.pattern, pages.source(language, name), re.MULTILINE)}
    return sorted(file.removesuffix(".py") for file, _ in found if file.endswith(".py") and (SNIPPETS / file).is_file())


@functools.cache
def loads(file: Path) -> dict[str, str]:
    """Return the names of the snippets that each test of a file loads, and by "" those that all of them share."""
    found = collections.defaultdict(str)
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        test = node.name if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") else ""
        found[test] += "".join(f"{name} " for name in re.findall(r"load_snippet\(['\"]([^'\"]+)['\"]\)", ast.unparse(node)))
    return dict(found)


def loaded(file: Path) -> str:
    """Return the names of the snippets that a file of tests loads."""
    return " ".join(filter(None, loads(file).values()))


def pytest_ignore_collect(collection_path, config):
    """Leave out files without quick checks of the lessons that were asked for: to read them takes seconds."""
    of = config.getoption("of")
    if not of or collection_path.suffix != ".py":
        return None
    if collection_path.parent == Path(__file__).parent:
        return True if collection_path.name.startswith(("test_site", "test_live", "test_tooling", "test_weekly")) else None
    return None if mentions(loaded(collection_path), of) else True


def page_of(item: pytest.Item) -> str:
    """Return the address of the page of the site that a test looks at, or nothing."""
    asked = item.callspec.params if "site" in item.fixturenames and hasattr(item, "callspec") else {}
    return asked.get("place") or (address(asked["language"], asked["page"]) if "page" in asked else "")


def pytest_collection_modifyitems(config, items):
    """Keep or put first the tests that were asked for; those that look at one page come together."""
    of, first = config.getoption("of"), config.getoption("first")
    if not config.getoption("thorough"):
        items[:] = [item for item in items if (name := item.function.__name__) not in SAMPLES or item.callspec.params["place"] in SAMPLES[name]]
        items[:] = [item for item in items if item.path.name != "test_site_browsers.py"]
    items.sort(key=lambda item: ("site" in item.fixturenames, page_of(item)))
    if of:
        shown = shown_by(of)
        kept = [item for item in items if "site" not in item.fixturenames and concerns(item, of, shown)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    if first:
        built = any(name.startswith(("tests/test_site", "tests/test_live")) for name in first)  # then it is the site that has changed

        def late(item: pytest.Item) -> tuple[bool, ...]:
            """What is about it comes first; then one lesson, before all the others; then what is quick."""
            other = "[" in item.name and "models/cnn" not in item.name
            needs = item.fixturenames
            return ("site" in needs) != built, not concerns(item, first), other, "lighthouse" in needs, "browser" in needs

        items.sort(key=late)


# --- what a run tells


class NotBuilt(Exception):
    """The site cannot be built; the message says why."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Tell a mistake of an author once, with its place alone: the tests that stumble over it too are skipped."""
    report = yield
    error = call.excinfo and call.excinfo.value
    if isinstance(error, (SiteError, NotBuilt)) and item.path.name != "test_tooling.py":
        told = Path(item.config.stash[SERVED]["folder"], hashlib.sha256(str(error).encode()).hexdigest())
        try:
            told.open("x", encoding="utf-8").close()  # the processes of a run share the folder
            report.longrepr = str(error)
        except FileExistsError:
            report.outcome, report.longrepr = "skipped", (str(item.path), item.location[1], f"Skipped: told already: {error}")
    elif isinstance(error, AssertionError) and item.path.name in ("test_pages.py", "test_snippets.py", "test_site.py"):
        said = re.split(r"\nassert ", str(error))[0].strip()
        if re.match(r"(/|(docs|snippets|tests|mkdocs\.yml)\b)", said):
            report.longrepr = said
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """End with the tests that took longest, and with what a page costs."""
    yield
    reports = [report for kind in terminalreporter.stats.values() for report in kind if isinstance(report, pytest.TestReport)]
    took, visits, pages_cost = collections.Counter(), set(), 0.0
    for report in reports:
        took[report.nodeid] += report.duration
        if report.when == "call" and (place := re.match(r"tests/test_(?:pages|glossary|site\w*)\.py::(\w+)\[", report.nodeid)):
            pages_cost += report.duration
            visits |= {report.nodeid} if place[1] == "test_a_visit_of_a_page" and "notebook" not in report.nodeid else set()
    slow = [(seconds, name) for name, seconds in took.most_common(10) if seconds >= 1]
    if slow:
        terminalreporter.section("the slowest tests")
        for seconds, name in slow:
            terminalreporter.write_line(f"{seconds:6.1f} s  {name}")
    if visits:
        terminalreporter.write_line(f"A page costs {pages_cost / len(visits):.1f} s of one core in both languages: {pages_cost:.0f} s for {len(visits)}, notebooks included")


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

    def send_error(self, code, message=None, explain=None):
        page = Path(self.directory, "lessons", "404.html")
        if code != 404 or not page.is_file():
            return super().send_error(code, message, explain)
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    """Let a browser leave in the middle of an answer without a word."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Classic(Handler):
    """Know the types alone that servers have known for long, and send no other files, as IIS does."""

    KNOWN = {
        "": "text/html", ".html": "text/html", ".css": "text/css", ".js": "application/javascript", ".json": "application/json", ".svg": "image/svg+xml",
        ".png": "image/png", ".woff2": "font/woff2", ".bin": "application/octet-stream", ".wasm": "application/octet-stream",
    }

    def guess_type(self, path):
        return self.KNOWN[Path(path).suffix]

    def send_head(self):
        if Path(self.path.partition("?")[0]).suffix in self.KNOWN:
            return super().send_head()
        return self.send_error(404)


@pytest.fixture(scope="session")
def classic(site):
    """The site, served with classic types alone."""
    server = Server(("127.0.0.1", 0), functools.partial(Classic, directory=site.folder.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(folder=site.folder, url=f"http://127.0.0.1:{server.server_port}/lessons/")
    server.shutdown()
    server.server_close()


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


def build(folder: Path, url: str) -> str:
    """Build the site without the packages that only the programs need; return what it said. Raises NotBuilt with its warnings, or the end of that."""
    without = folder.parent / "without"
    without.mkdir(exist_ok=True)
    (without / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({programs_alone()}))\n", encoding="utf-8")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        cwd=SNIPPETS.parent, env=os.environ | {"SITE_URL": url, "PYTHONPATH": str(without)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8",
    )
    warnings = [line for line in built.stdout.splitlines() if line.startswith("WARNING")]
    if built.returncode or warnings:
        raise NotBuilt(f"`mkdocs build --strict` ended with {built.returncode}:\n" + ("\n".join(warnings) or built.stdout[-3000:]))
    return built.stdout


@pytest.fixture(scope="session")
def site(pytestconfig):
    """Build the site where it is served; yield its `folder` and `url`. The first process that asks builds for all."""
    place = pytestconfig.stash[SERVED]
    folder, built, failed = (Path(place["folder"]) / name for name in ("lessons", "built", "failed"))
    with filelock.FileLock(f"{built}.lock"):
        if failed.exists():
            raise NotBuilt(failed.read_text(encoding="utf-8"))
        if not built.exists():
            ready = pytestconfig.getoption("built")
            if ready:
                shutil.copytree(ready, folder)
                shutil.copytree(SNIPPETS.parent / "docs" / "assets", folder / "assets", dirs_exist_ok=True)
            else:
                try:
                    build(folder, place["url"])
                except NotBuilt as error:
                    failed.write_text(str(error), encoding="utf-8")
                    raise
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
