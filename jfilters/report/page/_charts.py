"""The charts as Vega-Lite, one JSON file each in `charts`.

A chart names its columns; the page fills the data set `rows`, the parameters, sizes, and the colors of
its theme. They are kept as JSON, not built by Altair, whose import takes a second.
"""

import functools
import json
from importlib import resources
from typing import Any

from .._palette import SEQUENTIAL, VERDICT_COLORS

CHARTS = {
    "matrix": "every pair of groups as a cell; marks stand for pairs whose value says little",
    "ridges": "densities of coefficients: a row a group, a column a component",
    "overlay": "the densities of two groups over each other, a panel a component",
    "depth": "a number of every layer against its depth; colors and shapes are verdicts",
    "planes": "the kernels of a group in the plane of the first two coefficients",
    "steps": "the numbers of a run over its steps, a panel a number",
}
"""Every chart by the name of its file, with what it shows."""


@functools.cache
def charts() -> dict[str, dict[str, Any]]:
    """Return every chart by its name, as Vega-Lite."""
    specs = {name: _spec(name) for name in CHARTS}
    specs["matrix"]["layer"][0]["encoding"]["color"]["condition"]["scale"]["scheme"] = SEQUENTIAL
    points = specs["depth"]["spec"]["layer"][1]["encoding"]
    points["color"]["scale"] = {
        "domain": list(VERDICT_COLORS),
        "range": list(VERDICT_COLORS.values()),
    }
    points["shape"]["scale"]["domain"] = list(VERDICT_COLORS)
    return specs


def _spec(name: str) -> dict[str, Any]:
    folder = resources.files(__name__.rpartition(".")[0]) / "charts"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
