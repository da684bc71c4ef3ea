"""The scan of a folder: weights stream through for moments, then for histograms."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from ..converters import Location, StoredLayer, is_remote, location, open_checkpoint
from ..errors import CheckpointError, UnreadableError
from ..statistics import Basis
from ._blocks import Piece
from ._card import Cards
from ._collect import (
    collect_histograms,
    collect_moments,
    fitted_basis,
    histogram_edges,
    piece,
)
from ._digest import digest
from ._options import DEFAULTS, Options
from ._plan import Entry, chosen_layers, find_checkpoints, survey
from ._spool import SPOOL_BYTES, Spool

Progress = Callable[[str, int, int], None]
"""Called with the name of the pass, the kernels done and the kernels in all."""


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
    progress: Progress | None = None,
    spool_bytes: int = SPOOL_BYTES,
) -> Scan:
    """Scan a folder of checkpoints, or a single one; a path, or a URL that fsspec knows.

    Weights are read one tensor at a time and never kept: twice, or three times for the data range. Those
    of remote checkpoints travel once, since up to `spool_bytes` of them wait in a temporary file. A
    checkpoint that cannot be read becomes an entry with its reason.

    Raises UnreadableError if there is no such folder, and with `strict` the first error of a checkpoint.
    """
    root = location(checkpoints)
    if basis is not None and len(basis.mean) != options.d:
        size = "x".join(map(str, options.spatial))
        raise ValueError(f"expected a basis for {size} kernels, got one of {len(basis.mean)} taps")
    candidates, ignored = find_checkpoints(root)
    entries = list(survey(root, candidates, options))
    with Spool(spool_bytes) as spool, _digests(entries) as digests:
        run = Run(options, entries, progress, spool)
        basis, edges = run.to_the_end(basis)
        run.entries = [
            dataclasses.replace(entry, sha256=digest)
            for entry, digest in zip(run.entries, digests, strict=True)
        ]
    cards = run.cards.take(run.kept_rows())
    return Scan(root, options, tuple(run.entries), tuple(ignored), cards, basis, edges)


class Run:
    """A scan under way: the cards of every planned layer, one row each.

    A checkpoint that breaks while it streams becomes an entry with its reason; its rows are dropped.
    """

    def __init__(
        self,
        options: Options,
        entries: list[Entry],
        progress: Progress | None = None,
        spool: Spool | None = None,
    ):
        self.options, self.entries, self._spool = options, entries, spool
        self._progress = progress or (lambda stage, done, total: None)
        sizes = [len(entry.layers) for entry in entries]
        self._first_row = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._total = sum(layer.n_kernels for entry in entries for layer in entry.layers)
        self.cards = Cards.empty(int(self._first_row[-1]), options.d, options.bins)

    def to_the_end(
        self, known: Basis | None
    ) -> tuple[Basis | None, Float[np.ndarray, " edges"] | None]:
        """Fill the cards; the basis and the histogram edges that were used."""
        self.measure()
        while True:
            kept = self.kept_rows()
            basis = known if known is not None else fitted_basis(self.cards.take(kept))
            if basis is None or not len(kept):
                return None, None
            edges = histogram_edges(lambda: self._pieces("range"), basis, self.options)
            collect_histograms(self.cards, self._pieces("histograms"), basis, edges)
            if len(self.kept_rows()) == len(kept):
                return basis, edges
            # A checkpoint was lost between the passes: its share of the basis must go too.

    def measure(self) -> None:
        """The first pass: everything but the histograms."""
        collect_moments(self.cards, self._pieces("moments", first=True), self.options)

    def kept_rows(self) -> Int64[np.ndarray, " rows"]:
        """The rows of the checkpoints that are still readable."""
        starts = zip(self.entries, self._first_row[:-1], strict=True)
        rows = [np.arange(start, start + len(entry.layers)) for entry, start in starts]
        return np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)

    def _pieces(self, stage: str, *, first: bool = False) -> Iterator[Piece]:
        """The kernels of every layer, checkpoint after checkpoint; noted in its card the `first` time."""
        done = 0
        for index, entry in enumerate(self.entries):
            self._progress(stage, done, self._total)
            try:
                for row, weight in self._weights(index):
                    yield piece(self.cards, row, weight, self.options, first=first)
            except CheckpointError as error:
                if self.options.strict:
                    raise
                self.entries[index] = entry.without(error)
            done += sum(layer.n_kernels for layer in entry.layers)
        self._progress(stage, self._total, self._total)

    def _weights(self, index: int) -> Iterator[tuple[int, np.ndarray]]:
        entry, first = self.entries[index], int(self._first_row[index])
        spool = self._spool if is_remote(entry.path) else None
        stored = functools.cache(self._stored)
        for offset, row in enumerate(range(first, first + len(entry.layers))):
            weight = spool.get(row) if spool else None
            if weight is None:
                weight = stored(index)[offset].read()
                if spool:
                    spool.put(row, weight)
            yield row, weight

    def _stored(self, index: int) -> list[StoredLayer]:
        """The layers of a checkpoint, opened again."""
        entry = self.entries[index]
        checkpoint = open_checkpoint(entry.path, axes=self.options.axes)
        stored = chosen_layers(checkpoint, self.options.spatial)
        if [(x.layer, x.shape) for x in stored] != [(x.layer, x.shape) for x in entry.layers]:
            raise UnreadableError("the checkpoint changed while it was scanned", path=entry.path)
        return stored


@contextlib.contextmanager
def _digests(entries: Sequence[Entry]) -> Iterator[Iterator[str | None]]:
    """The digest of every checkpoint, computed beside the passes; dropped at an error."""
    executor = ThreadPoolExecutor(1)
    try:
        yield executor.map(_digest_or_none, [entry.path for entry in entries])
    finally:
        executor.shutdown(cancel_futures=True)


def _digest_or_none(path: Location) -> str | None:
    # To hash a remote checkpoint would be to read all of it.
    if not isinstance(path, Path):
        return None
    try:
        # Reading from a FIFO would wait for ever.
        return digest(path) if path.is_file() or path.is_dir() else None
    except OSError:
        return None  # the entry says why it could not be read
