"""Disks with faults, and folders of every shape: one path never ends a scan."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.converters import open_checkpoint
from jfilters.engine import Options, scan, scan_into
from jfilters.engine._plan import plan, size_of
from jfilters.engine._walk import MOST_WAYS
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import UnknownFormatError, UnreadableError
from jfilters.io import identity
from jfilters.scans import open_scan, save_bundle
from jfilters.statistics import load_basis, save_basis

GOOD = "good.safetensors"


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    weight = np.random.default_rng(seed).standard_normal((8, 4, 3, 3)).astype(np.float32)
    save_file({"conv.weight": weight}, path, metadata={"format": "pt"})
    return path


def statuses(folder):
    """What came of each model, with the reason without its path."""
    entries = measure_checkpoints(folder, engine="host").entries
    reasons = {x.model: (x.reason or "").rpartition(": ")[2] for x in entries}
    return {x.model: (x.status, reasons[x.model]) for x in entries}


CALLS = ("stat", "lstat", "open", "scandir", "listdir")


@pytest.fixture
def faulty(monkeypatch):
    """A function that lets the disk answer with an error about one name, for some calls."""

    def fail(name, code, calls=CALLS):
        for call in calls:
            monkeypatch.setattr(os, call, _failing(getattr(os, call), name, code))

    return fail


def _failing(call, name, code):
    def failing(path=".", *arguments, **options):
        if isinstance(path, str | os.PathLike) and name in os.fspath(path).split("/"):
            raise OSError(code, os.strerror(code), os.fspath(path))
        return call(path, *arguments, **options)

    return failing


CODES = [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOTCONN, errno.ETIMEDOUT, errno.EPERM]


FILES = ["bad.pth", "bad.txt", "model.safetensors.index.json", "bad.cfg", "bad.param", "_METADATA"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("bad.pth", code) for code in CODES] + [(name, errno.EIO) for name in FILES[1:]],
)
def test_a_file_that_cannot_be_looked_at_is_named_and_the_others_read(tmp_path, faulty, name, code):
    save(tmp_path / GOOD)
    save(tmp_path / "deep" / "other.safetensors")
    (tmp_path / "deep" / name).write_bytes(b"x")
    faulty(name, code)
    assert statuses(tmp_path) == {
        f"deep/{name}": ("failed", os.strerror(code)),
        "deep/other.safetensors": ("ok", ""),
        GOOD: ("ok", ""),
    }


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("calls", [CALLS, ("scandir", "listdir")], ids=["nothing", "no listing"])
def test_a_folder_that_cannot_be_looked_at_is_named(tmp_path, faulty, calls, code):
    save(tmp_path / GOOD)
    save(tmp_path / "bad" / "other.safetensors")
    faulty("bad", code, calls)
    assert statuses(tmp_path) == {"bad": ("failed", os.strerror(code)), GOOD: ("ok", "")}


def test_a_file_that_vanishes_after_it_was_listed_is_named(tmp_path, monkeypatch):
    save(tmp_path / GOOD)
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: [*listdir(folder), "vanished.pth"])
    assert statuses(tmp_path) == {
        GOOD: ("ok", ""),
        "vanished.pth": ("failed", "no such file or folder"),
    }


def test_names_and_links_that_lead_nowhere(tmp_path):
    save(tmp_path / GOOD)
    save(tmp_path / os.fsdecode(b"b\xff.safetensors"))
    (tmp_path / "loop1").symlink_to("loop2")
    (tmp_path / "loop2").symlink_to("loop1")
    (tmp_path / "long").symlink_to("x" * 300)
    (tmp_path / "gone").symlink_to("nothing")
    loop, long = os.strerror(errno.ELOOP), os.strerror(errno.ENAMETOOLONG)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    assert statuses(tmp_path) == {
        "b\\udcff.safetensors": ("ok", ""),
        GOOD: ("ok", ""),
        "gone": ("failed", "a symbolic link to nothing, which is missing"),
        "long": ("failed", long),
        "loop1": ("failed", loop),
        "loop2": ("failed", loop),
        "socket": ("failed", os.strerror(errno.ENXIO)),
    }


def test_a_root_that_cannot_be_looked_at_ends_the_scan_with_its_reason(tmp_path, faulty):
    save(tmp_path / "bad" / GOOD)
    faulty("bad", errno.EIO)
    with pytest.raises(UnreadableError, match=rf"bad: {os.strerror(errno.EIO)}"):
        plan([tmp_path / "bad"])


def test_a_checkpoint_folder_with_a_faulty_part(tmp_path, faulty):
    save(tmp_path / "a" / "part")
    faulty("part", errno.EIO, ("stat",))
    assert size_of(tmp_path / "a") == 0
    assert identity(tmp_path / "a") is None


def nested(folder, depth, name):
    """So many folders inside each other, of which the system takes no path as a whole."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        inner = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    return descriptor


@pytest.fixture
def deep():
    """A folder 1,200 deep with a checkpoint at its end; pytest could not remove it."""
    folder = Path(tempfile.mkdtemp())
    os.close(nested(folder, 1200, "d"))
    save(folder.joinpath(*["d"] * 1200, GOOD))
    yield folder
    os.unlink(folder.joinpath(*["d"] * 1200, GOOD))
    for depth in range(1200, -1, -1):
        os.rmdir(folder.joinpath(*["d"] * depth))


