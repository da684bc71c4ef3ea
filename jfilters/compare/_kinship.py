"""Kinship of two checkpoints by their whole weights: a cosine that is zero for strangers, and its z.

Kernels count as unit vectors less their mean, so that neither scale nor the smoothness that all networks
share changes it. Source: METHOD, Lineage, measured on 162 real networks.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..lineage.internal import (
    FEWEST_KERNELS,
    FLOOR,
    ONE_DIRECTION,
    SIMILAR,
    SMALLEST_COSINE,
    SMALLEST_Z,
    centered_directions,
    threshold,
)
from ..statistics.internal import host_unit_kernels

Weight = Float[np.ndarray, "out in *spatial"]

LEAST_Z = 5.0
"""Standard deviations from which few networks are kin: one pair of strangers in two million reaches it."""


class LayerKinship(NamedTuple):
    """Cosine of the centered unit kernels of two layers, over all kernels, and its variance for strangers.

    NaN where fewer than two kernels have a direction, or all have the same one.
    """

    n: int
    cosine: float
    variance: float

    @property
    def z(self) -> float:
        """The cosine in standard deviations of strangers; NaN where it is undefined."""
        return self.cosine / math.sqrt(self.variance) if self.variance > 0 else math.nan

    @property
    def is_evident(self) -> bool:
        """Return whether the layers are evidence of kinship by themselves, of either sign."""
        is_large = self.n >= FEWEST_KERNELS and abs(self.cosine) >= SMALLEST_COSINE
        return is_large and abs(self.z) >= SMALLEST_Z


class Kinship(NamedTuple):
    """Kinship of two networks: the mean cosine of their matched layers, weighted by its precision.

    - `cosine`, `z`: the mean, and the same in standard deviations of strangers; NaN where no layer tells.
    - `deviation`: the standard deviation of the mean for strangers.
    - `least_z`: the z from which the networks are kin.
    - `evident`: places of the layers that are evidence by themselves.
    """

    cosine: float
    z: float
    deviation: float
    least_z: float
    evident: tuple[int, ...]

    @classmethod
    def of(cls, layers: Iterable[LayerKinship], least_z: float = LEAST_Z) -> "Kinship":
        """Return the kinship of two networks, given that of their matched layers."""
        layers = list(layers)
        evident = tuple(i for i, layer in enumerate(layers) if layer.is_evident)
        defined = [layer for layer in layers if layer.variance > 0]
        precision = sum(1 / layer.variance for layer in defined)
        if not precision:
            return cls(math.nan, math.nan, math.nan, least_z, evident)
        cosine = sum(layer.cosine / layer.variance for layer in defined) / precision
        deviation = 1 / math.sqrt(precision)
        return cls(cosine, cosine / deviation, deviation, least_z, evident)

    @property
    def smallest(self) -> float:
        """The smallest cosine of kin; above 1 where no kernels could tell."""
        return max(FLOOR, self.least_z * self.deviation)

    @property
    def are_kin(self) -> bool:
        """Return whether the networks are kin, with kernels of one sign or of opposite ones."""
        return abs(self.cosine) >= self.smallest

    @property
    def are_partly_kin(self) -> bool:
        """Return whether networks that are not kin as a whole have layers that go back to one another."""
        return not self.are_kin and len(self.evident) >= SIMILAR

    @property
    def alarm(self) -> float:
        """Chance of strangers to reach `least_z`, of either sign."""
        return math.erfc(self.least_z / math.sqrt(2))

    def evident_layers(self, names: Sequence[str]) -> list[str]:
        """Return the sentence on layers that are kin by themselves; none without such layers."""
        if not self.evident:
            return []
        layers = ", ".join(names[i] for i in self.evident)
        return [
            f"yet kin in {len(self.evident)} of {len(names)} matched layers, each with r of "
            f"{SMALLEST_COSINE} and z of {SMALLEST_Z} or more: {layers}"
        ]

    def record(self) -> dict[str, float | int | None]:
        """Return the numbers for JSON; None where they are undefined."""
        numbers = {
            "cosine": self.cosine,
            "z": self.z,
            "smallest": self.smallest,
            "least_z": self.least_z,
            "alarm": self.alarm,
        }
        finite = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
        return finite | {"evident_layers": len(self.evident)}


def least_z(n: int) -> float:
    """Return the z from which two of n compared networks are kin: that of lineage, `LEAST_Z` at least.

    >>> least_z(2), round(least_z(650), 1)
    (5.0, 5.3)
    """
    return max(LEAST_Z, threshold(n).z)


def layer_kinship(a: Weight, b: Weight) -> LayerKinship:
    """Return the kinship of two layers of one shape, kernel by kernel as they are stored.

    Over random matchings of the kernels the cosine r = <a, b> / (|a| |b|) of the centered unit kernels has
    mean 0 and variance tr(a'a b'b) / ((n - 1) |a|^2 |b|^2). Kernels without a direction in either layer,
    which are zero or not finite, are left out. Runs on the host.

    Source: Hoeffding, "A combinatorial central limit theorem", 1951.
    """
    rows = _rows(a), _rows(b)
    u, n, _ = centered_directions(rows[0])
    v, m, _ = (u, n, None) if b is a else centered_directions(rows[1])
    if min(n, m) < len(u):
        has_direction = _has_direction(rows[0]) & _has_direction(rows[1])
        u, n, _ = centered_directions(rows[0][has_direction])
        v, _, _ = centered_directions(rows[1][has_direction])
    return _of_directions(u, v, n)


def mean_parallelism(a: Weight, b: Weight) -> float:
    """Return the mean absolute cosine of matched kernels: 1 where each is its partner times a number.

    Pairs with a kernel that is zero or not finite are left out; NaN without others. Runs on the host.
    """
    u, v = (host_unit_kernels(_rows(x)) for x in (a, b))
    both = u.any(axis=1) & v.any(axis=1)
    cosines = np.abs(np.einsum("ij,ij->i", u, v)[both])
    return float(cosines.mean(dtype=np.float64)) if len(cosines) else math.nan


def kinship_reasons(kinship: Kinship, names: Sequence[str]) -> list[str]:
    """Return the sentences on the kinship of two networks whose matched layers have these names."""
    if math.isnan(kinship.cosine):
        return ["no kernels that could show kinship"]
    if kinship.are_kin:
        numbers = f"kinship r {kinship.cosine:.2f} (z {kinship.z:.0f})"
        reach = f"strangers of this size reach {kinship.smallest:.2g} ({_rate(kinship)})"
        negated = ["negative: the kernels of one are those of the other negated"]
        return [f"{numbers}, {reach}", *(negated if kinship.cosine < 0 else [])]
    numbers = f"no kinship found: r {kinship.cosine:.3f} (z {kinship.z:.1f})"
    if kinship.smallest >= 1:
        return [f"{numbers}; too few kernels: of equal ones too no kinship would show"]
    limit = f"kin of r {kinship.smallest:.2g} or more would have been seen"
    partly = kinship.evident_layers(names) if kinship.are_partly_kin else []
    return [f"{numbers}; {limit} (strangers: {_rate(kinship)})", *partly]


def _rate(kinship: Kinship) -> str:
    return f"at most one pair in {1 / kinship.alarm / 1e6:.1f} million"


def _of_directions(
    u: Float[np.ndarray, "n d"], v: Float[np.ndarray, "n d"], n: int
) -> LayerKinship:
    grams = [(x.T @ x).astype(np.float64) for x in (u, v)]
    totals = [float(np.trace(gram)) for gram in grams]
    if n < 2 or min(totals) <= ONE_DIRECTION * n:
        return LayerKinship(n, math.nan, math.nan)
    product = np.sum(np.einsum("ij,ij->i", u, v), dtype=np.float64)
    squares = math.prod(totals)
    variance = np.sum(grams[0] * grams[1]) / ((n - 1) * squares)
    return LayerKinship(n, float(product) / math.sqrt(squares), float(variance))


def _has_direction(rows: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    return np.asarray(host_unit_kernels(rows).any(axis=1))


def _rows(weight: Weight) -> Float[np.ndarray, "n d"]:
    return weight.reshape(weight.shape[0] * weight.shape[1], -1)
