"""A penalty on one weight becomes a penalty on the layers of a network: their mean."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._kernels_of import kernels_of

Weight = Float[Array, "out in *spatial"]


def layer_mean(
    penalty: Callable[[Weight], Float[Array, ""]], weight_or_params: Any
) -> Float[Array, ""]:
    """The mean of `penalty` over the convolution layers of parameters, or that of a single weight.

    Computed in float32 at least, whatever the network computes in.
    """
    if isinstance(weight_or_params, jax.Array | np.ndarray):
        weights = (_checked(jnp.asarray(weight_or_params)),)
    else:
        weights = kernels_of(weight_or_params).weights
    terms = [penalty(weight.astype(_at_least_float32(weight))) for weight in weights]
    return jnp.mean(jnp.stack(terms))


def _checked(weight: Array) -> Array:
    if weight.ndim < 3 or weight.size == 0 or weight[0, 0].size < 2:
        raise ValueError(
            f"expected a weight (out, in, *spatial) of two taps or more, got shape {weight.shape}"
        )
    return weight


def _at_least_float32(weight: Array) -> Any:
    return weight.dtype if jnp.finfo(weight.dtype).bits > 32 else jnp.float32
