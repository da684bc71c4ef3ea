"""The engine of one process: it opens checkpoints one after another and streams their weights."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..converters import StoredLayer, identity, is_remote
from ..errors import CheckpointError, UnreadableError
from ..scans.internal import LayerStatistics
from ..statistics import Basis
from ._digest import digest
from ._engine import Numbered, Progress
from ._opening import opened
from ._options import Options
from ._plan import Companion, Entry
from ._reading import Reading
from ._sample import Sample, Sampler
from ._spool import HELD_BYTES, Held, Spool
from ._stream import Bins, Opened, Pass, coefficient_range, collect

OPEN_CHECKPOINTS, OPEN_LAYERS = 64, 20_000
"""What stays open between the readings at most."""

_CHANGED = "the checkpoint changed while it was scanned"


class Local:
    """Reads checkpoints on this machine. A context manager: it hashes in a thread of its own."""

    def __init__(
        self,
        options: Options,
        spool: Spool,
        progress: Progress | None = None,
        held_bytes: int = HELD_BYTES,
    ):
        self._options, self._spool, self._held = options, spool, Held(held_bytes)
        self._progress = progress or (lambda stage, done, total: None)
        self._hasher = ThreadPoolExecutor(1)
        self._hashes: dict[int, Future[str | None]] = {}
        self._open: dict[int, list[StoredLayer]] = {}

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        self._hasher.shutdown(cancel_futures=error is not None)

    def measure(
        self, entries: Sequence[tuple[int, Entry]], bins: Bins | None = None
    ) -> Iterator[Numbered]:
        """Open and read checkpoints for the first time, with histograms if their `bins` are known.

        Each is yielded as soon as it is complete. One that cannot be read is an entry with its reason.
        """
        sizes = [entry.bytes for _, entry in entries]
        found = _Found(self._options)
        samplers: dict[int, Sampler] = {}

        def checkpoints() -> Iterator[Opened]:
            for (index, entry), advance in zip(entries, self._stage("moments", sizes), strict=True):
                try:
                    entry, stored = opened(entry, self._options)
                except CheckpointError as error:
                    found.lose(index, entry, error)
                    continue
                finally:
                    self._hash(index, entry)
                self._leave_open(index, stored)
                options = self._options
                cards = LayerStatistics.empty(len(stored), options.d, options.bins)
                sampler = samplers[index] = Sampler(entry.layers, options.d, options.sample)
                nothing = Sample.of_nothing(options.d)
                found.readings[index] = Reading(entry, cards, nothing, bins and bins.key)
                weights = self._weights(index, entry, stored, keep=bins is None)
                yield index, cards, advance(sampler.watch(weights))

        work = Pass(self._options, first=True, bins=bins)
        for index in collect(checkpoints(), work, found.lose_open):
            reading, sample = found.readings.pop(index), samplers.pop(index).sample()
            yield index, dataclasses.replace(reading, sample=sample)
            yield from found.lost()
        yield from found.lost()

    def count(self, readings: Sequence[Numbered], bins: Bins) -> Iterator[Numbered]:
        """Read checkpoints again for histograms in `bins`, in place of those that they had."""
        found = _Found(self._options)

        def checkpoints() -> Iterator[Opened]:
            for index, cards, weights in self._again("histograms", readings):
                if index in counted:
                    cards.forget_histograms()
                yield index, cards, weights

        counted = {index for index, reading in readings if reading.bins_key is not None}
        found.readings = {index: dataclasses.replace(r, bins_key=bins.key) for index, r in readings}
        for index in collect(checkpoints(), Pass(self._options, bins=bins), found.lose_open):
            yield index, found.readings.pop(index)
            yield from found.lost()
        yield from found.lost()

    def coefficient_range(
        self, readings: Sequence[Numbered], basis: Basis
    ) -> tuple[list[Numbered], tuple[float, float]]:
        """Smallest and largest coefficient of all kernels, and the checkpoints that were lost."""
        found = _Found(self._options)
        found.readings = dict(readings)
        checkpoints = self._again("range", readings)
        low_high = coefficient_range(checkpoints, self._options, basis, found.lose_open)
        return list(found.lost()), low_high

    def sha256(self, index: int) -> str | None:
        """The hash of a checkpoint that was measured; waits for it."""
        return self._hashes[index].result() if index in self._hashes else None

    def after_hash(self, work: Callable[[], None]) -> None:
        """Do some work beside the passes, when all checkpoints opened so far are hashed."""
        self._hasher.submit(work)

    def _again(self, stage: str, readings: Sequence[Numbered]) -> Iterator[Opened]:
        sizes = [reading.entry.bytes for _, reading in readings]
        for (index, reading), advance in zip(readings, self._stage(stage, sizes), strict=True):
            weights = self._weights(index, reading.entry)
            yield index, reading.cards, advance(weights)

    def _weights(
        self,
        index: int,
        entry: Entry,
        stored: list[StoredLayer] | None = None,
        *,
        keep: bool = True,
    ) -> Iterator[np.ndarray]:
        """The weights of a checkpoint; it is opened again for those that were not kept."""
        kept = self._spool if is_remote(entry.path) else self._held
        if stored is None and kept is self._held:
            _check_unchanged(entry)
        for row in range(len(entry.layers)):
            weight = kept.get((index, row))
            if weight is None:
                stored = stored or self._opened_again(index, entry)
                weight = stored[row].read()
                if keep:
                    kept.put((index, row), weight)
            yield weight

    def _opened_again(self, index: int, entry: Entry) -> list[StoredLayer]:
        if is_remote(entry.path):  # one that is here was looked at before its first weight
            _check_unchanged(entry)
        if index in self._open:
            return self._open.pop(index)
        now, stored = opened(entry, self._options)
        if now.layers != entry.layers:
            raise UnreadableError(_CHANGED, path=entry.path)
        return stored

    def _leave_open(self, index: int, stored: list[StoredLayer]) -> None:
        """Spare the next reading the opening, as long as that takes few descriptors and little memory."""
        layers = sum(map(len, self._open.values()))
        if len(self._open) < OPEN_CHECKPOINTS and layers + len(stored) <= OPEN_LAYERS:
            self._open[index] = stored

    def _stage(self, name: str, sizes: Sequence[int]) -> Iterator[Callable]:
        """For every checkpoint a function that passes its weights on and reports how far they are."""
        done, total = 0, sum(sizes)
        for size in sizes:
            self._progress(name, done, total)
            yield lambda weights, done=done: self._watched(weights, name, done, total)
            done += size
        self._progress(name, total, total)

    def _watched(
        self, weights: Iterator[np.ndarray], name: str, done: int, total: int
    ) -> Iterator[np.ndarray]:
        for weight in weights:
            yield weight
            done += weight.nbytes
            self._progress(name, min(done, total), total)

    def _hash(self, index: int, entry: Entry) -> None:
        # To hash a remote checkpoint would be to read all of it.
        if self._options.sha256 and isinstance(entry.path, Path):
            self._hashes[index] = self._hasher.submit(_digest_or_none, entry.path, entry.companions)


class _Found:
    """Readings under way, and those that were lost on it."""

    def __init__(self, options: Options):
        self.readings: dict[int, Reading] = {}
        self._options = options
        self._lost: list[Numbered] = []

    def lose_open(self, index: int, error: CheckpointError) -> None:
        """Lose a checkpoint that was being read."""
        self.lose(index, self.readings.pop(index).entry, error)

    def lose(self, index: int, entry: Entry, error: CheckpointError) -> None:
        """Lose a checkpoint to an error, which ends the scan if it is to be strict."""
        if self._options.strict:
            raise error
        self._lost.append((index, Reading.of_nothing(entry.without(error), self._options)))

    def lost(self) -> Iterator[Numbered]:
        """Those that were lost since the last call."""
        lost, self._lost = self._lost, []
        yield from lost


def _check_unchanged(entry: Entry) -> None:
    if entry.identity is not None and identity(entry.path) != entry.identity:
        raise UnreadableError(_CHANGED, path=entry.path)


def _digest_or_none(path: Path, companions: Sequence[Companion]) -> str | None:
    with contextlib.suppress(OSError):  # the entry says why it could not be read
        # Reading from a FIFO would wait for ever.
        return digest(path, companions) if path.is_file() or path.is_dir() else None
    return None
