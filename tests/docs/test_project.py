"""The files of a public project are valid, name versions and systems that hold, and their links resolve."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from jfilters.converters import FORMATS
from jfilters.errors import install_command

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    if "==" in line
)
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / ".github").rglob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "examples").glob("*.md"),
]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_resolve(page):
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text)
    absent = [link for link in links if ":" not in link and not (page.parent / link).exists()]
    assert not absent


def test_every_community_file_is_there():
    names = {"CITATION.cff", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md"}
    assert not {name for name in names if not (ROOT / name).is_file()}
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_the_citation_holds_what_version_1_2_of_its_schema_requires():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    keys = {"cff-version", "message", "type", "title", "abstract", "authors", "license"}
    assert not citation.keys() - keys - {"version", "keywords", "references", "date-released"}
    for work in (citation, *citation["references"]):
        assert work["title"]
        assert all("name" in author or "family-names" in author for author in work["authors"])


@pytest.mark.parametrize("arxiv", ["2203.15331", "2201.08465"])
def test_the_citation_names_the_papers_of_the_method(arxiv):
    (paper,) = [x for x in read("CITATION.cff")["references"] if arxiv in x["url"]]
    assert [author["family-names"] for author in paper["authors"]] == ["Gavrikov", "Keuper"]
    assert paper["identifiers"] == [{"type": "other", "value": f"arXiv:{arxiv}"}]


def test_the_workflow_runs_the_tests_on_every_python_and_system():
    workflow = read(".github/workflows/test.yml")
    job = workflow["jobs"]["test"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands
    assert all("make test PYTHON=python" in command for command in commands)
    versions = [x.rpartition(" ")[2] for x in PROJECT["classifiers"] if ":: 3." in x]
    assert job["strategy"]["matrix"]["python"] == versions
    assert f">={versions[0]}" == PROJECT["requires-python"]
    # YAML 1.1 reads the key `on` as true.
    assert workflow[True]["push"]["branches"] == ["main"]


def test_systems_are_those_that_the_page_of_installation_names():
    systems = {x.rpartition(" ")[2] for x in PROJECT["classifiers"] if "Operating" in x}
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert systems == {"Linux", "MacOS"}
    assert "runs on Linux and macOS. On Windows use it inside WSL" in page


def test_the_command_says_on_windows_where_it_runs(monkeypatch):
    import jfilters_cli._run  # what it imports is this system's, not that of Windows

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit, match=r"runs on Linux and macOS; on Windows .* inside WSL"):
        jfilters_cli.run()


def test_hooks_are_the_pinned_tools_of_make_lint():
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"].split() for hook in repository["hooks"]]
    assert all(hook["language"] == "system" for hook in repository["hooks"])
    linted = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert linted is not None
    tools = re.findall(r"\$\(BIN\)/(\w+(?: \w+)?)", linted[1])
    assert [" ".join(words[:2]).removeprefix(".venv/bin/") for words in entries] == tools
    assert {tool.split()[0] for tool in tools} <= PINNED.keys()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_forms_of_issues_ask_for_something(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.stem == "config":
        assert content == {"blank_issues_enabled": True}
        return
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert content["name"]
    assert content["description"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert {field["type"] for field in content["body"]} <= {"markdown", "input", "textarea"}


def test_there_are_forms_for_bugs_questions_and_formats():
    assert {form.stem for form in FORMS} == {"bug", "config", "format", "question"}


def test_the_editor_wraps_lines_where_ruff_does():
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    lengths = dict(re.findall(r"^\[\*\.(\w+)\]\nmax_line_length = (\d+)", text, re.M))
    assert lengths == {
        "py": str(ruff["line-length"]),
        "md": str(ruff["lint"]["pycodestyle"]["max-line-length"]),
    }


HINTS = [
    (file, hint)
    for file in (
        *PAGES,
        *(ROOT / "docs/notebooks").glob("*.ipynb"),
        *(ROOT / "jfilters").rglob("*.py"),
        *(ROOT / "cli").rglob("*.py"),
    )
    if file.name != "CHANGELOG.md"
    for hint in re.findall(r"pip\s+install[^\n`;|&#]*", file.read_text(encoding="utf-8"))
]


def test_what_is_told_to_install_can_be_installed_from_a_clone():
    """No registry of packages has jfilters by its name."""
    assert len(HINTS) >= 8
    assert not [(file, hint) for file, hint in HINTS if re.search(r"[\s'\"]jfilters\b", hint)]


def test_what_is_told_to_install_is_an_extra():
    extras = PROJECT["optional-dependencies"].keys()
    named = {x for _, hint in HINTS for x in re.findall(r"\.\[([a-z,]+)\]", hint)}
    assert {extra for text in named for extra in text.split(",")} <= extras
    assert {format.extra for format in FORMATS.values()} - {None} <= extras
    assert install_command("keras") == "pip install '.[keras]'"
