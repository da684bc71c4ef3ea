"""Norms that Flax and Equinox keep in a module around the layer, apart from the kernel itself.

Sources: flax.linen.WeightNorm and SpectralNorm, their namesakes in flax.nnx, equinox.nn.WeightNorm.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

from ._formulas import scale_shape, spectral_norm_of_u, weight_norm
from ._siblings import Composition, Place, Siblings

_COLLECTIONS = {"params", "batch_stats"}
_KEYS = re.compile(r"'([^']*)'")


def wrapped_in_flax(siblings: Siblings) -> Iterator[Composition]:
    """The kernels inside Flax's WeightNorm, which keeps a scale apart, and SpectralNorm, which keeps u."""
    arrays = {_flat(place): index for place, index in siblings.index.items()}
    norms: dict[Place, dict[str, int]] = {}
    for path, index in arrays.items():
        if path[-1] in ("scale", "u", "sigma"):
            norms.setdefault(path[:-1], {})[path[-1]] = index
        elif "scales" in path[:-1]:
            at = path.index("scales")
            norms.setdefault((*path[:at], *path[at + 1 :]), {})["scale"] = index
    for path, members in norms.items():
        kernel = next((arrays[inner] for inner in _inside(path) if inner in arrays), None)
        if kernel is not None and (composition := _norm(siblings, kernel, members)):
            yield composition


def wrapped_in_equinox(siblings: Siblings) -> Iterator[Composition]:
    """The weights inside equinox.nn.WeightNorm, which keeps `g` beside `layer.weight`."""
    for place, members in siblings.modules.items():
        scale, weight = members.get("g"), siblings.index.get((*place, "layer", "weight"))
        if scale is None or weight is None:
            continue
        shape, weight_shape = siblings.shape(scale), siblings.shape(weight)
        if len(shape) in (0, len(weight_shape)) and scale_shape(shape, weight_shape) is not None:
            name = siblings.arrays[weight].name
            parts = (weight, scale)
            yield Composition(name, parts, "weight norm", "weight-norm", parts, _of_direction)


def _of_direction(direction: Any, scale: Any, *, axis: int = 0) -> Any:
    return weight_norm(scale, direction, axis=axis)


def _flat(place: Place) -> Place:
    """The place without collections, and with the keys that NNX joins into one component taken apart."""
    network = tuple(place[0].split(".")) if place[0] else ()
    path = []
    for part in (*network, *place[2:]):
        if part not in _COLLECTIONS:
            path += _KEYS.findall(part) or [part]
    return tuple(path)


def _inside(path: Place) -> Iterator[Place]:
    """The places where the kernel may lie: Linen leaves out the wrapper, NNX puts the layer into it."""
    for at in range(len(path)):
        yield (*path[:at], *path[at + 1 :])
        yield (*path[:at], "layer_instance", *path[at:])


def _norm(siblings: Siblings, kernel: int, members: dict[str, int]) -> Composition | None:
    name, shape = siblings.arrays[kernel].name, siblings.shape(kernel)
    parts = (kernel, *members.values())
    if (scale := members.get("scale")) is not None:
        if scale_shape(siblings.shape(scale), shape, -1) is None:
            return None
        formula = functools.partial(_of_direction, axis=-1)
        return Composition(name, parts, "weight norm", "weight-norm", (kernel, scale), formula)
    u = members.get("u")
    if u is None or siblings.shape(u) != (1, shape[-1] if shape else 0):
        return None
    formula = functools.partial(spectral_norm_of_u, axis=-1)
    return Composition(name, parts, "spectral norm", "spectral-norm", (kernel, u), formula)
