"""The end of a command that Ctrl-C interrupts, in whichever phase it is.

Nothing is imported here that takes time: the first tenths of a second are imports of everything else.
"""

import contextlib
import sys
from collections.abc import Iterator

CODE = 130
"""128 + SIGINT."""

_CONTINUES = {"scan", "zoo"}
"""Commands that keep what they have done so far."""


@contextlib.contextmanager
def ended_by_interruption() -> Iterator[None]:
    """Say that the command was interrupted and what running it again does, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        say_interrupted()
        raise SystemExit(CODE) from None


def say_interrupted() -> None:
    """Print the one line on stderr."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    continues = bool(words) and words[0] in _CONTINUES
    end = "run again to continue" if continues else "run again to start over"
    over = "\r" if sys.stderr.isatty() else ""  # the ^C that a terminal shows
    print(f"{over}interrupted: {end}", file=sys.stderr, flush=True)
