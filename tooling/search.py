"""One search index for each language."""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

from tooling.lessons import LANGUAGES

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
