"""The scan of a folder: read for moments, fit the basis, read again for histograms.

Who reads is an engine's business; what was read before comes from the cache.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..converters import Location
from ..errors import UnreadableError, unknown_choice
from ..scans import MetadataTable
from ..scans.internal import pooled_moments
from ..statistics import Basis, Moments, fit_basis
from . import _host
from ._bins import Backend, Bins, data_free_edges
from ._cache import VERSION, Cache
from ._checkpoint_statistics import CheckpointStatistics, dump, load
from ._engine import Engine, Numbered, Progress
from ._local import Local, device_backend
from ._measurements import Measurements
from ._metadata import with_metadata
from ._options import DEFAULTS, Options
from ._plan import Entry, checkpoints_at, plan, within
from ._processes import Processes
from ._progress import announce, counted, say
from ._results import Results
from ._shared_plan import Plan, check_agreement, shared_basis, shared_plan, shared_table
from ._versions import versions
from ._weight_stores import DISK_BYTES, TemporaryStore

Scannable = Location | str | Sequence[Location | str] | Mapping[Any, Any]
"""A path, several, or networks by their names."""

ENGINES = ("local", "host", "ray")
"""Readers of checkpoints: this machine's devices, this machine in NumPy without JAX, or a Ray cluster."""

WORTH_CACHING = 1 << 20
"""A checkpoint of fewer bytes is cached only with its histograms: it is read again as fast as cached."""


def measure_checkpoints(
    checkpoints: Scannable,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
    metadata: MetadataTable | Path | str | None = None,
    cache: Location | None = None,
    progress: Progress | None = None,
    disk_bytes: int = DISK_BYTES,
    processes: Processes | None = None,
    engine: str = "local",
    address: str | None = None,
    num_gpus: int | float = 0,
) -> Measurements:
    """Read checkpoints and return the statistics of their layers; arguments and errors are those of `scan`.

    Weights are read one tensor at a time and never kept: once with a known `basis`, else twice, and once
    more for the data range. Those of remote checkpoints travel once, since up to `disk_bytes` of them
    wait in a temporary file.
    """
    if engine not in ENGINES:
        raise ValueError(unknown_choice("an engine", engine, ENGINES))
    if address is not None and engine != "ray":
        raise ValueError("an address is that of a Ray cluster: it needs the engine ray")
    if num_gpus and engine != "ray":
        raise ValueError("num_gpus are GPUs of a task of a Ray cluster: they need the engine ray")
    planned = _plan_of(checkpoints)
    if basis is not None and len(basis.mean) != options.d:
        size = "x".join(map(str, options.spatial))
        raise ValueError(f"expected a basis for {size} kernels, got one of {len(basis.mean)} taps")

    processes = processes or _alone(engine)
    all_versions = versions() | {"the method": VERSION}
    check_agreement(processes, checkpoints, options, basis, metadata, all_versions)
    table = shared_table(metadata, processes)

    def read() -> tuple[Location, list[Location], Bins | None, Results]:
        # In a function of its own: with it the plan and the weights in memory are released.
        say(progress, "listing checkpoints")
        root, entries, ignored = shared_plan(planned, checkpoints, processes)
        say(progress, "loading JAX" if engine == "local" else "starting")
        with _started(engine, (address, num_gpus), options, progress, disk_bytes) as reader:
            kept = _cache(cache, options, basis)
            run = Run(options, reader, kept, processes, progress)
            return root, ignored, run.read(entries, basis), run.hashed()

    root, ignored, bins, results = read()
    described, unmatched = with_metadata(results.entries(), table)
    statistics, sample, sketches = results.pop_all()
    return Measurements(
        root,
        options,
        tuple(described),
        tuple(ignored),
        statistics,
        sample,
        sketches,
        bins and bins.basis,
        bins and bins.edges,
        unmatched,
    )


