"""Drift D between kernel sets in any form: kernels, histograms, probabilities, or a reference.

Imports no compiler: histograms of NumPy are compared on the host in float64. Kernels are counted on the
device, under jit too.
"""

from typing import Any

from jaxtyping import Float

from ..statistics import Basis
from ..statistics.internal import RealArray, described, namespace
from ._divergence import drift_components, probability
from ._forms import (
    Frame,
    aligned,
    alike,
    counts_of,
    frame_of,
    is_array,
    is_histogram,
    is_reference,
    where_defined,
)


def drift(
    a: Any,
    b: Any,
    variance_ratio: Float[RealArray, " d"] | None = None,
    *,
    basis: Basis | None = None,
    edges: Float[RealArray, " edges"] | None = None,
    where_a: Any = None,
    where_b: Any = None,
) -> Float[RealArray, "*sets"]:
    """Return the drift D between two kernel sets, in nats.

    D(P, Q) = sum_i a_i sum_b (P_ib - Q_ib) (ln P_ib - ln Q_ib), the variance-ratio-weighted sum of both
    Kullback-Leibler divergences of each component's histogram. 0 for equal histograms, symmetric, without
    an upper bound. In the basis and edges of a scan it is the number that the scan gives. Works under jit
    and vmap. The gradient with respect to kernels is zero: `soft_drift` has one.

    **Arguments:**

    - `a`, `b`: each in one of four forms.
        - Kernels, floating point: (n, d) rows or an (out, in, *spatial) weight; or `Kernels` of one size,
          which give one value a layer (`kernels.rows()` is all of them as one set). They are counted on
          the device, float16 in float32.
        - Counts, integers: (*sets, d, bins) histograms. Leading axes stack; NumPy gives float64.
        - A `Reference`, which needs neither basis nor edges.
        - Probabilities, floating point: (*sets, d, bins) as `probability` gives them. Both sides are, if
          `variance_ratio` is given and no basis.
    - `variance_ratio`: the weight a of each component; that of the basis unless given.
    - `basis`: what kernels are projected on.
    - `edges`: of equally wide bins, in units of a coefficient; `fixed_edges` of 70 bins unless given.
    - `where_a`, `where_b`: masks of the kernels that count: (n,), or (out, in) of a weight; a mask for each
      layer of `Kernels`.

    **Returns:** a scalar, or one value a set or layer. NaN if a kernel that counts is not finite, or if
    none counts.

    **Raises:** ValueError for a missing basis, other numbers of taps or bins, and what is no kernel set.
    TypeError for kernels that are not of floating point.

    Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.

    >>> import jax
    >>> import jfilters as jf
    >>> kernels = jax.random.normal(jax.random.key(0), (500, 9))
    >>> reference = jf.Reference.of(kernels)
    >>> basis, edges = reference.basis, reference.edges
    >>> float(jf.drift(kernels, kernels, basis=basis, edges=edges))
    0.0
    >>> bool(jax.jit(jf.drift)(reference, kernels**3) > 0.1)
    True
    """
    if _are_probabilities(a, b, variance_ratio, basis):
        _check_unused(edges=edges, where_a=where_a, where_b=where_b)
        return _total(a, b, variance_ratio)
    frame = frame_of(a, b, variance_ratio=variance_ratio, basis=basis, edges=edges)
    first, second = aligned(_counts(a, where_a, frame), _counts(b, where_b, frame))
    p, q = alike(*(probability(counts, frame.edges) for counts in (first, second)))
    return where_defined(_total(p, q, frame.variance_ratio), first, second)


def _are_probabilities(a: Any, b: Any, variance_ratio: Any, basis: Any) -> bool:
    if variance_ratio is None or basis is not None:
        return False
    if any(is_reference(side) or is_histogram(side) for side in (a, b)):
        return False
    shapes = [side.shape[-2:-1] if is_array(side) else () for side in (a, b)]
    if shapes != [(len(variance_ratio),)] * 2:
        raise ValueError(
            f"expected probabilities (*sets, {len(variance_ratio)}, bins) beside variance_ratio, got "
            f"{described(a)} and {described(b)}; kernels need basis= too"
        )
    return True


def _check_unused(**options: Any) -> None:
    names = [name for name, value in options.items() if value is not None]
    if names:
        raise ValueError(f"probabilities are compared as they are; leave out {', '.join(names)}")


def _counts(side: Any, where: Any, frame: Frame) -> Any:
    if is_reference(side) or is_histogram(side):
        return counts_of(side, where, frame)
    from ._kernel_histograms import counted, hard_counts  # a compiler, which histograms do not need

    return counted(side, where, frame, hard_counts)


def _total(p: Any, q: Any, variance_ratio: Any) -> Any:
    xp = namespace(p)
    return xp.asarray(xp.sum(drift_components(p, q, variance_ratio), axis=-1))
