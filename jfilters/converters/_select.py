"""From stored arrays to layers: which of them are convolutions, in which axes, groups and depth.

Decided once for all formats, from names and shapes alone. Every array ends as a layer or as skipped
with its reason; nothing is guessed and nothing vanishes.
"""

import dataclasses
from collections.abc import Sequence

from ..kernels import DepthSource, Layer
from ._axes import (
    LARGEST_EXTENT,
    Arrangement,
    candidates,
    checked_axes,
    consensus,
    for_rank,
    settled,
)
from ._depth import depths, relative_depth
from ._groups import arranged, depthwise_groups, groups_reason
from ._names import (
    LONGEST_NAME,
    bias_name,
    common_prefix,
    display_names,
    is_optimizer_state,
    moving_averages,
    no_weight,
    parts,
)
from ._stored import Skipped, StoredArray


@dataclasses.dataclass(frozen=True)
class Selected:
    """A stored array that is a layer, and how its weight is arranged."""

    layer: Layer
    stored: StoredArray
    arrangement: Arrangement


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """A convolution on its way to a layer; `index` is its place in the file."""

    index: int
    stored: StoredArray
    arrangement: Arrangement
    depth: int = 0
    deepest: int = 0
    source: DepthSource = "registration-order"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.arrangement.shape(self.stored.shape)


def select(
    arrays: Sequence[StoredArray],
    order: DepthSource,
    axes: str | None = None,
    network: str | None = None,
) -> tuple[tuple[Selected, ...], tuple[Skipped, ...]]:
    """The layers among `arrays`, in depth order, and all other arrays with their reasons.

    Arrays that bring their layer come first, as they are. `axes` is the axis order of arrays whose
    format leaves it open. Raises ValueError if it is none.
    """
    recorded = [_recorded(array, array.layer) for array in arrays if array.layer is not None]
    arrays = [_bounded(array) for array in arrays if array.layer is None]
    reasons = _reasons(arrays)
    found, ambiguous = _arrange(arrays, reasons, checked_axes(axes))
    reasons |= ambiguous
    networks = _by_network(found)
    convolutions = [conv for network in networks for conv in _ranked(network, order)]
    reasons |= {conv.index: _POINTWISE for conv in convolutions if _is_pointwise(conv)}
    names = display_names(arrays, {conv.stored.network for conv in convolutions})
    layers = [
        Selected(_layer(conv, names[conv.index]), conv.stored, conv.arrangement)
        for conv in convolutions
        if conv.index not in reasons
    ]
    skipped = [
        Skipped(
            names[index], arrays[index].shape, arrays[index].dtype, reason, arrays[index].unread
        )
        for index, reason in sorted(reasons.items())
    ]
    return (*recorded, *layers), tuple(skipped)


_POINTWISE = "1x1 convolution: no spatial extent"
_AMBIGUOUS = "axes ambiguous: {} fits; say which with --axes"
_FLOATS = ("float", "bfloat")


def _recorded(array: StoredArray, layer: Layer) -> Selected:
    return Selected(layer, array, Arrangement(for_rank("OIHW", len(array.shape))))


def _bounded(array: StoredArray) -> StoredArray:
    """The array itself unless its name is of a length that only a hostile file has."""
    size = len(array.name)
    if size <= LONGEST_NAME:
        return array
    name, reason = f"{array.name[:32]}...", f"a name of {size} characters"
    return dataclasses.replace(array, name=name, reason=reason)


def _reasons(arrays: Sequence[StoredArray]) -> dict[int, str]:
    """Why arrays are no convolutions, by index, as far as each of them tells by itself."""
    copies = moving_averages(arrays)
    found = {}
    for index, array in enumerate(arrays):
        reason = array.reason or _reason(array)
        if reason is None and index in copies:
            reason = f"moving-average copy of {copies[index]}"
        if reason:
            found[index] = reason
    return found


def _reason(array: StoredArray) -> str | None:
    if is_optimizer_state(array):
        return "optimizer state"
    if 0 in array.shape:
        return f"empty {array.shape}"
    # A format that knows the groups of a convolution knows that it is one.
    named = no_weight(array) if array.groups is None else None
    return _rank_reason(array) or _dtype_reason(array.dtype) or named


def _rank_reason(array: StoredArray) -> str | None:
    known = {0: "scalar", 1: "bias or scale (1-D)", 2: "dense (2-D)"}
    rank = len(array.shape)
    return known.get(rank) or (f"{rank} axes, more than a convolution has" if rank > 5 else None)