class Run:
    """A scan under way: the result of each checkpoint by its index; those of other processes too.

    A checkpoint that breaks while it is read becomes an entry with its reason, without layers.
    """

    def __init__(
        self,
        options: Options,
        engine: Engine,
        cache: Cache | None,
        processes: Processes,
        progress: Progress | None = None,
    ):
        self._options, self._engine, self._cache = options, engine, cache
        self._progress = progress
        self._processes = processes
        self._share: list[int] = []
        self._results = Results(CheckpointStatistics.of_nothing(_NOWHERE, options))

    def read(self, entries: Sequence[Entry], basis: Basis | None) -> Bins | None:
        """Read what is not cached; return the basis and the edges that all histograms are in."""
        self._entries = entries
        self._share = self._processes.share([entry.bytes for entry in entries])
        bins = self._data_free_bins(basis)
        is_free = data_free_edges(self._options) is not None
        announce(self._progress, 1 if bins is not None else 2 if is_free else 3)
        self._measure(bins)
        while True:
            bins = self._bins(basis)
            if bins is None or not self._count(bins):
                return bins
            # A checkpoint failed after the basis was fitted: its share of the basis must go too.

    def hashed(self) -> Results:
        """The results of all entries, hashed."""
        for index in self._share:
            self._results.set_entry(index, self._hashed_entry(index))
        if self._processes.count > 1:
            self._exchange(self._share)
        return self._results

    def _data_free_bins(self, basis: Basis | None) -> Bins | None:
        edges = data_free_edges(self._options)
        return None if basis is None or edges is None else Bins(basis, edges)

    def _measure(self, bins: Bins | None) -> None:
        missing = []
        if self._cache is not None:
            self._cache.prepare([self._entries[index] for index in self._share])
        for index in self._share:
            if self._entries[index].has_failed:  # it differs from what process 0 planned
                self._results[index] = self._failed(index)
            elif (result := self._cached(index)) is None:
                missing.append((index, self._entries[index]))
            else:
                self._results[index] = result
        for index, result in self._counted(self._engine.measure(missing, bins), len(missing)):
            self._store(index, result)
        self._exchange(self._share)

    def _failed(self, index: int) -> CheckpointStatistics:
        """Return a checkpoint that failed in the plan. Raises its error if the scan is strict."""
        entry = self._entries[index]
        if self._options.strict:
            raise UnreadableError(entry.reason or "it cannot be read")
        return CheckpointStatistics.of_nothing(entry, self._options)

    def _bins(self, basis: Basis | None) -> Bins | None:
        """The bins for what was read; None for fewer than two kernels, or if all are equal."""
        moments = self._results.normalized()
        if not len(moments.count):
            return None
        fitted = basis
        if fitted is None:
            fitted = shared_basis(lambda: _fitted(moments), self._processes)
        if fitted is None:
            return None
        if (edges := data_free_edges(self._options)) is not None:
            return Bins(fitted, edges)
        readable = self._results.without_bins(self._share, "")
        failed, low_high = self._engine.coefficient_range(self._results.numbered(readable), fitted)
        for index, result in failed:
            self._results[index] = result
        if self._exchange([index for index, _ in failed]):
            return self._bins(basis)
        low, high = self._processes.overall_range(*low_high)
        return Bins(fitted, np.linspace(low, high, self._options.bins + 1))

    def _count(self, bins: Bins) -> bool:
        """Count histograms of all that have none in these bins; return True if a checkpoint failed."""
        missing = self._results.without_bins(self._share, bins.key)
        results = self._engine.count(self._results.numbered(missing), bins)
        for index, result in self._counted(results, len(missing)):
            self._store(index, result)
        return self._exchange(missing)

    def _counted(self, results: Iterable[Numbered], n_missing: int) -> Iterator[Numbered]:
        n = len(self._share)
        return counted(self._progress, results, n - n_missing, n)

    def _exchange(self, indices: Sequence[int]) -> bool:
        """Exchange new results with all processes; return True if one of them is a failure."""
        results = self._results
        if self._processes.count > 1:
            union = self._processes.union({index: dump(results[index]) for index in indices})
            for index, data in union.items():
                results[index] = load(data, self._entries[index])
            indices = list(union)
        return any(results.entry(index).has_failed for index in indices)

    def _cached(self, index: int) -> CheckpointStatistics | None:
        entry = self._entries[index]
        if self._cache is None or not within(entry, self._options):
            return None
        result = self._cache.find(entry)
        # A strict scan ends at a checkpoint that is not wholly read, where it opens it again.
        is_partial = result is not None and result.entry.status == "partial"
        return None if is_partial and self._options.strict else result

    def _store(self, index: int, result: CheckpointStatistics) -> None:
        self._results[index] = result
        is_half = result.bins_key is None and result.entry.total_bytes < WORTH_CACHING
        if (cache := self._cache) is not None and not is_half:
            self._engine.after_hash(lambda: cache.put(self._hashed(index)))

    def _hashed(self, index: int) -> CheckpointStatistics:
        return dataclasses.replace(self._results[index], entry=self._hashed_entry(index))

    def _hashed_entry(self, index: int) -> Entry:
        entry = self._results.entry(index)
        if entry.sha256 is not None:
            return entry
        return dataclasses.replace(entry, sha256=self._engine.sha256(index))


def _plan_of(checkpoints: Scannable) -> Callable[[], Plan]:
    """Return the function that plans a scan, once its arguments are checked."""
    if not isinstance(checkpoints, Mapping):
        return functools.partial(plan, checkpoints_at(checkpoints))
    from ._named import check_names, plan_named  # imports JAX

    check_names(checkpoints)
    return functools.partial(plan_named, checkpoints)


_NOWHERE = Entry("", Path())


@contextlib.contextmanager
def _started(
    name: str,
    cluster: tuple[str | None, int | float],
    options: Options,
    progress: Progress | None,
    disk_bytes: int,
) -> Iterator[Engine]:
    if name == "ray":
        from ._cluster import Cluster

        with Cluster(options, progress, *cluster) as engine:
            yield engine
    else:
        backend: Backend = _host if name == "host" else device_backend()
        with TemporaryStore(disk_bytes) as store, Local(options, store, progress, backend) as local:
            yield local


def _alone(engine: str) -> Processes:
    # The host engine belongs to no job, and asking JAX would import it.
    return Processes(0, 1) if engine == "host" else Processes()


def _cache(folder: Location | None, options: Options, basis: Basis | None) -> Cache | None:
    # Without quality and with a known basis no moments are taken: nothing for a later scan to build on.
    if folder is None or (basis is not None and not options.quality):
        return None
    return Cache(folder, options)


def _fitted(normalized: Moments) -> Basis | None:
    try:
        return fit_basis(pooled_moments(normalized))
    except ValueError:
        return None
