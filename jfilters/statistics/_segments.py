"""Layers of any size as segments of one size, so that one program measures all of them.

A segment is a share of the kernels of one layer, padded and masked; results are summed by layer.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num, Shaped

from ._moments import Moments

SEGMENT = 1_024
"""Kernels of a segment: few enough that small layers cost little, many enough for a fast product."""


class Segments(NamedTuple):
    """Kernels in segments; `valid` marks those that are finite and no padding, the others are zero.

    `layer_of` is the index of each segment's layer, in order; it is static.
    """

    kernels: Float[Array, "segments rows d"]
    valid: Bool[Array, "segments rows"]
    layer_of: tuple[int, ...]

    @property
    def n_layers(self) -> int:
        """The number of layers, each of which has a segment at least."""
        return self.layer_of[-1] + 1

    def per_segment(self, values: Num[Array, " layers *s"]) -> Num[Array, " segments *s"]:
        """Return the value of its layer for each segment."""
        return values[np.asarray(self.layer_of)]

    def sum_by_layer(self, values: Num[Array, " segments *s"]) -> Num[Array, " layers *s"]:
        """Sum over the segments of each layer."""
        return jax.ops.segment_sum(
            values, np.asarray(self.layer_of), self.n_layers, indices_are_sorted=True
        )

    def max_by_layer(self, values: Float[Array, " segments"]) -> Float[Array, " layers"]:
        """Return the largest value over the segments of each layer."""
        return jax.ops.segment_max(
            values, np.asarray(self.layer_of), self.n_layers, indices_are_sorted=True
        )


def segmented(
    weights: tuple[Float[Array, "..."], ...], masks: tuple[Bool[Array, "..."], ...] | None = None
) -> Segments:
    """Return the kernels of weights (out, in, *spatial) of one kernel size, as float32 at least.

    Kernels that their mask (out, in) leaves out are as little valid as padding.
    """
    d = math.prod(weights[0].shape[2:])
    dtype = at_least_float32(*weights)
    rows = [weight.reshape(-1, d).astype(dtype) for weight in weights]
    counts = [max(math.ceil(len(layer) / SEGMENT), 1) for layer in rows]
    kernels = _in_segments(rows, counts)
    if masks is None:
        masks = tuple(jnp.ones(len(layer), bool) for layer in rows)
    is_kernel = _in_segments([mask.reshape(-1, 1) for mask in masks], counts)[..., 0]
    valid = jnp.isfinite(kernels).all(axis=2) & is_kernel
    layer_of = tuple(np.repeat(np.arange(len(counts)), counts).tolist())
    return Segments(jnp.where(valid[..., None], kernels, 0), valid, layer_of)


def at_least_float32(*arrays: Float[Array, "..."]) -> Any:
    """Return the type to compute in: float64 if one of the arrays has it, else float32."""
    return jnp.float64 if any(array.dtype == jnp.float64 for array in arrays) else jnp.float32


def merged(moments: Moments, segments: Segments) -> Moments:
    """Merge the moments of segments into those of layers."""
    n, means, scatter = map(jnp.asarray, (moments.count, moments.mean, moments.scatter))
    count = segments.sum_by_layer(n)
    mean = segments.sum_by_layer(n[:, None] * means) / jnp.maximum(count, 1)[:, None]
    delta = means - segments.per_segment(mean)
    between = n[:, None, None] * delta[:, :, None] * delta[:, None, :]
    return Moments(count=count, mean=mean, scatter=segments.sum_by_layer(scatter + between))


def _in_segments(layers: Sequence[Shaped[Array, "_ d"]], counts: Sequence[int]) -> Array:
    padded = [
        jnp.pad(rows, ((0, SEGMENT * count - len(rows)), (0, 0)))
        for rows, count in zip(layers, counts, strict=True)
    ]
    return jnp.concatenate(padded).reshape(-1, SEGMENT, layers[0].shape[1])
