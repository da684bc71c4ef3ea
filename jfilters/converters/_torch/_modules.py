"""Live torch modules as `Kernels`: a module knows its groups and its kind, nothing is inferred."""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..._traced import kind_of
from ...errors import CheckpointError, MissingExtraError
from ...kernels import Kernels
from .._axes import for_rank
from .._frameworks import is_torch_tensor, numpy_of
from .._select import Selected, select
from .._stored import StoredArray
from ._effective import effective_weight, is_parametrized, source_of


def from_module(module: Any) -> Kernels:
    """Collect the convolutions of a torch.nn.Module, as float32, in the order of registration.

    Each weight is the one that the next forward pass in eval mode applies: masks, weight norm, spectral
    norm and other parametrizations are computed, whatever an earlier pass left behind. The module itself is
    not changed. A weight that several modules share counts once.

    **Arguments:**

    - `module`: any module of torch with initialized weights, on any device.

    **Returns:** the `Kernels`, whose weights are JAX arrays.

    **Raises:** CheckpointError for anything but a module with initialized weights, and where a weight
    cannot be determined; MissingExtraError without torch.

    >>> import torch
    >>> from_module(torch.nn.Sequential(torch.nn.Conv2d(8, 16, 3))).names
    ('0.weight',)
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "torch") from error
    if not isinstance(module, torch.nn.Module):
        reason = f"expected a torch.nn.Module, found {kind_of(module)}"
        raise CheckpointError(reason, remedy="from_params reads what is not torch's")
    with torch.no_grad():
        layers, _ = select(list(_convolutions(module)), "registration-order")
        weights = tuple(jnp.asarray(_weight(selected)) for selected in layers)
    return Kernels(weights=weights, layers=tuple(selected.layer for selected in layers))


def module_arrays(module: Any) -> Iterator[StoredArray]:
    """Return all arrays of a module: what its convolutions apply, and the other tensors with reasons."""
    import torch

    with torch.no_grad():
        convolutions = list(_convolutions(module))
    yield from convolutions
    names = {array.name for array in convolutions}
    for name, tensor in module.state_dict().items():
        if name not in names and is_torch_tensor(tensor):
            dtype = str(tensor.dtype).removeprefix("torch.")
            read = functools.partial(numpy_of, tensor)
            reason = _reason(name, tensor.ndim)
            yield StoredArray(name, tuple(tensor.shape), dtype, read, reason=reason)


def _reason(name: str, rank: int) -> str | None:
    """Return a reason for what is no convolution, where its shape alone would not tell."""
    is_source = _SOURCE.search(name) is not None
    return "the source of an applied weight" if is_source else _NO_CONVOLUTION if rank > 2 else None


_SOURCE = re.compile(r"parametrizations\.|(^|\.)weight_(orig|mask|g|v|u)$")
_NO_CONVOLUTION = "no weight of a convolution"


def _convolutions(module: Any) -> Iterator[StoredArray]:
    sources = []
    for name, part in module.named_modules():
        if not _is_convolution(part):
            continue
        name = f"{name}.weight".removeprefix(".")
        source = source_of(part)
        if any(source is other for other in sources):
            continue
        sources.append(source)
        weight = effective_weight(part, name)
        yield _stored(name, weight, part.groups, part.transposed)


def _is_convolution(part: Any) -> bool:
    is_one = hasattr(part, "groups") and hasattr(part, "transposed")
    return is_one and (is_parametrized(part) or hasattr(part, "weight"))


def _stored(name: str, weight: Any, groups: int, transposed: bool) -> StoredArray:
    try:
        shape = tuple(weight.shape)
    except (AttributeError, RuntimeError) as error:
        remedy = "run the module once before it is analyzed, and dequantize it"
        raise CheckpointError("no weight of known shape", tensor=name, remedy=remedy) from error
    return StoredArray(
        name=name,
        shape=shape,
        dtype=str(weight.dtype).removeprefix("torch."),
        read=_reader(weight),
        axes=for_rank("IOHW" if transposed else "OIHW", len(shape)),
        groups=groups,
        transposed=transposed,
    )


def _reader(weight: Any) -> Callable[[], np.ndarray]:
    return lambda: weight.detach().cpu().float().numpy()


def _weight(selected: Selected) -> np.ndarray:
    return np.ascontiguousarray(selected.arrangement.apply(selected.stored.read()))
