"""One scan at a time: on disks with locks and without, and whatever lies in the place of the lock."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jfilters._files import place
from jfilters.engine import _lease, _lock
from jfilters.engine._lock import locked

DEAD = 999_999_999
upath = pytest.importorskip("upath")


@pytest.fixture(params=["locks", "no locks", "url"])
def folder(request, tmp_path, monkeypatch):
    """A folder on a disk with locks, on one without, and a URL."""
    if request.param == "url":
        url = place(f"memory://{tmp_path.name}/out")
        yield url
        url.fs.rm("/", recursive=True)
        return
    if request.param == "no locks":
        without_locks(monkeypatch, errno.ENOLCK)
    yield tmp_path / "out"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(_lease, "LASTS", 1.0)
    monkeypatch.setattr(_lease, "RENEWED", 0.1)


def without_locks(monkeypatch, number):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)


def test_a_second_scan_is_refused_while_the_first_runs(folder):
    process = rf"process {os.getpid()}\b"
    with locked(folder), pytest.raises(BlockingIOError, match=process), locked(folder):
        pass
    with locked(folder) as check:
        check()


def test_the_lock_of_a_scan_that_failed_is_free(folder):
    with contextlib.suppress(KeyError), locked(folder):
        raise KeyError
    with locked(folder):
        pass


@pytest.mark.parametrize(
    "number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=["lustre", "nfs", "other"]
)
def test_a_disk_without_locks_is_guarded_by_a_file(tmp_path, monkeypatch, number):
    without_locks(monkeypatch, number)
    with locked(tmp_path):
        record = json.loads((tmp_path / _lock.LEASE).read_text("utf-8"))
        assert (record["host"], record["pid"]) == (socket.gethostname(), os.getpid())
        assert record["time"].endswith("+00:00")
    assert not (tmp_path / _lock.LEASE).exists()


def test_without_fcntl_a_file_guards_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with locked(tmp_path), pytest.raises(BlockingIOError), locked(tmp_path):
        pass


def lease_of(path, **changes):
    record = json.loads(_lease._content("key")) | changes
    content = json.dumps(record).encode()
    if not isinstance(path, Path):
        path.write_bytes(content)  # an object appears whole
        return
    whole = path.with_name("whole")
    whole.write_bytes(content)
    whole.replace(path)


@pytest.fixture
def lease_path(folder, monkeypatch):
    """The lease of a disk without locks, and of a URL."""
    if isinstance(folder, upath.UPath) and folder.protocol == "memory":
        return folder / _lock.NAME
    without_locks(monkeypatch, errno.ENOLCK)
    folder.mkdir()
    return folder / _lock.LEASE


def test_the_lease_of_a_process_here_that_is_gone_is_void_at_once(lease_path, recwarn):
    lease_of(lease_path, pid=DEAD)
    start = time.monotonic()
    with locked(lease_path.parent) as check:
        check()
    assert time.monotonic() - start < 5
    assert not recwarn.list
    assert not lease_path.exists()


def test_the_lease_of_a_process_here_that_lives_holds(lease_path):
    lease_of(lease_path, pid=os.getppid())
    with (
        pytest.raises(BlockingIOError, match=f"process {os.getppid()} on"),
        locked(lease_path.parent),
    ):
        pass
    assert lease_path.exists()


@pytest.mark.parametrize("changes", [{"host": "gone"}, {"boot": "another"}, {"pid": None}])
def test_the_lease_of_a_preempted_machine_is_void_after_a_while(lease_path, quick, changes):
    lease_of(lease_path, **changes)
    with pytest.warns(UserWarning, match="waiting up to 1 s"), locked(lease_path.parent) as check:
        check()


def test_the_lease_of_another_machine_that_lives_holds(lease_path, quick):
    lease_of(lease_path, host="other", time="0")
    ended = threading.Event()

    def renew():
        count = 0
        while not ended.wait(0.05):
            count += 1
            lease_of(lease_path, host="other", time=str(count))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with (
            pytest.warns(UserWarning, match="waiting"),
            pytest.raises(BlockingIOError, match="on other"),
            locked(lease_path.parent),
        ):
            pass
    finally:
        ended.set()
        thread.join()
    assert json.loads(lease_path.read_bytes())["host"] == "other"


@pytest.mark.parametrize("content", [b"", b"[1]", b"[" * 4_000, b"\xff\xfe", b'{"pid": "x"}'])
def test_a_lease_that_makes_no_sense_is_void_after_a_while(lease_path, quick, content):
    lease_path.write_bytes(content)
    with pytest.warns(UserWarning, match="unknown|process x"), locked(lease_path.parent):
        pass


def test_a_lease_is_renewed_and_a_loss_is_noticed(lease_path, quick):
    with locked(lease_path.parent) as check:
        first = lease_path.read_bytes()
        time.sleep(0.5)
        assert lease_path.read_bytes() != first
        check()
        lease_of(lease_path, host="other", key="theirs")
        time.sleep(0.3)
        with pytest.raises(OSError, match=r"on other.*has taken over"):
            check()
    assert json.loads(lease_path.read_bytes())["key"] == "theirs"


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "pipe", "folder"])
@pytest.mark.parametrize("name", [_lock.NAME, _lock.LEASE])
def test_what_is_no_plain_file_is_named_and_left_alone(tmp_path, monkeypatch, kind, name):
    if name == _lock.LEASE:
        without_locks(monkeypatch, errno.ENOSYS)
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.write_text("precious", encoding="utf-8")
    path = out / name
    {
        "link": lambda: path.symlink_to(victim),
        "dangling link": lambda: path.symlink_to(tmp_path / "new"),
        "hard link": lambda: os.link(victim, path),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    # Content that makes no sense holds a lease for a while alone; it is replaced, not written to.
    monkeypatch.setattr(_lease, "LASTS", 0.2)
    if (kind, name) == ("hard link", _lock.LEASE):
        with pytest.warns(UserWarning, match="waiting"), locked(out):
            pass
    else:
        with pytest.raises(OSError, match=r"plain file.*remove it"), locked(out):
            pass
    assert victim.read_text("utf-8") == "precious"
    assert not (tmp_path / "new").exists()


def test_a_url_that_cannot_be_written_is_told_before_the_scan(monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    from jfilters._files import sentence

    def denied(*arguments, **options):
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", denied)
    with pytest.raises(PermissionError) as error, locked(place("memory://bucket/out")):
        pass
    assert sentence(error.value).startswith("memory://bucket/out/.lock: access was denied; check")


def test_a_store_without_conditions_says_what_is_not_guarded(tmp_path):
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    class Remote:
        protocol, path, fs = "sftp", "out/.lock", DirFileSystem(str(tmp_path), LocalFileSystem())
        parent, name = "sftp://host/out", ".lock"

    with pytest.warns(UserWarning, match="in the same second are not kept apart"):
        file = _lease._RemoteLease(Remote())
    assert file.create(b'{"key": 1}')
    assert not file.create(b'{"key": 2}')


RACE = """
import sys, time
from pathlib import Path
import fcntl
def flock(*_): raise OSError(38, "no")
fcntl.flock = flock
from jfilters.engine._lock import locked
time.sleep(max(0, float(sys.argv[2]) - time.time()))
try:
    with locked(Path(sys.argv[1])):
        print("held")
        time.sleep(2)
except BlockingIOError:
    print("refused")
"""


def test_of_processes_that_start_at_once_one_holds_the_lease(tmp_path):
    start = str(time.time() + 4)
    command = [sys.executable, "-c", RACE, str(tmp_path), start]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ends = sorted(run.communicate(timeout=60)[0].strip() for run in runs)
    assert ends == ["held", "refused", "refused", "refused"]
