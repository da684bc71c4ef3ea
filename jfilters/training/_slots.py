"""Layers of any size in slots of one size, so that one program measures all of them.

A slot holds kernels of one layer, padded; what is found in slots is added up into layers.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

from ..statistics import Moments

SLOT = 1_024
"""Kernels of a slot: few enough that small layers cost little, many enough for a fast product."""


class Slots(NamedTuple):
    """Kernels in slots; `valid` marks those that are finite and no padding, the others are zero.

    `owners` are the layers of the slots, in order, known before anything runs.
    """

    kernels: Float[Array, "slots rows d"]
    valid: Bool[Array, "slots rows"]
    owners: tuple[int, ...]

    @property
    def n_layers(self) -> int:
        """The number of layers, each of which has a slot at least."""
        return self.owners[-1] + 1

    def of_layer(self, values: Num[Array, " layers *s"]) -> Num[Array, " slots *s"]:
        """What each slot's layer has of one value a layer."""
        return values[np.asarray(self.owners)]

    def total(self, values: Num[Array, " slots *s"]) -> Num[Array, " layers *s"]:
        """The sum over the slots of each layer."""
        return jax.ops.segment_sum(
            values, np.asarray(self.owners), self.n_layers, indices_are_sorted=True
        )

    def largest(self, values: Float[Array, " slots"]) -> Float[Array, " layers"]:
        """The largest over the slots of each layer."""
        return jax.ops.segment_max(
            values, np.asarray(self.owners), self.n_layers, indices_are_sorted=True
        )


def in_slots(weights: tuple[Float[Array, "..."], ...]) -> Slots:
    """The kernels of weights (out, in, *spatial) of one kernel size, as float32."""
    d = math.prod(weights[0].shape[2:])
    rows = [weight.reshape(-1, d).astype(jnp.float32) for weight in weights]
    counts = [math.ceil(len(layer) / SLOT) for layer in rows]
    padded = [_padded(layer, SLOT * count) for layer, count in zip(rows, counts, strict=True)]
    inside = np.concatenate(
        [np.arange(SLOT * c) < len(layer) for layer, c in zip(rows, counts, strict=True)]
    )
    kernels = jnp.concatenate(padded).reshape(-1, SLOT, d)
    valid = jnp.isfinite(kernels).all(axis=2) & inside.reshape(-1, SLOT)
    owners = tuple(np.repeat(np.arange(len(counts)), counts).tolist())
    return Slots(jnp.where(valid[..., None], kernels, 0), valid, owners)


def merged(moments: Moments, slots: Slots) -> Moments:
    """The moments of layers from those of their slots."""
    n, means, scatter = map(jnp.asarray, (moments.count, moments.mean, moments.scatter))
    count = slots.total(n)
    mean = slots.total(n[:, None] * means) / jnp.maximum(count, 1)[:, None]
    delta = means - slots.of_layer(mean)
    between = n[:, None, None] * delta[:, :, None] * delta[:, None, :]
    return Moments(count=count, mean=mean, scatter=slots.total(scatter + between))


def _padded(rows: Float[Array, "n d"], n: int) -> Float[Array, "padded d"]:
    return jnp.pad(rows, ((0, n - len(rows)), (0, 0)))
