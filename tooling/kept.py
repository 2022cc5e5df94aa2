"""What is kept of the site from one build to the next, below `.cache/site`.

Two things take the time of a build: to make the content of a page of its Markdown or its notebook, and to set it into
the theme. Both are kept for each page. A content holds until a file changes that was read while it was made, or the
programs that make it; a page in its theme until its content, the navigation, the theme or the site's address changes.
Where much is to be made, the cores of the machine share it: other processes make it, and what is kept is all they leave.
"""

import gc
import hashlib
import inspect
import logging
import multiprocessing
import os
import pickle
import shutil
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from pathlib import Path

from jinja2 import Environment
from material.plugins.search.plugin import SearchIndex
from mkdocs.commands import build
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure import StructureItem
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page
from mkdocs.utils.yaml import yaml_load

from tooling import aside, katex, node, pictures, reads
from tooling.lessons import ROOT
from tooling.templates import kept_templates

FOLDER = ROOT / ".cache" / "site"
ADDRESSES = 3  # so many addresses of the site have their pages kept

# What a page has when its content is made, but for its links to other pages.
MADE = ("content", "toc", "meta", "title", "_title_from_render", "present_anchor_ids", "book")

# MkDocs' own functions, below those that an earlier build under `mkdocs serve` has put in their place.
populate, write = inspect.unwrap(build._populate_page), inspect.unwrap(build._build_page)

letters: set[str] = set()  # of all formulas of the site


def digest(*parts: object) -> str:
    """Return a hash of values that look the same in every process."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def contents(paths: Sequence[Path | str]) -> list[tuple[str, str]]:
    """Return the names of files with the hashes of what they hold."""
    names = sorted(Path(path).relative_to(ROOT).as_posix() for path in paths)
    return [(name, reads.as_it_is(("file", name))) for name in names]


def address(file: File | None) -> str | None:
    """Return where a link to a file leads."""
    return file and file.url


def is_home(page: Page) -> bool:
    """Tell whether a page is the home page of a language, which tells of all the others."""
    return page.file.src_uri.partition("/")[2] == "index.md"


def outline(item: StructureItem) -> tuple:
    """Return an item of the navigation as the theme shows it."""
    meta = getattr(item, "meta", {})
    marks = [meta.get(key) for key in ("icon", "status", "subtitle")]
    return item.title, getattr(item, "url", None), marks, [outline(child) for child in item.children or ()]


def keep(path: Path, data: bytes) -> None:
    """Write a file at once: another build finds it whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)


def changed_since(start: float, path: Path) -> bool:
    """Tell whether a file or folder was changed after a time, to the few milliseconds that a file system counts."""
    return path.exists() and path.stat().st_mtime > start - 0.02


class Warned(logging.Handler):
    """Hears of what MkDocs warns while a page is made."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said = False

    def emit(self, record: logging.LogRecord) -> None:
        """Remember that something was said."""
        self.said = True

    def __enter__(self) -> "Warned":
        logging.getLogger("mkdocs").addHandler(self)
        return self

    def __exit__(self, *_) -> None:
        logging.getLogger("mkdocs").removeHandler(self)


# --- other processes

_work: list[Callable[[], None]] = []


def _quietly() -> None:
    """Leave it to the first process to tell what is wrong: it makes again what failed here. And seldom look for garbage."""
    gc.set_threshold(100_000)
    for name in ("mkdocs", "jieba"):
        logging.getLogger(name).handlers = [logging.NullHandler()]


def _do(number: int) -> None:
    try:
        _work[number]()
    except Exception:  # the first process meets it too, and tells
        pass


def share(work: list[Callable[[], None]]) -> None:
    """Let each core do a part of the work, in a process of its own: of use for what it leaves in `.cache` alone.

    On Linux, where a process can be doubled; and not under `mkdocs serve` once it serves, for threads cannot be.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    if cores == 1 or len(work) < 4 or threading.active_count() > 1:
        return
    node.end()  # each process starts its own
    _work[:] = work
    with multiprocessing.get_context("fork").Pool(cores, _quietly) as pool:
        for _ in pool.imap_unordered(_do, range(len(work))):
            pass
        pool.close()
        pool.join()
    _work.clear()


