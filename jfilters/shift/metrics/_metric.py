"""The record of a metric: what it is called, measures and reads, and how its nulls are made."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Num

from .._nulls import SamplingNull
from .._redeal import DealtSets

Reads = Literal["histogram", "moments", "sample"]
Rows = Num[np.ndarray, "n features"]
OtherRows = Num[np.ndarray, "m features"]
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the summed rows (r, features) of two groups, r values."""


class Space(NamedTuple):
    """The shared space in which kernel sets are compared.

    `edges` of the histogram bins in units of a coefficient, the `variance_ratio` that weights each
    component, and the orthonormal `components`, one a row.
    """

    edges: Float[np.ndarray, " edges"]
    variance_ratio: Float[np.ndarray, " d"]
    components: Float[np.ndarray, "d d"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Name, unit and meaning of a comparison of two kernel sets.

    **Arguments:**

    - `unit`: what the number counts.
    - `direction`: how to read its size: what 0 is, what is more, and its bound.
    - `null`: what it shows for two samples of one distribution.
    - `symmetric`: whether swapping the two sets changes nothing.
    """

    name: str
    unit: str
    direction: str
    null: str
    symmetric: bool = True

    reads: ClassVar[Reads]
    """What of a kernel set it is computed from: "histogram", "moments" or "sample"."""

    has_clean: ClassVar[bool] = True
    """Whether a scan keeps what it reads also for kernels without sparse ones."""


@dataclass(frozen=True, kw_only=True)
class SummedMetric(Metric, ABC):
    """A metric of features that add up over layers; one row of features is one layer or group."""

    is_quick_to_draw: ClassVar[bool] = False
    """Whether the sampling null can be drawn for any number of pairs."""

    @abstractmethod
    def shares(self, space: Space, first: Rows, second: OtherRows) -> Float[np.ndarray, "r d"]:
        """Return what each component adds to the metric, weighted, for rows against rows."""

    @abstractmethod
    def sampling_null(
        self,
        rng: np.random.Generator,
        space: Space,
        pooled: Num[np.ndarray, " features"],
        sets: DealtSets,
        *,
        replicates: int = 200,
    ) -> SamplingNull:
        """Return the null of two sides of one distribution with the sets that they have, by drawing.

        `pooled` are the features of both sides together, those of histograms in whole kernels.
        """

    def known_null(
        self, space: Space, pooled: Num[np.ndarray, " features"], sets: DealtSets
    ) -> SamplingNull | None:
        """Return `sampling_null` without drawing; None where no formula is known."""
        return None

    def statistic(self, space: Space) -> Statistic:
        """Return the metric as a function of the summed rows of two groups."""
        return lambda first, second: self.shares(space, first, second).sum(axis=-1)

    def matrix(self, space: Space, sums: Num[np.ndarray, "m features"]) -> Float[np.ndarray, "m m"]:
        """Return the metric between all pairs of rows, row against column."""
        rows = [self.shares(space, row[None], sums).sum(axis=-1) for row in sums]
        return np.stack(rows) if rows else np.zeros((0, 0))

    def matrices(
        self, space: Space, sums: Num[np.ndarray, "sets m features"]
    ) -> Float[np.ndarray, "sets m m"]:
        """Return `matrix` of every set of rows: nulls take it by the thousand."""
        return np.stack([self.matrix(space, rows) for rows in sums])
