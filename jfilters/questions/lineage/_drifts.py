"""Drift between the layers of two models, by the histograms of their scans."""

import math

import numpy as np

from ...compare import Comparison
from ...scans import Scan
from ...scans.internal import check_comparable
from ...shift import drift, probability
from ._population import Population


def layer_drifts(
    population: Population, parent: int, child: int, comparison: Comparison
) -> dict[tuple[str, str], float]:
    """Return D in nats of every matched layer, by its names in the parent and in the child.

    Empty where both come from scans whose histograms cannot be compared.
    """
    (first, name), (second, other) = population.sources[parent], population.sources[child]
    if not (first.arrays and second.arrays and _is_comparable(first, second)):
        return {}
    rows = _rows(first, name), _rows(second, other)
    pairs = {ends for x in comparison.layers for ends in ((x.first, x.second), (x.second, x.first))}
    return {
        (a, b): _drift(first, second, rows[0][a], rows[1][b])
        for a, b in pairs
        if a in rows[0] and b in rows[1]
    }


def _is_comparable(first: Scan, second: Scan) -> bool:
    if first is second:
        return True
    try:
        check_comparable(first, second)
    except ValueError:
        return False
    return True


def _rows(scan: Scan, model: str) -> dict[str, int]:
    """Return the rows of a model's layers by their names, those of a population with its member before."""
    place = scan.model_names.index(model)
    layers = scan.layer_table["layer"].to_pylist()
    rows = np.flatnonzero(scan.model_of_layer == place).tolist()
    member = model.rpartition("/")[2]
    names = {layers[row]: row for row in rows}
    return names | {f"{member}/{name}": row for name, row in names.items()}


def _drift(first: Scan, second: Scan, row: int, other: int) -> float:
    counts = first.histogram[row], second.histogram[other]
    if not (counts[0].any() and counts[1].any()):
        return math.nan
    a, b = (np.asarray(probability(count, first.edges)) for count in counts)
    return float(drift(a, b, first.component_weights))
