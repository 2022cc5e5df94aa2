"""One search index for each language, and what searches it."""

import json
import logging
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

from tooling import packages
from tooling.lessons import LANGUAGES, ROOT, SiteError

COMMENT = re.compile(r"^ */\*\*(?:.|\n)*?\*/\n|^ *//.*\n?", re.MULTILINE)
log = logging.getLogger("mkdocs.hooks.search")

# What separates words: in Chinese text the marks that jieba sets, full-width punctuation,
# and the places where Latin letters and Chinese characters meet.
SEARCH = {
    "zh": {
        "separator": r"[\s\u200b\u2014-\u2026\u3000-\u303f\uff00-\uffef\-_,:!=\[\]()\"/`.]+"
        r"|(?<=[a-zA-Z0-9])(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])(?=[a-zA-Z0-9])",
        "pipeline": [],
    },
    "en": {
        "separator": r"[\s\u200b\-_,:!=\[\]()\"/`]+|\.(?!\d)",
        "pipeline": ["stopWordFilter"],
    },
}


def split(config: MkDocsConfig) -> None:
    """Split the search index: a reader of one language does not get the pages of the other."""
    path = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    others = {f"{language}/": language for language in LANGUAGES[1:]}
    for language in LANGUAGES:
        prefix = "" if language == LANGUAGES[0] else f"{language}/"
        entries = [
            entry | {"location": entry["location"].removeprefix(prefix)}
            for entry in index["docs"]
            if (entry["location"].startswith(prefix) if prefix else not entry["location"].startswith(tuple(others)))
        ]
        target = Path(config.site_dir) / prefix / "search" / "search_index.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        part = {"config": index["config"] | SEARCH[language], "docs": entries}
        target.write_text(json.dumps(part, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def put_worker(config: MkDocsConfig) -> None:
    """Put what searches, MiniSearch with `search_worker.js`, in the place of the theme's worker.

    The theme's drops the last word of a Chinese question; it stays where MiniSearch cannot be had.
    """
    try:
        library = packages.find("minisearch", "dist/umd/index.js").read_text(encoding="utf-8")
    except SiteError as error:
        log.info(f"The search is that of the theme: {error}")
        return
    (worker,) = Path(config.site_dir, "assets", "javascripts", "workers").glob("search.*.min.js")
    own = (ROOT / "tooling" / "search_worker.js").read_text(encoding="utf-8")
    code = COMMENT.sub("", library)  # half of it are comments, and every page loads it
    worker.write_text(f"// MiniSearch, copyright Luca Ongaro, MIT License\n{code}\n{own}", encoding="utf-8")
    worker.with_suffix(".js.map").unlink(missing_ok=True)
