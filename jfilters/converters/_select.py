"""From stored arrays to layers: which of them are convolutions, in which axes, groups and depth.

Decided once for all formats, from names and shapes alone. Every array ends as a layer or as skipped
with its reason; nothing is guessed and nothing vanishes.
"""

import dataclasses
from collections.abc import Collection, Sequence

from ..io import budget
from ..layers import DepthSource, Layer
from ._applied import compose
from ._axes import (
    LARGEST_EXTENT,
    Arrangement,
    candidates,
    checked_axes,
    consensus,
    for_rank,
    settled,
)
from ._copies import Copies, find_copies
from ._depth import depths, relative_depth
from ._grouped import grouped
from ._groups import arranged, candidate, depthwise_groups, groups_reason, oriented
from ._names import bias_name, common_prefix, display_names, parts
from ._networks import lies_in, outside
from ._reasons import Reasons, bounded, is_unreadable, own_reasons, skipped_array
from ._stacked import unstack
from ._stored import Skipped, StoredArray


@dataclasses.dataclass(frozen=True)
class Selected:
    """A stored array that is a layer, and how its weight is arranged."""

    layer: Layer
    stored: StoredArray
    arrangement: Arrangement


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """A convolution on its way to a layer, at `index` in the file, with a bias of length `bias`.

    `in_doubt` says that its groups cannot be told.
    """

    index: int
    stored: StoredArray
    arrangement: Arrangement
    bias: int | None = None
    depth: int = 0
    deepest: int = 0
    source: DepthSource = "registration-order"
    note: str = ""
    in_doubt: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.arrangement.shape(self.stored.shape)


def select(
    arrays: Sequence[StoredArray],
    order: DepthSource,
    axes: str | None = None,
    network: str | None = None,
    *,
    compare: bool = True,
) -> tuple[tuple[Selected, ...], tuple[Skipped, ...]]:
    """The layers among `arrays`, in depth order, and all other arrays with their reasons.

    **Arguments:**

    - `arrays`: in the order of storage. Those that bring their layer come first, as they are.
    - `order`: what that order means for depth.
    - `axes`: the axis order of arrays whose format leaves it open.
    - `network`: read this part of the checkpoint alone: a component of the names, or several with dots.
    - `compare`: read a few values where structure alone cannot tell a copy from another network.

    Raises ValueError for unknown `axes`, CheckpointError if there is no such `network`.
    """
    recorded = [_recorded(array, array.layer) for array in arrays if array.layer is not None]
    arrays = [bounded(array) for array in arrays if array.layer is None]
    arrays = unstack(compose(arrays), compare=compare)
    reasons = own_reasons(arrays)
    copies = _copies(arrays, reasons, compare=compare)
    labels = copies.networks
    if network is not None:
        recorded = [item for item in recorded if lies_in(item.stored, network)]
        reasons |= outside(arrays, reasons, network, copies, is_elsewhere=bool(recorded))
        copies = _copies(arrays, reasons, compare=compare)
    reasons |= copies.reasons
    # A weight that cannot be read takes its place in the order, and its channels tell of its neighbors.
    unreadable = {
        index: reasons.pop(index) for index in list(reasons) if is_unreadable(arrays[index])
    }
    candidates, ambiguous = _arrange(arrays, reasons, checked_axes(axes))
    reasons |= ambiguous | unreadable
    dense = {size for array in arrays if len(array.shape) == 2 for size in array.shape}
    networks = [_oriented(network) for network in _by_network(candidates)]
    convolutions = [conv for network in networks for conv in _ranked(network, order, dense)]
    reasons |= {conv.index: POINTWISE for conv in convolutions if _is_pointwise(conv)}
    names = display_names(arrays, {conv.stored.network for conv in convolutions})
    budget().take(elements=_ORDERED_COST * len(convolutions))
    layers = [
        Selected(_layer(conv, names[conv.index], copies, labels), conv.stored, conv.arrangement)
        for conv in convolutions
        if conv.index not in reasons
    ]
    skipped = [
        skipped_array(arrays[index], names[index], reason)
        for index, reason in sorted(reasons.items())
    ]
    return (*recorded, *layers), tuple(skipped)


_ORDERED_COST = 8
"""Elements that a convolution counts as, whose place in the network is found: some 0.1 ms."""

POINTWISE = "1x1 convolution: no spatial extent"
_AMBIGUOUS = "axes ambiguous: {} fits; say which with --axes"


def _recorded(array: StoredArray, layer: Layer) -> Selected:
    return Selected(layer, array, Arrangement(for_rank("OIHW", len(array.shape))))


