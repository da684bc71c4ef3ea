"""The kernels behind whatever holds a network: `Kernels`, a path, a module or parameters."""

from collections import Counter
from typing import Any

from ..io import is_path
from ..kernels import Kernels
from ._frameworks import is_torch_module
from ._load import load
from ._params import from_params, params_arrays
from ._select import select
from ._torch._modules import from_module, module_arrays


def kernels_of(network: Any) -> Kernels:
    """Return the `Kernels` of a path, a module or parameters; `Kernels` themselves as they are."""
    if isinstance(network, Kernels):
        return network
    if is_path(network):
        return load(network)
    return from_module(network) if is_torch_module(network) else from_params(network)


def skipped_reasons(network: Any) -> Counter[str]:
    """Count the arrays of a network in memory that are no layers, by their reasons; none of a path."""
    if isinstance(network, Kernels) or is_path(network):
        return Counter()
    if is_torch_module(network):
        arrays, order = list(module_arrays(network)), "registration-order"
    else:
        arrays, order = params_arrays(network)
    _, skipped = select(arrays, order, compare=False)
    return Counter(array.reason for array in skipped)
