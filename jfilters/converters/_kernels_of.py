"""The kernels behind whatever holds a network: `Kernels`, a path, a module or parameters."""

from typing import Any

from ..io import is_path
from ..kernels import Kernels
from ._frameworks import is_torch_module
from ._load import load
from ._params import from_params
from ._torch._modules import from_module


def kernels_of(network: Any) -> Kernels:
    """Return the `Kernels` of a path, a module or parameters; `Kernels` themselves as they are."""
    if isinstance(network, Kernels):
        return network
    if is_path(network):
        return load(network)
    return from_module(network) if is_torch_module(network) else from_params(network)
