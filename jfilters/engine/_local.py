"""The engine of one process: it opens checkpoints one after another and streams their weights."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from ..converters import StoredLayer
from ..converters.internal import identity, is_remote
from ..errors import CheckpointError, UnreadableError
from ..lineage.internal import Sketcher
from ..scans.internal import LayerStatistics
from ..statistics import Basis
from ._bins import Backend, Bins, Opened, Pass, Weights
from ._checkpoint_statistics import CheckpointStatistics
from ._digest import digest
from ._engine import Numbered, Progress
from ._opening import opened
from ._options import Options
from ._plan import Companion, Entry
from ._progress import reached
from ._sample import Sampler, network_sizes
from ._weight_stores import MEMORY_BYTES, TemporaryStore, WeightCache

OPEN_CHECKPOINTS, OPEN_LAYERS = 64, 20_000
"""Checkpoints, and layers of them, that stay open between the passes at most."""

MOST_WAITING = 1_024
"""Tasks that wait for the thread that hashes at most: each takes 2 kB, 200 MB for a hundred thousand."""

_CHANGED = "the checkpoint changed while it was scanned"


class Local:
    """Reads checkpoints on this machine. A context manager: it hashes in a thread of its own.

    **Arguments:**

    - `options`: those of the scan.
    - `store`: holds the weights of remote checkpoints between the passes.
    - `progress`: called with the name of the pass, and the bytes done and in all.
    - `backend`: how weights become statistics: the passes on this machine's devices if not given.
    - `memory_bytes`: limit of the local weights that stay in memory between the passes.
    """

    def __init__(
        self,
        options: Options,
        store: TemporaryStore,
        progress: Progress | None = None,
        backend: Backend | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ):
        self._options, self._store, self._cache = options, store, WeightCache(memory_bytes)
        self._backend = backend or device_backend()
        self._progress = progress or (lambda stage, done, total: None)
        self._hasher = ThreadPoolExecutor(1)
        self._submitted = itertools.count(1)
        self._hashes: dict[int, Future[str | None] | str | None] = {}
        self._open: dict[int, list[StoredLayer]] = {}

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        self._hasher.shutdown(cancel_futures=error is not None)

    def measure(
        self, entries: Sequence[tuple[int, Entry]], bins: Bins | None = None
    ) -> Iterator[Numbered]:
        """Open and read checkpoints for the first time, with histograms if their `bins` are given.

        Each is yielded as soon as it is complete. One that cannot be read is an entry with its reason.
        """
        sizes = [entry.bytes for _, entry in entries]
        pending = _Pending(self._options)
        watchers: dict[int, tuple[Sampler, Sketcher]] = {}

        def checkpoints() -> Iterator[Opened]:
            for (index, entry), advance in zip(entries, self._stage("moments", sizes), strict=True):
                try:
                    entry, stored = opened(entry, self._options)
                except CheckpointError as error:
                    pending.fail(index, entry, error)
                    continue
                finally:
                    self._hash(index, entry)
                self._leave_open(index, stored)
                options = self._options
                statistics = LayerStatistics.empty(len(stored), options.d, options.bins)
                sampler = Sampler(entry.layers, options.d, options.sample)
                sketcher = Sketcher(network_sizes(entry.layers))
                watchers[index] = sampler, sketcher
                nothing = CheckpointStatistics.of_nothing(entry, options)
                pending.results[index] = dataclasses.replace(
                    nothing, layers=statistics, bins_key=bins and bins.key
                )
                weights = self._weights(index, entry, stored, store=bins is None)
                yield index, statistics, advance(sampler.watch(sketcher.watch(weights)))

        purpose = Pass(self._options, first=True, bins=bins)
        for index in self._backend.collect(checkpoints(), purpose, pending.fail_open):
            result, (sampler, sketcher) = pending.results.pop(index), watchers.pop(index)
            sample, sketches = sampler.sample(), sketcher.sketches()
            yield index, _narrowed(dataclasses.replace(result, sample=sample, sketches=sketches))
            yield from pending.pop_failed()
        yield from pending.pop_failed()

    def count(self, results: Collection[Numbered], bins: Bins) -> Iterator[Numbered]:
        """Read checkpoints again for histograms in `bins`, which replace earlier histograms."""
        pending = _Pending(self._options)

        def checkpoints() -> Iterator[Opened]:
            for index, result, weights in self._again("histograms", results):
                empty = result.layers.without_counts()
                pending.results[index] = dataclasses.replace(
                    result, layers=empty, bins_key=bins.key
                )
                yield index, empty, weights

        purpose = Pass(self._options, bins=bins)
        for index in self._backend.collect(checkpoints(), purpose, pending.fail_open):
            yield index, _narrowed(pending.results.pop(index))
            yield from pending.pop_failed()
        yield from pending.pop_failed()

    def coefficient_range(
        self, results: Collection[Numbered], basis: Basis
    ) -> tuple[list[Numbered], tuple[float, float]]:
        """The checkpoints that failed, and the smallest and largest coefficient of all kernels."""
        pending = _Pending(self._options)

        def checkpoints() -> Iterator[Opened]:
            for index, result, weights in self._again("range", results):
                pending.results[index] = result
                yield index, result.layers, weights
                pending.results.pop(index, None)

        low_high = self._backend.coefficient_range(
            checkpoints(), self._options, basis, pending.fail_open
        )
        return list(pending.pop_failed()), low_high

    def sha256(self, index: int) -> str | None:
        """Return the hash of a checkpoint that was measured; waits for it."""
        sha256 = self._hashes.get(index)
        return sha256.result() if isinstance(sha256, Future) else sha256

    def after_hash(self, task: Callable[[], None]) -> None:
        """Run a task beside the passes, as soon as all checkpoints opened so far are hashed."""
        self._submit(task)

    def _again(
        self, stage: str, results: Collection[Numbered]
    ) -> Iterator[tuple[int, CheckpointStatistics, Weights]]:
        sizes = [result.entry.bytes for _, result in results]
        for (index, result), advance in zip(results, self._stage(stage, sizes), strict=True):
            weights = self._weights(index, result.entry)
            yield index, result, advance(weights)

    def _weights(
        self,
        index: int,
        entry: Entry,
        stored: list[StoredLayer] | None = None,
        *,
        store: bool = True,
    ) -> Iterator[np.ndarray]:
        """The weights of a checkpoint, which is opened again for those that were not stored."""
        weights = self._store if is_remote(entry.path) else self._cache
        if stored is None and weights is self._cache:
            _check_unchanged(entry)
        for row in range(len(entry.layers)):
            weight = weights.get((index, row))
            if weight is None:
                stored = stored or self._opened_again(index, entry)
                weight = stored[row].read()
                if store:
                    weights.put((index, row), weight)
            # Ranges of remote files are checked one by one; what lies here may have been replaced.
            if row == len(entry.layers) - 1 and weights is self._cache:
                _check_unchanged(entry)
            yield weight

    def _opened_again(self, index: int, entry: Entry) -> list[StoredLayer]:
        if is_remote(entry.path):  # a local one was checked before its first weight
            _check_unchanged(entry)
        if index in self._open:
            return self._open.pop(index)
        current, stored = opened(entry, self._options)
        if current.layers != entry.layers:
            raise UnreadableError(_CHANGED, path=entry.path)
        return stored

    def _leave_open(self, index: int, stored: list[StoredLayer]) -> None:
        """Leave a checkpoint open for the next pass, within the limits of descriptors and memory."""
        layers = sum(map(len, self._open.values()))
        if len(self._open) < OPEN_CHECKPOINTS and layers + len(stored) <= OPEN_LAYERS:
            self._open[index] = stored

    def _stage(self, name: str, sizes: Sequence[int]) -> Iterator[Callable]:
        """Yield, for each checkpoint, a function that passes its weights on and reports progress."""
        done, total = 0, sum(sizes)
        for count, size in enumerate(sizes):
            self._progress(name, done, total)
            reached(self._progress, count)
            yield lambda weights, done=done: self._watched(weights, name, done, total)
            done += size
        reached(self._progress, len(sizes))
        self._progress(name, total, total)

    def _watched(
        self, weights: Iterator[np.ndarray], name: str, done: int, total: int
    ) -> Iterator[np.ndarray]:
        for weight in weights:
            yield weight
            done += weight.nbytes
            self._progress(name, min(done, total), total)

    def _hash(self, index: int, entry: Entry) -> None:
        # Hashing a remote checkpoint would transfer all of it.
        if self._options.sha256 and isinstance(entry.path, Path):
            future = self._submit(_digest_or_none, entry)
            self._hashes[index] = future
            future.add_done_callback(lambda future: self._replace_future(index, future))

    def _submit(self, task: Callable[..., Any], *args: object) -> Future[Any]:
        """Give a task to the thread that hashes; wait for the whole queue now and then."""
        future = self._hasher.submit(task, *args)
        # A semaphore would let both threads take turns at every task, which doubles the time.
        if next(self._submitted) % MOST_WAITING == 0:
            wait([future])
        return future

    def _replace_future(self, index: int, future: Future[str | None]) -> None:
        # A future takes 2 kB, 200 MB of a hundred thousand checkpoints.
        if not future.cancelled() and future.exception() is None:
            self._hashes[index] = future.result()


def device_backend() -> Backend:
    """Return the passes on this machine's devices, with the import of JAX."""
    from . import _stream

    return _stream


