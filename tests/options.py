"""The options that the tests add to pytest's own, known before pytest takes the path of a page for tests to run."""

import difflib
import re
from pathlib import Path

import pytest

from tooling.lessons import LANGUAGES, ROOT, page_names, snippet_names

# The files of a lesson, by its name.
PLACES = (
    r"docs/(?:zh|en)/(.+)\.md", r"docs/results/(.+?)(?:/[^/]+\.\w+)?/?", r"docs/assets/live/(.+)\.js", r"snippets/(.+)\.py", r"tooling/live/(.+)\.py",
    r"tests/((?:.+/)?)test_(.+)\.py", r"(.+?)(?:\.md|\.py)?/?",
)


def pytest_addoption(parser):
    """Add `--of` for those who write, `--thorough` for each week, `--built` and `--first` for those who plant faults."""
    parser.addoption("--of", action="append", default=[], metavar="NAME", help="run the quick checks of a lesson or page alone, such as models/cnn or any of its files")
    parser.addoption("--thorough", action="store_true", help="measure every page with Lighthouse, visit every notebook, look for barriers on all of every page, wide and on a phone, and open pages in Firefox and WebKit")
    parser.addoption("--built", type=Path, metavar="FOLDER", help="take the site from where it was built, with the files of docs/assets as they are now")
    parser.addoption("--first", action="append", default=[], metavar="NAME", help="run the checks of a lesson or page, or a file of tests, before all others")


def named(given: str, known: list[str]) -> str:
    """Return the lesson or page that somebody named, by its name or by one of its files.

    Raises ValueError, with the nearest name, where there is none.
    """
    path = Path(given)
    path = (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path).as_posix()
    for place in PLACES:
        if match := re.fullmatch(place, path):
            name = "".join(match.groups())
            if name in known:
                return name
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise ValueError(f"there is no lesson or page {name}" + (f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"))
    raise ValueError("name a lesson or page such as models/cnn")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Take each `--of` for the name that it means."""
    known = sorted({*snippet_names(), *(page for language in LANGUAGES for page in page_names(language))})
    try:
        config.option.of = [named(given, known) for given in config.option.of]
    except ValueError as error:
        raise pytest.UsageError(f"--of: {error}") from None
