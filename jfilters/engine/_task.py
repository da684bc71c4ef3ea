"""One checkpoint on a worker of a cluster: a `Local` engine opens it there, and only cards go back."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable
from pathlib import Path

from ..errors import CheckpointError
from ..statistics import Basis
from ._compilation import keep_compiled
from ._local import Local
from ._options import Options
from ._plan import Entry
from ._reading import Reading, dump, load
from ._spool import Spool
from ._stream import Bins


@dataclasses.dataclass(frozen=True)
class Job:
    """What all tasks of a scan share; relative paths are meant from `folder`."""

    options: Options
    folder: Path


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a task sends back: a reading as `dump` writes it, empty where none was asked for."""

    reading: bytes = b""
    sha256: str | None = None
    low_high: tuple[float, float] = (math.inf, -math.inf)

    @classmethod
    def of_lost(cls, entry: Entry, error: CheckpointError, options: Options) -> "Answer":
        """A checkpoint that could not be read, and why."""
        return cls(dump(Reading.of_nothing(entry.without(error), options)))


Ask = Callable[..., Answer]
"""What is asked of an engine: one of `measured`, `counted` and `ranged`."""


def answer(
    job: Job, ask: Ask, entry: Entry, cards: bytes, shared: Bins | Basis | None
) -> Answer | CheckpointError:
    """Run one task in this process. The error that ends a strict scan is handed back, not raised."""
    keep_compiled()
    with contextlib.suppress(OSError):  # absolute paths and URLs need no such folder here
        os.chdir(job.folder)
    try:
        with Spool(0) as spool, Local(job.options, spool, held_bytes=0) as engine:
            return ask(engine, entry, cards, shared)
    except CheckpointError as error:
        return error


def measured(engine: Local, entry: Entry, cards: bytes, bins: Bins | None) -> Answer:
    """A checkpoint read for the first time, and its hash; it has no cards yet."""
    ((index, reading),) = engine.measure([(0, entry)], bins)
    return Answer(dump(reading), engine.sha256(index))


def counted(engine: Local, entry: Entry, cards: bytes, bins: Bins) -> Answer:
    """A checkpoint read again for its histograms."""
    ((_, reading),) = engine.count([(0, load(cards, entry))], bins)
    return Answer(dump(reading))


def ranged(engine: Local, entry: Entry, cards: bytes, basis: Basis) -> Answer:
    """The smallest and the largest coefficient of a checkpoint; a reading only if it was lost."""
    lost, low_high = engine.coefficient_range([(0, load(cards, entry))], basis)
    return Answer(b"".join(dump(reading) for _, reading in lost), low_high=low_high)
