"""Links to the repository: there where the environment names it, and nowhere else."""

import re
from types import SimpleNamespace

import pytest
import yaml

from tooling import repository
from tooling.lessons import LANGUAGES, ROOT, SiteError


def config(address: str):
    """Return the part of the site's settings that names the repository."""
    return SimpleNamespace(extra={"repository": address})


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_repository_there_are_no_links(language):
    assert repository.page_links(config(""), language, f"docs/{language}/career.md") == ""
    assert repository.notebook_links(config(""), language, "models/cnn/notebook/cnn.ipynb") == ""


@pytest.mark.parametrize("address", ["https://github.com/someone/lessons", "https://github.com/someone/lessons/"])
def test_the_links_of_a_page(address):
    links = re.findall('href="([^"]+)"', repository.page_links(config(address), "en", "docs/en/models/cnn.md"))
    assert links == [
        "https://github.com/someone/lessons/edit/main/docs/en/models/cnn.md",
        "https://github.com/someone/lessons/issues/new?title=docs%2Fen%2Fmodels%2Fcnn.md%3A%20",
    ]


def test_the_links_of_a_notebook():
    links = re.findall('href="([^"]+)"', repository.notebook_links(config("https://github.com/someone/lessons"), "zh", "models/cnn/notebook/cnn.ipynb"))
    assert links == [
        "https://colab.research.google.com/github/someone/lessons/blob/notebooks/models/cnn/notebook/cnn.ipynb",
        "https://raw.githubusercontent.com/someone/lessons/notebooks/models/cnn/notebook/cnn.ipynb",
    ]


@pytest.mark.parametrize("address", ["someone/lessons", "http://github.com/someone/lessons", "https://github.com/someone", 'https://github.com/a"/b'])
def test_another_form_is_refused(address):
    with pytest.raises(SiteError, match="REPO_URL is .*; write https://github.com/OWNER/NAME"):
        repository.named(config(address))


def test_the_theme_fetches_nothing_from_the_repository():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not re.search(r"^(repo_url|edit_uri)", text, re.MULTILINE), "mkdocs.yml: the theme asks a host for its stars where `repo_url` is set; see tooling/repository.py"
    assert re.search(r'^  repository: !ENV \[REPO_URL, ""\]$', text, re.MULTILINE)


def test_the_workflow_names_the_repository_and_publishes_the_notebooks():
    jobs = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8"))["jobs"]
    steps = jobs["publish"]["steps"]
    (built,) = [step for step in steps if step.get("run", "").startswith("mkdocs build")]
    assert built["env"]["REPO_URL"] == "${{ github.server_url }}/${{ github.repository }}"
    (published,) = [step for step in steps if "git push" in step.get("run", "")]
    assert published["run"].rstrip().endswith(f" {repository.NOTEBOOKS}") and published["working-directory"] == "site"
    assert [job for job, what in jobs.items() if what.get("permissions", {}).get("contents") == "write"] == ["publish"]
