"""The verdict on the health of a layer: a label, and a reason with the numbers that led to it.

Plain Python on numbers that the statistics gave; NaN stands for a number that is undefined. The variance
entropy of few kernels is lower than that of many kernels of the same law, so that its limit falls with
their number, and has a margin within which the number of kernels is too small to tell.
"""

import math
from typing import Any, Literal, NamedTuple

from .._traced import on_host
from ._arrays import namespace
from ._randomness import mean_random_entropy, random_entropy_deviation

VerdictLabel = Literal[
    "non-finite",
    "all-zero",
    "collapsed",
    "random-like",
    "sparse",
    "low-diversity",
    "too-few-kernels",
    "healthy",
]

VERDICTS: tuple[VerdictLabel, ...] = (
    "non-finite",
    "all-zero",
    "collapsed",
    "random-like",
    "sparse",
    "low-diversity",
    "too-few-kernels",
    "healthy",
)
"""Every label, most worrying first; a layer gets the first that fits."""

# Source of the three limits: arXiv:2203.15331, supplement.
RANDOM_MARGIN = 0.02
LOW_ENTROPY = 0.5
HIGH_SPARSITY = 0.14
"""Share of sparse kernels from which a layer is called sparse."""

_LOW_ENTROPY_TAPS = 9

ENTROPY_SPREAD = 0.37
"""Standard deviation of the variance entropy of n kernels with 9 taps, near `LOW_ENTROPY`, times √(n - 1).

Fitted to smooth Gaussian layers; for other d it scales with √(log10 d). tests/statistics/test_verdict.py
fits it again.
"""

_DEVIATIONS = 2.0
_NEGLIGIBLE = 0.1
"""Share of the limit: a smaller margin is none, and the published limit decides alone."""


class Verdict(NamedTuple):
    """A label of `VERDICTS`, and the reason in one sentence with numbers."""

    label: VerdictLabel
    reason: str


class Limits(NamedTuple):
    """Limits that the number of a layer's kernels sets; arrays of several layers.

    - `entropy`, `margin`: `entropy_limit` and `entropy_margin`.
    - `is_few`: fewer kernels than taps, of which the entropy says nothing.
    - `tells_random`: whether the entropy of random layers varies within the margin.
    """

    entropy: Any
    margin: Any
    is_few: Any
    tells_random: Any

    @classmethod
    def of(cls, n_kernels: Any, d: int) -> "Limits":
        """The limits of so many kernels with `d` taps: a number, or an array of floating point."""
        entropy, margin = entropy_limit(n_kernels, d), entropy_margin(n_kernels, d)
        return cls(entropy, margin, n_kernels < d, _can_tell_random(n_kernels, d))


def conditions(
    limits: Limits,
    *,
    n_kernels: Any,
    n_nonfinite: Any,
    max_abs: Any,
    sparsity: Any,
    variance_entropy: Any,
    threshold: Any,
) -> tuple[Any, ...]:
    """Return for each of `VERDICTS` whether it fits, the last always; numbers, or arrays of layers.

    The first that holds is the verdict. Other arguments are those of `judge`.
    """
    # Comparisons with NaN are false, so what is undefined raises no suspicion.
    is_enough = limits.is_few == False  # noqa: E712 - of arrays and of numbers alike
    low = is_enough & (variance_entropy < limits.entropy - limits.margin)
    near = abs(variance_entropy - limits.entropy) < limits.margin
    random = is_enough & (variance_entropy >= threshold - RANDOM_MARGIN)
    sparse = sparsity >= HIGH_SPARSITY
    return (
        n_nonfinite > 0,
        (n_kernels > 0) & (max_abs == 0),
        low & sparse,
        random & limits.tells_random,
        sparse,
        low,
        limits.is_few | near | random,
        sparse | True,
    )


