"""The texts for the terminal at several widths: nothing is lost, nothing fakes a line."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from jfilters.converters import write_filterdb
from jfilters.engine import inspect, scan
from jfilters.report import Summary, _summary, inspection_text, summary_text
from jfilters.report._named_table import cut_name


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    rng = np.random.default_rng(0)
    for name in ("a", "a-very-long-name-of-a-network-that-fits-no-column", "[bold]x[/bold]"):
        weights = {"conv.weight": rng.standard_normal((8, 4, 3, 3)).astype(np.float32)}
        save_file(
            weights, folder / f"{name.replace('/', '')}.safetensors", metadata={"format": "pt"}
        )
    (folder / "bad\nname.pth").write_bytes(b"no checkpoint")
    save_file({"fc.weight": np.ones((2, 2), np.float32)}, folder / "dense.safetensors")
    return scan(folder)


def checkpoint_of(found):
    return Path(found.record["config"]["checkpoints"]) / "a.safetensors"


def shown(renderable, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_summary_keeps_to_the_width(found, width):
    for text in (summary_text(Summary(found)), inspection_text(inspect(checkpoint_of(found)))):
        lines = shown(text, width).splitlines()
        assert max(map(len, lines)) <= width
        assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_names_are_never_broken_inside(found, width):
    lines = shown(summary_text(Summary(found)), width).splitlines()
    assert max(map(len, lines)) <= width
    name = "a-very-long-name-of-a-network-that-fits-no-column.safetensors"
    expected = name if len(name) <= width else cut_name(name, width)
    table = lines[: lines.index(next(line for line in lines if line.startswith("drift D")))]
    assert sum(line.startswith(expected) for line in table) == 1
    assert len(expected) <= width
    assert expected.endswith(".safetensors")


def test_the_summary_says_everything(found):
    text = shown(summary_text(Summary(found)), 200)
    assert "5 checkpoints (3 read, 1 empty, 1 refused), 3 layers, 96 3x3 kernels" in text
    assert "a-very-long-name-of-a-network-that-fits-no-column.safetensors" in text
    assert "drift D between models in nats" in text
    assert "empty dense.safetensors: no 3x3 convolution among its 1 arrays (dense (2-D): 1)" in text


def test_names_are_text_and_not_markup_or_lines(found):
    text = shown(summary_text(Summary(found)), 200)
    assert "[bold]x[bold].safetensors" in text
    assert "bad\\nname.pth" in text


def test_an_inspection_shows_both_tables(found):
    text = shown(inspection_text(inspect(checkpoint_of(found))), 80)
    assert "1 layer, 0 arrays skipped" in " ".join(text.split())
    assert "conv.weight" in text
    assert "skipped array" not in text


def test_the_networks_of_a_population_are_models(tmp_path):
    kernels = np.random.default_rng(0).standard_normal((2, 16, 3, 3)).astype(np.float32)
    path = tmp_path / "db.h5"
    write_filterdb(path, kernels, pa.table({"model": ["x", "y"]}))
    summary, inspection = summary_text(Summary(scan(path))), inspection_text(inspect(path))
    text = shown(summary, 80)
    assert "1 checkpoint (1 read), 2 layers, 32 3x3 kernels" in text
    lines = [line.split() for line in text.splitlines()]
    models = [words[0] for words in lines if "filterdb" in words]
    assert models == ["db.h5/x", "db.h5/y"]
    assert "no pair is further apart than sampling alone may make it" in text
    words = shown(inspection, 80).split()
    assert [word for word in words if "/layer" in word] == ["x/layer0", "y/layer1"]


def test_of_many_models_the_first_are_shown_and_the_rest_counted(found, monkeypatch):
    monkeypatch.setattr(_summary, "MOST_ROWS", 1)
    text = shown(summary_text(Summary(found)), 80)
    assert "and 2 more models: models.parquet" in text
    monkeypatch.setattr("jfilters.scans._write.MOST_MODELS", 2)
    assert "drift-model.csv: 3 models, and a matrix is written" in shown(
        summary_text(Summary(found)), 200
    )
