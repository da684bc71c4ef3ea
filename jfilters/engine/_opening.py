"""A checkpoint opened for a scan: from metadata alone, its layers of the chosen shape and its status."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from ..converters import Checkpoint, Location, StoredLayer, open_checkpoint
from ..converters.internal import SHOWN, most_common
from ..errors import CheckpointError, printable
from ._options import Options
from ._plan import Entry, PlannedLayer, within

MOST_LAYERS = 10_000
"""Layers of one network that are measured; the deepest real ones have a thousand."""

MOST_LAYERS_OF_ALL = 100_000
"""Layers of one file that are measured; the largest population that is known has 22,000."""


def opened(entry: Entry, options: Options) -> tuple[Entry, list[StoredLayer]]:
    """Open a checkpoint: return its entry filled from metadata, and its unread layers of the chosen shape.

    **Raises:** CheckpointError if it cannot be read or exceeds `max_bytes`, or if layers of the chosen
    shape may exist but none can be read; in a strict scan if any convolution cannot be read.
    """
    _check_size(entry, options)
    checkpoint = _checkpoint(entry, options)
    if checkpoint.companions:
        entry = entry.with_companions_of(checkpoint)
        _check_size(entry, options)
        # Opened again, so that the identities of all files are older than anything that is read from them.
        checkpoint = checkpoint_at(entry.path, options)
    chosen = chosen_layers(checkpoint, options.spatial)
    stored = largest_layers(chosen)
    described = _described(entry, checkpoint, stored, options)
    if len(stored) == len(chosen) or not described.layers:
        return described, stored
    return _without_smallest(described, chosen, stored, options), stored


def _checkpoint(entry: Entry, options: Options) -> Checkpoint:
    if entry.memory is None:
        return checkpoint_at(entry.path, options)
    return entry.memory.open(
        axes=options.axes, network=options.network, standardize=options.standardize
    )


def checkpoint_at(path: Location | str, options: Options) -> Checkpoint:
    """Open a checkpoint with the options of the scan."""
    return open_checkpoint(
        path, axes=options.axes, network=options.network, standardize=options.standardize
    )


def chosen_layers(checkpoint: Checkpoint, spatial: tuple[int, ...]) -> list[StoredLayer]:
    """The layers of one spatial shape, in the checkpoint's order."""
    return [layer for layer in checkpoint.layers if layer.shape[2:] == spatial]


def largest_layers(layers: Sequence[StoredLayer]) -> list[StoredLayer]:
    """The layers that a scan measures, in their order: all, or those with the most kernels of each network.

    Every layer costs 12 kB of tables whatever its size, so that a file of tiny ones would become a
    hundred times larger.
    """
    n_layers, measured = Counter[str](), list[int]()
    for place in sorted(range(len(layers)), key=lambda i: -_n_kernels(layers[i])):
        member = layers[place].stored.member
        n_layers[member] += 1
        if n_layers[member] <= MOST_LAYERS:
            measured.append(place)
    return [layers[place] for place in sorted(measured[:MOST_LAYERS_OF_ALL])]


def _without_smallest(
    entry: Entry, chosen: Sequence[StoredLayer], stored: Sequence[StoredLayer], options: Options
) -> Entry:
    """The entry as one that was read in part, with the number of layers and kernels that were left out."""
    size = "x".join(map(str, options.spatial))
    n, all_kernels = len(chosen) - len(stored), sum(map(_n_kernels, chosen))
    n_kernels = all_kernels - sum(map(_n_kernels, stored))
    reason = (
        f"{n:,} of its {len(chosen):,} {size} layers, those with the fewest kernels "
        f"({n_kernels:,} of {all_kernels:,}), were left out: at most {MOST_LAYERS:,} layers "
        f"of a network are measured, and {MOST_LAYERS_OF_ALL:,} of a file"
    )
    if options.strict:
        remedy = "without --strict the largest layers count"
        raise CheckpointError(reason, path=entry.path, remedy=remedy)
    reason = f"{entry.reason}; {reason}" if entry.status == "partial" else reason
    skipped = (*entry.skipped, (f"{size} convolution beyond the largest {MOST_LAYERS:,}", n))
    return dataclasses.replace(entry, status="partial", reason=reason, skipped=skipped)


def _n_kernels(layer: StoredLayer) -> int:
    return layer.shape[0] * layer.shape[1]


def _check_size(entry: Entry, options: Options) -> None:
    if not within(entry, options):
        reason = f"{entry.total_bytes} bytes, more than the {options.max_bytes} that were allowed"
        raise CheckpointError(reason, path=entry.path, remedy="raise --max-bytes to read it")


def _described(
    entry: Entry, checkpoint: Checkpoint, stored: Sequence[StoredLayer], options: Options
) -> Entry:
    spatial = options.spatial
    layers = tuple(
        PlannedLayer(x.layer, x.shape, x.stored.member, x.stored.metadata) for x in stored
    )
    reasons = Counter(skipped.reason for skipped in checkpoint.skipped)
    reasons.update(_size(layer) for layer in checkpoint.layers if layer.shape[2:] != spatial)
    described = dataclasses.replace(
        entry,
        format=checkpoint.format,
        layers=layers,
        skipped=tuple(reasons.most_common()),
        updates=checkpoint.updates,
        batchnorm=checkpoint.has_batchnorm,
    )
    has_kernels, unread = any(layer.n_kernels for layer in layers), checkpoint.shortfall
    if unread is not None:
        _check_unread(checkpoint, unread, options, has_kernels)
        return dataclasses.replace(described, status="partial", reason=printable(unread))
    if has_kernels:
        return described
    return dataclasses.replace(
        described, status="empty", reason=_why_empty(reasons, spatial), layers=()
    )


def _check_unread(checkpoint: Checkpoint, unread: str, options: Options, has_kernels: bool) -> None:
    """Raise CheckpointError if too little can be read; the status "empty" would be a guess."""
    if has_kernels and not options.strict:
        return
    if has_kernels:
        reason, remedy = unread, "without --strict the layers that were read count"
    elif checkpoint.layers:
        size = "x".join(map(str, options.spatial))
        reason, remedy = f"no {size} convolution among those that were read; {unread}", None
    else:
        reasons = most_common(Counter(array.reason for array in checkpoint.unread))
        count = len(checkpoint.unread)
        reason, remedy = f"none of its {count} convolution layers could be read: {reasons}", None
    raise CheckpointError(reason, path=checkpoint.path, remedy=remedy)


def _size(layer: StoredLayer) -> str:
    extents = layer.shape[2:]
    return f"{'x'.join(map(str, extents))} convolution" + (" (1-D)" if len(extents) == 1 else "")


def _why_empty(reasons: Counter[str], spatial: tuple[int, ...]) -> str:
    size = "x".join(map(str, spatial))
    common = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(SHOWN))
    return f"no {size} convolution among its {sum(reasons.values())} arrays" + (
        common and f" ({common})"
    )
