"""A lease: a small file that says which process writes, renewed while it lives, for disks without locks.

It is created only if it is absent, and removed at the end. That of a process of this machine that has ended
is void at once. That of another machine is void once nobody has renewed it for `LASTS` seconds, measured
by the clock of who waits: a preempted machine holds nothing up, and clocks need not agree.
"""

import contextlib
import datetime
import errno
import json
import os
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .._files import Location, is_object_store, is_running, remote_errors
from ._plain_files import read_plain, replace_plain

RENEWED = 10.0
"""Seconds between two renewals."""

LASTS = 60.0
"""Seconds without a renewal after which a lease is void."""

_LOOKS = 2.0
"""Seconds between two looks at somebody's lease."""

_ATTEMPTS = 5
_MOST = 1 << 12
_open: set[str] = set()  # keys of the leases that this process holds


@contextlib.contextmanager
def lease(path: Location) -> Iterator[Callable[[], None]]:
    """Hold the lease at `path`; yield a check that raises OSError if another process has taken it over.

    Raises BlockingIOError, with machine, process and time, if somebody else holds it.
    """
    file = _LocalLease(path) if isinstance(path, Path) else _RemoteLease(path)
    key = secrets.token_hex(8)
    _acquire(file, key)
    _open.add(key)
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(file, key, ended), daemon=True)
    renewal.start()
    try:
        yield lambda: _check(file, key)
    finally:
        ended.set()
        renewal.join()
        _open.discard(key)
        with contextlib.suppress(Exception):
            if _key(file.read()) == key:
                file.remove()


class _LocalLease:
    """The file of a lease in a folder here: made, read, written over and removed."""

    def __init__(self, path: Path):
        self.path = path

    def create(self, data: bytes) -> bool:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self.path, flags, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        return True

    def read(self) -> bytes | None:
        return read_plain(self.path, _MOST)

    def replace(self, data: bytes) -> None:
        replace_plain(self.path, data)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class _RemoteLease:
    """The object of a lease at a URL: made, read, written over and removed."""

    def __init__(self, path: Any):
        self.path, self._system, self._name = path, path.fs, path.path
        if not is_object_store(path):
            warnings.warn(
                f"{path.parent}: two scans that start there in the same second are not kept apart",
                stacklevel=2,
            )

    def create(self, data: bytes) -> bool:
        with remote_errors(self.path):
            # Stores that are only like S3 may ignore the condition of the put.
            if self.read() is not None:
                return False
            try:
                self._create(data)
            except FileExistsError:
                return False
            except Exception:
                if self.read() is not None:
                    return False
                raise
            return self.read() == data

    def _create(self, data: bytes) -> None:
        if is_object_store(self.path):
            self._system.pipe_file(self._name, data, mode="create")
        else:
            self._system.makedirs(self._name.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(self._name, data)

    def read(self) -> bytes | None:
        with remote_errors(self.path):
            try:
                return self._system.cat_file(self._name)
            except FileNotFoundError:
                return None

    def replace(self, data: bytes) -> None:
        with remote_errors(self.path):
            self._system.pipe_file(self._name, data)

    def remove(self) -> None:
        with remote_errors(self.path):
            self._system.rm_file(self._name)


LeaseFile = _LocalLease | _RemoteLease


def _acquire(file: LeaseFile, key: str) -> None:
    for _ in range(_ATTEMPTS):
        if file.create(_content(key)):
            return
        former = file.read()
        if former is None:  # it was removed at this moment
            continue
        _await_end(file, former)
        file.replace(_content(key))
        # Of two that waited for the same end, the last to write holds it.
        time.sleep(min(_LOOKS, LASTS) / 4)
        if _key(file.read()) == key:
            return
        raise _held(file, file.read() or b"")
    reason = "expected the plain file of a scan's lock, found something else; remove it"
    raise OSError(errno.EEXIST, reason, str(file.path))


def _await_end(file: LeaseFile, former: bytes) -> None:
    """Return once a lease is void; raise BlockingIOError when its holder shows a sign of life."""
    if (is_alive := _is_alive(former)) is not None:
        if is_alive:
            raise _held(file, former)
        return
    start = time.monotonic()
    warnings.warn(
        f"{file.path.parent}: {_holder(former)} was writing there; "
        f"waiting up to {LASTS:.0f} s for a sign of life",
        stacklevel=2,
    )
    while time.monotonic() - start < LASTS:
        time.sleep(min(_LOOKS, LASTS / 4))
        current = file.read()
        if current is None:
            return
        if current != former:
            raise _held(file, current)


def _is_alive(content: bytes) -> bool | None:
    """Return whether the holder of a lease lives; None if that takes waiting."""
    record = _record(content)
    pid, key = record.get("pid"), record.get("key")
    # After a new start, and in another container, numbers of processes stand for others.
    is_here = (record.get("host"), record.get("boot")) == (socket.gethostname(), _boot())
    if not is_here or type(pid) is not int:
        return None
    return key in _open if pid == os.getpid() else is_running(pid)


def _renew(file: LeaseFile, key: str, ended: threading.Event) -> None:
    while not ended.wait(RENEWED):
        with contextlib.suppress(Exception):
            if _key(file.read()) != key:
                return
            file.replace(_content(key))


def _check(file: LeaseFile, key: str) -> None:
    current = file.read()
    if _key(current) != key:
        raise OSError(
            errno.EBUSY,
            f"{_holder(current or b'')} has taken over, since this process gave no sign of life for "
            f"{LASTS:.0f} s; nothing was written, scan again to go on",
            str(file.path.parent),
        )


def _content(key: str) -> bytes:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    record = {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot(), "time": now}
    return (json.dumps(record | {"key": key}) + "\n").encode()


def _boot() -> str:
    """A text that another start of the machine, or another container on it, changes."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _record(content: bytes | None) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(content or b"")
        return record if isinstance(record, dict) else {}
    return {}


def _key(content: bytes | None) -> object:
    return _record(content).get("key")


def _holder(content: bytes) -> str:
    record = _record(content)
    host, pid, when = (str(record.get(name, "unknown"))[:60] for name in ("host", "pid", "time"))
    return f"another scan (process {pid} on {host}, {when})"


def _held(file: LeaseFile, content: bytes) -> BlockingIOError:
    reason = (
        f"{_holder(content)} is writing there; wait, choose another folder, or remove "
        f"{file.path.name} if that process is gone"
    )
    return BlockingIOError(errno.EAGAIN, reason, str(file.path.parent))
