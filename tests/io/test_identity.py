"""The identity of a checkpoint changes when its content does, and is told from metadata alone."""

import os

import pytest

from jfilters.io import _request as _request
from jfilters.io import identity, location

from ..converters.servers import serving

upath = pytest.importorskip("upath")


def lengthened(path):
    path.write_bytes(b"content and more")


def rewritten(path):
    """As long as before, with the time of before."""
    before = path.stat()
    # Clocks of file systems tick every few milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(b"CONTENT")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path):
    other = path.with_name("other")
    other.write_bytes(b"CONTENT")
    os.replace(other, path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "step/deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (tmp_path / "step" / name).write_bytes(b"content")
    return tmp_path / "step"


@pytest.mark.parametrize("change", [lengthened, rewritten, replaced])
def test_a_file_that_changes_has_another_identity(folder, change):
    first = identity(folder / "a"), identity(folder)
    assert None not in first
    assert (identity(folder / "a"), identity(folder)) == first
    change(folder / "a")
    assert identity(folder / "a") != first[0]
    assert identity(folder) != first[1]


def test_a_folder_that_gains_loses_or_renames_a_file_has_another_identity(folder):
    found = [identity(folder)]
    (folder / "c").write_bytes(b"")
    found.append(identity(folder))
    (folder / "c").rename(folder / "d")
    found.append(identity(folder))
    (folder / "d").unlink()
    assert identity(folder) == found[0]
    assert len(set(found)) == 3


def test_of_what_cannot_be_looked_at_nothing_is_told(tmp_path):
    assert identity(tmp_path / "gone") is None
    assert identity(location("memory://gone/x.pth")) is None


def test_a_remote_file_is_told_by_what_its_store_says(monkeypatch):
    monkeypatch.setattr(_request, "PAUSES", ())
    with serving() as server:
        server.files = {"a.npy": b"1", "b.npy": b"2"}
        paths = [location(f"{server.url}/{name}") for name in ("a.npy", "b.npy", "")]
        first = [identity(path) for path in paths]
        assert len({*first, None}) == 4
        server.files["a.npy"] = b"3"
        assert [identity(path) == told for path, told in zip(paths, first, strict=True)] == [
            False,
            True,
            False,
        ]
        assert server.sent == 0


def test_a_store_that_tells_the_size_alone_gives_no_identity(monkeypatch):
    path = location("memory://zoo/x.npy")
    path.fs.pipe_file("/zoo/x.npy", b"content")
    assert identity(path).startswith("7:created=")
    monkeypatch.setattr(_request, "_VERSIONS", ())
    assert identity(path) is None
    assert identity(location("memory://zoo")) is None
    path.fs.rm("/zoo", recursive=True)
