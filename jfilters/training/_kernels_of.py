"""The kernels behind whatever a training loop holds: parameters, a module, or `Kernels` themselves."""

from typing import Any

from ..converters import from_params
from ..kernels import Kernels


def kernels_of(params: Any, spatial: tuple[int, ...] | None = None) -> Kernels:
    """Return the convolution layers of `params`, of one kernel size or of all.

    Raises ValueError where there is none, with the sizes that there are.
    """
    kernels = params if isinstance(params, Kernels) else from_params(params)
    chosen = kernels.select(spatial=spatial)
    if not chosen:
        sizes = sorted({weight.shape[2:] for weight in kernels.weights})
        expected = "convolution layers" if spatial is None else f"layers of {spatial} kernels"
        remedy = (
            "choose one of them with spatial" if sizes else "pass the parameters of the network"
        )
        raise ValueError(f"params: expected {expected}, got kernels of sizes {sizes}; {remedy}")
    return chosen
