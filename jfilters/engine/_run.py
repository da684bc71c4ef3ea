"""The scan of a folder: read for moments, fit the basis, read again for histograms.

Who reads is an engine's business; what was read before comes from the cache.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..converters import Location, location
from ..statistics import Basis, fit_basis, fixed_edges
from ._cache import Cache
from ._card import Cards, pooled_moments
from ._local import Local, Numbered, Progress
from ._options import DEFAULTS, Options
from ._plan import Entry, find_checkpoints, planned
from ._reading import Reading
from ._spool import SPOOL_BYTES, Spool
from ._stream import Bins


@dataclasses.dataclass(frozen=True)
class Scan:
    """What one scan found: its checkpoints, the cards of their layers in order, and the common basis.

    `basis` and `edges` are None when no kernels of the chosen shape were found.
    """

    root: Location
    options: Options
    entries: tuple[Entry, ...]
    ignored: tuple[Location, ...]
    cards: Cards
    basis: Basis | None
    edges: Float[np.ndarray, " edges"] | None


def scan(
    checkpoints: Location | str,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    spool_bytes: int = SPOOL_BYTES,
) -> Scan:
    """Scan a folder of checkpoints, or a single one; a path, or a URL that fsspec knows.

    Weights are read one tensor at a time and never kept: once with a known `basis`, else twice, and once
    more for the data range. Those of remote checkpoints travel once, since up to `spool_bytes` of them
    wait in a temporary file. What is in the folder `cache`, from this scan or an earlier one, is not read
    again. A checkpoint that cannot be read becomes an entry with its reason.

    Raises UnreadableError if there is no such folder, and with `strict` the first error of a checkpoint.
    """
    root = location(checkpoints)
    if basis is not None and len(basis.mean) != options.d:
        size = "x".join(map(str, options.spatial))
        raise ValueError(f"expected a basis for {size} kernels, got one of {len(basis.mean)} taps")
    candidates, ignored = find_checkpoints(root)
    entries = list(planned(root, candidates))
    with Spool(spool_bytes) as spool, Local(options, spool, progress) as engine:
        run = Run(options, engine, None if cache is None else Cache(cache, options))
        bins = run.to_the_end(entries, basis)
        readings = run.readings(entries)
    return Scan(
        root,
        options,
        tuple(reading.entry for reading in readings),
        tuple(ignored),
        Cards.concatenate(
            [Reading.of_nothing(_NOWHERE, options).cards, *(r.cards for r in readings)]
        ),
        bins and bins.basis,
        bins and bins.edges,
    )


class Run:
    """A scan under way: one reading a checkpoint, by its index.

    A checkpoint that breaks while it is read becomes an entry with its reason, without cards.
    """

    def __init__(self, options: Options, engine: Local, cache: Cache | None):
        self._options, self._engine, self._cache = options, engine, cache
        self._readings: dict[int, Reading] = {}

    def to_the_end(self, entries: Sequence[Entry], known: Basis | None) -> Bins | None:
        """Read what has to be read; the basis and the edges that all histograms are in."""
        bins = self._known_bins(known)
        self._measure(entries, bins)
        while True:
            bins = self._bins(known)
            if bins is None or not self._count(bins):
                return bins
            # A checkpoint was lost since the basis was fitted: its share of the basis must go too.

    def readings(self, entries: Sequence[Entry]) -> list[Reading]:
        """The readings in the order of the entries, hashed."""
        return [self._hashed(index) for index in range(len(entries))]

    def _known_bins(self, known: Basis | None) -> Bins | None:
        if known is None or self._options.range == "data":
            return None
        return Bins(known, fixed_edges(self._options.d, self._options.bins))

    def _measure(self, entries: Sequence[Entry], bins: Bins | None) -> None:
        if self._cache is not None:
            found = ((index, self._cache.find(entry)) for index, entry in enumerate(entries))
            self._readings = {index: reading for index, reading in found if reading is not None}
        rest = [(i, entry) for i, entry in enumerate(entries) if i not in self._readings]
        for index, reading in self._engine.measure(rest, bins):
            self._keep(index, reading)

    def _bins(self, known: Basis | None) -> Bins | None:
        """The bins for what was read; None for fewer than two kernels, or if all are equal."""
        cards = [self._readings[index].cards for index in sorted(self._readings)]
        if not sum(map(len, cards)):
            return None
        basis = known if known is not None else _fitted(cards)
        if basis is None:
            return None
        if self._options.range == "fixed":
            return Bins(basis, fixed_edges(self._options.d, self._options.bins))
        lost, (low, high) = self._engine.extremes(self._readable(), basis)
        self._readings |= dict(lost)
        return (
            self._bins(known)
            if lost
            else Bins(basis, np.linspace(low, high, self._options.bins + 1))
        )

    def _count(self, bins: Bins) -> bool:
        """Histograms of all that have none in these bins; whether a checkpoint was lost on the way."""
        lost = False
        missing = [(i, reading) for i, reading in self._readable() if reading.bins_key != bins.key]
        for index, reading in self._engine.count(missing, bins):
            self._keep(index, reading)
            lost |= reading.entry.status != "ok"
        return lost

    def _readable(self) -> list[Numbered]:
        return [
            (i, self._readings[i]) for i in sorted(self._readings) if len(self._readings[i].cards)
        ]

    def _keep(self, index: int, reading: Reading) -> None:
        self._readings[index] = reading
        if (cache := self._cache) is not None:
            self._engine.after_hash(lambda: cache.keep(self._hashed(index)))

    def _hashed(self, index: int) -> Reading:
        reading = self._readings[index]
        if reading.entry.sha256 is not None:
            return reading
        entry = dataclasses.replace(reading.entry, sha256=self._engine.sha256(index))
        return dataclasses.replace(reading, entry=entry)


_NOWHERE = Entry("", Path())


def _fitted(cards: Sequence[Cards]) -> Basis | None:
    try:
        return fit_basis(pooled_moments(Cards.concatenate(cards).normalized))
    except ValueError:
        return None
