"""Scans that are written to URLs: the same bytes as in a folder, resumed from there, and opened there."""

import os
import signal
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters._files import place
from jfilters.engine import scan_into
from jfilters.scans import merge_scans, open_scan, save_bundle
from jfilters.statistics import load_basis

pytest.importorskip("upath")

FILES = ("arrays.safetensors", "drift-model.csv", "layers.parquet", "models.parquet", "scan.json")


def save(path, seed, width=12):
    rng = np.random.default_rng(seed)
    weights = {
        f"c{i}.weight": rng.standard_normal((width, 8, 3, 3)).astype(np.float32) for i in range(3)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)


@pytest.fixture
def folder(tmp_path):
    for seed in range(4):
        save(tmp_path / f"in/{seed}.safetensors", seed)
    return tmp_path / "in"


@pytest.fixture
def url():
    url = f"memory://{uuid.uuid4().hex}/out"
    yield url
    place(url).fs.store.clear()


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_scan_at_a_url_has_the_bytes_of_one_here(folder, url, tmp_path):
    scan_into(tmp_path / "out", folder, progress=False)
    scan = scan_into(url, folder, progress=False)
    assert contents(place(url)) == contents(tmp_path / "out")
    assert str(scan.folder) == url
    assert not list(tmp_path.glob("*memory*"))


def test_what_is_written_at_a_url_is_read_there(folder, url, tmp_path):
    scan = scan_into(url, folder, progress=False)
    here = scan_into(tmp_path / "out", folder, progress=False)
    there = open_scan(url)
    for name in here.arrays:
        np.testing.assert_array_equal(there.arrays[name], here.arrays[name], strict=True)
    assert there.layer_table.equals(scan.layer_table)
    save_bundle(there, f"{url}.bundle")
    assert open_scan(f"{url}.bundle").model_names == scan.model_names
    np.testing.assert_array_equal(load_basis(f"{url}.bundle").mean, scan.basis.mean)
    merged, _ = merge_scans([open_scan(url), open_scan(f"{url}.bundle")])
    merged.save(f"{url}-merged")
    assert open_scan(f"{url}-merged").model_names == scan.model_names


def test_a_question_about_a_scan_at_a_url_reads_the_arrays_that_it_needs(folder, url, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    scan_into(url, folder, progress=False)
    size = place(f"{url}/arrays.safetensors").stat().st_size
    read, original = [], MemoryFileSystem.cat_file

    def counting(self, path, start=None, end=None, **options):
        data = original(self, path, start=start, end=end, **options)
        read.append(len(data) if path.endswith("arrays.safetensors") else 0)
        return data

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counting)
    _ = open_scan(url).histogram
    assert 0 < sum(read) < size


def test_the_next_scan_into_a_url_reads_what_is_new(folder, url, reads):
    scan_into(url, folder, progress=False)
    before = contents(place(url))
    reads.clear()
    scan_into(url, folder, progress=False)
    assert reads == []
    assert contents(place(url)) == before
    save(folder / "new.safetensors", 9)
    scan_into(url, folder, progress=False)
    # The basis has changed: histograms of the others are counted anew, in the second pass.
    assert reads[0] == "new.safetensors"
    assert reads.count("0.safetensors") == 1


def test_a_checkpoint_that_was_touched_is_known_by_its_hash(folder, url, reads):
    scan_into(url, folder, progress=False)
    os.utime(folder / "0.safetensors")
    reads.clear()
    scan_into(url, folder, progress=False)
    assert reads == []


