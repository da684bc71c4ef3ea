"""The interface between a scan and its engine, whichever machines that works on."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol, runtime_checkable

from ..statistics import Basis
from ._bins import Bins
from ._checkpoint_statistics import CheckpointStatistics
from ._plan import Entry

Progress = Callable[[str, int, int], None]
"""Called with the name of the pass, the bytes of the checkpoints done and those of all of them."""

Numbered = tuple[int, CheckpointStatistics]
"""The index of an entry, and the statistics of its checkpoint."""


@runtime_checkable
class Engine(Protocol):
    """Opens checkpoints and reads their weights; every engine gives the same statistics.

    A checkpoint that cannot be read comes back as statistics of nothing with its reason. In a strict scan
    its error is raised.
    """

    def measure(
        self, entries: Sequence[tuple[int, Entry]], bins: Bins | None = None
    ) -> Iterator[Numbered]:
        """Open and read checkpoints for the first time, with histograms if their `bins` are given."""
        ...

    def count(self, results: Collection[Numbered], bins: Bins) -> Iterator[Numbered]:
        """Read checkpoints again for histograms in `bins`, which replace earlier histograms."""
        ...

    def coefficient_range(
        self, results: Collection[Numbered], basis: Basis
    ) -> tuple[list[Numbered], tuple[float, float]]:
        """The checkpoints that failed, and the smallest and largest coefficient of all kernels."""
        ...

    def sha256(self, index: int) -> str | None:
        """Return the hash of a checkpoint that was measured; waits for it."""
        ...

    def after_hash(self, task: Callable[[], None]) -> None:
        """Run a task beside the passes, as soon as all checkpoints measured so far are hashed."""
        ...
