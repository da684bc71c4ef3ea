"""The process of a command: how it starts and ends quickly."""

import gc
import os
import sys

from ._app import main

_OBJECTS = 100_000
"""Objects between two passes of the garbage collector.

By default it walks through what imports made every 700 objects: 0.2 s for JAX.
"""


def run() -> None:
    """Run the command of the command line, and end its process with the command's exit code."""
    if sys.platform == "win32":
        sys.exit(
            "error: jfilters runs on Linux and macOS; on Windows install and run it inside WSL"
        )
    gc.set_threshold(_OBJECTS)
    try:
        main()
    except SystemExit as leaving:
        if isinstance(leaving.code, int | None) and not _has_company():
            _leave(leaving.code or 0)
        raise


def _has_company() -> bool:
    """Whether other processes have to hear of the end of this one, which an orderly exit tells them."""
    if "ray" in sys.modules:
        return True
    # A thread may be importing JAX still, where a command fails early.
    distributed = getattr(sys.modules.get("jax"), "distributed", None)
    is_initialized = getattr(distributed, "is_initialized", None)
    return is_initialized is not None and is_initialized()


def _leave(code: int) -> None:
    # Everything is written: taking JAX and its threads down in order would take 0.3 s.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # a reader that went away: the interpreter knows what to do
        return
    os._exit(code)
