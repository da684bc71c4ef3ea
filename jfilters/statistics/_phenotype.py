"""A label for the picture that kernels make in the plane of their first two coefficients.

The labels are those of arXiv:2203.15331, which gave them by eye; the features and limits that decide here
are this project's. NumPy on the host: a picture has a few thousand points.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from .._traced import on_host

PhenotypeLabel = Literal["sun", "spikes", "symbols", "point"]

PHENOTYPES: tuple[PhenotypeLabel, ...] = ("sun", "spikes", "symbols", "point")
"""Near-Gaussian; with a few hot spots; of several parts, off center or otherwise shaped; gathered at 0."""

NEAR = 0.25
"""Length of the two coefficients up to which a kernel counts as at 0. A kernel's largest tap is 1, and the
coefficients of a varied layer spread over about 1 in the first component."""

POINT_SHARE = 0.5
"""Share of kernels at 0 from which the picture is a point; 3 % of a Gaussian of spread 1 lie there."""

SPOTS = 8
"""Fullest spots whose kernels are counted together."""

SPOT_WIDTH = 1 / 8
"""Width of a spot in units of the spread; the eight fullest hold 3 % of 20,000 Gaussian kernels and 11 % of
200."""

SPIKES_SHARE = 1 / 3
"""Share of kernels in the fullest spots from which they are spikes."""

OFF_CENTER = 1.0
"""Distance of the mean from 0, in spreads, from which the picture is off center."""

SHAPE_LIMIT = 0.08
"""Kolmogorov distance from a Gaussian up to which a picture is near one, beside that of sampling: that of
two equal clusters three and a half of their widths apart."""

_SAMPLING = 0.9
"""Kolmogorov distance times sqrt(n) that 5 % of Gaussian samples exceed. Source: Lilliefors, 1967."""

_ANGLES = np.arange(4) * np.pi / 4


class PhenotypeFeatures(NamedTuple):
    """Numbers that decide the label; all but `near_zero` do not depend on the scale of the picture.

    - `near_zero`: share of kernels within `NEAR` of 0.
    - `in_spots`: share of kernels in the `SPOTS` fullest squares of a side of `SPOT_WIDTH` spreads.
    - `off_center`: distance of the mean from 0 in spreads.
    - `not_gaussian`: the largest Kolmogorov distance from the Gaussian of the same mean and covariance,
      along four directions and in radius.
    - `spread`: median distance from the mean, in units of coefficients, as the standard deviation of the
      round Gaussian that has it.
    """

    near_zero: float
    in_spots: float
    off_center: float
    not_gaussian: float
    spread: float


class Phenotype(NamedTuple):
    """A label of `PHENOTYPES`, the reason in one sentence with numbers, and the features."""

    label: PhenotypeLabel
    reason: str
    features: PhenotypeFeatures


@on_host("label the returned coefficients outside of the program")
def phenotype(coefficients: Float[np.ndarray, "n 2"]) -> Phenotype:
    """Return the label of `n` kernels by their first two coefficients.

    Point before spikes before symbols before sun: the first that fits. Of few kernels, below 200, the
    spots of a Gaussian sample look like spikes. Runs on the host, in float64.

    Raises ValueError for no kernels, and for a coefficient that is not finite.

    Source: the labels are those of Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
    """
    points = np.asarray(coefficients, np.float64)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError(f"expected finite coefficients of kernels, got {len(points)} rows")
    features = _features(points)
    sun = f"near a Gaussian: Kolmogorov distance {features.not_gaussian:.3f}"
    label, reason = next(_suspicions(features, len(points)), ("sun", sun))
    return Phenotype(label, reason, features)


def _suspicions(x: PhenotypeFeatures, n: int) -> Iterator[tuple[PhenotypeLabel, str]]:
    limit = SHAPE_LIMIT + _SAMPLING / math.sqrt(n)
    if x.near_zero >= POINT_SHARE:
        yield "point", f"{x.near_zero:.0%} of the kernels lie within {NEAR} of 0"
    if x.in_spots >= SPIKES_SHARE:
        yield "spikes", f"{x.in_spots:.0%} of the kernels lie in {SPOTS} spots"
    if x.off_center >= OFF_CENTER:
        yield "symbols", f"the mean lies {x.off_center:.2f} spreads off center"
    if x.not_gaussian > limit:
        distance = f"Kolmogorov distance {x.not_gaussian:.3f}, limit {limit:.3f}"
        yield "symbols", f"not near a Gaussian: {distance}"


def _features(points: Float[np.ndarray, "n 2"]) -> PhenotypeFeatures:
    mean = points.mean(axis=0)
    centered = points - mean
    # The median radius of a round Gaussian is sqrt(2 ln 2) of its standard deviation.
    spread = float(np.median(np.hypot(*centered.T))) / math.sqrt(2 * math.log(2))
    spread = spread or float(np.sqrt(np.mean(centered**2)))
    return PhenotypeFeatures(
        near_zero=float(np.mean(np.hypot(*points.T) <= NEAR)),
        in_spots=_in_spots(centered / spread) if spread else 1.0,
        off_center=float(np.hypot(*mean)) / spread if spread else math.inf,
        not_gaussian=_not_gaussian(centered),
        spread=spread,
    )


def _in_spots(relative: Float[np.ndarray, "n 2"]) -> float:
    """Return the share of points in the fullest disjoint squares on a grid twice as fine."""
    cells = np.floor(relative * (2 / SPOT_WIDTH)).astype(np.int64)
    cells = np.clip(cells, -_WIDEST, _WIDEST - 1) + _WIDEST
    counts = np.zeros((2 * _WIDEST, 2 * _WIDEST), np.int64)
    np.add.at(counts, tuple(cells.T), 1)
    total = sum(_take_fullest(counts) for _ in range(SPOTS))
    return total / len(relative)


_WIDEST = 160  # half-cells from the mean, which is ten spreads; what lies further is at the border


def _take_fullest(counts: Int64[np.ndarray, "k k"]) -> int:
    """Return the number of points in the fullest square of two by two cells, which are emptied."""
    squares = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    row, column = np.unravel_index(np.argmax(squares), squares.shape)
    counts[row : row + 2, column : column + 2] = 0
    return int(squares[row, column])


def _not_gaussian(centered: Float[np.ndarray, "n 2"]) -> float:
    from scipy.special import ndtr  # 0.25 s, which only a picture pays for

    covariance = centered.T @ centered / len(centered)
    values, vectors = np.linalg.eigh(covariance)
    if values[0] <= 1e-12 * max(values[1], 1e-300):
        return 1.0  # on a line or in one place
    white = centered @ vectors / np.sqrt(values)
    directions = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    along = [_kolmogorov(ndtr(line)) for line in (white @ directions).T]
    # The squared length of two standard normal numbers is exponential.
    radius = _kolmogorov(-np.expm1(-np.sum(white**2, axis=1) / 2))
    return max(*along, radius)


def _kolmogorov(probabilities: Float[np.ndarray, " n"]) -> float:
    """Return the largest distance of an empirical distribution from the one of these probabilities."""
    ordered, n = np.sort(probabilities), len(probabilities)
    steps = np.arange(n + 1) / n
    return float(max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1])))
