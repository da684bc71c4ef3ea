"""A layer of a deployed network beside the trained one: by how many steps of its type it is off.

The numbers of channels are taken off before, as a folded norm or an equalized range multiplies them. The
deployed layer is the one with the coarser type, whichever network it belongs to.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ..shift.internal import Grid, Steps, steps
from ._unfolding import Folded, unfolded

Weight = Float[np.ndarray, "out in *spatial"]
Rows = Float[np.ndarray, "out m"]

MOST: dict[str, float] = {"float32": 16.0, "float16": 2.0, "bfloat16": 2.0}
"""Units in the last place of a float that a layer may be off: products are rounded, some of them twice."""

MOST_STEPS = 1.0
"""Steps of any other type that a layer may be off: rounding makes half of one, another mode one."""

NEGLIGIBLE = 1e-3
"""Steps up to which a deviation is that of this comparison's own arithmetic."""

LARGE = 1.5
"""Steps from which a value is evidence: one step and zero are a step apart, whatever the network."""

_COARSE = ("int2", "int3", "int4", "int5", "int6", "int7", "int8")
_ORDER = (*_COARSE, "float8_e5m2", "float8_e4m3fn", "bfloat16", "float16", "int16", "float32")


class Deviation(NamedTuple):
    """What storage made of one layer, and by how much that explains too little.

    - `deployed`: the side with the coarser type: 0 the first, 1 the second, also for equal types.
    - `folded`: for what there is a number each that the weights were multiplied with; None without any.
    - `storage`: the type of the values of the deployed layer, such as "int8" or "float16".
    - `steps`: the largest deviation in steps between values of that type; NaN where it has no step.
    - `relative`: the length of the deviation over that of the layer.
    - `values`: values of more than a step, which zero would not explain, less the numbers of channels.
    """

    deployed: Literal[0, 1]
    folded: Folded | None
    storage: str
    steps: float
    relative: float
    values: int

    @property
    def is_same(self) -> bool:
        """Return whether storage explains the deviation."""
        return self.steps <= MOST.get(self.storage, MOST_STEPS)

    @property
    def unit(self) -> str:
        """The words for the steps of the type."""
        return f"{'units in the last place' if self.storage in MOST else 'steps'} of {self.storage}"

    @property
    def text(self) -> str:
        """The deviation in words; in floats that storage does not explain, as a part of the length."""
        if not self.is_same and self.storage in MOST:
            return "" if math.isnan(self.relative) else f"off by {self.relative:.2g} of its length"
        is_told = NEGLIGIBLE <= self.steps < math.inf
        return f"off by {self.steps:.2g} {self.unit}" if is_told else ""

    @property
    def coarseness(self) -> int:
        """The place of the type, from float32 to the coarsest."""
        return len(_ORDER) - (_ORDER.index(self.storage) if self.storage in _ORDER else 0)


def deviation(
    a: Weight, b: Weight, grids: tuple[Grid | None, Grid | None], *, is_rounded: bool = False
) -> Deviation:
    """Return how far two layers are apart, beyond numbers of channels, in steps of the coarser type.

    Args:
        a, b: the weights, the second as it was aligned with the first.
        grids: the grids that their values lie on.
        is_rounded: rounding alone explains the difference, so that no number is taken off.
    """
    if np.array_equal(a, b):
        return Deviation(1, None, "float32", 0.0, 0.0, int(np.count_nonzero(b)))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Deviation(1, None, "float32", math.nan, math.nan, 0)
    sides = [steps(weight, lattice) for weight, lattice in zip((a, b), grids, strict=True)]
    places = [_ORDER.index(x.storage) if x.storage in _ORDER else 0 for x in sides]
    deployed: Literal[0, 1] = 0 if places[0] < places[1] else 1
    if deployed == 0:
        a, b, sides = b, a, sides[::-1]
    # Rounding errors are those of one step a row, so that rows are compared in their steps.
    size = _row_sizes(sides[1].values).reshape(-1, *[1] * (a.ndim - 1))
    wide, narrow = a / size, b / size
    factors, folded = np.ones((1,) * a.ndim), None
    if not is_rounded:
        is_coarse = sides[1].storage.startswith("int")
        factors, folded = unfolded(wide, narrow, is_coarse=is_coarse)
    widths = _widths(sides, factors, a.shape) / size.reshape(-1, 1)
    wide *= factors
    errors, target = np.abs(np.subtract(wide, narrow, out=wide)), narrow.reshape(len(b), -1)
    errors = errors.reshape(len(b), -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Zeros on both sides are no deviation, whatever the step.
        counts = np.where(errors == 0, 0.0, errors / widths)
    largest = math.nan if np.isnan(counts).any() else float(counts.max(initial=0.0))
    del counts
    # Lengths are those of the weights, not of steps.
    errors *= size.reshape(-1, 1)
    length = float(np.linalg.norm(b))
    relative = float(np.linalg.norm(errors)) / length if length > 0 else math.nan
    with np.errstate(invalid="ignore"):
        values = int(np.count_nonzero(np.abs(target) > LARGE * widths))
    values -= max(a.shape[:2]) if folded else 0
    return Deviation(deployed, folded, sides[1].storage, largest, relative, values)


def _row_sizes(widths: Rows) -> Float[np.ndarray, " out"]:
    """Return the largest step of each row; 1 for rows of zeros."""
    sizes = np.nan_to_num(widths, nan=0.0).max(axis=1, initial=0.0)
    return np.where(sizes > 0, sizes, 1.0)


def _widths(sides: list[Steps], factors: np.ndarray, shape: tuple[int, ...]) -> Rows:
    """Return the step of every value: that of the deployed layer, or of the trained one if wider."""
    source, target = sides
    if source.storage == "float32":
        return target.values
    numbers = np.broadcast_to(np.abs(factors), shape).reshape(len(target.values), -1)
    return np.fmax(target.values, source.values * numbers)