def test_a_cache_at_a_url_is_listed_once_and_read_in_batches(folder, url, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    for seed in range(4, 30):
        save(folder / f"{seed}.safetensors", seed, width=4)
    scan_into(url, folder, progress=False)
    requests = []
    for name in ("find", "cat"):
        original = getattr(MemoryFileSystem, name)

        def counting(self, *arguments, name=name, original=original, **options):
            requests.append(name)
            return original(self, *arguments, **options)

        monkeypatch.setattr(MemoryFileSystem, name, counting)
    scan_into(url, folder, progress=False)
    assert requests == ["find", "cat", "cat"]


def test_a_damaged_cache_at_a_url_counts_as_missing(folder, url, reads):
    scan_into(url, folder, progress=False)
    before = contents(place(url))
    cache = place(url) / ".cache"
    for path in cache.fs.find((cache / "readings").path):
        cache.fs.pipe_file(path, b"junk")
    for path in cache.fs.find((cache / "names").path)[:2]:
        cache.fs.pipe_file(path, b"")
    reads.clear()
    scan_into(url, folder, progress=False)
    assert len(reads) == 4
    assert contents(place(url)) == before


def test_a_failing_upload_keeps_the_former_file(folder, url, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    scan = scan_into(url, folder, progress=False)
    before = contents(place(url))

    def failing(self, local, name, *_, **__):
        raise ConnectionResetError("the store went away")

    monkeypatch.setattr(MemoryFileSystem, "put_file", failing)
    with pytest.raises(OSError, match=r"could not be written \(ConnectionResetError"):
        save_bundle(scan, f"{url}/scan.json")
    assert contents(place(url)) == before


def test_a_file_url_is_a_folder_here(folder, tmp_path):
    scan = scan_into(f"file://{tmp_path}/a%20b", folder, progress=False)
    assert scan.folder == tmp_path / "a b"
    assert open_scan(f"file://{tmp_path}/a%20b").model_names == scan.model_names


def test_a_file_system_that_is_no_store_renames(tmp_path):
    """A file is written under a hidden name there, and takes its place at the end."""
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.local import LocalFileSystem

    from jfilters._files import _remote

    class Target:
        protocol, path, name = "sftp", "a/b/file", "file"
        fs = DirFileSystem(str(tmp_path / "disk"), LocalFileSystem())

    (tmp_path / "file").write_bytes(b"content")
    _remote.upload(tmp_path / "file", Target())
    _remote.upload(tmp_path / "file", Target())
    assert (tmp_path / "disk/a/b/file").read_bytes() == b"content"
    assert os.listdir(tmp_path / "disk/a/b") == ["file"]


@pytest.fixture(scope="module")
def bucket():
    """A bucket of an S3 server on this machine, with the variables that lead to it."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    store = server.ThreadedMotoServer(port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("results")
        yield "s3://results"
        s3fs.S3FileSystem.clear_instance_cache()
    store.stop()


SCAN = """
import sys
from jfilters.engine import keep_compiled, scan_into
from jfilters.engine import _lease
_lease.LASTS = 3.0
_lease.RENEWED = 0.5
keep_compiled()
print("go", flush=True)
scan_into(sys.argv[2], sys.argv[1], progress=False)
print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_pod_that_is_killed_goes_on_from_s3_with_new_disks(bucket, folder, tmp_path, monkeypatch):
    """The lock of the killed process, as of another machine, is void after a while."""
    from jfilters.engine import _lease

    for seed in range(4, 40):
        save(folder / f"{seed:02}.safetensors", seed, width=96)
    url = f"{bucket}/{uuid.uuid4().hex}"
    command = [sys.executable, "-c", SCAN, str(folder), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        system = place(url).fs
        while process.poll() is None:
            system.invalidate_cache()
            if len(system.find(f"{url}/.cache/readings")) > 5:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.02)
    system.invalidate_cache()
    left = system.find(url)
    assert any(path.endswith("/.lock") for path in left)
    assert not any(path.endswith("scan.json") for path in left)
    monkeypatch.setattr(_lease, "LASTS", 3.0)
    scan_into(url, folder, progress=False)
    scan_into(tmp_path / "whole", folder, progress=False)
    assert contents(place(url)) == contents(tmp_path / "whole")
    system.invalidate_cache()
    assert not any(path.endswith("/.lock") for path in system.find(url))


@pytest.mark.filterwarnings("ignore")
def test_s3_says_what_is_wrong_before_the_scan(bucket, folder, reads, monkeypatch):
    import s3fs

    from jfilters._files import sentence

    with pytest.raises(OSError) as error:
        scan_into("s3://no-such-bucket/out", folder, progress=False)
    assert "s3://no-such-bucket/out/.lock: no such bucket" in sentence(error.value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(PermissionError) as error:
        scan_into(f"{bucket}/out", folder, progress=False)
    assert "access was denied; check your credentials" in sentence(error.value)
    assert reads == []
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.filterwarnings("ignore")
def test_of_two_that_create_a_lock_on_s3_one_succeeds(bucket):
    from jfilters.engine._lease import _RemoteLease

    file = _RemoteLease(place(f"{bucket}/{uuid.uuid4().hex}/.lock"))
    file._create(b'{"key": 1}')
    with pytest.raises(FileExistsError):
        file._create(b'{"key": 2}')
    assert not file.create(b'{"key": 3}')
    assert file.read() == b'{"key": 1}'
