"""What the names of variables say about their kernels, where no graph does.

All weights of TensorFlow end in (in, out), those of transposed layers in (out, in), of depthwise layers in
(in, multiplier). The bias of a layer counts its outputs, which tells them apart where names do not.
"""

import re

from .._axes import for_rank
from .._names import looks_transposed, parts
from ._listing import Facts

WEIGHT = re.compile(r"_?(\w+_)?(kernels?|weights?|filters?|w)(_\d+)?")

_DENSE = re.compile(r"attention|einsum|dense|embed")
_ASSUMED = "assumed depthwise: one kernel a channel, and no bias"


def by_names(shape: tuple[int, ...], place: str, full_name: str, bias: int | None) -> Facts:
    """The facts about a variable at a place, by the name that it was made with and its layer's bias."""
    rank = len(shape)
    words = [*parts(place.lower())[-3:], *parts(full_name.lower())[-2:]]
    if rank not in (3, 4, 5):
        return Facts()
    if rank == 3 and any(_DENSE.search(word) for word in words):
        return Facts(reason="dense (3-D): no convolution")
    leaf = parts(place.lower())[-1]
    if rank == 3 and not WEIGHT.fullmatch(leaf):
        return Facts()
    if any("pointwise" in word for word in words):
        return _of("HWIO", shape)
    if any("depthwise" in word for word in words):
        return _of("HWIM", shape)
    if any(looks_transposed(word) for word in words):
        return _of("HWOI", shape)
    return _by_bias(shape, bias)


def _by_bias(shape: tuple[int, ...], bias: int | None) -> Facts:
    """The kind of a layer by the number of its outputs."""
    first, last = shape[-2:]
    if bias is not None and bias != last:
        if bias == first * last:
            return _of("HWIM", shape)
        if bias == first:
            return _of("HWOI", shape)
    # With one output and no bias, a BatchNorm is behind it: no layer of a network ends so.
    is_thin = bias is None and last == 1 and first > 1 and set(shape[:-2]) != {1}
    return _of("HWIM", shape, _ASSUMED) if is_thin else _of("HWIO", shape)


def _of(axes: str, shape: tuple[int, ...], note: str = "") -> Facts:
    # One input channel is no sign of a depthwise layer, whose weights have axes of their own.
    groups = 1 if axes == "HWIO" and shape[-2] == 1 else None
    spelled = for_rank(axes, len(shape))
    return Facts(axes=spelled, groups=groups, transposed=axes == "HWOI", note=note)
