"""A process of a job in two: a child scans, and its parent says in one sentence how it ended.

JAX ends a process from another thread, with a stack of C++, when process 0 of its job is gone. Nothing in
that process can prevent it. The parent is forked before anything is imported: it takes 20 MB and no time.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
from types import FrameType
from typing import IO, NoReturn

from ._console import TERMINATED, talk
from ._interruption import CODE

GRACE = 5.0
"""Seconds that a child has to end after a signal: machines that are taken away leave half a minute."""

_AGAIN = "run the same command again: checkpoints that were finished are not read again"
_LOST = f"another process of this job was lost; {_AGAIN}"
TERMINATION = f"terminated; {_AGAIN}"

_OF_JAX = ("distributed service", "coordination_service", "CoordinationService")
"""Words of JAX when it ends a process since process 0 is gone."""


def fork_worker(job: str) -> None:
    """Go on in a child, whose parent waits for it and ends as it does; or as one sentence tells.

    It does nothing where processes cannot be forked, and where JAX or other threads already run.

    Args:
        job: the address of process 0 and the size of the job, for a message.
    """
    if not hasattr(os, "fork") or "jax" in sys.modules or threading.active_count() > 1:
        return
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as native:
        if child := os.fork():
            os.close(reading)
            _wait(child, native, job)
        os.close(writing)
        os.setpgid(0, 0)  # a terminal interrupts the parent alone, which passes it on
        _end_with_parent(reading)
        _separate_native_errors(native)


def end_at_sigterm() -> None:
    """End this process by an exception at SIGTERM, so that what it has finished is kept."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    talk(TERMINATION)
    raise SystemExit(TERMINATED)


def _end_with_parent(pipe: int) -> None:
    """End this process as soon as its parent is gone, which alone holds the other end of the pipe."""

    def wait() -> None:
        os.read(pipe, 1)
        os._exit(2)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _separate_native_errors(native: IO[bytes]) -> None:
    """Send what native code writes on stderr into a file; Python's own stderr stays as it is."""
    stderr = os.dup(2)
    os.dup2(native.fileno(), 2)
    sys.stderr = os.fdopen(stderr, "w", buffering=1, errors="backslashreplace")


def _wait(child: int, native: IO[bytes], job: str) -> NoReturn:
    """Wait for the child, pass signals on to it, and end as it ended."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        _send(child, number)
        signal.setitimer(signal.ITIMER_REAL, GRACE)

    signal.signal(signal.SIGALRM, lambda number, frame: _send(child, signal.SIGKILL))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        code = _tell(-code, received, native, job)
    sys.stderr.flush()
    os._exit(code)


def _tell(number: int, received: list[int], native: IO[bytes], job: str) -> int:
    """Say why the child ended by a signal; return the exit code."""
    if received:
        is_interrupt = received[0] == signal.SIGINT
        talk("interrupted" if is_interrupt else TERMINATION)
        return CODE if is_interrupt else TERMINATED
    native.seek(0)
    text = native.read().decode("utf-8", "replace")
    if number == signal.SIGABRT and any(word in text for word in _OF_JAX):
        has_met = "RegisterTask" not in text  # JAX asks this at the start, for five minutes
        talk(f"error: {_LOST if has_met else _apart(job)}", style="red")
        return 2
    talk(text.rstrip())
    reason = f"the process that scanned ended by {signal.Signals(number).name}"
    remedy = ", often for lack of memory" if number == signal.SIGKILL else ""
    talk(f"error: {reason}{remedy}; {_AGAIN}", style="red")
    return 2


def _apart(job: str) -> str:
    return f"the processes of this job did not meet at {job}: start all, and let them reach it"


def _send(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)
