"""Weights of few bits with a scale beside them: (w - zero) * scale is what the network applies.

Only integers and floats of 8 bits and less are dequantized. A scale beside wider floats may mean anything.
"""

import functools
from collections.abc import Iterator

from .._names import looks_transposed
from .._stored import StoredArray
from ._formulas import dequantized, scale_shape
from ._siblings import Composition, Siblings

_NARROW = ("int8", "uint8", "int4", "uint4", "float8", "float4", "int16", "float6")
_SCALES = (
    "{}_scale",
    "scale_{}",
    "{}_scales",
    "{}/scale",
    "{}/_scale",
    "{}_scale_inv",
    "scale",
    "scales",
)
_ZEROS = (
    "{}_zero_point",
    "{}_zero",
    "{}_offset",
    "{}/_shift",
    "{}/zero_point",
    "zero_point",
    "zeros",
)
_STEMS = (
    "weight",
    "kernel",
    "w",
    "qweight",
    "weight_q",
    "weight_int8",
    "weight_quantized",
    "_data",
)


def scaled(siblings: Siblings) -> Iterator[Composition]:
    """The weights of few bits, each with the scale of its module."""
    for place, members in list(siblings.modules.items()):
        for name, weight in members.items():
            if name in _STEMS and _is_narrow(siblings.arrays[weight]):
                stem = place[-1] if name == "_data" else name
                module = place[:-1] if name == "_data" else place
                scale = _beside(siblings, module, _SCALES, stem)
                if scale is None:
                    continue
                zero = _beside(siblings, module, _ZEROS, stem)
                if composition := _dequantized(siblings, weight, name, stem, scale, zero):
                    yield composition


def _is_narrow(array: StoredArray) -> bool:
    return array.dtype.startswith(_NARROW) and len(array.shape) >= 3


def _beside(siblings, module, patterns, stem) -> int | None:
    """The array of a module under the first of several names that it has."""
    for pattern in patterns:
        index = siblings.index.get((*module, *pattern.format(stem).split("/")))
        if index is not None:
            return index
    return None


def _dequantized(
    siblings: Siblings, weight: int, leaf: str, stem: str, scale: int, zero: int | None
) -> Composition | None:
    shape = siblings.shape(weight)
    axis = _axis(siblings.arrays[weight], siblings.shape(scale))
    for part in (scale, zero):
        if part is not None and scale_shape(siblings.shape(part), shape, axis) is None:
            return None
    parts = (weight, scale) if zero is None else (weight, scale, zero)
    stem = stem if stem in ("kernel", "w") else "weight"
    name = siblings.renamed(weight, 2 if leaf == "_data" else 1, stem)
    formula = functools.partial(dequantized, axis=axis)
    return Composition(name, parts, "dequantization", "dequantized", parts, formula)


def _axis(array: StoredArray, scale: tuple[int, ...]) -> int:
    """The axis of output channels, which a scale of one axis runs along."""
    if array.axes is not None and array.axes.endswith(("IO", "OI")):
        preferred = (-1, -2)
    else:
        preferred = (1, 0) if looks_transposed(array.name) else (0, 1)
    fitting = (axis for axis in preferred if scale_shape(scale, array.shape, axis) is not None)
    return next(fitting, preferred[0])
