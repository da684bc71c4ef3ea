"""Every example notebook runs from the first cell to the last, and is stored with what it shows."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def outputs(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """What each cell of code shows as text, and of pictures that they are there."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        [
            output.get("text") or output.data.get("text/html") or " ".join(sorted(output.data))
            for output in cell.outputs
        ]
        for cell in cells
    ]


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.slow
@notebooks
# The packages that talk to the kernel warn of their own plans.
@pytest.mark.filterwarnings("default")
def test_it_shows_what_a_run_shows(path, tmp_path, monkeypatch, script):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    done = script("_notebooks").executed(path, tmp_path)  # beside nothing but what it makes itself
    messages = [out for cell in done.cells for out in cell.get("outputs", ())]
    assert not [out["text"] for out in messages if out.get("name") == "stderr"]
    stored = outputs(nbformat.read(path, as_version=4))
    assert any(stored)
    for now, then in zip(outputs(done), stored, strict=True):
        for text, other in zip(now, then, strict=True):
            text, other = (re.sub(r"T_\w{8}", "T", part) for part in (text, other))
            assert NUMBER.split(text) == NUMBER.split(other)
            # Another processor may round in another way.
            numbers = [np.array(NUMBER.findall(part), float) for part in (text, other)]
            np.testing.assert_allclose(*numbers, rtol=0.1, atol=0.02)


@notebooks
def test_it_holds_no_place_of_a_machine_and_no_widget(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    shown = [text for cell in outputs(notebook) for text in cell]
    assert not [text for text in shown if re.search(r"/(home|tmp|Users|root)/", text)]
    assert not {"widgets", "papermill"} & set(notebook.metadata)
