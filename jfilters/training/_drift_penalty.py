"""A differentiable penalty on kernels whose distribution leaves that of a reference."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from ..shift import Reference, soft_drift
from ..shift.internal import kernel_rows
from ._kernels_of import kernels_of

WIDTH = 1.0
"""Of a bin: every kernel has a gradient, which is the smoothest there is."""


def drift_penalty(reference: Any, *, width: float = WIDTH) -> Callable[[Any], Float[Array, ""]]:
    """Return the penalty `soft_drift` from a reference, in nats, as a function of parameters.

    All kernels of the size of the reference are one kernel set, whatever layer they are of: what stays is
    the distribution that the whole network has, and layers may exchange roles. For a layer by itself, pass
    its weight. Normalized kernels alone count, so that the scale of a kernel is free. The gradient is
    finite everywhere; a zero kernel stays zero. In float32 at least, whatever the network computes in.

    **Arguments:**

    - `reference`: a `jf.Reference`, of a scan, a group of one, or the network at its start.
    - `width`: as in `soft_drift`; every kernel has a gradient at 1.

    **Returns:** a function of a weight (out, in, *spatial), or of parameters as `from_params` takes them.
    It runs under jit and grad, and raises ValueError for parameters without such kernels.

    Source: drift after Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331; this form derived for this project.

    >>> import jax
    >>> import jfilters as jf
    >>> start = {"conv": {"kernel": jax.random.normal(jax.random.key(0), (3, 3, 16, 32))}}
    >>> reference = jf.Reference.of(jf.from_params(start))
    >>> penalty = jf.training.drift_penalty(reference)
    >>> moved = jax.tree.map(lambda x: x**3, start)
    >>> bool(penalty(start) < 0.01), bool(penalty(moved) > 0.1)
    (True, True)
    """
    if not isinstance(reference, Reference):
        name = type(reference).__name__
        raise ValueError(f"expected a jf.Reference, got {name}; jf.Reference.of makes one of it")

    taps = len(reference.basis.mean)

    def penalty(weight_or_params: Any) -> Float[Array, ""]:
        """Return the soft drift of the kernels of a weight or of parameters from the reference."""
        kernels = weight_or_params
        if not isinstance(kernels, jax.Array | np.ndarray):
            layers = kernels_of(kernels, reference.spatial)
            kernels = kernel_rows(layers, taps=taps, spatial=reference.spatial).kernels
        return soft_drift(kernels, reference, width=width)

    return penalty
