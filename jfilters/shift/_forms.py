"""The forms in which a kernel set comes to a comparison, and the basis and bins that both sides share.

Imports no compiler: histograms of NumPy are compared on the host.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..statistics import Basis, fixed_edges
from ..statistics.internal import RealArray, defined, described, namespace

BINS = 70
"""Bins of a histogram of kernels unless edges are given. Source: arXiv:2203.15331."""


class Frame(NamedTuple):
    """What both sides of a drift are counted in.

    - `basis`: what kernels are projected on; None where both sides are histograms.
    - `edges`: of the bins, in units of a coefficient.
    - `variance_ratio`: the weight of each component.
    - `spatial`: the size of kernels; None if any of the basis' number of taps is right.
    - `dtype`: what kernels are rounded to before they are normalized.
    """

    basis: Basis | None
    edges: Float[RealArray, " edges"]
    variance_ratio: Float[RealArray, " d"]
    spatial: tuple[int, ...] | None = None
    dtype: str = "float32"


def frame_of(
    a: Any,
    b: Any,
    *,
    variance_ratio: Float[RealArray, " d"] | None,
    basis: Any,
    edges: Float[RealArray, " edges"] | None,
) -> Frame:
    """Return what `a` and `b` are counted in: what a `Reference` among them holds, or what is given.

    Raises ValueError where that is too little, where it is given twice, and for two references that
    differ in it.
    """
    references = [side for side in (a, b) if is_reference(side)]
    if references:
        _check_given_once(basis, edges)
        _check_same(references[0], references[-1])
        return _frame_of_reference(references[0], variance_ratio)
    if basis is not None and not isinstance(basis, Basis):
        raise ValueError(f"expected a jf.Basis as basis, got {described(basis)}")
    if basis is None and not (is_histogram(a) and is_histogram(b)):
        raise ValueError(
            "expected a basis to project kernels on, got none; pass basis= (jf.load_basis, "
            "jf.fit_basis) or a jf.Reference, or let jf.kernel_drift fit one"
        )
    if variance_ratio is None and basis is None:
        raise ValueError("expected variance_ratio or basis to weight components, got neither")
    weights = basis.variance_ratio if variance_ratio is None and basis else variance_ratio
    assert weights is not None  # one of both is given
    bins = next((side.shape[-1] for side in (a, b) if is_histogram(side)), BINS)
    return Frame(basis, fixed_edges(len(weights), bins) if edges is None else edges, weights)


def is_reference(value: Any) -> bool:
    """Return True for a `Reference`, which this module does not import: it needs a compiler."""
    return hasattr(value, "histogram") and hasattr(value, "basis") and hasattr(value, "edges")


def is_histogram(value: Any) -> bool:
    """Return True for counts: an array of integers."""
    return is_array(value) and np.issubdtype(value.dtype, np.integer)


def is_array(value: Any) -> bool:
    """Return True for arrays of NumPy and JAX, also for those that JAX traces."""
    return hasattr(value, "__array_namespace__") and hasattr(value, "ndim")


def counts_of(histogram: Any, where: Any, frame: Frame) -> Any:
    """Return the counts of a histogram or a reference, which are of the components of the frame.

    Raises TypeError for integers that are no histogram: kernels are of floating point. Raises ValueError
    for a mask, which kernels alone have.
    """
    if where is not None:
        raise ValueError("a mask chooses kernels, and a histogram has none; leave out where")
    counts = histogram.histogram if is_reference(histogram) else histogram
    d, bins = len(frame.variance_ratio), len(frame.edges) - 1
    if counts.ndim < 2 or counts.shape[-2:] != (d, bins):
        raise TypeError(
            f"expected integers to be counts (*sets, d, bins) = (*sets, {d}, {bins}), got "
            f"{described(counts)}; kernels are of floating point"
        )
    return counts


def aligned(first: Any, second: Any) -> tuple[Any, Any]:
    """Return both histograms with as many leading axes.

    Raises ValueError where they are of different numbers of sets or layers.
    """
    sets = [tuple(counts.shape[:-2]) for counts in (first, second)]
    try:
        axes = len(np.broadcast_shapes(*sets))
    except ValueError as error:
        raise ValueError(
            f"expected as many sets or layers on both sides, got {sets[0]} and {sets[1]}"
        ) from error
    missing = [(1,) * (axes - len(shape)) for shape in sets]
    return first.reshape(missing[0] + first.shape), second.reshape(missing[1] + second.shape)


def alike(first: Any, second: Any) -> tuple[Any, Any]:
    """Return both arrays as JAX arrays of one type, if one of them is one, and else as they are."""
    spaces = [namespace(array) for array in (first, second)]
    if spaces[0] is spaces[1]:
        return first, second
    place = 0 if spaces[1] is np else 1
    dtype = (first, second)[place].dtype
    return spaces[place].asarray(first, dtype=dtype), spaces[place].asarray(second, dtype=dtype)


def where_defined(values: Any, first: Any, second: Any) -> Any:
    """Return the values, NaN where a histogram holds no kernels, or kernels that are not finite."""
    xp = namespace(values)
    is_defined = [xp.asarray(_has_kernels(counts)) for counts in (first, second)]
    return xp.asarray(defined(is_defined[0] & is_defined[1], values))


def _has_kernels(counts: Any) -> Any:
    xp = namespace(counts)
    # Integers of many kernels would overflow in their sum.
    n = xp.sum(counts.astype(xp.asarray(0.0).dtype), axis=-1)
    return xp.all((n > 0) & (n < np.inf), axis=-1)


def _frame_of_reference(reference: Any, variance_ratio: Any) -> Frame:
    weights = reference.basis.variance_ratio if variance_ratio is None else variance_ratio
    return Frame(reference.basis, reference.edges, weights, reference.spatial, reference.dtype)


def _check_given_once(basis: Any, edges: Any) -> None:
    if basis is not None or edges is not None:
        raise ValueError("a reference holds its own basis and edges; leave out basis= and edges=")


def _check_same(first: Any, second: Any) -> None:
    if first is second:
        return
    fields = ("basis.mean", "basis.components", "basis.variance_ratio", "edges")
    for name in fields:
        here, there = (_field(reference, name) for reference in (first, second))
        if here.shape != there.shape or not _agree(here, there):
            raise ValueError(
                f"expected references in one basis and the same bins, got two that differ in {name}; "
                "make both with the basis= and edges= of one"
            )


def _field(reference: Any, name: str) -> Any:
    for part in name.split("."):
        reference = getattr(reference, part)
    return reference


def _agree(here: Any, there: Any) -> bool:
    """Return True if two arrays are equal up to float32; traced ones have no values to compare."""
    try:
        return np.allclose(np.asarray(here), np.asarray(there), rtol=1e-5, atol=1e-6)
    except TypeError:  # JAX's error for the conversion of a traced array
        return True
