"""The statistics of all checkpoints of a scan, stacked by hundreds.

The record of one small checkpoint has twenty arrays of its own, whose headers take more memory than the
numbers in them: 4 kB, or 400 MB of a hundred thousand checkpoints.
"""

import contextlib
import ctypes
import dataclasses
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from ..lineage.internal import Sketches
from ..scans.internal import LayerStatistics, concatenated, selected
from ..statistics import Moments
from ._checkpoint_statistics import CheckpointStatistics
from ._engine import Numbered
from ._plan import Entry
from ._sample import Sample

CHECKPOINTS_AT_ONCE = 512
"""Checkpoints whose statistics are stacked together."""


class Results:
    """The statistics of checkpoints by their index. One thread writes, others may read.

    `nothing` is a checkpoint without layers, which gives the arrays of a scan without any their shapes.
    """

    def __init__(self, nothing: CheckpointStatistics):
        self._nothing = nothing
        self._recent: dict[int, CheckpointStatistics] = {}
        self._stacked: dict[int, tuple[_Stack, int]] = {}

    def __setitem__(self, index: int, result: CheckpointStatistics) -> None:
        self._recent[index] = result
        self._stacked.pop(index, None)  # a stack is released with the last of its results
        if len(self._recent) >= CHECKPOINTS_AT_ONCE:
            self._stack()

    def __getitem__(self, index: int) -> CheckpointStatistics:
        if (result := self._recent.get(index)) is not None:
            return result
        stack, place = self._stacked[index]
        return stack[place]

    def entry(self, index: int) -> Entry:
        """Return the entry of a checkpoint."""
        if (result := self._recent.get(index)) is not None:
            return result.entry
        stack, place = self._stacked[index]
        return stack.entries[place]

    def set_entry(self, index: int, entry: Entry) -> None:
        """Replace the entry of a checkpoint, whose statistics stay."""
        if (result := self._recent.get(index)) is not None:
            self._recent[index] = dataclasses.replace(result, entry=entry)
        else:
            stack, place = self._stacked[index]
            stack.entries[place] = entry

    def without_bins(self, indices: Sequence[int], bins_key: str) -> list[int]:
        """Return the checkpoints with layers whose histograms are not in these bins."""
        self._stack()
        places = [(index, *self._stacked[index]) for index in indices]
        return [
            index for index, stack, i in places if len(stack.rows(i)) and stack.keys[i] != bins_key
        ]

    def numbered(self, indices: Sequence[int]) -> Collection[Numbered]:
        """Return the results of some checkpoints, each made when it is read."""
        return _Numbered(self, indices)

    def normalized(self) -> Moments:
        """Return the moments of normalized kernels of all layers, in the order of the checkpoints."""
        stacks, rows, _ = self._in_order()
        moments = concatenated([stack.layers.normalized for stack in stacks])
        return moments if _is_range(rows, len(moments.count)) else selected(moments, rows)

    def entries(self) -> list[Entry]:
        """Return the entries of all checkpoints, in their order."""
        self._stack()
        return [self.entry(index) for index in sorted(self._stacked)]

    def pop_all(self) -> tuple[LayerStatistics, Sample, Sketches]:
        """Return the statistics of all layers, all samples and all sketches, in the order of checkpoints.

        Nothing of them is left here: the statistics of a hundred thousand checkpoints take 450 MB, and each
        array is released as soon as it is copied.
        """
        stacks, rows, kernels = self._in_order()
        starts = self._first_rows()
        layers, samples = [stack.layers for stack in stacks], [stack.sample for stack in stacks]
        parts = [stack.sketches for stack in stacks]
        self._stacked = {}
        del stacks
        _release_unused()
        statistics = _popped_layers(layers, rows)
        sample = _popped_sample(samples, kernels, starts)
        return statistics, sample, _popped_sketches(parts, rows)

    def _first_rows(self) -> Int64[np.ndarray, " kernels"]:
        """The first row of the checkpoint of each sampled kernel, in the order of the checkpoints."""
        places = [self._stacked[index] for index in sorted(self._stacked)]
        n_layers = np.array([len(stack.rows(i)) for stack, i in places], np.int64)
        n_kernels = np.array([len(stack.kernels(i)) for stack, i in places], np.int64)
        return np.repeat(np.cumsum(n_layers) - n_layers, n_kernels)

    def _stack(self) -> None:
        if not self._recent:
            return
        stack = _Stack(list(self._recent.values()))
        # A reader in another thread finds a result in one of both.
        self._stacked |= {index: (stack, i) for i, index in enumerate(self._recent)}
        self._recent = {}

    def _in_order(
        self,
    ) -> tuple[list["_Stack"], Int64[np.ndarray, " layers"], Int64[np.ndarray, " kernels"]]:
        """The stacks, and where the layers and the sampled kernels of the checkpoints are in them all."""
        self._stack()
        places = [self._stacked[index] for index in sorted(self._stacked)]
        stacks = {id(stack): stack for stack, _ in places}
        starts, first_row, first_kernel = {}, 0, 0
        for key, stack in stacks.items():
            starts[key] = first_row, first_kernel
            first_row += len(stack.layers)
            first_kernel += len(stack.sample.layer)
        rows = [_shifted(stack.rows(i), starts[id(stack)][0]) for stack, i in places]
        kernels = [_shifted(stack.kernels(i), starts[id(stack)][1]) for stack, i in places]
        return [_Stack([self._nothing]), *stacks.values()], _joined(rows), _joined(kernels)


