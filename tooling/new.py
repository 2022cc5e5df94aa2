"""Make the files of a new lesson.

    python -m tooling.new models/autoencoder --en "Autoencoders" --zh "自编码器"

That is its program, its test, both pages with the headings of a lesson, and its line of `nav` in mkdocs.yml. They are a
small lesson that runs; where only its author can write, it says TODO. Nothing that is there is overwritten.
"""

import argparse
import keyword
import re
import sys
from pathlib import Path

from tooling.lessons import LANGUAGES, ROOT, SiteError, sections

TEMPLATES = Path(__file__).parent / "lesson"
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z][a-z0-9_]*")


def chapters(text: str) -> dict[str, int]:
    """Return the last line of each chapter of `nav` in mkdocs.yml, by the folder of its lessons: `Language models` has language-models/."""
    found, inside, folder = {}, False, ""
    for number, line in enumerate(text.splitlines()):
        inside = line == "nav:" or (inside and line.startswith(" "))
        if inside and (match := re.fullmatch(r"  - ([^:]+):", line)):
            folder = match[1].lower().replace(" ", "-")
        if inside and folder:
            found[folder] = number
    return found


def with_page(text: str, name: str) -> str:
    """Return mkdocs.yml with a page at the end of its chapter. Raises SiteError where there is no chapter for its folder."""
    folder = name.partition("/")[0]
    known = chapters(text)
    if folder not in known:
        title = folder.capitalize().replace("-", " ")
        raise SiteError(
            f"mkdocs.yml: `nav` has no chapter for {folder}/; it has: {', '.join(known)}. For a new one add `  - {title}:` to it, "
            f"and `{title}: ...` with its Chinese name to nav_translations"
        )
    lines = text.splitlines()
    lines.insert(known[folder] + 1, f"      - {name}.md")
    return "\n".join(lines) + "\n"


def files(name: str, titles: dict[str, str]) -> dict[Path, str]:
    """Return the files of a new lesson, each with what it holds."""
    folder, _, stem = name.partition("/")
    places = {
        ROOT / "snippets" / f"{name}.py": ("program.py.txt", "en"),
        ROOT / "tests" / folder / f"test_{stem}.py": ("test.py.txt", "en"),
        **{ROOT / "docs" / language / f"{name}.md": (f"{language}.md.txt", language) for language in LANGUAGES},
    }
    words = {"{name}": name, "{stem}": stem}
    command_line = sections("models/cnn_layers")["command_line"]
    made = {}
    for path, (template, language) in places.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        for word, value in {**words, "{title}": titles[language]}.items():
            text = text.replace(word, value)
        made[path] = text.replace("{command_line}", command_line)  # last: it has braces of its own
    return made


def new(name: str, titles: dict[str, str]) -> list[Path]:
    """Write the files of a new lesson; return them. Raises SiteError, and writes none, where one is there already."""
    made = files(name, titles)
    if there := [path for path in made if path.exists()]:
        raise SiteError(f"{', '.join(path.relative_to(ROOT).as_posix() for path in there)}: there already; choose another name, or delete it")
    config = ROOT / "mkdocs.yml"
    navigation = with_page(config.read_text(encoding="utf-8"), name)
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    config.write_text(navigation, encoding="utf-8", newline="\n")
    return [*made, config]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tooling.new", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", metavar="CHAPTER/NAME", help="such as models/autoencoder")
    parser.add_argument("--en", required=True, metavar="TITLE", help="its English title")
    parser.add_argument("--zh", required=True, metavar="TITLE", help="its Chinese title")
    options = parser.parse_args(arguments)
    if not NAME.fullmatch(options.lesson) or keyword.iskeyword(options.lesson.partition("/")[2]):
        parser.error(f"{options.lesson}: a lesson is named CHAPTER/NAME, in small letters, the name as a Python module: models/autoencoder")
    try:
        made = new(options.lesson, {"en": options.en, "zh": options.zh})
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    for path in made:
        print(f"{'changed' if path.name == 'mkdocs.yml' else 'made'} {path.relative_to(ROOT).as_posix()}")
    print(
        f"\nNext: python -m tooling.results {options.lesson}\n"
        f"      pytest --of {options.lesson}     names each place where it still says TODO"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
