"""The scan of a folder: read for moments, fit the basis, read again for histograms.

Who reads is an engine's business; what was read before comes from the cache.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..converters import Location, location
from ..scans import MetadataTable
from ..scans.internal import LayerStatistics, concatenated, pooled_moments
from ..statistics import Basis, fit_basis
from . import _host
from ._bins import Backend, Bins, data_free_edges
from ._cache import Cache
from ._checkpoint_statistics import CheckpointStatistics, dump, load
from ._engine import Engine, Numbered, Progress
from ._local import Local, device_backend
from ._measurements import Measurements
from ._metadata import with_metadata
from ._options import DEFAULTS, Options
from ._plan import Entry, find_checkpoints, planned, within
from ._processes import Processes
from ._sample import Sample
from ._weight_stores import DISK_BYTES, TemporaryStore

ENGINES = ("local", "host", "ray")
"""Readers of checkpoints: this machine's devices, this machine in NumPy without JAX, or a Ray cluster."""

WORTH_CACHING = 1 << 20
"""A checkpoint of fewer bytes is cached only with its histograms: it is read again as fast as cached."""


def measure_checkpoints(
    checkpoints: Location | str,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
    metadata: MetadataTable | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    disk_bytes: int = DISK_BYTES,
    processes: Processes | None = None,
    engine: str = "local",
    address: str | None = None,
) -> Measurements:
    """Read checkpoints and return the statistics of their layers; arguments and errors are those of `scan`.

    Weights are read one tensor at a time and never kept: once with a known `basis`, else twice, and once
    more for the data range. Those of remote checkpoints travel once, since up to `disk_bytes` of them
    wait in a temporary file.
    """
    if engine not in ENGINES:
        raise ValueError(f"expected an engine, one of {', '.join(ENGINES)}; got {engine!r}")
    if address is not None and engine != "ray":
        raise ValueError("an address is that of a Ray cluster: it needs the engine ray")
    root = location(checkpoints)
    if basis is not None and len(basis.mean) != options.d:
        size = "x".join(map(str, options.spatial))
        raise ValueError(f"expected a basis for {size} kernels, got one of {len(basis.mean)} taps")
    candidates, ignored = find_checkpoints(root)
    entries = list(planned(root, candidates))
    with _started(engine, address, options, progress, disk_bytes) as reader:
        run = Run(options, reader, _cache(cache, options, basis), processes or _alone(engine))
        bins = run.read(entries, basis)
        results = [CheckpointStatistics.of_nothing(_NOWHERE, options), *run.hashed()]
    described, unmatched = with_metadata([result.entry for result in results[1:]], metadata)
    return Measurements(
        root,
        options,
        tuple(described),
        tuple(ignored),
        LayerStatistics.concatenate([result.layers for result in results]),
        Sample.concatenate([r.sample for r in results], [len(r.layers) for r in results]),
        bins and bins.basis,
        bins and bins.edges,
        unmatched,
    )


