"""Places of output: paths, URLs, and slips between them that would make a local folder."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jfilters._files import is_url, open_tensors, place, readable, write_text
from jfilters.errors import CheckpointError, MissingExtraError

upath = pytest.importorskip("upath")


def test_a_path_stays_a_path_and_a_url_a_url():
    assert place("results/a") == Path("results/a") == place(Path("results/a"))
    assert is_url(place("memory://a/b"))
    assert place("file:///tmp/a%20b") == Path("/tmp/a b")
    assert place("2026:01/run") == Path("2026:01/run")


@pytest.mark.parametrize(
    "slip", ["s3:/b/x", "gs:b/x", "s3:", Path("s3://b/x"), Path("gs://b"), Path("memory://b/x")]
)
def test_a_slip_of_a_url_is_no_folder(slip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="two slashes"):
        write_text(slip, "x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_such_a_name_that_is_there_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s3:").mkdir()
    assert place("s3:/x") == place(Path("s3://x")) == Path("s3:/x")


@pytest.mark.parametrize("url", ["https://host/x", "http://host/x", "hf://a/b"])
def test_what_can_only_be_read_is_refused(url):
    with pytest.raises(CheckpointError, match=r"can be read but not written"):
        place(url)


def test_a_chain_is_refused():
    with pytest.raises(CheckpointError, match="a chain of file systems"):
        readable("simplecache::s3://b/x")


def test_a_host_in_a_file_url_is_refused():
    with pytest.raises(CheckpointError, match="names the host elsewhere"):
        place("file://elsewhere/x")


@pytest.mark.parametrize(
    ("url", "package", "extra"), [("s3://b/x", "s3fs", True), ("gs://b/x", "gcsfs", True)]
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, url, package, extra):
    fail = ImportError(f"Install {package}", name=None)
    monkeypatch.setattr("upath.UPath", lambda url: (_ for _ in ()).throw(fail))
    with pytest.raises(MissingExtraError, match=rf"{package}.*\.\[cloud\]"):
        place(url)


def test_a_package_without_an_extra_is_named_alone():
    with pytest.raises(CheckpointError, match="pip install adlfs"):
        place("az://container/x")


ARRAYS = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": np.ones((2, 0), np.float32)}


def test_arrays_at_a_url_are_those_of_a_file(tmp_path):
    data = save(ARRAYS | {"c": np.array([True])}, {"key": "text"})
    (tmp_path / "a").write_bytes(data)
    remote = place("memory://tensors/a")
    remote.write_bytes(data)
    with safe_open(tmp_path / "a", framework="numpy") as here, open_tensors(remote) as there:
        assert set(here.keys()) == set(there.keys())
        assert here.metadata() == there.metadata()
        for name in there.keys():  # noqa: SIM118 (neither is a mapping)
            array = there.get_tensor(name)
            np.testing.assert_array_equal(array, here.get_tensor(name), strict=True)
            assert there.get_slice(name).get_dtype() == here.get_slice(name).get_dtype()
            array.flags.writeable = True


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        b"\xff" * 16,
        (3).to_bytes(8, "little") + b"[1]",
        (2).to_bytes(8, "little") + b"{}"[:1],
        save({"a": np.ones(4)})[:-8] * 0 + b"\x10" + bytes(7) + b'{"a":{"dtype":1}',
        (20_000).to_bytes(8, "little") + b"[" * 20_000,
    ],
    ids=["empty", "short", "huge", "list", "cut", "fields", "nested"],
)
def test_no_arrays_at_a_url_are_no_arrays(data):
    remote = place("memory://tensors/bad")
    remote.write_bytes(data)
    with pytest.raises(SafetensorError), open_tensors(remote):
        pass


def test_arrays_that_overlap_the_end_are_refused():
    header = b'{"a":{"dtype":"F64","shape":[4],"data_offsets":[0,8]}}'
    remote = place("memory://tensors/offsets")
    remote.write_bytes(len(header).to_bytes(8, "little") + header + bytes(32))
    with pytest.raises(SafetensorError, match="offsets"), open_tensors(remote):
        pass