def _dtype_reason(dtype: str) -> str | None:
    if dtype.startswith(_FLOATS):
        return None
    kinds = {"bool": "boolean", "complex": "complex", "int": _INTEGER, "uint": _INTEGER}
    return next((kinds[kind] for kind in kinds if dtype.startswith(kind)), f"not numeric ({dtype})")


_INTEGER = "integer weights without a scale"


def _arrange(
    arrays: Sequence[StoredArray], reasons: dict[int, str], axes: str | None
) -> tuple[list[_Convolution], dict[int, str]]:
    """The convolutions, and the reasons against those arrays whose axes or extents do not fit."""
    biases = {(a.network, a.name): a.shape[0] for a in arrays if _is_vector(a.shape)}
    bias = {
        index: biases.get((array.network, bias_name(array.name) or ""))
        for index, array in enumerate(arrays)
        if index not in reasons
    }
    choices = {index: _choices(arrays[index], axes, bias[index]) for index in bias}
    left_open = [index for index in choices if arrays[index].axes is None and axes is None]
    agreed = consensus((arrays[index].shape, choices[index]) for index in left_open)
    for index in left_open:
        choices[index] = settled(choices[index], arrays[index].shape, agreed)
    found, refused = [], {}
    for index, choice in choices.items():
        result = _convolution(index, arrays[index], choice, bias[index])
        if isinstance(result, str):
            refused[index] = result
        else:
            found.append(result)
    return found, refused


def _convolution(
    index: int, array: StoredArray, choice: tuple[str, ...], bias: int | None
) -> _Convolution | str:
    """The convolution in the only axis order left, or the reason why it is none."""
    reason = _axes_reason(array, choice)
    if reason:
        return reason
    arrangement = arranged(array, choice[0], bias)
    return groups_reason(arrangement, array.shape) or _Convolution(index, array, arrangement)


def _is_vector(shape: tuple[int, ...]) -> bool:
    # Equinox keeps biases as (out, 1, 1).
    return len(shape) >= 1 and set(shape[1:]) <= {1}


def _choices(array: StoredArray, axes: str | None, bias: int | None) -> tuple[str, ...]:
    known = array.axes or axes
    if known:
        return (known,)
    return candidates(array.shape, parts(array.name)[-1], bias)


def _axes_reason(array: StoredArray, choice: tuple[str, ...]) -> str | None:
    if len(choice) > 1:
        spelled = [for_rank(axes, len(array.shape)) for axes in choice]
        return _AMBIGUOUS.format(" or ".join(spelled))
    if choice:
        spatial = Arrangement(for_rank(choice[0], len(array.shape))).spatial(array.shape)
        if max(spatial) <= LARGEST_EXTENT:
            return None
    return f"no kernel: more than {LARGEST_EXTENT} taps along an axis of {array.shape}"


def _by_network(convolutions: Sequence[_Convolution]) -> list[list[_Convolution]]:
    networks: dict[str, list[_Convolution]] = {}
    for conv in convolutions:
        networks.setdefault(conv.stored.network, []).append(conv)
    return list(networks.values())


def _ranked(network: list[_Convolution], order: DepthSource) -> list[_Convolution]:
    """The convolutions of one network in depth order, with their depths and groups."""
    stored = [conv.stored for conv in network]
    prefix = common_prefix(array.name for array in stored)
    ranks, source = depths(stored, [a.name.removeprefix(prefix) for a in stored], order)
    deepest = max(ranks, default=0)
    ranked = [
        dataclasses.replace(conv, depth=rank, deepest=deepest, source=source)
        for conv, rank in zip(network, ranks, strict=True)
    ]
    ranked.sort(key=lambda conv: conv.depth)
    return _with_groups(ranked)


def _with_groups(ranked: list[_Convolution]) -> list[_Convolution]:
    """The same with the groups of depthwise layers, which only earlier layers give away."""
    channels, found = set(), []
    for conv in ranked:
        groups = depthwise_groups(conv.stored, conv.arrangement, channels)
        if groups != conv.arrangement.groups:
            arrangement = dataclasses.replace(conv.arrangement, groups=groups)
            conv = dataclasses.replace(conv, arrangement=arrangement)
        found.append(conv)
        channels.add(conv.shape[0])
    return found


def _is_pointwise(conv: _Convolution) -> bool:
    return set(conv.shape[2:]) == {1}


def _layer(conv: _Convolution, name: str) -> Layer:
    return Layer(
        name=name,
        depth=conv.depth,
        relative_depth=relative_depth(conv.depth, conv.deepest),
        depth_source=conv.source,
        groups=conv.arrangement.groups,
        transposed=conv.arrangement.transposed,
        axes=conv.arrangement.axes,
        dtype=conv.stored.dtype,
        applied=conv.stored.applied,
        network=conv.stored.network,
        note=conv.stored.note,
    )
