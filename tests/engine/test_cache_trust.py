"""What lies in a cache is not trusted: false, foreign and misplaced entries count as missing."""

import errno
import json
import os
import shutil
import stat
import warnings
import zlib

import numpy as np
import pytest
import safetensors.numpy
from safetensors.numpy import save_file

from jfilters.engine import Options, scan_into
from jfilters.scans.internal import CACHE

FILES = ("arrays.safetensors", "drift-model.csv", "layers.parquet", "models.parquet")


@pytest.fixture
def scanned(tmp_path):
    """A scan of one checkpoint with its cache."""
    rng = np.random.default_rng(0)
    weights = {
        f"c{i}.weight": rng.standard_normal((12, 8, 3, 3)).astype(np.float32) for i in range(3)
    }
    (tmp_path / "in").mkdir()
    save_file(weights, tmp_path / "in/net.safetensors")
    scan_into(tmp_path / "out", tmp_path / "in", progress=False)
    return tmp_path


def files_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def the_file(folder, kind):
    (path,) = (path for path in (folder / CACHE / kind).rglob("*") if path.is_file())
    return path


def sealed(data):
    return zlib.crc32(data).to_bytes(4, "little") + data


def scan_again(folder, reads, *, expected):
    """Scan again, and hold that the checkpoint was read so often, and that the tables are the same."""
    before = files_of(folder / "out")
    reads.clear()
    scan_into(folder / "out", folder / "in", progress=False)
    assert len(reads) == expected
    assert files_of(folder / "out") == before


def changed(folder, *, arrays=(), record=()):
    """Change arrays and record of the cached statistics, under a checksum that holds."""
    path = the_file(folder / "out", "readings")
    data = path.read_bytes()[4:]
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    stored = json.loads(header["__metadata__"]["reading"])
    values = safetensors.numpy.load(data)
    for name, change in dict(arrays).items():
        values[name] = np.ascontiguousarray(change(values[name]))
    for name, change in dict(record).items():
        stored[name] = change(stored.get(name))
    metadata = {"reading": json.dumps(stored)}
    path.write_bytes(sealed(safetensors.numpy.save(values, metadata)))


def test_an_entry_that_is_written_again_is_believed(scanned, reads):
    changed(scanned)
    scan_again(scanned, reads, expected=0)


def negative(array):
    return -array - 1


def nonfinite(array):
    return np.full_like(array, np.nan)


