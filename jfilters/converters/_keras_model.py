"""Live Keras models: the arrays of their variables, with what the layers that own them tell.

Keras is not imported. Its layers say by their classes what a saved model says in its configuration.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ..errors import CheckpointError
from ._axes import for_rank
from ._frameworks import is_torch_tensor, numpy_of
from ._hdf5._keras import CONVOLUTION, OTHERS, REASONS
from ._hdf5._keras_config import snake_case
from ._stored import StoredArray


def model_arrays(model: Any) -> list[StoredArray]:
    """Return the arrays of all weights of a Keras model or layer, in the order of its layers.

    Raises ValueError where it has none, as before it is built.
    """
    # A weight is one of every layer around it; the innermost comes last.
    owners = {id(weight): layer for layer in _layers(model) for weight in layer.weights}
    prefix = f"{getattr(model, 'name', '')}/"
    arrays = [
        _stored(weight, _path(weight).removeprefix(prefix), owners.get(id(weight)))
        for weight in model.weights
    ]
    if not arrays:
        kind = type(model).__name__
        raise ValueError(
            f"params: the Keras model {kind} has no weights; build it with its input shape"
        )
    return arrays


def _layers(model: Any) -> Iterator[Any]:
    """A model and all layers in it, outer ones first."""
    if hasattr(
        model, "_flatten_layers"
    ):  # of Keras 2 and 3, and of layers within layers alone there
        yield from model._flatten_layers()
        return
    yield model
    for layer in getattr(model, "layers", ()):
        yield from _layers(layer)


def _path(weight: Any) -> str:
    path = getattr(weight, "path", None) or weight.name
    return str(path).partition(":")[0]


def _stored(weight: Any, name: str, owner: Any) -> StoredArray:
    role, kind = name.rpartition("/")[2], _kind(owner)
    shape = tuple(weight.shape)
    reason = _reason(kind, role)
    return StoredArray(
        name,
        shape,
        getattr(weight.dtype, "name", str(weight.dtype)),
        functools.partial(_values, weight, name),
        reason=reason,
        **({} if reason else _facts(owner, kind, role, len(shape))),
    )


def _kind(owner: Any) -> str:
    """The class of a layer in snake case, or that of the first class of Keras that it derives from."""
    kinds = (snake_case(base.__name__) for base in type(owner).__mro__)
    return next(
        (kind for kind in kinds if CONVOLUTION.fullmatch(kind) or OTHERS.fullmatch(kind)), ""
    )


def _reason(kind: str, role: str) -> str | None:
    match = OTHERS.fullmatch(kind)
    if match and match["normalization"]:
        return "normalization"
    return f"{match['dense']}: no convolution" if match else REASONS.get(role)


def _facts(owner: Any, kind: str, role: str, rank: int) -> dict[str, Any]:
    """The axes, groups and direction that the class of a layer gives a kernel."""
    convolution = CONVOLUTION.fullmatch(kind)
    if convolution is None or rank not in (3, 4, 5) or not role.endswith("kernel"):
        return {}
    if role == "depthwise_kernel" or convolution["apart"] == "depthwise_":
        return {"axes": for_rank("HWIM", rank), "transposed": False}
    transposed = convolution["transposed"] is not None
    groups = getattr(owner, "groups", 1) if role == "kernel" else None
    axes = for_rank("HWOI" if transposed else "HWIO", rank)
    return {"axes": axes, "groups": groups, "transposed": transposed}


def _values(weight: Any, name: str) -> Any:
    """Return the values of a variable: an array of JAX, perhaps a tracer, or one of NumPy."""
    try:
        value = weight.value() if callable(weight.value) else weight.value
        if isinstance(value, jax.Array):
            return value
        return numpy_of(value) if is_torch_tensor(value) else np.asarray(weight.numpy())
    except (AttributeError, TypeError, NotImplementedError, RuntimeError) as error:
        remedy = "pass {v.path: v.numpy() for v in model.weights} instead of the model"
        reason = f"a variable of Keras that cannot be read ({type(error).__name__})"
        raise CheckpointError(reason, tensor=name, remedy=remedy) from error