def _narrowed(result: CheckpointStatistics) -> CheckpointStatistics:
    return dataclasses.replace(result, layers=result.layers.narrowed())


class _Pending:
    """Results under way, and those of checkpoints that failed."""

    def __init__(self, options: Options):
        self.results: dict[int, CheckpointStatistics] = {}
        self._options = options
        self._failed: list[Numbered] = []

    def fail_open(self, index: int, error: CheckpointError) -> None:
        """Record the failure of a checkpoint that was being read."""
        self.fail(index, self.results.pop(index).entry, error)

    def fail(self, index: int, entry: Entry, error: CheckpointError) -> None:
        """Record the failure of a checkpoint. Raises its error if the scan is strict."""
        if self._options.strict:
            raise error
        result = CheckpointStatistics.of_nothing(entry.without(error), self._options)
        self._failed.append((index, result))

    def pop_failed(self) -> Iterator[Numbered]:
        """Failures since the last call."""
        failed, self._failed = self._failed, []
        yield from failed


def _check_unchanged(entry: Entry) -> None:
    beside = (Companion.beside(entry.path, companion.name) for companion in entry.companions)
    is_same = entry.identity is None or identity(entry.path) == entry.identity
    if not is_same or entry.companions != tuple(beside):
        raise UnreadableError(_CHANGED, path=entry.path)


def _digest_or_none(entry: Entry) -> str | None:
    if entry.memory is not None:
        return entry.memory.sha256()
    path = Path(str(entry.path))
    with contextlib.suppress(OSError):  # the entry says why it could not be read
        # Reading from a FIFO would wait for ever.
        return digest(path, entry.companions) if path.is_file() or path.is_dir() else None
    return None
