"""A differentiable penalty on output channels of one layer that point in like directions."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..statistics import orthogonality
from ._layer_mean import Weight, layer_mean


def orthogonality_penalty(weight_or_params: Any) -> Float[Array, ""]:
    """1 - O, the mean absolute cosine between distinct output channels; the mean over layers.

    0 where all channels are orthogonal, 1 where all are parallel; the scale of a channel does not
    count. Its gradient is finite everywhere. A zero channel counts as orthogonal and stays zero. A layer
    of a single channel gives 0. More channels than a row has weights cannot be orthogonal.

    **Arguments:**

    - `weight_or_params`: a weight (out, in, *spatial), or parameters as `from_params` takes them, of which
      convolutions larger than 1x1 count.

    Raises ValueError for parameters without a convolution, and for an array that is no such weight.

    Source: orthogonality after Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331; as a regularizer, with
    squares, Bansal et al., NeurIPS 2018, arXiv:1810.09102.
    """
    return layer_mean(_parallel, weight_or_params)


def _parallel(weight: Weight) -> Float[Array, ""]:
    if len(weight) < 2:
        return jnp.zeros((), weight.dtype)
    return 1 - orthogonality(weight)
