"""The kernels that the scan sampled: as tiles for the layer view, as points for the phenotype plane."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ...scans import Scan
from ...statistics.internal import host_normalize
from ._pack import packed
from ._view import View, worst_first

TILES = 64
"""Kernels of a layer that are shown at most."""

FIRST_TILES = 1_024
"""The same for the first layers of networks, all of whose kernels are wanted."""

WORST_TILES = 16
"""The same for the layer that the page opens on, at least."""

MOST_BYTES = 4_000_000
"""Of all tiles, those of 6,000 layers of 3x3 kernels: of more layers, fewer kernels each."""

MOST_POINTS = 60_000
"""Points of the plane: of more, an even choice."""

_LESS_AND_LESS = (
    *((most, TILES) for most in (FIRST_TILES, 512, 256, 128)),
    *((most, most) for most in range(TILES, 0, -1)),
)
"""Tiles of a first layer and of another one, as they are tried."""

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
    most = _tiles_a_layer(counts, _is_first(scan), scan.d)
    worst = worst_first(scan)[0]
    most[worst] = max(most[worst], WORST_TILES)  # the page opens on it
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
    sample, sample_layer = scan.even_sample
    if sample is None or sample_layer is None or not len(sample) or scan.d < 2:
        return None
    kernels, layer = _finite(sample, sample_layer)
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


def _is_first(scan: Scan) -> Bool[np.ndarray, " layers"]:
    return np.array(scan.layer_table["depth"].to_pylist()) == 0


def _tiles_a_layer(
    counts: Int64[np.ndarray, " layers"], is_first: Bool[np.ndarray, " layers"], d: int
) -> Int64[np.ndarray, " layers"]:
    """Return the most tiles of each layer within `MOST_BYTES` in all: first layers are cut first."""
    most = np.ones(len(counts), np.int64)
    for of_first, of_later in _LESS_AND_LESS:
        most = np.where(is_first, of_first, of_later)
        if np.minimum(counts, most).sum() * (d + 1) <= MOST_BYTES:
            break
    return most


def _first_of_each(
    layer: Int64[np.ndarray, " n"], most: Int64[np.ndarray, " layers"]
) -> Bool[np.ndarray, " n"]:
    """Mask up to `most` of the kernels of every layer; those of a layer lie together."""
    starts = np.searchsorted(layer, layer)
    return np.arange(len(layer)) - starts < most[layer]
