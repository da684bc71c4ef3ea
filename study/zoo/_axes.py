"""Axes by how far they shift kernels, where kin count as one unit."""

from typing import Any

from jfilters.questions import AxisRow, axes_table
from jfilters.scans import Scan, axes_of

from ._networks import Rows, populations

AXES = ("task", "visual_category", "architecture", "format", "first_layer", "depth_decile")
SEED = 0


def axes(scan: Scan, permutations: int) -> Rows:
    """Return one row an axis, of all networks and of those without the largest task."""
    return [
        _row(name, row)
        for name, part in populations(scan).items()
        for row in axes_table(
            part,
            [axis for axis in AXES if axis in axes_of(part)],
            balance="units",
            permutations=permutations,
            seed=SEED,
        ).axes
    ]


def _row(population: str, row: AxisRow) -> dict[str, Any]:
    numbers = ("axis", "groups", "units", "models", "median", "debiased", "maximum")
    values = {name: getattr(row, name) for name in numbers}
    return {"population": population} | values | {"furthest": " | ".join(row.furthest), "p": row.p}
