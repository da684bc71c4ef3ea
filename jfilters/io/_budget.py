"""The cost of opening one checkpoint: memory, elements, expansion, nesting and time, counted in one place.

A `Budget` is made where a checkpoint is opened, and every reader draws from the current one. It draws an
estimate from above before the memory is taken, so that no refusal depends on the machine.
"""

import contextlib
import contextvars
import os
import time
from collections.abc import Iterator

from ..errors import CheckpointError

MEMORY = 320_000_000
"""Bytes of what is built while a checkpoint is opened, unless JFILTERS_OPEN_MEMORY says more."""

ELEMENTS = 1 << 26
"""Values, fields, nodes and opcodes of a checkpoint; a million nodes have ten million fields."""

RATIO, LEAST_EXPANSION = 200, 1 << 28
"""Bytes that a stored byte may stand for, since trained weights hardly compress, and what any file may."""

NESTING = 64
"""Containers inside each other, where a reader descends by recursion."""

SECONDS, SECONDS_PER_MEGABYTE, MOST_SECONDS = 20.0, 1.0, 120.0
"""Processor time of opening: a constant, more with the size of the files, and no more than this."""

ARRAY_BYTES = 2_500
"""Bytes of one listed array with its record, its reader and its place in the order of layers."""

_TICK = 1 << 15
_MEMORY_NAME, _SECONDS_NAME = "JFILTERS_OPEN_MEMORY", "JFILTERS_OPEN_SECONDS"


class Budget:
    """The part of each limit that is left to one checkpoint, at `path`.

    Readers may hold it for longer than the checkpoint is being opened: once closed, nothing is counted.
    """

    def __init__(self, path: object = "", *, is_timed: bool = True):
        self.path, self._is_closed = path, False
        self.memory = int(_setting(_MEMORY_NAME, MEMORY / 1e6) * 1e6)
        self.elements, self._files = ELEMENTS, dict[str, int]()
        self._until_tick = _TICK
        self._start = time.thread_time() if is_timed else None

    def take(self, *, memory: int = 0, elements: int = 1) -> None:
        """Draw bytes and elements. Raises CheckpointError beyond a limit."""
        if self._is_closed:
            return
        self.memory -= memory
        self.elements -= elements
        self._until_tick -= elements
        if self.memory < 0:
            limit = _setting(_MEMORY_NAME, MEMORY / 1e6)
            raise self._refusal(f"more than {limit:g} MB of memory", _MEMORY_NAME, "megabytes")
        if self.elements < 0:
            raise CheckpointError(f"more than {ELEMENTS:,} elements", path=self.path)
        if self._until_tick <= 0:
            self.check_time()

    def add_file(self, path: object, size: int) -> None:
        """Count the bytes of a file that is read: a large one may take longer."""
        self._files[str(path)] = size

    def check_time(self) -> None:
        """Raises CheckpointError after the seconds that a checkpoint of this size may take."""
        self._until_tick = _TICK
        if self._is_closed or self._start is None:
            return
        least = SECONDS + SECONDS_PER_MEGABYTE * sum(self._files.values()) / 1e6
        limit = _setting(_SECONDS_NAME, min(least, MOST_SECONDS))
        # Time of this thread alone: neither a slow network nor the neighbors on the machine count.
        if time.thread_time() - self._start > limit:
            raise self._refusal(f"more than {limit:g} s of computing", _SECONDS_NAME, "seconds")

    def check_expansion(self, unpacked: int, stored: int, what: str) -> None:
        """Raises CheckpointError if `stored` bytes are to stand for far more of them."""
        if self.expands(unpacked, stored):
            limit = max(LEAST_EXPANSION, RATIO * stored)
            reason = (
                f"{what} of {unpacked:,} bytes from {stored:,} stored; expected at most {limit:,}"
            )
            raise CheckpointError(reason, path=self.path)

    def expands(self, unpacked: int, stored: int) -> bool:
        """Return whether bytes are far more than those that they are stored in."""
        return unpacked > max(LEAST_EXPANSION, RATIO * stored)

    def check_nesting(self, level: int, what: str = "levels") -> None:
        """Raises CheckpointError beyond the levels that a reader follows."""
        if level > NESTING:
            raise CheckpointError(f"more than {NESTING} nested {what}", path=self.path)

    def close(self) -> None:
        """Stop counting: the values of a checkpoint are read at other times, and in other threads."""
        self._is_closed = True

    @contextlib.contextmanager
    def temporary(self) -> Iterator[None]:
        """Return the memory that is drawn inside: what was built there is gone at the end."""
        memory = self.memory
        try:
            yield
        finally:
            self.memory = memory

    def _refusal(self, reason: str, name: str, unit: str) -> CheckpointError:
        remedy = f"if you trust the file, set {name} to more {unit}"
        return CheckpointError(f"opening it takes {reason}", path=self.path, remedy=remedy)


_current: contextvars.ContextVar[Budget | None] = contextvars.ContextVar("budget", default=None)


def budget(path: object = "") -> Budget:
    """The budget of the checkpoint that is being opened; one of its own for what is read outside."""
    return _current.get() or Budget(path, is_timed=False)


@contextlib.contextmanager
def budgeted(path: object) -> Iterator[Budget]:
    """Open a budget for everything that is read inside; one that is open already goes on."""
    if (current := _current.get()) is not None:
        yield current
        return
    current = Budget(path)
    token = _current.set(current)
    try:
        yield current
    finally:
        _current.reset(token)
        current.close()


def _setting(name: str, default: float) -> float:
    """A positive number from the environment; raises ValueError for anything else."""
    text = os.environ.get(name, "")
    try:
        number = float(text or default)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"expected a positive number in {name}, found {text!r}")
    return number