def _copies(arrays: Sequence[StoredArray], reasons: Reasons, *, compare: bool) -> Copies:
    """The second copies among the arrays that can be weights.

    A population has none, and where a graph says that a weight is applied, it is no copy.
    """
    return find_copies(
        arrays,
        [
            index
            for index, array in enumerate(arrays)
            if index not in reasons and not array.member and array.depth is None
        ],
        compare=compare,
    )


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
    convolutions, refused = [], {}
    for index, choice in choices.items():
        result = _convolution(index, arrays[index], choice, bias[index])
        if isinstance(result, str):
            refused[index] = result
        else:
            convolutions.append(result)
    return convolutions, refused


def _convolution(
    index: int, array: StoredArray, choice: tuple[str, ...], bias: int | None
) -> _Convolution | str:
    """The convolution in the only axis order left, or the reason why it is none."""
    reason = _axes_reason(array, choice)
    if reason:
        return reason
    arrangement = arranged(array, choice[0], bias)
    reason = groups_reason(arrangement, array.shape)
    return reason or _Convolution(index, array, arrangement, bias)


def _is_vector(shape: tuple[int, ...]) -> bool:
    # Equinox keeps biases as (out, 1, 1).
    return len(shape) >= 1 and set(shape[1:]) <= {1}


def _choices(array: StoredArray, axes: str | None, bias: int | None) -> tuple[str, ...]:
    order = array.axes or axes
    if order:
        return (order,)
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


def _oriented(network: list[_Convolution]) -> list[_Convolution]:
    """The convolutions of one network, transposed ones turned as the channels of the others say."""
    plain = [conv.shape for conv in network if not conv.arrangement.transposed]
    if len(plain) == len(network):
        return network
    outputs, inputs = {shape[0] for shape in plain}, {shape[1] for shape in plain}
    result = []
    for conv in network:
        arrangement, note = oriented(conv.stored, conv.arrangement, conv.bias, outputs, inputs)
        result.append(dataclasses.replace(conv, arrangement=arrangement, note=note))
    return result


def _ranked(
    network: list[_Convolution], order: DepthSource, dense: Collection[int]
) -> list[_Convolution]:
    """The convolutions of one network in depth order, with their depths and groups."""
    stored = [conv.stored for conv in network]
    prefix = common_prefix(array.name for array in stored)
    names = [array.sort_name or array.name.removeprefix(prefix) for array in stored]
    order = stored[0].order or order
    shapes = [conv.shape for conv in network]
    transposed = [conv.arrangement.transposed for conv in network]
    ranks, source = depths(stored, names, order, shapes, transposed)
    deepest = max(ranks, default=0)
    ranked = [
        dataclasses.replace(conv, depth=rank, deepest=deepest, source=source)
        for conv, rank in zip(network, ranks, strict=True)
    ]
    ranked.sort(key=lambda conv: conv.depth)
    return _with_groups(ranked, dense)


def _with_groups(ranked: list[_Convolution], dense: Collection[int]) -> list[_Convolution]:
    """The same with the groups of depthwise and grouped layers, which only neighbors give away."""
    channels, candidates = [], []
    for conv in ranked:
        groups = depthwise_groups(conv.stored, conv.arrangement, channels, dense)
        candidates.append(candidate(conv.stored, conv.arrangement, groups))
        channels.append(conv.shape[0])
    return [
        conv if groups == conv.arrangement.groups else _regrouped(conv, groups)
        for conv, groups in zip(ranked, grouped(candidates), strict=True)
    ]


def _regrouped(conv: _Convolution, groups: int | None) -> _Convolution:
    arrangement = dataclasses.replace(conv.arrangement, groups=groups or 1)
    return dataclasses.replace(conv, arrangement=arrangement, in_doubt=groups is None)


def _is_pointwise(conv: _Convolution) -> bool:
    return set(conv.shape[2:]) == {1}


def _layer(conv: _Convolution, name: str, copies: Copies, labels: dict[int, str]) -> Layer:
    notes = (conv.stored.note, conv.note, copies.notes.get(conv.index))
    return Layer(
        name=name,
        depth=conv.depth,
        relative_depth=relative_depth(conv.depth, conv.deepest),
        depth_source=conv.source,
        groups=None if conv.in_doubt else conv.arrangement.groups,
        transposed=conv.arrangement.transposed,
        axes=conv.arrangement.axes,
        dtype=conv.stored.dtype,
        applied=conv.stored.applied,
        network=labels.get(conv.index, conv.stored.network),
        note="; ".join(note for note in notes if note),
    )
