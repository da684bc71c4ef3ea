"""Parameters in memory, of Flax Linen, Flax NNX, Equinox, Keras or any pytree, as `Kernels`.

Leaves may be tracers, so weights are composed and arranged by their own methods and keep their dtype.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._traced import no_values_under_tracing
from ..errors import CheckpointError
from ..kernels import Kernels
from ..layers import DepthSource
from ._frameworks import is_keras_model, is_torch_module, is_torch_tensor, numpy_of
from ._names import split_params
from ._select import select
from ._stored import StoredArray


class _Hints(NamedTuple):
    """Facts that a module gives about a weight that it holds."""

    axes: str | None = None
    groups: int | None = None
    transposed: bool | None = None
    mirrored: bool | None = None
    stacked: int | None = None
    reason: str | None = None
    unread: bool = False


class _Item(NamedTuple):
    """An array and its path through the parameters."""

    path: tuple[str, ...]
    hints: _Hints
    value: Any  # of JAX, NumPy or torch


def from_params(params: Any, *, axes: str | None = None, network: str | None = None) -> Kernels:
    """Collect the convolution weights of parameters in memory; works under jit, vmap and grad.

    They are the weights that the network applies: weight norm and spectral norm are computed, layers that
    nn.scan or vmap stack come out one by one, and averages and states of optimizers are left out. Depth is
    the order of registration. Where every dict is sorted, as transformations of JAX leave them, that order
    is lost and depth is that of the names.

    **Arguments:**

    - `params`: Flax Linen variables, a Flax NNX module or state, an Equinox module, a Keras model, or any
      pytree of arrays. Modules tell the groups of their convolutions and which of them are transposed.
    - `axes`: the axis order, for example "HWIO", of arrays that no module or name tells.
    - `network`: read this part of `params` alone, for example "ema_params".

    **Returns:** the `Kernels`; the weights keep their dtype and may be tracers.

    **Raises:** ValueError if `params` holds no arrays, for unknown `axes` or `network`, and for a weight
    that the network convolves with and that cannot be read from `params`.

    >>> import jax.numpy as jnp
    >>> kernels = from_params({"params": {"Conv_0": {"kernel": jnp.ones((3, 3, 8, 16))}}})
    >>> kernels.names, kernels.weights[0].shape
    (('Conv_0/kernel',), (16, 8, 3, 3))
    """
    if isinstance(params, Kernels):
        raise ValueError(
            "params: expected parameters or a module, got Kernels, which are read already"
        )
    if is_torch_module(params):
        kind = type(params).__name__
        raise ValueError(f"params: expected arrays, got the torch module {kind}; use from_module")
    leaves, order = params_arrays(params)
    with no_values_under_tracing("from_params"):
        selected, skipped = select(leaves, order, axes, network, compare=False)
        for array in skipped:
            if array.unread:
                raise CheckpointError(array.reason, tensor=array.name, remedy=_REMEDY)
        weights = [item.arrangement.apply(item.stored.read()) for item in selected]
    return Kernels(
        weights=tuple(map(jnp.asarray, weights)), layers=tuple(item.layer for item in selected)
    )


def params_arrays(params: Any) -> tuple[list[StoredArray], DepthSource]:
    """Return all arrays of parameters in memory, and what their order means for depth.

    Raises ValueError if there are none.
    """
    if is_keras_model(params):
        from ._keras_model import model_arrays

        return model_arrays(params), "registration-order"
    items = list(_walk(params, (), _Hints(), set()))
    if not items:
        kind = type(params).__name__
        raise ValueError(f"params: expected arrays of JAX or NumPy, found none in this {kind}")
    leaves = [_leaf(item, isinstance(params, Mapping)) for item in items]
    return leaves, _order(params, items)


_REMEDY = "give the weights that the network applies"


def _leaf(item: _Item, is_mapping: bool) -> StoredArray:
    hints = item.hints._asdict()
    hints["unread"] &= item.value.ndim > 2
    network, name = split_params(item.path) if is_mapping else ("", ".".join(item.path))
    return StoredArray(
        name,
        tuple(item.value.shape),
        str(item.value.dtype).removeprefix("torch."),
        lambda: numpy_of(item.value) if is_torch_tensor(item.value) else item.value,
        network=network,
        **hints,
    )


def _walk(node: Any, path: tuple[str, ...], hints: _Hints, visited: set[int]) -> Iterator[_Item]:
    """The arrays below a node; those of a module that several others share only once."""
    value = _unboxed(node)
    if isinstance(value, jax.Array | np.ndarray) or is_torch_tensor(value):
        yield _Item(path, hints, value)
    elif id(node) not in visited:
        if _is_nnx(node):
            visited.add(id(node))
        hints_by_name = _child_hints(node)
        for name, child in _children(node):
            # What holds for a layer as a whole holds for all that it keeps.
            inner = hints if hints.unread else hints_by_name.get(name, _Hints())
            yield from _walk(child, (*path, name), inner, visited)


def _unboxed(node: Any) -> Any:
    """The value of a Flax variable or of a Linen box of metadata; anything else as it is."""
    from flax import nnx
    from flax.core import meta

    if isinstance(node, nnx.Variable):
        return node.get_value()
    return node.unbox() if isinstance(node, meta.AxisMetadata) else node


def _is_nnx(node: Any) -> bool:
    from flax import nnx

    return isinstance(node, nnx.Pytree)


def _children(node: Any) -> Iterable[tuple[str, Any]]:
    """The parts of a node by name, in the order in which they were registered."""
    if isinstance(node, Mapping):
        return [(str(key), child) for key, child in node.items()]
    if _is_nnx(node):
        return [(k, child) for k, child in vars(node).items() if not k.startswith("_pytree__")]
    parts, _ = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda part: part is not node)
    return [(jax.tree_util.keystr(keys, simple=True), child) for keys, child in parts if keys]


def _child_hints(node: Any) -> dict[str, _Hints]:
    """Return the hints that a node gives about its own arrays, by their names."""
    from flax import nnx

    match node:
        case eqx.nn.Conv():
            stacked = _surplus(node.weight, node.num_spatial_dims)
            return {"weight": _Hints("OIHW", node.groups, False, stacked=stacked)}
        case eqx.nn.ConvTranspose():
            stacked = _surplus(node.weight, node.num_spatial_dims)
            return {"weight": _Hints("OIHW", node.groups, True, True, stacked)}
        case eqx.nn.SpectralNorm():
            return {"layer": _Hints(reason=_BEFORE_NORM, unread=True)}
        case nnx.Conv():
            stacked = _surplus(node.kernel, len(node.kernel_size))
            return {"kernel": _Hints("HWIO", node.feature_group_count, False, stacked=stacked)}
        case nnx.ConvTranspose():
            stacked = _surplus(node.kernel, len(node.kernel_size))
            axes = "HWOI" if node.transpose_kernel else "HWIO"
            return {"kernel": _Hints(axes, 1, True, not node.transpose_kernel, stacked)}
        case nnx.LinearGeneral() | nnx.Einsum():
            return {"kernel": _Hints(reason="dense: no convolution")}
        case Mapping():
            return {"kernel": _Hints("HWIO")}
    return {}


_BEFORE_NORM = "stored before its spectral norm, whose vectors are kept in another state"


def _surplus(weight: Any, extents: int) -> int:
    """Count the leading axes of a weight that number layers, as vmap leaves them."""
    value = _unboxed(weight)
    return max(len(getattr(value, "shape", ())) - extents - 2, 0)


def _order(params: Any, items: list[_Item]) -> DepthSource:
    # No transformation of JAX sorts what holds tensors of torch.
    is_sortable = not any(is_torch_tensor(item.value) for item in items)
    if not is_sortable or (not isinstance(params, Mapping) and not _is_nnx(params)):
        return "registration-order"
    paths = [item.path for item in items]
    # The keys of lists sort as numbers, those of dicts as text.
    is_sorted = any(list(paths) == sorted(paths, key=key) for key in (tuple, _numbered))
    return "name-order" if is_sorted else "registration-order"


def _numbered(path: tuple[str, ...]) -> tuple:
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in path)