class Kept:
    """What is kept for the build of one language.

    `serving` tells whether `mkdocs serve` builds; `search` is the search index of the theme, which gets the entries that
    are kept with a page.
    """

    def __init__(self, config: MkDocsConfig, language: str, serving: bool, search: SearchIndex) -> None:
        self.language, self.nav, self.search, self.outline = language, config.nav, search, ""
        self.seen: dict[tuple[str, str], str] = {}
        programs = [module.__file__ for name, module in sys.modules.items() if name.startswith("tooling.") and module.__file__]
        programs += [ROOT / "tooling" / "hooks.py", ROOT / "tooling" / "katex.mjs", ROOT / "tooling" / "pictures.mjs", ROOT / "package-lock.json"]
        packages = sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
        settings = {key: value for key, value in yaml_load(Path(config.config_file_path).read_text(encoding="utf-8")).items() if key not in ("nav", "site_url")}
        self.makers = digest(contents(programs), packages, sys.version, settings, language, katex.available(), pictures.available())
        theme = [path for path in (ROOT / "tooling" / "theme").rglob("*") if path.is_file()]
        self.setting = digest(self.makers, contents(theme), config.nav, config.site_url, serving)
        self.pages = FOLDER / "pages" / digest(config.site_url, serving)[:12]
        build._populate_page = update_wrapper(partial(self.populate), populate)
        build._build_page = update_wrapper(partial(self.write), write)
        search.add_entry_from_context = lambda page: None
        self.pages.mkdir(parents=True, exist_ok=True)
        os.utime(self.pages)

    def now(self, read: tuple[str, str]) -> str:
        """Return what a file or folder is like in this build."""
        if read not in self.seen:
            self.seen[read] = reads.as_it_is(read)
        return self.seen[read]

    # --- the content of a page

    def part(self, page: Page) -> Path:
        """Return where the content of a page is kept."""
        return FOLDER / "parts" / self.language / page.file.src_uri

    def made_by(self, page: Page) -> bytes:
        """Return what the content of a page depends on beside the files that it reads."""
        home = self.nav if is_home(page) else None
        return digest(self.makers, page.file.src_uri, page.url, vars(page).get("title"), home).encode()

    def load(self, page: Page, files: Files) -> bool:
        """Give a page its content if it is kept and holds; tell whether it does."""
        try:
            data = self.part(page).read_bytes()
        except OSError:
            return False
        made_by = self.made_by(page)
        if not data.startswith(made_by):
            return False
        kept = pickle.loads(data[len(made_by):])
        if (
            any(self.now(read) != was for read, was in kept["reads"].items())
            or any(address(files.get_file_from_path(path)) != was for path, was in kept["links"].items())
        ):
            return False
        vars(page).update(kept["page"], markdown="", kept=hashlib.sha256(data).hexdigest(), entries=kept["entries"])
        page.links_to_anchors = {files.get_file_from_path(path): links for path, links in kept["anchors"].items()}
        letters.update(kept["letters"])
        return True

    def populate(self, page: Page, config: MkDocsConfig, files: Files, dirty: bool = False) -> None:
        """Give a page its content: as it is kept, or as MkDocs and the hooks make it."""
        if "kept" in vars(page) or self.load(page, files):
            return
        made_by, started, links, find = self.made_by(page), time.time(), {}, files.get_file_from_path

        def noted(path: str) -> File | None:
            file = find(path)
            links[path] = address(file)
            return file

        aside.pieces.clear()
        katex.written.clear()
        files.get_file_from_path = noted
        try:
            with reads.recorded() as read, Warned() as warned:
                populate(page, config, files, dirty)
        finally:
            del files.get_file_from_path
        index = type(self.search)(**self.search.config)
        index.add_entry_from_context(page)
        page.entries = index.entries
        page.content = aside.put_back(page.content)
        letters.update(katex.written)
        data = made_by + pickle.dumps({
            "reads": {one: self.now(one) for one in sorted(read)},
            "links": links,
            "page": {name: vars(page)[name] for name in MADE if name in vars(page)},
            "anchors": {file.src_uri: links for file, links in (page.links_to_anchors or {}).items()},
            "entries": page.entries,
            "letters": sorted(katex.written),
        })
        page.kept = hashlib.sha256(data).hexdigest()
        # MkDocs has to warn again; and what was changed meanwhile is not what was read
        if not warned.said and not any(changed_since(started, ROOT / name) for _, name in read):
            keep(self.part(page), data)

    # --- a page in its theme

    def look(self, page: Page, nav: Navigation) -> bytes:
        """Return what a page of the site depends on."""
        self.outline = self.outline or digest([outline(item) for item in nav])
        others = [other.meta for other in nav.pages] if is_home(page) else None
        alternates = {locale: file.url for locale, file in page.file.alternates.items()}
        return digest(self.setting, self.outline, page.url, page.kept, alternates, others).encode()

    def written(self, page: Page, nav: Navigation) -> bool:
        """Tell whether a page of the site is kept."""
        path, look = self.pages / page.file.dest_uri, self.look(page, nav)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(look)) == look

    def write(self, page: Page, config: MkDocsConfig, doc_files: Sequence[File], nav: Navigation, env: Environment, dirty: bool = False, excluded: bool = False) -> None:
        """Write a page of the site: as it is kept, or as MkDocs, the theme and the hooks make it."""
        look, path, target = self.look(page, nav), self.pages / page.file.dest_uri, Path(page.file.abs_dest_path)
        if self.written(page, nav):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes()[len(look):])
        else:
            write(page, config, doc_files, nav, env, dirty, excluded)
            keep(path, look + target.read_bytes())
        self.search.entries += page.entries

    # --- the events of a build

    def on_nav(self, nav: Navigation, config: MkDocsConfig, files: Files) -> None:
        """Make the contents that are not kept, on all cores."""
        pages = [file.page or Page(None, file, config) for file in files.documentation_pages()]
        share([partial(self.populate, page, config, files) for page in pages if not self.load(page, files)])
        self.navigation = nav

    def on_env(self, env: Environment, config: MkDocsConfig, files: Files) -> None:
        """Set into the theme the pages that are not kept, on all cores."""
        env.bytecode_cache = kept_templates()
        doc_files, nav = files.documentation_pages(), self.navigation
        share([
            partial(self.write, file.page, config, doc_files, nav, env) for file in doc_files if not self.written(file.page, nav)
        ])


def tidy() -> None:
    """Remove the pages that are kept for addresses other than the last few."""
    folders = sorted((FOLDER / "pages").iterdir(), key=lambda folder: folder.stat().st_mtime)
    for folder in folders[:-ADDRESSES]:
        shutil.rmtree(folder)
