"""The progress of a scan for people: on stderr of a terminal or in a notebook, or a line now and then.

It begins before JAX is imported: the first words are there within a second.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from ._engine import Progress
from ._pace import Pace

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

T = TypeVar("T")

EVERY = 30.0
"""Seconds between two lines where nobody watches, such as in the log of a job."""

NARROW = 70
"""Columns of a terminal below which there is no bar beside the words."""


class Tracker:
    """What a scan has done so far, in words; called with (stage, done, total) as it goes on.

    - `passes`: how often checkpoints are read; 0 while that is not known.
    - `files`, `n_files`, `before`: checkpoints that are done in this pass, all of them, and those that
      were done before it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.passes = self.files = self.n_files = self.before = 0
        self._clock, self._pace = clock, Pace()
        self._phase, self._stage, self._number = "starting", "", 0
        self._done = self._total = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note the bytes that are done of a pass."""
        if stage != self._stage:
            self._begin(stage)
        elif done:  # a float32 weight has more bytes than it takes in its file
            done = max(done, self._done)
        self._done, self._total = done, total
        self._pace.read(self._clock(), done)

    def say(self, phase: str) -> None:
        """Note what is done before and after the passes."""
        self._phase, self._number = phase, 0

    @property
    def share(self) -> float | None:
        """Share of this pass that is done; None before the first."""
        return self._done / self._total if self._number and self._total else None

    def words(self) -> str:
        """Return the phase, or the pass with its files, bytes a second and the time that is left."""
        if not self._number:
            return self._phase
        number = f"pass {self._number}" + (f" of {self.passes}" if self.passes else "")
        files = f"{self.files:,} of {self.n_files:,} files" if self.n_files else ""
        now = self._clock()
        speed = self._pace.speed(now)
        left = (self._total - self._done) + self._total * (max(self.passes, 1) - self._number)
        seconds = self._pace.remaining(now, left)
        pace = f"{_size(speed)}/s" if speed else ""
        end = "" if seconds is None else f"{_time(seconds)} left"
        return ", ".join(filter(None, (number, files, pace, end)))

    def _begin(self, stage: str) -> None:
        self._stage, self._pace = stage, Pace()
        self._number = min(self._number + 1, self.passes or self._number + 1)


@contextlib.contextmanager
def progress_bar(progress: bool | Progress) -> Iterator[Progress]:
    """Yield a function of (stage, done, total) that shows them until the work is done.

    Args:
        progress: whether to show anything; or the function to call instead.
    """
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield lambda stage, done, total: None
    elif _is_watched():
        with _live(Tracker()) as tracker:
            yield tracker
    else:
        yield _Lines()


def say(progress: Progress | None, phase: str) -> None:
    """Tell a tracker what is done now; other functions hear of the passes alone."""
    if isinstance(progress, Tracker):
        progress.say(phase)


def announce(progress: Progress | None, passes: int) -> None:
    """Tell a tracker how often checkpoints are read."""
    if isinstance(progress, Tracker):
        progress.passes = passes


def reached(progress: Progress | None, count: int) -> None:
    """Tell a tracker how many checkpoints of a pass were read; their results come a block later."""
    if isinstance(progress, Tracker):
        progress.files = max(progress.files, min(progress.before + count, progress.n_files))


def counted(progress: Progress | None, results: Iterable[T], before: int, n: int) -> Iterator[T]:
    """Yield the results of a pass, one a checkpoint, and count them for a tracker.

    Args:
        progress: the function of the scan.
        results: those of the checkpoints that are read in this pass.
        before: checkpoints that were done before it, as those in the cache.
        n: all checkpoints.
    """
    tracker = progress if isinstance(progress, Tracker) else Tracker()
    tracker.files, tracker.before, tracker.n_files = before, before, n
    for count, result in enumerate(results, 1):
        reached(tracker, count)
        yield result


class _Lines(Tracker):
    """A line on stderr now and then."""

    def __init__(self):
        super().__init__()
        self._last = self._clock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        super().__call__(stage, done, total)
        if self._clock() - self._last >= EVERY:
            self._last = self._clock()
            print(self.words(), file=sys.stderr, flush=True)


def _is_watched() -> bool:
    kernel = sys.modules.get("IPython")
    shell = kernel.get_ipython() if kernel else None
    return sys.stderr.isatty() or type(shell).__name__ == "ZMQInteractiveShell"


@contextlib.contextmanager
def _live(tracker: Tracker) -> Iterator[Tracker]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    # A few times a second: more takes time from the passes, which share the interpreter.
    with Live(
        get_renderable=lambda: _line(tracker, console),
        console=console,
        transient=True,
        refresh_per_second=5,
        redirect_stdout=False,
    ):
        yield tracker


def _line(tracker: Tracker, console: "Console") -> "RenderableType":
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    text = Text(tracker.words(), no_wrap=True, overflow="ellipsis")
    if console.width < NARROW or tracker.share is None:
        return text
    table = Table.grid(padding=(0, 1))
    table.add_row(ProgressBar(total=1.0, completed=tracker.share, width=20), text)
    return table


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 999.5:
            return f"{n:.0f} {unit}" if n >= 10 or unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
