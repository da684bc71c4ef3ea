"""Consoles of all commands: data on `out`, everything else on `err`, an error as one line.

Exit codes: 0 done, 1 done with findings or failed checkpoints, 2 usage or not done,
130 interrupted.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from ._interruption import CODE, say_interrupted

if TYPE_CHECKING:
    from jfilters.engine import Processes

# Rich keeps bold and dim under NO_COLOR, and where NO_COLOR is set stdout is often no terminal.
_colors = None if os.environ.get("NO_COLOR") else "auto"
out = Console(color_system=_colors)
err = Console(color_system=_colors, stderr=True)


def talk(text: str, *, style: str = "") -> None:
    """Print one line on stderr, as it is: no markup, no wrapping, no highlighting."""
    clear()
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def begin() -> None:
    """Show a first word at once on a terminal, which the next line replaces."""
    if err.is_terminal and not err.is_dumb_terminal:
        err.file.write("starting\r")
        err.file.flush()
        _first_word.append("starting")


def clear() -> None:
    """Take the first word away, before anything is printed."""
    if _first_word:
        _first_word.clear()
        err.file.write("\x1b[2K")
        err.file.flush()


_first_word: list[str] = []


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Turn the errors of a command into one line on stderr and an exit code.

    The library raises the ValueError family on purpose, with the remedy in the message. Everything else
    but errors of the operating system is a bug and keeps its traceback.
    """
    _escape_what_stdout_cannot_encode()
    try:
        yield
    except SystemExit as exit_:  # typer turns Ctrl-C into this code without a word
        if exit_.code == CODE:
            say_interrupted()
        raise
    except (ValueError, OSError) as error:
        talk("error: " + _one_line(error), style="red")
        raise SystemExit(2) from error
    finally:
        clear()


@contextlib.contextmanager
def alone_when_it_fails(processes: "Processes") -> Iterator[None]:
    """End at once on an error in a job of several processes; the others notice the broken connection.

    An orderly end would wait for processes that have exited or wait themselves, and then abort.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if processes.count == 1:
            raise
        talk(f"error in process {processes.index}: " + _one_line(error), style="red")
        sys.stdout.flush()
        os._exit(2)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).splitlines())


def _escape_what_stdout_cannot_encode() -> None:
    # File names may hold any character, and LANG=C or a pipe may encode ASCII only.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
