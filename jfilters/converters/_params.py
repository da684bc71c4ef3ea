"""Parameters in memory, of Flax Linen, Flax NNX, Equinox or any pytree, as `Kernels`.

Leaves may be tracers, so weights are arranged by their own methods and keep their dtype.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..kernels import DepthSource, Kernels
from ._names import split_params
from ._select import select
from ._stored import StoredArray


class _Told(NamedTuple):
    """What a module knows about a weight that it holds."""

    axes: str | None = None
    groups: int | None = None
    transposed: bool | None = None
    reason: str | None = None


class _Found(NamedTuple):
    """An array and its path through the parameters."""

    path: tuple[str, ...]
    told: _Told
    value: jax.Array | np.ndarray


def from_params(params: Any, *, axes: str | None = None) -> Kernels:
    """The convolution weights of parameters in memory; works under jit, vmap and grad.

    **Arguments:**

    - `params`: Flax Linen variables, a Flax NNX module or state, an Equinox module, or any pytree
      of arrays. Modules tell the groups of their convolutions and which of them are transposed.
    - `axes`: the axis order, for example "HWIO", of arrays that no module or name tells.

    Depth is the order of registration. Where every dict is sorted, as transformations of JAX leave
    them, that order is lost and depth is that of the names.

    Raises ValueError if `params` holds no arrays, or for unknown `axes`.
    """
    found = list(_walk(params, (), _Told(), set()))
    if not found:
        kind = type(params).__name__
        raise ValueError(f"params: expected arrays of JAX or NumPy, found none in this {kind}")
    leaves = [_leaf(item, isinstance(params, Mapping)) for item in found]
    selected, _ = select(leaves, _order(params, [item.path for item in found]), axes)
    # By identity: a name need not be unique, and tracers cannot go through `StoredArray.read`.
    values = {id(leaf): item.value for leaf, item in zip(leaves, found, strict=True)}
    weights = (item.arrangement.apply(values[id(item.stored)]) for item in selected)
    return Kernels(
        weights=tuple(map(jnp.asarray, weights)), layers=tuple(item.layer for item in selected)
    )


def _leaf(found: _Found, is_mapping: bool) -> StoredArray:
    network, name = split_params(found.path) if is_mapping else ("", ".".join(found.path))
    return StoredArray(
        name,
        tuple(found.value.shape),
        str(found.value.dtype),
        functools.partial(np.asarray, found.value),
        network=network,
        **found.told._asdict(),
    )


def _walk(node: Any, path: tuple[str, ...], told: _Told, seen: set[int]) -> Iterator[_Found]:
    """The arrays below a node; those of a module that several others share only once."""
    value = _unboxed(node)
    if isinstance(value, jax.Array | np.ndarray):
        yield _Found(path, told, value)
    elif id(node) not in seen:
        if _is_nnx(node):
            seen.add(id(node))
        tells = _tells(node)
        for name, child in _children(node):
            yield from _walk(child, (*path, name), tells.get(name, _Told()), seen)


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


def _tells(node: Any) -> dict[str, _Told]:
    """What a node tells about its own arrays, by their names."""
    from flax import nnx

    match node:
        case eqx.nn.Conv():
            return {"weight": _Told("OIHW", node.groups, False)}
        case eqx.nn.ConvTranspose():
            return {"weight": _Told("OIHW", node.groups, True)}
        case nnx.Conv():
            return {"kernel": _Told("HWIO", node.feature_group_count, False)}
        case nnx.ConvTranspose():
            return {"kernel": _Told("HWOI" if node.transpose_kernel else "HWIO", 1, True)}
        case nnx.LinearGeneral() | nnx.Einsum():
            return {"kernel": _Told(reason="dense: no convolution")}
        case Mapping():
            return {"kernel": _Told("HWIO")}
    return {}


def _order(params: Any, paths: list[tuple[str, ...]]) -> DepthSource:
    if not isinstance(params, Mapping) and not _is_nnx(params):
        return "registration-order"
    # The keys of lists sort as numbers, those of dicts as text.
    is_sorted = any(list(paths) == sorted(paths, key=key) for key in (tuple, _numbered))
    return "name-order" if is_sorted else "registration-order"


def _numbered(path: tuple[str, ...]) -> tuple:
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in path)