@pytest.mark.slow
def test_a_checkpoint_in_a_folder_1200_deep_is_read(deep):
    assert statuses(deep) == {"d/" * 1200 + GOOD: ("ok", "")}
    assert size_of(deep) == os.stat(deep.joinpath(*["d"] * 1200, GOOD)).st_size
    assert identity(deep) is not None


def test_a_path_that_is_too_long_is_named(tmp_path):
    save(tmp_path / GOOD)
    os.close(nested(tmp_path, 30, "x" * 200))
    results = statuses(tmp_path)
    ((long, result),) = ((model, x) for model, x in results.items() if model != GOOD)
    assert results[GOOD] == ("ok", "")
    assert result == ("failed", os.strerror(errno.ENAMETOOLONG))
    assert len(os.fspath(tmp_path / long)) >= os.pathconf(tmp_path, "PC_PATH_MAX") - 1


def test_links_between_folders_have_an_end(tmp_path):
    for i in range(6):
        save(tmp_path / f"d{i}" / GOOD)
        for j in range(6):
            (tmp_path / f"d{i}" / f"to{j}").symlink_to(f"../d{j}")
    _, entries, ignored = plan([tmp_path])
    assert 6 < len(entries) <= 6 * MOST_WAYS
    assert all(path.is_dir() for path in ignored)


def test_a_second_way_to_a_folder_is_another_model(tmp_path):
    save(tmp_path / "step_5" / GOOD)
    (tmp_path / "latest").symlink_to("step_5")
    assert [x.model for x in plan([tmp_path])[1]] == [f"latest/{GOOD}", f"step_5/{GOOD}"]


class TestOwnFiles:
    """The scan of a folder that it is itself written into."""

    @pytest.mark.parametrize("below", ["", "out", "far/out"])
    def test_a_scan_into_its_own_folder_finds_the_networks_alone(self, tmp_path, below):
        save(tmp_path / GOOD)
        save(tmp_path / "other.safetensors", seed=1)
        first = scan_into(tmp_path / below, tmp_path, progress=False)
        save_basis(
            tmp_path / "my basis.safetensors", load_basis(tmp_path / below / "arrays.safetensors")
        )
        save_bundle(first, tmp_path / "x.bundle")
        shutil.copy(tmp_path / below / "arrays.safetensors", tmp_path / "renamed.pth")
        again = scan_into(tmp_path / below, tmp_path, progress=False)
        assert again.model_names == first.model_names == [GOOD, "other.safetensors"]
        ignored = {os.path.basename(path) for path in again.record["ignored"]}
        assert ignored >= {
            *("scan.json", "layers.parquet", "models.parquet", "arrays.safetensors"),
            *("my basis.safetensors", "x.bundle", "renamed.pth", "drift-model.csv"),
        }

    def test_a_fitted_density_is_no_candidate(self, tmp_path):
        from jfilters.density._file import KEY

        save(tmp_path / GOOD)
        save_file({"a": np.ones((8, 4, 3, 3), np.float32)}, tmp_path / "b.safetensors", {KEY: "{}"})
        assert [x.model for x in plan([tmp_path])[1]] == [GOOD]

    def test_a_network_with_such_a_name_is_read(self, tmp_path):
        weight = np.ones((8, 4, 3, 3), np.float32)
        save_file({"basis.mean": weight, "histogram": weight}, tmp_path / "arrays.safetensors")
        assert [x.model for x in plan([tmp_path])[1]] == ["arrays.safetensors"]

    def test_given_by_itself_it_is_refused_by_name(self, tmp_path):
        save(tmp_path / "zoo" / GOOD)
        scan_into(tmp_path / "out", tmp_path / "zoo", progress=False)
        with pytest.raises(UnknownFormatError, match="arrays of a scan that jfilters wrote"):
            open_checkpoint(tmp_path / "out" / "arrays.safetensors")


class TestNothingToScan:
    """A folder without a checkpoint."""

    @pytest.mark.parametrize("name", [None, ".hidden.pth"])
    def test_an_empty_folder(self, tmp_path, name):
        if name:
            save(tmp_path / name)
        with pytest.raises(
            UnknownFormatError, match=rf"^{tmp_path}: expected checkpoints, found nothing"
        ):
            scan(tmp_path, progress=False)

    def test_a_folder_of_other_files_says_which_were_ignored(self, tmp_path):
        for name in "abcd":
            (tmp_path / f"{name}.txt").write_text("text")
        with pytest.raises(
            UnknownFormatError, match=r"4 files, which are ignored: a.txt, b.txt, c.txt, \.\.\.;"
        ):
            scan(tmp_path, Options(), progress=False)

    def test_nothing_is_written(self, tmp_path):
        (tmp_path / "zoo").mkdir()
        with pytest.raises(UnknownFormatError):
            scan_into(tmp_path / "out", tmp_path / "zoo", progress=False)
        with pytest.raises(UnreadableError, match=rf"jfilters scan DIR --out {tmp_path}/out"):
            open_scan(tmp_path / "out")

    def test_no_advice_writes_a_scan_among_checkpoints(self, tmp_path):
        save(tmp_path / GOOD)
        with pytest.raises(UnreadableError, match=rf"`jfilters scan {tmp_path}`"):
            open_scan(tmp_path)

    def test_the_command_ends_with_code_2(self, tmp_path):
        line = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(tmp_path)]
        done = subprocess.run([*line, "--out", str(tmp_path)], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"error: {tmp_path}: expected checkpoints, found nothing")
