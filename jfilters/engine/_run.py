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

WORTH_KEEPING = 1 << 20
"""A checkpoint of fewer bytes is kept only with its histograms: it is read again as fast as it is kept."""


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
        bins = run.to_the_end(entries, basis)
        readings = [CheckpointStatistics.of_nothing(_NOWHERE, options), *run.readings()]
    described, unmatched = with_metadata([reading.entry for reading in readings[1:]], metadata)
    return Measurements(
        root,
        options,
        tuple(described),
        tuple(ignored),
        LayerStatistics.concatenate([reading.cards for reading in readings]),
        Sample.concatenate([r.sample for r in readings], [len(r.cards) for r in readings]),
        bins and bins.basis,
        bins and bins.edges,
        unmatched,
    )


class Run:
    """A scan under way: one reading a checkpoint, by its index; those of other processes too.

    A checkpoint that breaks while it is read becomes an entry with its reason, without cards.
    """

    def __init__(self, options: Options, engine: Engine, cache: Cache | None, processes: Processes):
        self._options, self._engine, self._cache = options, engine, cache
        self._processes = processes
        self._mine: list[int] = []
        self._readings: dict[int, CheckpointStatistics] = {}

    def to_the_end(self, entries: Sequence[Entry], known: Basis | None) -> Bins | None:
        """Read what has to be read; the basis and the edges that all histograms are in."""
        self._entries = entries
        self._mine = self._processes.share([entry.bytes for entry in entries])
        self._measure(self._known_bins(known))
        while True:
            bins = self._bins(known)
            if bins is None or not self._count(bins):
                return bins
            # A checkpoint was lost since the basis was fitted: its share of the basis must go too.

    def readings(self) -> list[CheckpointStatistics]:
        """The readings in the order of the entries, hashed."""
        self._share([(index, self._hashed(index)) for index in self._mine])
        return [self._readings[index] for index in range(len(self._entries))]

    def _known_bins(self, known: Basis | None) -> Bins | None:
        edges = data_free_edges(self._options)
        return None if known is None or edges is None else Bins(known, edges)

    def _measure(self, bins: Bins | None) -> None:
        mine = {index: self._found(index) for index in self._mine}
        rest = [(i, self._entries[i]) for i, reading in mine.items() if reading is None]
        for index, reading in self._engine.measure(rest, bins):
            mine[index] = self._kept(index, reading)
        self._share([(index, reading) for index, reading in mine.items() if reading])

    def _bins(self, known: Basis | None) -> Bins | None:
        """The bins for what was read; None for fewer than two kernels, or if all are equal."""
        cards = [self._readings[index].cards for index in sorted(self._readings)]
        if not sum(map(len, cards)):
            return None
        basis = known if known is not None else _fitted(cards)
        if basis is None:
            return None
        if (edges := data_free_edges(self._options)) is not None:
            return Bins(basis, edges)
        lost, low_high = self._engine.coefficient_range(self._readable(), basis)
        if self._share(lost):
            return self._bins(known)
        low, high = self._processes.overall_range(*low_high)
        return Bins(basis, np.linspace(low, high, self._options.bins + 1))

    def _count(self, bins: Bins) -> bool:
        """Histograms of all that have none in these bins; whether a checkpoint was lost on the way."""
        missing = [(i, reading) for i, reading in self._readable() if reading.bins_key != bins.key]
        counted = self._engine.count(missing, bins)
        return self._share([(index, self._kept(index, reading)) for index, reading in counted])

    def _readable(self) -> list[Numbered]:
        """What this process can read again."""
        return [(i, self._readings[i]) for i in self._mine if len(self._readings[i].cards)]

    def _share(self, mine: Sequence[Numbered]) -> bool:
        """Take up new readings of all processes; whether there is a lost checkpoint among them."""
        self._readings |= dict(mine)
        if self._processes.count == 1:
            return any(reading.entry.is_lost for _, reading in mine)
        found = self._processes.union({index: dump(reading) for index, reading in mine})
        others = {index: load(data, self._entries[index]) for index, data in found.items()}
        self._readings |= others
        return any(reading.entry.is_lost for reading in others.values())

    def _found(self, index: int) -> CheckpointStatistics | None:
        entry = self._entries[index]
        if self._cache is None or not within(entry, self._options):
            return None
        reading = self._cache.find(entry)
        # A strict scan ends at a checkpoint that is not wholly read, where it opens it again.
        is_partial = reading is not None and reading.entry.status == "partial"
        return None if is_partial and self._options.strict else reading

    def _kept(self, index: int, reading: CheckpointStatistics) -> CheckpointStatistics:
        self._readings[index] = reading
        is_half = reading.bins_key is None and reading.entry.total_bytes < WORTH_KEEPING
        if (cache := self._cache) is not None and not is_half:
            self._engine.after_hash(lambda: cache.put(self._hashed(index)))
        return reading

    def _hashed(self, index: int) -> CheckpointStatistics:
        reading = self._readings[index]
        if reading.entry.sha256 is not None:
            return reading
        entry = dataclasses.replace(reading.entry, sha256=self._engine.sha256(index))
        return dataclasses.replace(reading, entry=entry)


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


def _cache(folder: Path | None, options: Options, known: Basis | None) -> Cache | None:
    # Without quality and with a known basis no moments are taken: nothing for a later scan to build on.
    if folder is None or (known is not None and not options.quality):
        return None
    return Cache(folder, options)


def _fitted(cards: Sequence[LayerStatistics]) -> Basis | None:
    try:
        return fit_basis(pooled_moments(concatenated([record.normalized for record in cards])))
    except ValueError:
        return None
