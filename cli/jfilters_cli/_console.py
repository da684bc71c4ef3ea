"""How every command talks: data on `out`, the rest on `err`, an error as one line.

Exit codes: 0 done, 1 done with findings or failed checkpoints, 2 usage or not done,
130 interrupted.
"""

import contextlib
import io
import sys
from collections.abc import Iterator

from rich.console import Console

out = Console()
err = Console(stderr=True)

_INTERRUPTED = 130  # 128 + SIGINT; typer turns Ctrl-C into this code without a word


def talk(text: str, *, style: str = "") -> None:
    """One line on stderr, as it is: no markup, no wrapping, no highlighting."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Turn what a command may raise into one line on stderr and an exit code.

    The library raises on purpose from the ValueError family alone, with the remedy in the message;
    everything else but the operating system's errors is a bug and keeps its traceback.
    """
    _escape_what_stdout_cannot_encode()
    try:
        yield
    except SystemExit as leaving:
        if leaving.code == _INTERRUPTED:
            talk("interrupted")
        raise
    except (ValueError, OSError) as error:
        talk("error: " + " ".join(str(error).splitlines()), style="red")
        raise SystemExit(2) from error


def _escape_what_stdout_cannot_encode() -> None:
    # File names may hold anything, and LANG=C or a pipe may know ASCII alone.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
