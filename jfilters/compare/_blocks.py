"""Blocks of channels: the weight of one layer as part of that of a wider one.

Structured pruning leaves such a block, and a widened network has one. Output channels are found by all
their kernels, given the input channels; these are those that an earlier layer's outputs have, or are found
by single kernels.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..lineage.internal import SMALLEST_Z, centered_directions
from ..statistics.internal import host_unit_kernels
from ._kinship import layer_kinship

Weight = Float[np.ndarray, "out in *spatial"]
Wide = Float[np.ndarray, "out_wide in_wide *spatial_wide"]
Rows = Float[np.ndarray, "channels m"]

CLEAR = 0.3
"""Cosine of a block from which it counts: that of strangers is large only where it is chosen from many."""

AGREEMENT = 0.5
"""Share of output channels that two halves of the input channels find at the same place."""

DISTINCT = 0.9
"""Share of channels that have to lie at different places."""

FEWEST = 3
"""Output channels from which their common agreement tells, where they are too few for its z."""

SEARCHED = 8
"""Kernels of an input channel that are looked up among all kernels of the wider layer, and the channels
after which a search without success ends."""

VOTES = 2.5
"""Kernels of an input channel, of `SEARCHED`, whose nearest ones are in one channel, on the mean of the
first channels: of strangers hardly two are."""

MOST_KERNELS = 1 << 18
"""Kernels of the wider layer up to which single kernels are looked up: 2**18 take 5 s."""

ALIKE = 0.99
"""Cosine from which an output channel is a copy of another: of trained ones few reach it."""

COPIED = 0.8
"""Share of the further channels that are copies or zero, from which the wider network is the later one."""


class Block(NamedTuple):
    """The places of a layer's channels in those of a wider layer.

    `outputs` and `inputs` are these places; `shape` is that of the wider weight, and `groups` how many
    blocks along the diagonal a grouped convolution took. `copied` is the share of the further output
    channels that are zero or copies of others, None without any.
    """

    outputs: Int[np.ndarray, " out"]
    inputs: Int[np.ndarray, " in"]
    shape: tuple[int, ...]
    groups: int = 1
    copied: float | None = None

    @property
    def text(self) -> str:
        """How many of how many channels there are, or the groups."""
        out, inner = self.shape[:2]
        if self.groups > 1:
            return f"{self.groups} groups of {len(self.inputs)} of {inner} input channels"
        sides = ((len(self.outputs), out, "output"), (len(self.inputs), inner, "input"))
        counts = [f"{few} of {many} {name}" for few, many, name in sides if few < many]
        return f"{' and '.join(counts)} channels"

    def record(self, wide: int) -> dict[str, object]:
        """Return the places for JSON, and which of both weights is the wider one."""
        return {
            "wide": wide,
            "groups": self.groups,
            "outputs": self.outputs.tolist(),
            "inputs": self.inputs.tolist(),
            "copied": self.copied,
        }

    def of(self, wide: Wide) -> Weight:
        """Return the block of the wider weight."""
        if self.groups == 1:
            return np.ascontiguousarray(wide[self.outputs][:, self.inputs])
        size = len(self.inputs)
        starts = np.arange(len(wide)) * self.groups // len(wide) * size
        channels = starts[:, None] + np.arange(size)
        return np.ascontiguousarray(wide[np.arange(len(wide))[:, None], channels])


def find_block(
    wide: Wide, narrow: Weight, sources: Sequence[Int[np.ndarray, " _"]] = ()
) -> Block | None:
    """Return the places of the channels of `narrow` in `wide`; None if it is no block of that.

    Runs on the host. Kernels count by their directions, so that scaled channels are found too.

    Args:
        wide, narrow: weights (out, in, *spatial) of the same spatial size.
        sources: places of channels that are known of earlier layers, the likeliest first.
    """
    if wide.shape[2:] != narrow.shape[2:] or wide.shape == narrow.shape:
        return None
    if _is_grouped(wide.shape, narrow.shape):
        return _grouped(wide, narrow)
    if any(a < b for a, b in zip(wide.shape, narrow.shape, strict=True)):
        return None
    u, v = (_directions(x) for x in (wide, narrow))
    for inputs in _inputs(u, v, sources):
        for outputs in _outputs(u[:, inputs], v, sources):
            block = Block(outputs, inputs, wide.shape)
            kinship = layer_kinship(block.of(wide), narrow)
            if kinship.cosine >= CLEAR and kinship.z >= SMALLEST_Z:
                return block._replace(copied=_copied(u, outputs))
    return None


def _is_grouped(wide: tuple[int, ...], narrow: tuple[int, ...]) -> bool:
    """Return whether the narrow weight may be that of a grouped convolution, the wide one dense."""
    groups, remainder = divmod(wide[1], max(narrow[1], 1))
    return wide[0] == narrow[0] and groups > 1 and not remainder and wide[0] % groups == 0


def _grouped(wide: Wide, narrow: Weight) -> Block | None:
    outputs, inputs = np.arange(len(wide)), np.arange(narrow.shape[1])
    block = Block(outputs, inputs, wide.shape, wide.shape[1] // narrow.shape[1])
    kinship = layer_kinship(block.of(wide), narrow)
    is_kin = kinship.cosine >= CLEAR and kinship.z >= SMALLEST_Z
    plain = None if is_kin else _plain_block(wide, narrow)
    if plain is not None or not is_kin:
        return plain
    n_outside = np.count_nonzero(wide) - np.count_nonzero(block.of(wide))
    return block._replace(copied=float(n_outside == 0))


def _plain_block(wide: Wide, narrow: Weight) -> Block | None:
    """Return the block of fewer inputs and all outputs, of a convolution without groups."""
    u, v = (_directions(x) for x in (wide, narrow))
    for inputs in _searched(u, v):
        block = Block(np.arange(len(wide)), inputs, wide.shape)
        kinship = layer_kinship(block.of(wide), narrow)
        if kinship.cosine >= CLEAR and kinship.z >= SMALLEST_Z:
            return block
    return None


def _inputs(
    u: Float[np.ndarray, "O I d"],
    v: Float[np.ndarray, "o i d"],
    sources: Sequence[Int[np.ndarray, " _"]],
) -> Iterator[Int[np.ndarray, " i"]]:
    """Yield the likely places of input channels: all, those of earlier layers, those found by kernels."""
    if u.shape[1] == v.shape[1]:
        yield np.arange(v.shape[1])
        return
    yield from (x for x in sources if len(x) == v.shape[1] and x.max(initial=0) < u.shape[1])
    yield from _searched(u, v)


def _searched(
    u: Float[np.ndarray, "O I d"], v: Float[np.ndarray, "o i d"]
) -> Iterator[Int[np.ndarray, " i"]]:
    """Yield the places of input channels where most kernels have their nearest ones."""
    out, inner, taps = u.shape
    if out * inner > MOST_KERNELS:
        return
    rows = np.ascontiguousarray(u.reshape(-1, taps).T)
    chosen = v[np.linspace(0, len(v) - 1, min(len(v), SEARCHED)).astype(np.int64)]
    places, votes = np.empty(v.shape[1], np.int64), np.empty(v.shape[1], np.int64)
    for channel in range(v.shape[1]):
        counts = np.bincount(np.argmax(chosen[:, channel] @ rows, axis=1) % inner, minlength=inner)
        places[channel], votes[channel] = counts.argmax(), counts.max()
        if channel + 1 == SEARCHED and votes[:SEARCHED].mean() < VOTES:
            return
    if _is_distinct(places):
        yield places


def _outputs(
    u: Float[np.ndarray, "O i d"],
    v: Float[np.ndarray, "o i d"],
    sources: Sequence[Int[np.ndarray, " _"]],
) -> Iterator[Int[np.ndarray, " o"]]:
    """Yield the likely places of output channels: all, those that their kernels show, those of others."""
    if len(u) == len(v):
        yield np.arange(len(v))
    places = _places(u, v)
    if places is not None:
        yield places
    if v.shape[1] == 1:  # a depthwise layer has the channels of the layer before it
        yield from (x for x in sources if len(x) == len(v) and x.max(initial=0) < len(u))


def _places(
    u: Float[np.ndarray, "O i d"], v: Float[np.ndarray, "o i d"]
) -> Int[np.ndarray, " o"] | None:
    """Return the nearest output channel for each; None unless both halves of the inputs agree.

    Of strangers as many agree as the wider layer has channels, one of them in each.
    """
    axis = 1 if v.shape[1] > 1 else 2
    halves = [
        _nearest(*(np.moveaxis(x, axis, 1)[:, half::2].reshape(len(x), -1) for x in (u, v)))
        for half in (0, 1)
    ]
    places = _nearest(u.reshape(len(u), -1), v.reshape(len(v), -1))
    has_direction = v.any(axis=(1, 2))
    n = int(np.count_nonzero(has_direction))
    agreement = int(np.count_nonzero((halves[0] == halves[1]) & has_direction))
    chance = n / len(u)
    z = (agreement - chance) / math.sqrt(max(chance, 1e-9))
    is_telling = z >= SMALLEST_Z or agreement == n >= FEWEST
    is_agreed = agreement >= AGREEMENT * n and is_telling
    return places if is_agreed and _is_distinct(places[has_direction]) else None


def _nearest(a: Float[np.ndarray, "many m"], b: Rows) -> Int[np.ndarray, " k"]:
    """Return the place of the nearest row of `a` for each row of `b`, by cosine, the first of equals."""
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a))
    cosines = (b @ a.T) / np.where(lengths > 0, lengths, 1)
    return np.argmax(np.round(cosines, 4), axis=1)


def _copied(u: Float[np.ndarray, "O I d"], outputs: Int[np.ndarray, " o"]) -> float | None:
    """Return the share of the further output channels that are zero or copies of others."""
    is_further = np.ones(len(u), bool)
    is_further[outputs] = False
    if not is_further.any():
        return None
    rows = host_unit_kernels(u.reshape(len(u), -1))
    cosines = rows[is_further] @ rows.T
    cosines[np.arange(len(cosines)), np.flatnonzero(is_further)] = 0
    is_copy = (cosines.max(axis=1) >= ALIKE) | ~rows[is_further].any(axis=1)
    return float(np.mean(is_copy))


def _is_distinct(places: Int[np.ndarray, " k"]) -> bool:
    return len(np.unique(places)) >= DISTINCT * len(places)


def _directions(weight: Weight) -> Float[np.ndarray, "out in d"]:
    rows = weight.reshape(weight.shape[0] * weight.shape[1], -1)
    directions, _, _ = centered_directions(rows)
    return directions.reshape(*weight.shape[:2], -1)
