"""Bring the sections that programs share in line with the program that teaches each.

    python -m tooling.shared            every program
    python -m tooling.shared models/cnn those of this one

A section that stands in several programs is taught in one. In the others it has the same name, and its first line says
where it is from: `# From models/cnn.py, word for word:`. To begin to share one, write its markers and that line.
"""

import argparse
import re
import sys

from tooling.lessons import SiteError, sections, shared, snippet_names, snippet_path


def apart(name: str) -> dict[str, str]:
    """Return the shared sections of a snippet that differ from where they are taught, each as it should be.

    Raises SiteError where there is nothing to share.
    """
    wrong = {}
    for section, origin in shared(name).items():
        where = f"snippets/{name}.py, section `{section}`"
        taught = sections(origin)
        if section not in taught:
            raise SiteError(f"{where}: snippets/{origin}.py has no section of that name; it has: {', '.join(taught)}")
        if section in shared(origin):
            raise SiteError(f"{where}: snippets/{origin}.py has it from snippets/{shared(origin)[section]}.py itself; name that one")
        line, _, code = sections(name)[section].partition("\n")
        if code != taught[section]:
            wrong[section] = f"{line}\n{taught[section]}"
    return wrong


def mend(name: str) -> list[str]:
    """Write the shared sections of a snippet as they are taught; return those that were not. Raises SiteError."""
    wrong = apart(name)
    path = snippet_path(name)
    text = path.read_text(encoding="utf-8")
    for section, code in wrong.items():
        start, end = (re.escape(f"# --8<-- [{kind}:{section}]") for kind in ("start", "end"))
        text = re.sub(f"({start}\n).*?({end})", lambda match: f"{match[1]}{code}\n{match[2]}", text, flags=re.DOTALL)
    if wrong:
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(wrong)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tooling.shared", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as models/cnn; without any, all")
    options = parser.parse_args(arguments)
    try:
        for name in [lesson.removesuffix(".py") for lesson in options.lessons] or snippet_names():
            for section in mend(name):
                print(f"snippets/{name}.py: {section} brought in line with snippets/{shared(name)[section]}.py")
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
