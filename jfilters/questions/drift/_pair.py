"""Two groups compared, and the one rule by which a comparison gets its word."""

import dataclasses
from typing import Literal

from ...shift import SamplingNull

Label = Literal["shifted", "within null", "no test", "too few kernels"]

FEWEST = 100
"""Kernels of a group below which no number says much: sampling alone makes a drift of about 2 nats."""

ENOUGH = 10_000
"""Kernels of a group from which on sampling makes little: a drift of about 0.01 nats."""

ALPHA = 0.05
"""The probability of one false "shifted" among all pairs of a question."""


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of a group.

    `units` are what a test exchanges. `effective` is the number of equally weighted kernels with a mean of
    the same variance.
    """

    models: int
    units: int
    layers: int
    kernels: int
    effective: float


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two groups compared: from the first to the second.

    - `value`: of the metric, and `shares` what each component adds to it.
    - `sampling_null`: the values between two samples of one distribution, of the kernels that there are.
    - `debiased`: the value less the mean of the sampling null; it still holds the scatter of units.
    - `effect`: U, the drift between the two populations of units, without sampling and scatter, with its
      95 % interval from `effect_low` to `effect_high`. It may be negative.
    - `p`: of the population null, the share of relabeled units that differ as much; `p_adjusted` is
      corrected for the number of pairs, and `smallest_p` is the least that the units allow. The `reason`
      says why there is none.
    - `thinned_to`: kernels of every unit that the test compared, 0 where it took all; `units_out` counts
      units of fewer.

    Numbers that are not known are None.
    """

    first: str
    second: str
    within: str | None
    value: float | None
    debiased: float | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    shares: tuple[float, ...] | None
    first_size: Size
    second_size: Size
    sampling_null: SamplingNull | None
    p: float | None
    p_adjusted: float | None
    smallest_p: float
    reason: str | None
    thinned_to: int = 0
    units_out: int = 0

    @property
    def label(self) -> Label:
        """The result in words.

        - shifted: the adjusted p is at most `ALPHA`, and the value lies above the sampling null's 95 %.
        - too few kernels: `has_few_kernels`.
        - no test: there is no p, or no sampling null.
        - within null: otherwise, which does not prove that the groups are the same.
        """
        is_small_p = self.p_adjusted is not None and self.p_adjusted <= ALPHA
        if is_small_p and self._kernels >= FEWEST and self._is_above_sampling:
            return "shifted"
        if has_few_kernels(self.value, self.sampling_null, self._kernels):
            return "too few kernels"
        return "no test" if self.p_adjusted is None else "within null"

    @property
    def is_of_few_kernels(self) -> bool:
        """True where sampling alone may make most of the value: such pairs make no headline."""
        return self.label == "too few kernels"

    @property
    def _kernels(self) -> float:
        return min(self.first_size.effective, self.second_size.effective)

    @property
    def _is_above_sampling(self) -> bool:
        if self.value is None:
            return False
        return self.sampling_null is None or self.value > self.sampling_null.quantile95


def has_few_kernels(value: float | None, null: SamplingNull | None, kernels: float) -> bool:
    """Return True for a value of too few kernels to be read.

    Fewer than `FEWEST` in the smaller group; or fewer than `ENOUGH`, while the 95 % quantile of the
    sampling null is half of the value or more. Headlines, color scales and "furthest" leave these out.
    """
    if value is None or kernels < FEWEST:
        return True
    return null is not None and kernels < ENOUGH and value <= 2 * null.quantile95