class _Stack:
    """The statistics of some checkpoints as one record; each is a view of its rows."""

    def __init__(self, results: Sequence[CheckpointStatistics]):
        self.entries = [result.entry for result in results]
        self.keys = [result.bins_key for result in results]
        self.layers = LayerStatistics.concatenate([result.layers for result in results])
        samples = [result.sample for result in results]
        self.sample = Sample.concatenate(samples, [0] * len(samples))
        self.sketches = Sketches.concatenate([result.sketches for result in results])
        self._rows = np.cumsum([0, *(len(result.layers) for result in results)])
        self._kernels = np.cumsum([0, *(len(sample.layer) for sample in samples)])

    def __getitem__(self, place: int) -> CheckpointStatistics:
        rows, kernels = self.rows(place), self.kernels(place)
        part = slice(rows.start, rows.stop)
        layers, sketches = self.layers.take(part), self.sketches.take(part)
        values = self.sample.kernels, self.sample.layer, self.sample.marks()
        sample = Sample(*(value[kernels.start : kernels.stop] for value in values))
        return CheckpointStatistics(self.entries[place], layers, sample, sketches, self.keys[place])

    def rows(self, place: int) -> range:
        """The rows of a checkpoint's layers."""
        return range(int(self._rows[place]), int(self._rows[place + 1]))

    def kernels(self, place: int) -> range:
        """The rows of a checkpoint's sample."""
        return range(int(self._kernels[place]), int(self._kernels[place + 1]))


class _Numbered(Collection[Numbered]):
    def __init__(self, results: Results, indices: Sequence[int]):
        self._results, self._indices = results, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __contains__(self, item: object) -> bool:
        return any(item == numbered for numbered in self)

    def __iter__(self) -> Iterator[Numbered]:
        return ((index, self._results[index]) for index in self._indices)


def _popped_layers(
    records: list[LayerStatistics], rows: Int64[np.ndarray, " layers"]
) -> LayerStatistics:
    """The rows of the records, copied field by field; the list is emptied."""
    is_whole = _is_range(rows, sum(map(len, records)))
    parts = [dict(vars(record)) for record in records if len(record)] or [dict(vars(records[0]))]
    records.clear()
    fields = {}
    for field in dataclasses.fields(LayerStatistics):
        values = concatenated([part.pop(field.name) for part in parts])
        fields[field.name] = values if is_whole else selected(values, rows)
        _release_unused()
    return LayerStatistics(**fields)


def _popped_sample(
    samples: list[Sample],
    kernels: Int64[np.ndarray, " kernels"],
    first_rows: Int64[np.ndarray, " kernels"],
) -> Sample:
    """The kernels of the samples in order, with the rows of all layers; the list is emptied."""
    sample = Sample.concatenate(samples, [0] * len(samples))
    samples.clear()
    _release_unused()
    if not _is_range(kernels, len(sample.layer)):
        sample = Sample(sample.kernels[kernels], sample.layer[kernels], sample.marks()[kernels])
    return Sample(sample.kernels, sample.layer + first_rows, sample.marks())


def _popped_sketches(parts: list[Sketches], rows: Int64[np.ndarray, " layers"]) -> Sketches:
    """The sketches of all layers in order; the list is emptied."""
    sketches = Sketches.concatenate(parts)
    parts.clear()
    _release_unused()
    return sketches if _is_range(rows, len(sketches)) else sketches.take(rows)


def _release_unused() -> None:
    """Give free memory back to the system.

    The C library keeps pieces below 32 MB for later ones of their size, and large arrays cannot use them.
    """
    with contextlib.suppress(AttributeError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _shifted(places: range, start: int) -> range:
    return range(places.start + start, places.stop + start)


def _joined(ranges: Sequence[range]) -> Int64[np.ndarray, " n"]:
    counts = np.array([len(places) for places in ranges], np.int64)
    starts = np.array([places.start for places in ranges], np.int64)
    offsets = starts - (np.cumsum(counts) - counts)
    return np.arange(counts.sum()) + np.repeat(offsets, counts)


def _is_range(places: Int64[np.ndarray, " n"], size: int) -> bool:
    return len(places) == size and bool((np.diff(places, prepend=-1) == 1).all())
