"""Every example notebook runs from the first cell to the last, and is stored without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))
SECONDS = 300
"""Of one cell; far more than any needs."""

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@notebooks
# The packages that talk to the kernel warn of their own plans.
@pytest.mark.filterwarnings("default")
def test_it_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    # It runs beside nothing but what it makes itself; what it warns of is an error.
    resources = {"metadata": {"path": str(tmp_path)}}
    done = NotebookClient(notebook, timeout=SECONDS, resources=resources).execute()
    told = [out for cell in done.cells for out in cell.get("outputs", ())]
    assert told
    assert not [out["text"] for out in told if out.get("name") == "stderr"]


@notebooks
def test_it_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert not {"widgets", "papermill"} & set(notebook.metadata)
