"""The kernels that the scan sampled: as tiles for the layer view, as points for the phenotype plane."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ...statistics.internal import host_normalize
from ._pack import packed
from ._view import View

TILES = 64
"""Kernels of a layer that are drawn at most."""

MOST_BYTES = 1_000_000
"""Of all tiles; of more layers, fewer kernels each."""

MOST_POINTS = 60_000
"""Points of the plane: of more, an even choice."""

_TAP, _PEAK = 127, 255
POINT_STEPS = 1_000
"""Of a coefficient of 1: points are rounded to these."""


def tiles_section(view: View) -> dict[str, Any] | None:
    """Return kernels of every shown layer, each scaled to its own largest weight, and that weight.

    The weight is in units of the layer's largest, as its square root. None if the scan kept no sample.
    """
    scan = view.shown
    if scan.sample is None or scan.sample_layer is None:
        return None
    kernels, layer = _finite(scan.sample, scan.sample_layer)
    counts = np.bincount(layer, minlength=scan.layer_table.num_rows)
    most = _tiles_a_layer(counts, scan.d)
    mask = _first_of_each(layer, most)
    kernels, layer = kernels[mask], layer[mask]
    largest = np.array(scan.layer_table["max_abs"].to_pylist(), float)[layer]
    peaks = np.abs(kernels).max(axis=1, initial=0)
    relative = np.divide(peaks, largest, out=np.zeros(len(peaks)), where=largest > 0)
    return {
        "shape": list(scan.spatial),
        "counts": np.bincount(layer, minlength=len(counts)).tolist(),
        "sampled": counts.tolist(),
        "taps": packed(host_normalize(kernels) * _TAP + 128, "u1"),
        "peaks": packed(np.sqrt(np.clip(relative, 0, 1)) * _PEAK, "u1"),
    }


def points_section(view: View) -> dict[str, Any] | None:
    """Return two coefficients of sampled kernels, in the order of all layers; None without a sample."""
    scan = view.scan
    if scan.sample is None or scan.sample_layer is None or not len(scan.sample) or scan.d < 2:
        return None
    kernels, layer = _finite(scan.sample, scan.sample_layer)
    step = -(-len(kernels) // MOST_POINTS)
    kernels, layer = kernels[::step], layer[::step]
    points = scan.coefficients(kernels)[:, :2]
    return {
        "counts": np.bincount(layer, minlength=scan.layer_table.num_rows).tolist(),
        "points": packed(points * POINT_STEPS, "i2"),
        "steps": POINT_STEPS,
        "one_of": step,
    }


def _finite(
    kernels: Float32[np.ndarray, "m d"], layer: Int64[np.ndarray, " m"]
) -> tuple[Float32[np.ndarray, "n d"], Int64[np.ndarray, " n"]]:
    """The kernels that are finite, with their layers, in the order of layers."""
    finite = np.isfinite(kernels).all(axis=1)
    order = np.argsort(layer[finite], kind="stable")
    return kernels[finite][order], layer[finite][order]


def _tiles_a_layer(counts: Int64[np.ndarray, " layers"], d: int) -> int:
    """Return the most tiles a layer that keep all of them within `MOST_BYTES`."""
    most = TILES
    while most > 1 and np.minimum(counts, most).sum() * (d + 1) > MOST_BYTES:
        most -= 1
    return most


def _first_of_each(layer: Int64[np.ndarray, " n"], most: int) -> Bool[np.ndarray, " n"]:
    """Mask up to `most` of the kernels of every layer; those of a layer lie together."""
    starts = np.searchsorted(layer, layer)
    return np.arange(len(layer)) - starts < most
