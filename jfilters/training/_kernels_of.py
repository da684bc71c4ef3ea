"""The kernels behind whatever a training loop holds: parameters, a module, or `Kernels` themselves."""

from typing import Any

from ..converters import from_params
from ..kernels import Kernels


def kernels_of(params: Any, spatial: tuple[int, ...] | None = None) -> Kernels:
    """The convolution layers of `params`, of one kernel size or of all.

    Raises ValueError where there is none, with the sizes that there are.
    """
    kernels = params if isinstance(params, Kernels) else from_params(params)
    chosen = kernels.select(spatial=spatial)
    if not chosen:
        found = sorted({weight.shape[2:] for weight in kernels.weights})
        wanted = "convolution layers" if spatial is None else f"layers of {spatial} kernels"
        remedy = (
            "choose one of them with spatial" if found else "pass the parameters of the network"
        )
        raise ValueError(f"params: expected {wanted}, got kernels of sizes {found}; {remedy}")
    return chosen
