"""Weights that lie on several devices: how statistics read them without gathering them.

Rows (n, d) of a weight (out, in, *spatial) can be sharded over out alone. A weight on a mesh therefore
keeps its axes out and in, and a statistic reduces over both. The type of an array tells the mesh, also
under jit; it does not tell over which axes the array is sharded. Imports no compiler.
"""

import math
import sys
from collections.abc import Callable
from typing import Any


def devices_of(array: Any) -> int:
    """Return over how many devices XLA may spread an array; 1 for NumPy and on a single device."""
    mesh, axes = _mesh(array)
    return math.prod(mesh.shape[axis] for axis in axes) if axes else 1


def spread(array: Any, axis: int) -> Any:
    """Return the array with one axis divided over all devices of its mesh, if they divide it evenly.

    Each device sends at most its own share: an all-to-all, after which none holds the whole array.
    """
    mesh, axes = _mesh(array)
    if not axes or array.shape[axis] % devices_of(array):
        return array
    jax = sys.modules["jax"]
    spec = jax.sharding.PartitionSpec(*[None] * axis, axes, *[None] * (array.ndim - axis - 1))
    return jax.lax.with_sharding_constraint(array, jax.sharding.NamedSharding(mesh, spec))


def automatic(function: Callable[..., Any], array: Any, *, like_array: bool = False) -> Any:
    """Return `function` of an array, with the shardings inside of it chosen by XLA.

    A mesh of `jax.make_mesh` has explicit axes, on which a matrix product or a reshape is an error unless
    it tells the sharding of its result. The result is replicated, or sharded as the array is.
    """
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(array, jax.Array):
        return function(array)
    sharding = jax.typeof(array).sharding
    if jax.sharding.AxisType.Explicit not in sharding.mesh.axis_types:
        return function(array)
    spec = sharding.spec if like_array else jax.sharding.PartitionSpec()
    mesh = sharding.mesh
    if not isinstance(array, jax.core.Tracer):
        mesh = getattr(array.sharding, "mesh", mesh)
    result = jax.sharding.NamedSharding(mesh, spec)
    # Compiled, since a computation in parts would be refused outside of the mesh's own context.
    return jax.jit(jax.sharding.auto_axes(function, out_sharding=result))(array)


def _mesh(array: Any) -> tuple[Any, tuple[str, ...]]:
    """The mesh of an array, and those of its axes over which XLA chooses the sharding by itself."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(array, jax.Array):
        return None, ()
    mesh = jax.typeof(array).sharding.mesh
    if not isinstance(array, jax.core.Tracer):
        # A concrete array has devices, without which no computation can be placed.
        mesh = getattr(array.sharding, "mesh", mesh)
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    axes = tuple(name for name, kind in kinds if kind == jax.sharding.AxisType.Auto)
    return mesh, axes