@on_host("judge the returned numbers outside of the program")
def judge(
    *,
    n_kernels: int,
    n_nonfinite: int,
    max_abs: float,
    sparsity: float,
    variance_entropy: float,
    threshold: float,
    d: int,
) -> Verdict:
    """Return the most worrying verdict that fits one layer. Runs on the host; plain Python.

    **Arguments:**

    - `n_kernels`, `n_nonfinite`: kernels in the layer, and those with a NaN or infinite weight.
    - `max_abs`, `sparsity`, `variance_entropy`: the statistics of those names.
    - `threshold`: `randomness_threshold` for this many kernels.
    - `d`: taps of a kernel. The limit on entropy, published for d = 9, scales with log10 d, and with
      the share of log10 d that `n_kernels` random kernels reach.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331, supplement.
    """
    limits = Limits.of(n_kernels, d)
    fits = conditions(
        limits,
        n_kernels=n_kernels,
        n_nonfinite=n_nonfinite,
        max_abs=max_abs,
        sparsity=sparsity,
        variance_entropy=variance_entropy,
        threshold=threshold,
    )
    label = VERDICTS[[bool(is_fitting) for is_fitting in fits].index(True)]
    if label == "non-finite":
        return Verdict(label, f"{n_nonfinite} of {n_kernels} kernels hold NaN or infinity")
    if label == "all-zero":
        return Verdict(label, f"all weights of all {n_kernels} kernels are 0")
    reasons = _reasons(limits, n_kernels, sparsity, variance_entropy, threshold, d)
    return Verdict(label, reasons[label])


def entropy_limit(n: Any, d: int) -> Any:
    """Return the variance entropy below which `n` kernels with `d` taps are of low diversity.

    For many kernels 0.5 log10(d) / log10(9), the published limit. For few it is as far below as the
    mean entropy of random kernels is below log10(d). NaN for n < d or d < 2.
    """
    return LOW_ENTROPY / math.log10(_LOW_ENTROPY_TAPS) * mean_random_entropy(n, d)


def entropy_margin(n: Any, d: int) -> Any:
    """Return how far from `entropy_limit` the entropy of `n` kernels must be to tell; 0 for many."""
    xp = namespace(n)
    scale = math.sqrt(math.log10(d) / math.log10(_LOW_ENTROPY_TAPS))
    margin = _DEVIATIONS * ENTROPY_SPREAD * scale / xp.sqrt(xp.maximum(n, 2) - 1)
    notable = xp.where(margin > _NEGLIGIBLE * entropy_limit(n, d), margin, 0)
    return xp.where(n < max(d, 2), math.inf, notable)


def _reasons(
    limits: Limits, n: int, sparsity: float, entropy: float, threshold: float, d: int
) -> dict[VerdictLabel, str]:
    """The sentence that gives the reason of each label that rests on numbers."""
    low = f"variance entropy {entropy:.3f} is below {limits.entropy - limits.margin:.3f}"
    sparse = f"sparsity {sparsity:.3f} is at least {HIGH_SPARSITY}"
    random = f"{threshold:.3f}, that of {n} random kernels, less {RANDOM_MARGIN}"
    numbers = f"variance entropy {entropy:.3f} of random {threshold:.3f}, sparsity {sparsity:.3f}"
    return {
        "collapsed": f"{low} and {sparse}",
        "random-like": f"variance entropy {entropy:.3f} reaches {random}",
        "sparse": sparse,
        "low-diversity": low,
        "too-few-kernels": _why_few(limits, n, entropy, threshold, d),
        "healthy": numbers,
    }


def _why_few(limits: Limits, n: int, entropy: float, threshold: float, d: int) -> str:
    if n < d:
        return f"{n} kernels cannot fill {d} directions"
    if abs(entropy - limits.entropy) < limits.margin:
        near = f"within {limits.margin:.3f} of {limits.entropy:.3f}"
        return f"variance entropy {entropy:.3f} is {near}, the error for {n} kernels"
    random = f"variance entropy {entropy:.3f} reaches {threshold:.3f} less {RANDOM_MARGIN}"
    return f"{random}, but {n} kernels do not tell what is random"


def _can_tell_random(n: Any, d: int) -> Any:
    """Return whether the entropy of random layers varies within the margin: from 47 kernels of 9 taps."""
    return _DEVIATIONS * random_entropy_deviation(n, d) <= RANDOM_MARGIN
