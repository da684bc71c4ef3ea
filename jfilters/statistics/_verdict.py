"""The verdict on the health of a layer: a label, and a reason with the numbers that led to it.

Plain Python on numbers that the statistics gave; NaN stands for a number that is undefined.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

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


class Verdict(NamedTuple):
    """A label of `VERDICTS`, and the reason in one sentence with numbers."""

    label: VerdictLabel
    reason: str


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
    - `d`: taps of a kernel. The limit on entropy, published for d = 9, scales with log10 d.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331, supplement.
    """
    if n_nonfinite:
        return Verdict("non-finite", f"{n_nonfinite} of {n_kernels} kernels hold NaN or infinity")
    if n_kernels and max_abs == 0:
        return Verdict("all-zero", f"all weights of all {n_kernels} kernels are 0")
    entropy = variance_entropy if n_kernels >= d else math.nan
    suspicions = _suspicions(n_kernels, sparsity, entropy, threshold, d)
    return next(suspicions, None) or _unsuspicious(n_kernels, sparsity, entropy, threshold, d)


def _suspicions(
    n: int, sparsity: float, entropy: float, threshold: float, d: int
) -> Iterator[Verdict]:
    # Comparisons with NaN are false, so what is undefined raises no suspicion.
    limit = LOW_ENTROPY * math.log10(d) / math.log10(_LOW_ENTROPY_TAPS)
    low, sparse = entropy < limit, sparsity >= HIGH_SPARSITY
    low_text = f"variance entropy {entropy:.3f} is below {limit:.3f}"
    sparse_text = f"sparsity {sparsity:.3f} is at least {HIGH_SPARSITY}"
    if low and sparse:
        yield Verdict("collapsed", f"{low_text} and {sparse_text}")
    if entropy >= threshold - RANDOM_MARGIN:
        random = f"{threshold:.3f}, that of {n} random kernels, less {RANDOM_MARGIN}"
        yield Verdict("random-like", f"variance entropy {entropy:.3f} reaches {random}")
    if sparse:
        yield Verdict("sparse", sparse_text)
    if low:
        yield Verdict("low-diversity", low_text)


def _unsuspicious(n: int, sparsity: float, entropy: float, threshold: float, d: int) -> Verdict:
    if n < d:
        return Verdict("too-few-kernels", f"{n} kernels cannot fill {d} directions")
    numbers = f"variance entropy {entropy:.3f} of random {threshold:.3f}, sparsity {sparsity:.3f}"
    return Verdict("healthy", numbers)
