"""Files that are written whole: their modes, links, devices, failures and what crashed writers leave."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters._files import sentence, sweep, temporary_name, write_text, written_whole

DEAD = 999_999_999


@pytest.fixture
def umask():
    former = os.umask(0o027)
    yield 0o640
    os.umask(former)


@pytest.mark.parametrize("writer", ["text", "safetensors"])
def test_the_umask_says_who_may_read_a_file(tmp_path, umask, writer):
    path = tmp_path / "a"
    with written_whole(path) as temporary:
        if writer == "text":
            temporary.write_text("x", encoding="utf-8")
        else:  # which writes a file of its own with mode 0600
            save_file({"x": np.zeros(3)}, temporary)
    assert stat.S_IMODE(path.stat().st_mode) == umask


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "victim").write_text("keep", encoding="utf-8")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "victim").read_text("utf-8") == "keep"
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_text("utf-8") == "new"


def test_a_hard_link_keeps_its_content(tmp_path):
    (tmp_path / "victim").write_text("keep", encoding="utf-8")
    os.link(tmp_path / "victim", tmp_path / "a")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "victim").read_text("utf-8") == "keep"


def test_a_pipe_and_a_device_receive_the_bytes(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_text(pipe, "through")
    assert reader.communicate(timeout=20)[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_text("/dev/null", "nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_full_device_is_named(tmp_path):
    with pytest.raises(OSError, match="No space left") as error:
        write_text("/dev/full", "x" * 100_000)
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "/dev/full")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("at", ["fsync", "replace", "open"])
def test_a_failure_names_the_file_and_leaves_the_former_one(tmp_path, monkeypatch, number, at):
    path = tmp_path / "a"
    path.write_text("former", encoding="utf-8")
    original = getattr(os, at)

    def failing(*arguments, **options):
        if at != "open" or str(arguments[0]).endswith(".tmp"):
            raise OSError(number, os.strerror(number))
        return original(*arguments, **options)

    monkeypatch.setattr(os, at, failing)
    with pytest.raises(OSError) as error:
        write_text(path, "new")
    monkeypatch.undo()
    assert (error.value.errno, error.value.filename) == (number, str(path))
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_text("utf-8") == "former"
    assert sentence(error.value).startswith(f"{path}: ")
    assert "; " in sentence(error.value)


LIMITED = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from safetensors.numpy import save_file
from jfilters._files import sentence, written_whole
data = np.random.default_rng(0).normal(size=100_000)
def hdf5(path):
    import h5py
    with h5py.File(path, "w") as file:
        file["x"] = data
writers = {
    "safetensors": lambda path: save_file({"x": data}, path),
    "parquet": lambda path: pq.write_table(pa.table({"x": data}), path),
    "hdf5": hdf5,
    "numpy": lambda path: path.write_bytes(data.tobytes()),
}
try:
    with written_whole(sys.argv[2]) as temporary:
        writers[sys.argv[1]](temporary)
except OSError as error:
    print(sentence(error))
"""


# JAX warns of forks where an earlier test has imported it; the child replaces itself at once.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.parametrize("writer", ["safetensors", "parquet", "hdf5", "numpy"])
def test_no_library_hides_the_reason(tmp_path, writer):
    """Each raises an error of its own where a file meets the limit of its size."""
    path = tmp_path / "a"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, "-c", LIMITED, writer, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.stdout.startswith(f"{path}: file too large; "), done.stderr
    assert os.listdir(tmp_path) == []


def test_errors_of_what_is_read_meanwhile_pass(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"), written_whole(tmp_path / "a"):
        (tmp_path / "gone").read_bytes()
    with pytest.raises(KeyError), written_whole(tmp_path / "a"):
        raise KeyError("x")
    assert os.listdir(tmp_path) == []


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError) as error:
        write_text(tmp_path, "x")
    assert "name a file" in sentence(error.value)


def test_the_longest_name_is_written(tmp_path):
    path = tmp_path / ("é" * 127)
    write_text(path, "x")
    assert path.read_text("utf-8") == "x"


def test_two_writers_at_once_do_not_share_a_temporary_file(tmp_path):
    with written_whole(tmp_path / "a") as first, written_whole(tmp_path / "a") as second:
        first.write_text("1", encoding="utf-8")
        second.write_text("2", encoding="utf-8")
    assert (tmp_path / "a").read_text("utf-8") == "1"


def test_what_dead_processes_left_is_swept(tmp_path):
    own = temporary_name("layers.parquet")
    stale = [
        own.replace(f".{os.getpid()}-", f".{DEAD}-"),
        f".layers.parquet.{DEAD}.tmp",
        ".a.0.tmp",
    ]
    alive = [own, f".layers.parquet.{os.getpid()}.tmp", f".a.{os.getppid()}.tmp"]
    others = ["notes.tmp", ".hidden", ".a.b.tmp", f".a.deadbeef.{DEAD}-00000000.tmp"]
    for name in (*stale, *alive, *others):
        (tmp_path / name).write_text("x", encoding="utf-8")
    sweep(tmp_path)
    assert set(os.listdir(tmp_path)) == {*alive, *others}


def test_what_another_machine_left_is_swept_after_a_day(tmp_path):
    path = tmp_path / f".a.deadbeef.{os.getpid()}-00000000.tmp"
    path.write_text("x", encoding="utf-8")
    os.utime(path, (0, 0))
    sweep(tmp_path)
    assert not path.exists()


def test_a_sweep_follows_no_link(tmp_path):
    (tmp_path / "victim").write_text("keep", encoding="utf-8")
    (tmp_path / f".a.{DEAD}.tmp").symlink_to(tmp_path / "victim")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    sweep(Path(tmp_path, "missing"))
