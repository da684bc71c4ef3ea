"""What the look at one checkpoint says of weights that were composed, of groups and of assumptions."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from jfilters.engine import inspect
from jfilters.report import inspection_text

from .test_summary import shown


@pytest.fixture
def inspection(tmp_path):
    rng = np.random.default_rng(0)
    weights = {
        f"a.very.long.path.to.conv{i}.weight": rng.standard_normal((8, 4, 3, 3)).astype(np.float32)
        for i in range(5)
    }
    save_file(weights, tmp_path / "a.safetensors", metadata={"format": "pt"})
    return inspect(tmp_path / "a.safetensors")


def told(inspection, **columns):
    """The inspection with other values in some columns of its first layers."""
    layers = inspection.layers
    for name, values in columns.items():
        place, field = layers.column_names.index(name), layers.schema.field(name)
        whole = [*values, *layers[name].to_pylist()[len(values) :]]
        layers = layers.set_column(place, name, pa.array(whole, field.type))
    return dataclasses.replace(inspection, layers=layers)


def test_nothing_is_said_where_there_is_nothing_to_say(inspection):
    text = shown(inspection_text(inspection), 200)
    assert not {"applied", "read from", "groups"} & set(text.replace(":", " ").split())
    assert "depth by name-order; size 3x3; axes OIHW; dw: depthwise; H: variance" in text


def test_groups_composition_network_and_notes(inspection):
    found = told(
        inspection,
        groups=[None, 2],
        in_channels=[None, 8],
        depthwise=[None],
        applied=["masked"],
        network=["model_ema", "model_ema"],
        note=["kernel size\n not told"] * 5,
    )
    text = shown(inspection_text(found), 200)
    assert "8 x 4*?" in text
    assert "8 x 8/2" in text
    legend = " ".join(text.split())
    assert "/n: in n groups; *?: times the groups, which the file does not tell" in legend
    assert "masked" in text
    assert "as stored" in text
    assert "read from model_ema" in text
    notes = [line for line in text.splitlines() if "not told" in line]
    assert len(notes) == 1
    assert "conv2.weight and 2 more: kernel size\\n not told" in notes[0]


@pytest.mark.parametrize("width", [40, 80])
def test_it_keeps_to_the_width(inspection, width):
    found = told(inspection, applied=["weight-norm", "masked"], note=["x" * 100] * 5)
    lines = shown(inspection_text(found), width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_a_composition_of_all_layers_is_said_once(inspection):
    text = shown(inspection_text(told(inspection, applied=["weight-norm"] * 5)), 80)
    assert text.count("weight-norm") == 1
    assert "effective weights: all weight-norm" in text


@pytest.fixture
def mobile(tmp_path):
    """A network of 18 depthwise layers in the manner of MobileNetV2, with 300 other arrays."""
    rng, weights = np.random.default_rng(0), {}
    for i in range(18):
        name = f"features.{i}.conv.1"
        weights[f"{name}.0.weight"] = rng.standard_normal((96, 1, 3, 3)).astype(np.float32)
        weights[f"{name}.2.weight"] = rng.standard_normal((24, 96, 1, 1)).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{name}.1.{part}"] = np.ones(96, np.float32)
    save_file(weights, tmp_path / "mobile.safetensors", metadata={"format": "pt"})
    return inspect(tmp_path / "mobile.safetensors")


def test_a_mobile_network_takes_40_lines_and_counts_what_it_skips(mobile):
    lines = shown(inspection_text(mobile), 80).splitlines()
    assert len(lines) <= 40
    assert sum("features." in line for line in lines) == 18
    counts = [line.split(maxsplit=1) for line in lines[-2:]]
    assert counts[0][0] == "72"
    assert counts[1] == ["18", "1x1 convolution: no spatial extent"]
    assert "running_mean" not in "".join(lines)


def test_skipped_arrays_are_listed_where_asked_for(mobile):
    text = shown(inspection_text(mobile, skipped=True), 80)
    assert text.count("running_mean") == 18
    assert "--skipped" not in text
