"""Consoles of all commands: data on `out`, everything else on `err`, an error as one line.

Exit codes: 0 done, 1 done with findings or failed checkpoints, 2 usage or not done,
130 interrupted, 143 terminated.
"""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ._interruption import CODE, say_interrupted

if TYPE_CHECKING:
    from jfilters.engine import Processes

# Rich keeps bold and dim under NO_COLOR, and where NO_COLOR is set stdout is often no terminal.
_colors = None if os.environ.get("NO_COLOR") else "auto"
out = Console(color_system=_colors)
err = Console(color_system=_colors, stderr=True)

TERMINATED = 143  # 128 + SIGTERM

_LONGEST = 2_000
"""Characters of an error; the longest that lists columns has half of them."""


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
    former, warnings.showwarning = warnings.showwarning, _tell_warning
    try:
        yield
    except SystemExit as exit_:  # typer turns Ctrl-C into this code without a word
        _flush()
        if exit_.code == CODE:
            say_interrupted()
        raise
    except (ValueError, OSError) as error:
        talk("error: " + _one_line(error), style="red")
        raise SystemExit(2) from error
    finally:
        warnings.showwarning = former
        clear()


@contextlib.contextmanager
def alone_when_it_fails(processes: "Processes") -> Iterator[None]:
    """End at once on an error in a job of several processes; the others notice the broken connection.

    An orderly end would wait for processes that have exited or wait themselves, and then abort.
    """
    try:
        yield
    except SystemExit as leaving:
        if processes.count == 1 or leaving.code != TERMINATED:
            raise
        sys.stdout.flush()
        os._exit(TERMINATED)
    except (ValueError, OSError) as error:
        if processes.count == 1:
            raise
        talk(f"error in process {processes.index}: " + _one_line(error), style="red")
        sys.stdout.flush()
        os._exit(2)


def _one_line(error: Exception) -> str:
    from jfilters._files import sentence

    if isinstance(error, ValueError) or not isinstance(error, OSError):
        return _shortened(" ".join(str(error).splitlines()))
    return _shortened(sentence(error))


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    # A value of megabytes from a file: the reason stands before it, the remedy behind it.
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def _flush() -> None:
    """Write what stdout holds back; a disk that is full is an error of the command, not of its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return  # a reader that went away: the interpreter knows what to do
    except OSError as error:
        # What is held back would fail again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        talk("error: stdout: " + _one_line(error), style="red")
        raise SystemExit(2) from error


def _tell_warning(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Print a warning of the library as one line; those of others as Python does."""
    if category is UserWarning:
        talk(" ".join(str(message).splitlines()), style="yellow")
    else:
        _show_warning(message, category, *where)


_show_warning = warnings.showwarning


def _escape_what_stdout_cannot_encode() -> None:
    # File names may hold any character, and LANG=C or a pipe may encode ASCII only.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
