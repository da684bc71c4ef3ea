"""The kernels that a scan sampled, as points of the sides of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from ...scans import Scan
from ...shift.internal import Parts, common_size
from ._rows import kernel_counts
from ._sides import Side

MOST_POINTS = 500
"""Sampled kernels of a side that are compared, where there are few pairs of sides."""

FEWEST_POINTS = 150
"""The same for many pairs: the cost of a pair grows with the square of the number of points."""

_ALL_POINTS = 1_000  # times the root of the number of pairs: what keeps a question within seconds


@dataclass(frozen=True, eq=False)
class Points:
    """Sampled kernels of a side: coefficients, what each counts, and its layer's place in the side."""

    points: Float[np.ndarray, "n d"]
    weights: Float[np.ndarray, " n"]
    layer: Int64[np.ndarray, " n"]


def sampled_points(
    rng: np.random.Generator, scan: Scan, sides: Sequence[Side], clean: bool
) -> list[Points]:
    """Sample the kernels of every side, up to `MOST_POINTS`, without sparse ones if `clean`.

    A point has the weight of the kernels that it stands for. Raises ValueError for a scan that kept
    no sample.
    """
    kernels, layers = scan.sample, scan.sample_layer
    if kernels is None or layers is None:
        raise ValueError(
            f"{scan.folder}: expected a sample of kernels, which this metric needs, found none; "
            "scan again with --sample, or ask for a metric of histograms"
        )
    most = most_points(len(sides))
    whole, (even_kernels, even_layers) = _pool(scan, kernels, layers, clean), scan.even_sample
    if even_kernels is None or even_layers is None:
        even = whole
    else:
        even = _pool(scan, even_kernels, even_layers, clean)
    points_of_sides = []
    for side in sides:
        place = np.full(scan.layer_table.num_rows, -1)
        place[side.group.layers] = np.arange(len(side.group.layers))
        # Small layers, of which all kernels are there, would crowd the others out.
        pool = even if np.sum(place[even.layer] >= 0) >= FEWEST_POINTS else whole
        at = np.flatnonzero(place[pool.layer] >= 0)
        at = np.sort(rng.choice(at, most, replace=False)) if len(at) > most else at
        layer = place[pool.layer[at]]
        weights = pool.weights[at] * side.weights[layer]
        points_of_sides.append(Points(scan.coefficients(pool.points[at]), weights, layer))
    return points_of_sides


def _pool(
    scan: Scan, kernels: Float[np.ndarray, "n d"], layer: Int64[np.ndarray, " n"], clean: bool
) -> Points:
    """Return sampled kernels with the numbers of kernels that they stand for, and their layers."""
    is_in = ~_is_sparse(scan, kernels, layer) if clean else np.ones(len(kernels), bool)
    weights = _kernels_a_point(scan, layer)[layer]
    return Points(kernels[is_in].astype(np.float64), weights[is_in], layer[is_in])


def most_points(sides: int) -> int:
    """The number of points of a side that are compared with all others."""
    pairs = max(sides * (sides - 1) / 2, 1)
    return int(min(max(_ALL_POINTS / pairs**0.5, FEWEST_POINTS), MOST_POINTS))


def thinned_points(
    rng: np.random.Generator, points: Sequence[Points], sides: Sequence[Side]
) -> tuple[Float[np.ndarray, "n d"], Parts, int]:
    """Return as many points of every part of some sides, the parts as rows over them, and the number.

    A part is the points of one unit on one side. Points are drawn in proportion to their weights, and each
    counts the same then. Parts of fewer points stay out.
    """
    keys = [
        np.stack(
            [side.unit[part.layer], np.full(len(part.layer), number), side.matched[part.layer]]
        )
        for number, (part, side) in enumerate(zip(points, sides, strict=True))
    ]
    key, place, sizes = np.unique(
        np.concatenate(keys, axis=1), axis=1, return_inverse=True, return_counts=True
    )
    group = key[1].astype(np.int64)
    size = common_size(sizes, group, 1 / float(np.median(sizes)), 1.0)
    is_large = np.flatnonzero(sizes >= size)
    weights = np.concatenate([part.weights for part in points])
    chosen = [
        _chosen(rng, np.flatnonzero(place.reshape(-1) == part), weights, size) for part in is_large
    ]
    rows = np.repeat(np.eye(len(is_large), dtype=np.int64), size, axis=1)[:, None]
    parts = Parts(rows, key[0, is_large], group[is_large], key[2, is_large])
    return np.concatenate([part.points for part in points])[np.concatenate(chosen)], parts, size


def _chosen(
    rng: np.random.Generator, at: Int64[np.ndarray, " n"], weights: np.ndarray, size: int
) -> Int64[np.ndarray, " size"]:
    return rng.choice(at, size, replace=False, p=weights[at] / weights[at].sum())


def _kernels_a_point(
    scan: Scan, sample_layer: Int64[np.ndarray, " m"]
) -> Float[np.ndarray, " layers"]:
    """The kernels that a sampled kernel of a layer stands for, since layers are not sampled evenly.

    The sampled layers of a model stand for its layers without a sampled kernel too.
    """
    model, kernels = scan.model_of_layer, kernel_counts(scan, clean=False)
    sampled = np.bincount(sample_layer, minlength=len(model))
    totals = np.bincount(model, kernels)
    covered = np.bincount(model, np.where(sampled > 0, kernels, 0), minlength=len(totals))
    return kernels / np.maximum(sampled, 1) * (totals / np.maximum(covered, 1))[model]


def _is_sparse(
    scan: Scan, kernels: Float[np.ndarray, "m d"], sample_layer: Int64[np.ndarray, " m"]
) -> Bool[np.ndarray, " m"]:
    config = scan.record["config"]
    peaks = np.abs(kernels).max(axis=1)
    bound = config["sparse_eps"] * np.array(scan.layer_table["max_abs"].to_pylist())[sample_layer]
    return peaks < bound if config.get("sparse_strict", True) else peaks <= bound
