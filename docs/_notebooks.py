"""The notebooks with their outputs: `python docs/_notebooks.py` runs and stores them, a test compares."""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).with_name("notebooks")
SECONDS = 300
"""Of one cell; far more than any needs."""

_PASSING = re.compile(r"(/tmp|/var/folders)/[\w./-]*/?tmp\w+|0x[0-9a-f]{6,}")


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Return a notebook as it is after a run in a folder, without what differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    notebook = NotebookClient(notebook, timeout=SECONDS, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            _clean(output)
    notebook.metadata.pop("widgets", None)
    return notebook


def _clean(output: nbformat.NotebookNode) -> None:
    if "text" in output:
        output.text = _PASSING.sub("DIR", output.text)
    for kind, text in output.get("data", {}).items():
        if kind.startswith("text/"):
            output.data[kind] = _PASSING.sub("DIR", text)


if __name__ == "__main__":
    import tempfile

    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(path, Path(folder)), path)
