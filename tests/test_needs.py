"""What is copied runs: each section with all that it needs; what programs share is the same in all of them."""

import builtins
from collections import Counter

import pytest

from tooling import lessons, needs, shared
from tooling.lessons import SiteError, sections, snippet_names

each_snippet = pytest.mark.parametrize("name", snippet_names())


@each_snippet
def test_every_section_runs_with_all_that_it_needs(name):
    """In an empty namespace, and every name that its functions look up there has a meaning."""
    given, taken = needs.names("\n\n".join(sections(name).values()), name)
    meant_to_fail = taken - given  # a listing of errata shows what happens without an import
    for section in sections(name):
        code = needs.with_needs(name, section)
        exec(compile(code, f"snippets/{name}.py: {section} with all it needs", "exec"), {"__name__": "copied"})
        given, taken = needs.names(code, name)
        unknown = taken - given - set(dir(builtins)) - meant_to_fail
        assert not unknown, f"snippets/{name}.py: {section}, copied with all it needs, does not know {', '.join(sorted(unknown))}"


@each_snippet
def test_a_name_means_one_thing_in_all_of_a_program(name):
    """What a later section gives again, an import of a shared one say, would change what the earlier ones call."""
    given = Counter(one for code in sections(name).values() for one in needs.names(code, name)[0])
    twice = sorted(one for one, times in given.items() if times > 1)
    assert not twice, f"snippets/{name}.py: {', '.join(twice)} is given by two sections; give one another name"


@each_snippet
def test_shared_sections_are_word_for_word(name):
    apart = shared.apart(name)
    assert not apart, f"snippets/{name}.py: {', '.join(apart)} differs from where it is taught: run `python -m tooling.shared {name}`, or end the sharing"


# --- the tools themselves

TAUGHT = """\
# --8<-- [start:setup]
import math
# --8<-- [end:setup]
# --8<-- [start:area]
def area(radius: float) -> float:
    return math.pi * radius**2
# --8<-- [end:area]
# --8<-- [start:ring]
def ring(outer: float, inner: float = 0.0) -> float:
    math = outer  # a name of its own
    return area(math) - area(inner) + late()
# --8<-- [end:ring]
# --8<-- [start:late]
def late() -> float:
    return 0.0
# --8<-- [end:late]
"""
BORROWER = """\
# --8<-- [start:setup]
import math
# --8<-- [end:setup]
# --8<-- [start:area]
# From models/taught.py, word for word:
def area(radius: float) -> float:
    return 3 * radius**2
# --8<-- [end:area]
# --8<-- [start:main]
print(area(1))
# --8<-- [end:main]
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two programs: one teaches a section, the other has it from there and has fallen behind."""
    for module in (lessons, shared):
        if hasattr(module, "SNIPPETS"):
            monkeypatch.setattr(module, "SNIPPETS", tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/taught.py").write_text(TAUGHT, encoding="utf-8")
    (tmp_path / "models/borrower.py").write_text(BORROWER, encoding="utf-8")
    return tmp_path


def test_needs_are_found_through_names(repository):
    assert needs.needs("models/taught") == {"setup": [], "area": ["setup"], "ring": ["setup", "area", "late"], "late": []}
    assert needs.with_needs("models/taught", "ring").count("def ") == 3


def test_a_section_that_is_no_python_by_itself_is_named(repository):
    (repository / "models/taught.py").write_text(TAUGHT.replace("def late() -> float:\n", ""), encoding="utf-8")
    with pytest.raises(SiteError, match=r"snippets/models/taught\.py, section `late`: a section has to be whole statements"):
        needs.needs("models/taught")


def test_shared_sections_are_brought_in_line(repository, capsys):
    assert list(shared.apart("models/borrower")) == ["area"]
    assert shared.main([]) == 0
    assert "snippets/models/borrower.py: area brought in line with snippets/models/taught.py" in capsys.readouterr().out
    assert sections("models/borrower")["area"] == f"# From models/taught.py, word for word:\n{sections('models/taught')['area']}"
    assert sections("models/borrower")["main"] == "print(area(1))", "another section was changed"
    assert shared.apart("models/borrower") == {}


@pytest.mark.parametrize(("old", "new", "said"), [
    ("models/taught.py", "models/tought.py", "snippets/models/tought.py does not exist"),
    (":area]", ":circle]", "snippets/models/taught.py has no section of that name; it has: setup, area, ring, late"),
])
def test_a_section_from_nowhere_is_named(repository, capsys, old, new, said):
    (repository / "models/borrower.py").write_text(BORROWER.replace(old, new), encoding="utf-8")
    assert shared.main(["models/borrower"]) == 1
    assert said in capsys.readouterr().err


def test_the_blocks_of_a_page_say_what_they_need(repository):
    fence = '```python title="taught.py"\n--8<-- "models/taught.py:ring"\n```'
    marked = needs.mark(f"Text.\n\n{fence}\n\n    {fence.replace(chr(10), chr(10) + '    ')}\n")
    assert marked.count('{.python #code-models-taught-ring title="taught.py" data-needs="code-models-taught-setup code-models-taught-area code-models-taught-late"}') == 2
    shown = needs.explain('<div class="highlight" data-needs="code-models-taught-setup" id="x"><pre><code>1</code></pre></div>', "en")
    assert 'Needs <a href="#code-models-taught-setup"><code>setup</code></a>' in shown and shown.endswith("</p></div>")