class Run:
    """A scan under way: the result of each checkpoint by its index; those of other processes too.

    A checkpoint that breaks while it is read becomes an entry with its reason, without layers.
    """

    def __init__(self, options: Options, engine: Engine, cache: Cache | None, processes: Processes):
        self._options, self._engine, self._cache = options, engine, cache
        self._processes = processes
        self._share: list[int] = []
        self._results: dict[int, CheckpointStatistics] = {}

    def read(self, entries: Sequence[Entry], basis: Basis | None) -> Bins | None:
        """Read what is not cached; return the basis and the edges that all histograms are in."""
        self._entries = entries
        self._share = self._processes.share([entry.bytes for entry in entries])
        self._measure(self._data_free_bins(basis))
        while True:
            bins = self._bins(basis)
            if bins is None or not self._count(bins):
                return bins
            # A checkpoint failed after the basis was fitted: its share of the basis must go too.

    def hashed(self) -> list[CheckpointStatistics]:
        """The results in the order of the entries, hashed."""
        self._exchange([(index, self._hashed(index)) for index in self._share])
        return [self._results[index] for index in range(len(self._entries))]

    def _data_free_bins(self, basis: Basis | None) -> Bins | None:
        edges = data_free_edges(self._options)
        return None if basis is None or edges is None else Bins(basis, edges)

    def _measure(self, bins: Bins | None) -> None:
        results = {index: self._cached(index) for index in self._share}
        missing = [(i, self._entries[i]) for i, result in results.items() if result is None]
        for index, result in self._engine.measure(missing, bins):
            results[index] = self._store(index, result)
        self._exchange([(index, result) for index, result in results.items() if result])

    def _bins(self, basis: Basis | None) -> Bins | None:
        """The bins for what was read; None for fewer than two kernels, or if all are equal."""
        layers = [self._results[index].layers for index in sorted(self._results)]
        if not sum(map(len, layers)):
            return None
        fitted = basis if basis is not None else _fitted(layers)
        if fitted is None:
            return None
        if (edges := data_free_edges(self._options)) is not None:
            return Bins(fitted, edges)
        failed, low_high = self._engine.coefficient_range(self._readable(), fitted)
        if self._exchange(failed):
            return self._bins(basis)
        low, high = self._processes.overall_range(*low_high)
        return Bins(fitted, np.linspace(low, high, self._options.bins + 1))

    def _count(self, bins: Bins) -> bool:
        """Count histograms of all that have none in these bins; return True if a checkpoint failed."""
        missing = [(i, result) for i, result in self._readable() if result.bins_key != bins.key]
        counted = self._engine.count(missing, bins)
        return self._exchange([(index, self._store(index, result)) for index, result in counted])

    def _readable(self) -> list[Numbered]:
        """The results of checkpoints that this process can read again."""
        return [(i, self._results[i]) for i in self._share if len(self._results[i].layers)]

    def _exchange(self, results: Sequence[Numbered]) -> bool:
        """Take up new results of all processes; return True if one of them is a failure."""
        self._results |= dict(results)
        if self._processes.count == 1:
            return any(result.entry.has_failed for _, result in results)
        union = self._processes.union({index: dump(result) for index, result in results})
        loaded = {index: load(data, self._entries[index]) for index, data in union.items()}
        self._results |= loaded
        return any(result.entry.has_failed for result in loaded.values())

    def _cached(self, index: int) -> CheckpointStatistics | None:
        entry = self._entries[index]
        if self._cache is None or not within(entry, self._options):
            return None
        result = self._cache.find(entry)
        # A strict scan ends at a checkpoint that is not wholly read, where it opens it again.
        is_partial = result is not None and result.entry.status == "partial"
        return None if is_partial and self._options.strict else result

    def _store(self, index: int, result: CheckpointStatistics) -> CheckpointStatistics:
        self._results[index] = result
        is_half = result.bins_key is None and result.entry.total_bytes < WORTH_CACHING
        if (cache := self._cache) is not None and not is_half:
            self._engine.after_hash(lambda: cache.put(self._hashed(index)))
        return result

    def _hashed(self, index: int) -> CheckpointStatistics:
        result = self._results[index]
        if result.entry.sha256 is not None:
            return result
        entry = dataclasses.replace(result.entry, sha256=self._engine.sha256(index))
        return dataclasses.replace(result, entry=entry)


_NOWHERE = Entry("", Path())


@contextlib.contextmanager
def _started(
    name: str, address: str | None, options: Options, progress: Progress | None, disk_bytes: int
) -> Iterator[Engine]:
    if name == "ray":
        from ._cluster import Cluster

        with Cluster(options, progress, address) as cluster:
            yield cluster
    else:
        backend: Backend = _host if name == "host" else device_backend()
        with TemporaryStore(disk_bytes) as store, Local(options, store, progress, backend) as local:
            yield local


def _alone(engine: str) -> Processes:
    # The host engine belongs to no job, and asking JAX would import it.
    return Processes(0, 1) if engine == "host" else Processes()


def _cache(folder: Path | None, options: Options, basis: Basis | None) -> Cache | None:
    # Without quality and with a known basis no moments are taken: nothing for a later scan to build on.
    if folder is None or (basis is not None and not options.quality):
        return None
    return Cache(folder, options)


def _fitted(layers: Sequence[LayerStatistics]) -> Basis | None:
    try:
        return fit_basis(pooled_moments(concatenated([record.normalized for record in layers])))
    except ValueError:
        return None
