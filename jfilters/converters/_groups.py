"""Transposed, grouped and depthwise layers: as told by the format, else by shape, bias and name."""

import dataclasses
from collections.abc import Collection, Sequence

from ._axes import Arrangement, for_rank
from ._grouped import Candidate
from ._names import looks_transposed, parts
from ._stored import StoredArray

_EXCHANGE = str.maketrans("OI", "IO")


def arranged(array: StoredArray, axes: str, bias: int | None) -> Arrangement:
    """Arrange a convolution weight in `axes`, given the length of the bias beside it."""
    axes = for_rank(axes, len(array.shape))
    if "M" in axes:
        return Arrangement(axes, array.shape[axes.index("I")], bool(array.transposed))
    if axes.startswith("IO"):
        outputs, inputs = array.shape[1], array.shape[0]
        groups = array.groups or _groups_of(bias, outputs, inputs) or 1
        return Arrangement(axes, groups, array.transposed is not False)
    if axes.endswith("OI"):
        return Arrangement(axes, array.groups or 1, array.transposed is not False)
    if array.transposed is not None:
        return Arrangement(axes, array.groups or 1, array.transposed)
    return _inferred(array, axes, bias)


def oriented(
    array: StoredArray,
    arrangement: Arrangement,
    bias: int | None,
    outputs: Collection[int],
    inputs: Collection[int],
) -> tuple[Arrangement, str]:
    """The arrangement with the orientation of a transposed kernel, and what had to be assumed.

    Flax keeps its transposed kernels mirrored and as (..., in, out), unless `transpose_kernel` is set: then
    as torch does, (..., out, in). Haiku keeps them mirrored and as (..., out, in). `bias` is the length of
    the bias, `outputs` and `inputs` are the channels of the network's other layers.
    """
    if not arrangement.transposed:
        return arrangement, ""
    if array.mirrored is not None:
        return dataclasses.replace(arrangement, mirrored=array.mirrored), ""
    is_haiku = parts(array.name)[-1].partition("[")[0] == "w"
    if arrangement.axes.endswith("OI"):
        return dataclasses.replace(arrangement, mirrored=is_haiku), ""
    if not arrangement.axes.endswith("IO"):
        return arrangement, ""
    first, second = array.shape[-2:]
    turned = dataclasses.replace(arrangement, axes=f"{arrangement.axes[:-2]}OI", mirrored=is_haiku)
    if is_haiku and array.transposed is None:
        return turned, ""
    mirrored = dataclasses.replace(arrangement, mirrored=True)
    if array.transposed is not None or (bias is not None and first != second):
        return mirrored, ""
    as_stored = (first in outputs) + (second in inputs)
    as_turned = (second in outputs) + (first in inputs)
    if first == second or as_stored == as_turned:
        return mirrored, _ASSUMED
    return (mirrored if as_stored > as_turned else turned), ""


_ASSUMED = "axes assumed: whether transpose_kernel was set is not stored"


def groups_reason(arrangement: Arrangement, shape: tuple[int, ...]) -> str | None:
    """Why the groups contradict a stored shape; None if they do not."""
    if "M" in arrangement.axes:
        return None
    axis = "I" if arrangement.axes.startswith("IO") else "O"
    channels = shape[arrangement.axes.index(axis)]
    if channels % arrangement.groups == 0:
        return None
    return f"{arrangement.groups} groups do not divide the {channels} channels of {shape}"


def depthwise_groups(
    array: StoredArray, arrangement: Arrangement, channels: Sequence[int], dense: Collection[int]
) -> int:
    """The groups of a layer of one input channel.

    `channels` are the outputs of all earlier layers, `dense` the widths of the network's dense layers. A
    layer of one input channel is depthwise only if some earlier layer could feed its groups: whole, by a
    part of what the last one gives, or with several outputs a channel.
    """
    outputs, inputs = arrangement.shape(array.shape)[:2]
    if array.groups is not None or arrangement.groups > 1 or inputs > 1 or outputs == 1:
        return arrangement.groups
    is_part = bool(channels) and channels[-1] > outputs and channels[-1] % outputs == 0
    if channels and (is_part or outputs in dense):
        return outputs
    return max((c for c in channels if c > 1 and outputs % c == 0), default=1)


def candidate(array: StoredArray, arrangement: Arrangement, groups: int) -> Candidate:
    """A layer as its neighbors see it, open where the format leaves its groups untold."""
    shape = dataclasses.replace(arrangement, groups=groups).shape(array.shape)
    is_settled = array.groups is not None or arrangement.transposed or groups > 1 or shape[1] == 1
    is_open = not is_settled and set(shape[2:]) != {1}
    return Candidate(parts(array.name), shape, groups, is_open)


def _inferred(array: StoredArray, axes: str, bias: int | None) -> Arrangement:
    """Transposed where the length of the bias says so, or, if it cannot tell, the name."""
    outputs, inputs = array.shape[axes.index("O")], array.shape[axes.index("I")]
    by_name, groups = looks_transposed(array.name), _groups_of(bias, inputs, outputs)
    if bias not in (None, outputs) and groups:
        return _exchanged(axes, array.groups or groups)
    if not axes.startswith("OI"):
        # Flax and MLX keep output and input where they are, so that only the name can tell.
        return Arrangement(axes, array.groups or 1, by_name)
    if by_name and (bias is None or outputs == inputs or inputs == 1):
        return _exchanged(axes, array.groups or groups or 1)
    return Arrangement(axes, array.groups or 1)


def _exchanged(axes: str, groups: int) -> Arrangement:
    return Arrangement(axes.translate(_EXCHANGE), groups, transposed=True)


def _groups_of(bias: int | None, per_group: int, channels: int) -> int | None:
    """The groups of a transposed convolution whose bias counts the outputs of all of them."""
    if not bias or bias % per_group or channels % (bias // per_group):
        return None
    return bias // per_group
