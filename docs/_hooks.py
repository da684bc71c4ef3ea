"""Additions of the site's build: the public names of each room for the API page, read from its stub."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with every marked room replaced by its names."""
    markdown = markdown.replace("<!-- face -->", _face())
    return re.sub(r"<!-- room ([\w.]+) -->", lambda match: _room(match[1]), markdown)


def names(module: str) -> dict[str, str]:
    """Return what a module shows, by name, and the module that it comes from; rooms are left out."""
    nodes = ast.parse(_file(module).read_text("utf-8")).body
    shown = {
        node.name: module for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    parent = module if _folder(module).is_dir() else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            source = f"{parent}.{node.module}"
            shown |= {alias.asname: source for alias in node.names if alias.asname}
    public = sorted((name for name in shown if not name.startswith("_")), key=str.lower)
    return {name: shown[name] for name in public}


def _room(module: str) -> str:
    return "\n\n".join(f"::: {module}.{name}" for name in names(module))


def _face() -> str:
    return ", ".join(f"[`jf.{name}`][{room}.{name}]" for name, room in names("jfilters").items())


def _folder(module: str) -> Path:
    return ROOT.joinpath(*module.split("."))


def _file(module: str) -> Path:
    path = _folder(module)
    # The faces load lazily: what they show stands in their stubs.
    return path / "__init__.pyi" if path.is_dir() else path.with_suffix(".py")
