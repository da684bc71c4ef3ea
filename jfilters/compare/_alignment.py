"""The second of two weights as it is compared with the first: turned, in another order, or rescaled."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from ..shift import KernelSimilarity, kernel_similarity
from ..shift.internal import Grid, channel_order, grid, is_related, rescaling
from ._factors import Scope, factor_scope, kernel_factors
from ._kinship import layer_kinship, mean_parallelism
from ._transforms import Transform, find_transform, negation

Weight = Float32[np.ndarray, "out in *spatial"]

ALIKE = 0.9
"""Cosine of two layers from which no transformation is looked for."""

RESCALED = 0.05
"""Share of the squared difference that numbers for each kernel leave; of 9 taps training leaves 8/9."""

PARALLEL = 1 - 1e-4
"""Mean absolute cosine from which all kernels are parallel (METHOD, Lineage)."""

NEGATED = -0.999
"""Cosine down to which parallel kernels have both signs: then channels were flipped, not the layer."""


class Alignment(NamedTuple):
    """The second weight as it is compared, its cosines with the first, and what was done to it."""

    weight: Weight
    similarity: KernelSimilarity
    reordered: bool = False
    transform: Transform | None = None


class Scaling(NamedTuple):
    """How far numbers for each kernel explain a difference, and for what there is one number each.

    `remainder` is the share of the squared difference that they leave, `parallelism` the mean absolute
    cosine, and `scope` None where the kernels are not parallel.
    """

    remainder: float | None
    parallelism: float
    scope: Scope | None

    @property
    def explains(self) -> bool:
        """Return whether the kernels of one are those of the other times numbers."""
        return self.scope is not None


def align(a: Weight, b: Weight) -> Alignment:
    """Return `b` under the transformation, or in the order of channels, in which it is like `a`.

    Either is looked for only where `b` is not like `a` as it is stored; a transformation first.
    """
    similarity = kernel_similarity(_rows(a), _rows(b))
    if a is b:
        return Alignment(b, similarity)
    transform = _transform(a, b)
    if transform is not None:
        turned = transform(b)
        return Alignment(turned, kernel_similarity(_rows(a), _rows(turned)), False, transform)
    is_found = is_related(similarity) or mean_parallelism(a, b) >= PARALLEL
    order = None if is_found else channel_order(a, b)
    if order is None:
        return Alignment(b, similarity)
    ordered = np.ascontiguousarray(b[order[0]][:, order[1]])
    again = kernel_similarity(_rows(a), _rows(ordered))
    return Alignment(ordered, again, True) if is_related(again) else Alignment(b, similarity)


def scaling(a: Weight, b: Weight) -> Scaling:
    """Return how far `b` is `a` with its kernels multiplied by numbers."""
    remainder, parallelism = rescaling(a, b), mean_parallelism(a, b)
    is_scaled = remainder is not None and remainder <= RESCALED and parallelism >= PARALLEL
    return Scaling(
        remainder, parallelism, factor_scope(kernel_factors(a, b)) if is_scaled else None
    )


def grids(a: Weight, b: Weight) -> tuple[Grid | None, Grid | None]:
    """Return the grids that the values of both lie on, each with the other in the same scale.

    A folded norm multiplies channels before they are rounded, so that the difference is one of scales.
    """
    remainder = rescaling(a, b)
    if remainder is None or remainder > RESCALED:
        return grid(a, b), grid(b, a)
    return grid(a, _scaled(b, a)), grid(b, _scaled(a, b))


def _scaled(weight: Weight, to: Weight) -> Weight:
    """Return the kernels of a weight times the numbers that bring them nearest to another."""
    factors = np.nan_to_num(kernel_factors(weight, to), nan=1.0)
    axes = tuple(range(2, weight.ndim))
    return (weight * np.expand_dims(factors, axes)).astype(np.float32)


def _transform(a: Weight, b: Weight) -> Transform | None:
    """Return the transformation under which `b` is like `a`; of parallel kernels their sign alone."""
    cosine = layer_kinship(a, b).cosine
    if cosine >= ALIKE:
        return None
    if mean_parallelism(a, b) >= PARALLEL:
        return negation(a.ndim - 2) if cosine <= NEGATED else None
    return find_transform(a, b, 0.0 if np.isnan(cosine) else cosine)


def _rows(weight: Weight) -> Float[np.ndarray, "n d"]:
    return weight.reshape(weight.shape[0] * weight.shape[1], -1)
