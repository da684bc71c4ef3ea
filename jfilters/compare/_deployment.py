"""A deployed network beside the trained one: folded, rounded or quantized, and by how many steps it is off.

The verdict is that of `compare_pair`. Beside it every layer has its largest deviation from the trained one,
once the numbers of its channels are taken off, in units of the step between the values that it can hold.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ..converters import Checkpoint
from ..shift.internal import Grid, grid, half_unit, narrowest
from ._alignment import align
from ._compare import compare_pair
from ._comparison import Comparison, MatchedLayer, Relationship
from ._pairing import pair_layers

Weight = Float[np.ndarray, "out in *spatial"]

DEPLOYED: tuple[Relationship, ...] = (
    *("identical", "kernels identical, other arrays differ", "re-saved"),
    *("re-saved, other arrays differ", "quantized", "rescaled per channel"),
)
"""Verdicts that leave a network what it was."""

MOST_STEPS = 1.0
"""Steps of a grid of integers that a layer may be off: rounding makes half of one, another mode one."""

MOST_UNITS = 16.0
"""Units in the last place of a float that a layer may be off: products are rounded, some of them twice."""

FOLDED = 0.25
"""Share of the squared difference that may stay where a number a channel explains it."""

MISS = 0.07
"""Steps by which a value may miss its grid: products were computed in narrower types."""

COARSE = ("int2", "int3", "int4", "int5")
"""Types of so few levels that strangers are near too, once the numbers of channels are taken off."""

LEAST_VALUES = 500
"""Values beyond the numbers of channels that have to be near for two networks to be one."""

SEARCH = 25
"""Rounds of the search for the number of a channel, each to two thirds of the interval."""

SHOWN = 3
"""Layers that are named."""


class Deviation(NamedTuple):
    """A layer of the deployed network beside that of the trained one.

    - `trained`, `deployed`: the names of both.
    - `folded`: for what there is a number each that the weights were multiplied with; None without any.
    - `storage`: the type of the values, such as "int8" or "float16".
    - `steps`: the largest deviation in steps between values of that type; NaN where the step is not known.
    """

    trained: str
    deployed: str
    folded: Literal["output channel", "input channel"] | None
    storage: str
    steps: float

    @property
    def is_same(self) -> bool:
        """Return whether rounding explains the deviation."""
        most = MOST_STEPS if self.storage.startswith("int") else MOST_UNITS
        return not self.steps > most


class Deployment(NamedTuple):
    """The result: whether the deployed network is the trained one, why, and the layers of both."""

    is_same: bool
    text: str
    comparison: Comparison
    layers: tuple[Deviation, ...]


def deployment(trained: Checkpoint, deployed: Checkpoint) -> Deployment:
    """Tell whether a deployed network is the trained one, folded, rounded or quantized.

    Runs on the host and needs no JAX. Every pair of layers is read twice.

    Args:
        trained, deployed: opened checkpoints, of any format each.
    """
    comparison = compare_pair(trained, deployed, detailed=False)
    pairs, _ = pair_layers(trained.layers, deployed.layers, reshaped=True)
    layers = tuple(
        _deviation(layer, *pair.read())
        for layer, pair in zip(comparison.layers, pairs, strict=True)
        if layer.block is None
    )
    differing = [layer for layer in layers if not layer.is_same]
    is_whole = bool(layers) and not comparison.unmatched and len(layers) == len(comparison.layers)
    is_told = comparison.relation.label in DEPLOYED or _is_evident(layers, comparison)
    is_same = is_whole and not differing and is_told
    text = _same(layers) if is_same else _other(comparison, differing, len(layers))
    return Deployment(is_same, text, comparison, layers)


def _is_evident(layers: tuple[Deviation, ...], comparison: Comparison) -> bool:
    """Return whether deviations alone say that networks are one: no stranger is near in so many values.

    Numbers of both signs, as folded norms have, hide from a mean cosine that the kernels are the same.
    """
    if any(layer.storage in COARSE or math.isnan(layer.steps) for layer in layers):
        return False
    free = sum(math.prod(layer.shape) - max(layer.shape[:2]) for layer in comparison.layers)
    return free >= LEAST_VALUES


def _deviation(layer: MatchedLayer, a: Weight, b: Weight) -> Deviation:
    b = align(a, b).weight
    scaled, folded = _unfolded(a.astype(np.float64), b.astype(np.float64))
    near = scaled.reshape(b.shape).astype(np.float32)
    storage, steps = _steps(b, layer.grids[1] or (None if np.array_equal(a, b) else grid(b, near)))
    if folded == "output channel" and storage.startswith("int"):
        scaled = _nearest(a, b, steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.abs(scaled - b.reshape(len(b), -1)) / steps
    largest = float(np.nanmax(errors, initial=0.0)) if not np.isnan(steps).all() else math.nan
    return Deviation(layer.first, layer.second, folded, storage, largest)


def _unfolded(
    a: Weight, b: Weight
) -> tuple[Float[np.ndarray, "out m"], Literal["output channel", "input channel"] | None]:
    """The trained weight as the deployed one has it, times the numbers of its channels, if any."""
    plain = a.reshape(len(a), -1)
    target, least = b.reshape(len(b), -1), FOLDED * float(np.square(a - b).sum())
    best, folded = plain, None
    axes: tuple[tuple[Literal["output channel", "input channel"], int], ...] = (
        ("output channel", 0),
        ("input channel", 1),
    )
    for scope, axis in axes:
        scaled = (a * _factors(a, b, axis)).reshape(len(a), -1)
        remainder = float(np.square(scaled - target).sum())
        if remainder < least:
            best, folded, least = scaled, scope, remainder
    return best, folded


def _nearest(a: Weight, b: Weight, steps: Float[np.ndarray, "out m"]) -> Float[np.ndarray, "out m"]:
    """The trained weight times the numbers of its output channels that keep the largest deviation least.

    Least squares are pulled by rounding where a channel has a few steps. The largest deviation is convex in
    the number, so that thirds of its interval are dropped.
    """
    rows, target = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1)
    center = _factors(a.astype(np.float64), b.astype(np.float64), 0).reshape(-1, 1)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    error = np.abs(center * rows - target).max(axis=1, keepdims=True)
    radius = np.divide(2 * error, largest, out=np.zeros_like(error), where=largest > 0)
    low, high = center - radius, center + radius
    for _ in range(SEARCH):
        thirds = low + (high - low) / 3, high - (high - low) / 3
        errors = [np.abs(x * rows - target).max(axis=1, keepdims=True) for x in thirds]
        is_lower = errors[0] < errors[1]
        low, high = np.where(is_lower, low, thirds[0]), np.where(is_lower, thirds[1], high)
    return (low + high) / 2 * rows


def _factors(a: Weight, b: Weight, axis: int) -> np.ndarray:
    """The numbers, one for each channel of an axis, by which `a` comes nearest to `b`."""
    others = tuple(i for i in range(a.ndim) if i != axis)
    squares = np.square(a).sum(others, keepdims=True)
    products = (a * b).sum(others, keepdims=True)
    return np.divide(products, squares, out=np.ones_like(squares), where=squares > 0)


def _steps(b: Weight, lattice: Grid | None) -> tuple[str, Float[np.ndarray, "out m"]]:
    """The type of the values of a weight, and the step between neighbors at each of them."""
    rows = b.reshape(len(b), -1)
    if lattice is not None and not lattice.code:
        parts = rows if lattice.per_channel else rows.reshape(1, -1)
        steps = np.array([_grid_step(part, lattice.levels) for part in parts])
        bits = min(max(math.ceil(math.log2(lattice.levels + 1)) + 1, 2), 8)
        return f"int{bits}", np.broadcast_to(steps[:, None], rows.shape)
    if lattice is not None:
        return lattice.code, np.full(rows.shape, np.nan)
    name = narrowest(b) or "float32"
    if name == "float32":
        return name, np.spacing(np.abs(rows)).astype(np.float64)
    return name, 2 * half_unit(rows, name).astype(np.float64)


def _grid_step(row: Float[np.ndarray, " m"], levels: int) -> float:
    """The widest step of which the values of a row are whole multiples; NaN for a row of zeros."""
    values = np.abs(row[row != 0]).astype(np.float64)
    if not len(values):
        return math.nan
    for count in range(1, levels + 1):
        multiples = values * (count / values.max())
        if np.abs(multiples - np.round(multiples)).max() <= MISS:
            return float(values.max() / count)
    return float(values.max() / levels)


def _same(layers: tuple[Deviation, ...]) -> str:
    """The sentence on a network that is the trained one."""
    folded = any(layer.folded for layer in layers)
    storages = sorted({layer.storage for layer in layers if layer.steps} - {"float32"})
    how = ["folded"] if folded else []
    for verb, names in (
        ("quantized", [name for name in storages if not name.startswith(("float16", "bfloat"))]),
        ("rounded", [name for name in storages if name.startswith(("float16", "bfloat"))]),
    ):
        if names:
            how.append(f"{verb} to {' and '.join(names)}")
    worst = max(layers, key=lambda layer: np.nan_to_num(layer.steps))
    if not worst.steps > 0:
        return ", ".join(["the same network", *([" and ".join(how)] if how else [])])
    unit = "steps" if worst.storage.startswith("int") else "units in the last place"
    largest = f"largest deviation {worst.steps:.2g} {unit} of {worst.storage}, in {worst.deployed}"
    return f"the same network{', ' if how else ''}{' and '.join(how)}; {largest}"


def _other(comparison: Comparison, differing: list[Deviation], count: int) -> str:
    """The sentence on a network that is not, or not only, the trained one."""
    parts = [f"{comparison.relation.label}, not the same network"]
    if differing:
        worst = sorted(differing, key=lambda layer: -layer.steps)[:SHOWN]
        names = ", ".join(f"{x.deployed} ({x.steps:.2g} steps of {x.storage})" for x in worst)
        parts.append(f"{len(differing)} of {count} layers differ: {names}")
    if comparison.unmatched:
        parts.append(f"{len(comparison.unmatched)} layers have no partner")
    return "; ".join(parts)