ARRAYS = {
    "negative counts": ("n_finite", negative),
    "counts of other kernels": ("n_finite", lambda x: x + 1),
    "more zero kernels than kernels": ("n_zero", lambda x: x + 10**6),
    "counts of floats": ("n_sparse", lambda x: x.astype(np.float64)),
    "a layer less": ("max_abs", lambda x: x[1:]),
    "nonfinite maximum": ("max_abs", nonfinite),
    "negative sum": ("sum_abs", negative),
    "nonfinite mean": ("normalized.mean", nonfinite),
    "infinite scatter": ("raw.scatter", lambda x: x + np.inf),
    "negative scatter": ("clean.scatter", negative),
    "scatter of another size": ("normalized.scatter", lambda x: x[:, 1:, 1:]),
    "more moments than kernels": ("normalized.count", lambda x: x + 10**6),
    "negative histogram": ("histogram", lambda x: -x.astype(np.int64)),
    "more in the histogram than kernels": ("histogram", lambda x: x.astype(np.int64) + 10**6),
    "histogram of floats": ("histogram", lambda x: x.astype(np.float32)),
    "histogram of other bins": ("histogram", lambda x: x[:, :, 1:]),
    "sample of another layer": ("sample.layer", lambda x: x + 10**6),
    "sample before the first layer": ("sample.layer", negative),
    "sample of other taps": ("sample", lambda x: x[:, 1:]),
    "nonfinite sample": ("sample", nonfinite),
    "marks of numbers": ("sample.is_even", lambda x: x.astype(np.int8)),
    "sketch rows without owner": ("sketches.n_rows", lambda x: x + 1),
    "huge sketch rows": ("sketches.n_rows", lambda x: x + 2**62),
    "sketch of another width": ("sketches.rows", lambda x: x[:, 1:]),
    "hash of another layer": ("sketches.hash_layer", lambda x: x + 10**6),
    "a hash less": ("sketches.hashes", lambda x: x[1:]),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_false_arrays_count_as_missing(scanned, reads, case):
    name, change = ARRAYS[case]
    changed(scanned, arrays={name: change})
    scan_again(scanned, reads, expected=1)


def each_layer(**fields):
    return {"layers": lambda layers: [layer | fields for layer in layers]}


RECORDS = {
    "bins of another number": {"bins": lambda _: 10**12},
    "bins of text": {"bins": lambda _: "70"},
    "a status of no scan": {"status": lambda _: "failed"},
    "a status that is a list": {"status": lambda _: ["ok"]},
    "another hash": {"sha256": lambda _: "0" * 64},
    "a format that is a number": {"format": lambda _: 7},
    "skipped numbers": {"skipped": lambda _: [[1, 2]]},
    "skipped text": {"skipped": lambda _: "ab"},
    "a negative number of skipped": {"skipped": lambda _: [["x", -1]]},
    "companions of numbers": {"companions": lambda _: [[1, 2, 3]]},
    "layers of numbers": {"layers": lambda _: [1, 2, 3]},
    "layers of none": {"layers": lambda _: None},
    "a layer less": {"layers": lambda layers: layers[1:]},
    "another shape": each_layer(shape=[8, 12, 5, 5]),
    "a shape of text": each_layer(shape="abcd"),
    "a huge shape": each_layer(shape=[2**62, 2**62, 3, 3]),
    "a negative shape": each_layer(shape=[-12, -8, 3, 3]),
    "a name that is a list": each_layer(name=["x"]),
    "a depth of text": each_layer(depth="3"),
    "a depth that is NaN": each_layer(relative_depth=float("nan")),
    "an unknown field": each_layer(path="/etc/passwd"),
    "metadata of lists": {"metadata": lambda _: {"task": [[1], [2], [3]]}},
    "metadata of one layer": {"metadata": lambda _: {"task": ["a"]}},
    "metadata of none": {"metadata": lambda _: 3},
    "bins of a list": {"bins_key": lambda _: ["x"]},
    "updates of text": {"updates": lambda _: "x"},
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_false_record_counts_as_missing(scanned, reads, case):
    changed(scanned, record=RECORDS[case])
    scan_again(scanned, reads, expected=1)


BYTES = {
    "nothing": b"",
    "text": b"hello",
    "a huge header": b"\xff" * 8,
    "nested": (40_000).to_bytes(8, "little") + b"[" * 40_000,
    "another file": safetensors.numpy.save({"x": np.ones(3)}),
    "a nested record": safetensors.numpy.save({"x": np.ones(3)}, {"reading": "[" * 40_000}),
    "a record of a list": safetensors.numpy.save({"x": np.ones(3)}, {"reading": "[1]"}),
}


@pytest.mark.parametrize("case", BYTES)
def test_other_bytes_count_as_missing(scanned, reads, case):
    the_file(scanned / "out", "readings").write_bytes(sealed(BYTES[case]))
    scan_again(scanned, reads, expected=1)


NOTES = {
    "a number": b"7",
    "an empty list": b"[]",
    "a list of numbers": b"[1, 2]",
    "a dict": b'{"a": 1}',
    "a path": json.dumps(["../../../../etc/passwd"]).encode(),
    "a content of another size": json.dumps([f"7-{'0' * 64}"]).encode(),
    "companions of numbers": lambda note: json.dumps([note[0], 7]).encode(),
    "companions of lists": lambda note: json.dumps([note[0], [[1], [2], [3]]]).encode(),
    "companions with more fields": lambda note: json.dumps([note[0], ["a", 1, "b", 2]]).encode(),
    "a companion far away": lambda note: json.dumps([note[0], ["/etc/passwd", 1, "b"]]).encode(),
    "a companion with a NUL": lambda note: json.dumps([note[0], ["a\0b", 1, "b"]]).encode(),
    "nested": b"[" * 40_000,
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("case", NOTES)
def test_a_false_note_counts_as_missing(scanned, reads, case):
    """The checkpoint is found by its hash then, and the note is written anew."""
    path = the_file(scanned / "out", "names")
    note = path.read_bytes()
    content = NOTES[case]
    path.write_bytes(
        sealed(content if isinstance(content, bytes) else content(json.loads(note[4:])))
    )
    scan_again(scanned, reads, expected=0)
    assert path.read_bytes() == note


@pytest.mark.parametrize("part", ["", "names", "readings"])
def test_a_cache_follows_no_link(scanned, reads, part):
    """A link in its place leads nowhere, whether it is the cache or a folder of it."""
    path, elsewhere = scanned / "out" / CACHE / part, scanned / "elsewhere"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        scan_again(scanned, reads, expected=0 if part == "names" else 1)
    assert sorted(elsewhere.rglob("*")) == before


def test_a_cache_that_is_a_link_is_told(scanned):
    path = scanned / "out" / CACHE
    shutil.move(path, scanned / "elsewhere")
    path.symlink_to(scanned / "elsewhere")
    with pytest.warns(UserWarning, match="a link, which a cache does not follow"):
        scan_into(scanned / "out", scanned / "in", progress=False)


def test_an_entry_that_is_a_link_is_replaced_and_not_followed(scanned, reads):
    path = the_file(scanned / "out", "readings")
    shutil.move(path, scanned / "victim")
    path.symlink_to(scanned / "victim")
    content = (scanned / "victim").read_bytes()
    scan_again(scanned, reads, expected=1)
    assert not path.is_symlink()
    assert (scanned / "victim").read_bytes() == content


def test_an_entry_that_is_a_pipe_or_a_folder_is_missing(scanned, reads):
    path = the_file(scanned / "out", "readings")
    path.unlink()
    os.mkfifo(path)
    scan_again(scanned, reads, expected=1)
    assert stat.S_ISREG(path.stat().st_mode)
    path.unlink()
    path.mkdir()
    scan_again(scanned, reads, expected=1)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_the_entry_of_a_foreign_user_is_missing(scanned, reads):
    path = the_file(scanned / "out", "readings")
    os.chown(path, 12_345, 12_345)
    scan_again(scanned, reads, expected=1)
    assert path.stat().st_uid == os.geteuid()
    os.chown(path, 12_345, 12_345)
    # Whose the folder is can change the tables as well.
    os.chown(scanned / "out", 12_345, 12_345)
    scan_again(scanned, reads, expected=0)


def test_a_huge_entry_is_not_read(scanned, reads, monkeypatch):
    from jfilters.engine import _cache_files

    monkeypatch.setattr(_cache_files, "MOST", 1_000)
    scan_again(scanned, reads, expected=1)


def test_modes_of_a_scan_and_its_cache_follow_the_umask(scanned):
    shutil.rmtree(scanned / "out")
    former = os.umask(0o007)
    try:
        scan_into(scanned / "out", scanned / "in", progress=False)
    finally:
        os.umask(former)
    for path in (scanned / "out").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o770 if path.is_dir() else 0o660), path


def test_a_scan_sweeps_what_a_killed_one_left(scanned):
    out = scanned / "out"
    part = the_file(out, "readings").parent
    stale = [out / ".layers.parquet.999999999.tmp", part / ".x.999999999.tmp"]
    alive = [out / f".layers.parquet.{os.getpid()}.tmp", part / f".x.{os.getpid()}.tmp"]
    for path in (*stale, *alive):
        path.write_bytes(b"x")
    scan_into(out, scanned / "in", progress=False)
    assert [path.exists() for path in (*stale, *alive)] == [False, False, True, True]


@pytest.mark.parametrize("file", ["layers.parquet", "arrays.safetensors"])
def test_a_disk_that_is_full_leaves_the_former_scan_whole(scanned, monkeypatch, file):
    """Not one of the files is replaced when another one cannot be written."""
    from jfilters.scans import _write

    out = scanned / "out"
    before = files_of(out) | {"scan.json": (out / "scan.json").read_bytes()}
    original = _write._writers

    def full(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_write, "_writers", lambda scan: original(scan) | {file: full})
    with pytest.raises(OSError, match="No space left") as error:
        scan_into(out, scanned / "in", Options(sample=10), progress=False)
    assert error.value.filename == str(out / file)
    assert files_of(out) | {"scan.json": (out / "scan.json").read_bytes()} == before
    assert not list(out.glob(".*.tmp"))
