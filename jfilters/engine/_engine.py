"""What a scan asks of an engine, whichever machines it works on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from ..statistics import Basis
from ._plan import Entry
from ._reading import Reading
from ._stream import Bins

Progress = Callable[[str, int, int], None]
"""Called with the name of the pass, the bytes of the checkpoints done and those of all of them."""

Numbered = tuple[int, Reading]
"""A reading and the index of its entry."""


@runtime_checkable
class Engine(Protocol):
    """Opens checkpoints and reads their weights; a checkpoint's cards are the same from every engine.

    One that cannot be read comes back as a reading with its reason, or, in a strict scan, as the error.
    """

    def measure(
        self, entries: Sequence[tuple[int, Entry]], bins: Bins | None = None
    ) -> Iterator[Numbered]:
        """Open and read checkpoints for the first time, with histograms if their `bins` are known."""
        ...

    def count(self, readings: Sequence[Numbered], bins: Bins) -> Iterator[Numbered]:
        """Read checkpoints again for histograms in `bins`, in place of those that they had."""
        ...

    def coefficient_range(
        self, readings: Sequence[Numbered], basis: Basis
    ) -> tuple[list[Numbered], tuple[float, float]]:
        """The checkpoints that were lost, and the smallest and largest coefficient of all kernels."""
        ...

    def sha256(self, index: int) -> str | None:
        """The hash of a checkpoint that was measured; waits for it."""
        ...

    def after_hash(self, work: Callable[[], None]) -> None:
        """Do some work beside the passes, when all checkpoints measured so far are hashed."""
        ...
