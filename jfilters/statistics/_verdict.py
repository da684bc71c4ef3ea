"""The verdict on the health of a layer: a label, and a reason with the numbers that led to it.

Plain Python on numbers that the statistics gave; NaN stands for a number that is undefined. The variance
entropy of few kernels is lower than that of many kernels of the same law, so that its limit falls with
their number, and has a margin within which the number of kernels is too small to tell.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ._randomness import mean_random_entropy, random_entropy_deviation
from ._tracing import on_host

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
    if n_nonfinite:
        return Verdict("non-finite", f"{n_nonfinite} of {n_kernels} kernels hold NaN or infinity")
    if n_kernels and max_abs == 0:
        return Verdict("all-zero", f"all weights of all {n_kernels} kernels are 0")
    entropy = variance_entropy if n_kernels >= d else math.nan
    suspicions = _suspicions(n_kernels, sparsity, entropy, threshold, d)
    return next(suspicions, None) or _unsuspicious(n_kernels, sparsity, entropy, threshold, d)


def entropy_limit(n: int, d: int) -> float:
    """Return the variance entropy below which `n` kernels with `d` taps are of low diversity.

    For many kernels 0.5 log10(d) / log10(9), the published limit. For few it is as far below as the
    mean entropy of random kernels is below log10(d). NaN for n < d or d < 2.
    """
    return LOW_ENTROPY / math.log10(_LOW_ENTROPY_TAPS) * float(mean_random_entropy(n, d))


def entropy_margin(n: int, d: int) -> float:
    """Return how far from `entropy_limit` the entropy of `n` kernels must be to tell; 0 for many."""
    if n < max(d, 2):
        return math.inf
    scale = math.sqrt(math.log10(d) / math.log10(_LOW_ENTROPY_TAPS))
    margin = _DEVIATIONS * ENTROPY_SPREAD * scale / math.sqrt(n - 1)
    return margin if margin > _NEGLIGIBLE * entropy_limit(n, d) else 0.0


def _suspicions(
    n: int, sparsity: float, entropy: float, threshold: float, d: int
) -> Iterator[Verdict]:
    # Comparisons with NaN are false, so what is undefined raises no suspicion.
    limit = entropy_limit(n, d) - entropy_margin(n, d)
    low, sparse = entropy < limit, sparsity >= HIGH_SPARSITY
    low_text = f"variance entropy {entropy:.3f} is below {limit:.3f}"
    sparse_text = f"sparsity {sparsity:.3f} is at least {HIGH_SPARSITY}"
    if low and sparse:
        yield Verdict("collapsed", f"{low_text} and {sparse_text}")
    if entropy >= threshold - RANDOM_MARGIN and _can_tell_random(n, d):
        random = f"{threshold:.3f}, that of {n} random kernels, less {RANDOM_MARGIN}"
        yield Verdict("random-like", f"variance entropy {entropy:.3f} reaches {random}")
    if sparse:
        yield Verdict("sparse", sparse_text)
    if low:
        yield Verdict("low-diversity", low_text)


def _unsuspicious(n: int, sparsity: float, entropy: float, threshold: float, d: int) -> Verdict:
    if n < d:
        return Verdict("too-few-kernels", f"{n} kernels cannot fill {d} directions")
    limit, margin = entropy_limit(n, d), entropy_margin(n, d)
    if abs(entropy - limit) < margin:
        between = f"variance entropy {entropy:.3f} is within {margin:.3f} of {limit:.3f}"
        return Verdict("too-few-kernels", f"{between}, the error for {n} kernels")
    if entropy >= threshold - RANDOM_MARGIN:
        random = f"variance entropy {entropy:.3f} reaches {threshold:.3f} less {RANDOM_MARGIN}"
        return Verdict("too-few-kernels", f"{random}, but {n} kernels do not tell what is random")
    numbers = f"variance entropy {entropy:.3f} of random {threshold:.3f}, sparsity {sparsity:.3f}"
    return Verdict("healthy", numbers)


def _can_tell_random(n: int, d: int) -> bool:
    """Return whether the entropy of random layers varies within the margin: from 47 kernels of 9 taps."""
    return _DEVIATIONS * random_entropy_deviation(n, d) <= RANDOM_MARGIN
