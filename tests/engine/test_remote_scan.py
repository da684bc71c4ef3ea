"""Scans of URLs: the same numbers as of local files, and every kernel travels once."""

import collections
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save, save_file

from jfilters.converters import StoredLayer, location
from jfilters.engine import Options, scan
from jfilters.engine._plan import plan
from jfilters.engine._weight_stores import TemporaryStore
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import UnreadableError
from jfilters.io import _remote

upath = pytest.importorskip("upath")


def network(seed):
    """Kernels, 5 % of all bytes, and dense weights."""
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(6):
        found[f"conv{i}.weight"] = rng.standard_normal((32, 32, 3, 3), np.float32)
        found[f"fc{i}.weight"] = rng.standard_normal((1000, 176), np.float32)
    return found


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "zoo"
    for seed, name in enumerate(("a", "deep/b")):
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(network(seed), path, metadata={"format": "pt"})
    (folder / "broken.safetensors").write_bytes(b"\1")
    (folder / "readme.txt").write_bytes(b"no checkpoint")
    return folder


@pytest.fixture
def remote(local):
    """The same folder in fsspec's memory."""
    root = upath.UPath("memory://zoo")
    root.fs.put(str(local), "/", recursive=True)
    yield "memory://zoo"
    root.fs.rm("/zoo", recursive=True)


@pytest.fixture
def traffic(monkeypatch):
    """The ranges that were fetched, each as (path, start, stop)."""
    spans, reader = [], _remote.reader

    def counting(path, size):
        fetch = reader(path, size)

        def counted(start, stop):
            spans.append((str(path), start, stop))
            return fetch(start, stop)

        return counted

    monkeypatch.setattr(_remote, "reader", counting)
    _remote._shared.cache_clear()
    return spans


def count(spans):
    return sum(stop - start for _, start, stop in spans)


def test_a_remote_scan_finds_what_a_local_one_finds(local, remote, tmp_path):
    for name, root in (("here", local), ("there", remote)):
        scan(root, Options(range="data")).save(tmp_path / name)
    here, there = (json.loads((tmp_path / n / "scan.json").read_text()) for n in ("here", "there"))
    assert [x["status"] for x in there["checkpoints"]] == ["ok", "refused", "ok"]
    for a, b in zip(here["checkpoints"], there["checkpoints"], strict=True):
        known = ("model", "bytes", "format", "status", "skipped")
        assert [a[key] for key in known] == [b[key] for key in known]
        assert b["sha256"] is None
    assert there["checkpoints"][2]["path"] == "memory://zoo/deep/b.safetensors"
    assert there["ignored"] == ["memory://zoo/readme.txt"]
    tables = [pq.read_table(tmp_path / n / "layers.parquet") for n in ("here", "there")]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("range", ["fixed", "data"])
def test_kernels_travel_once(remote, traffic, range):
    found = measure_checkpoints(remote, Options(range=range))
    total = sum(entry.bytes for entry in found.entries)
    kernels = 4 * 9 * int(found.statistics.n_kernels.sum())
    assert kernels == pytest.approx(0.05 * total, rel=0.02)
    assert kernels <= count(traffic) <= 0.15 * total


def test_weights_that_do_not_fit_into_the_store_are_read_again(remote, traffic, monkeypatch):
    monkeypatch.setattr(_remote, "HELD", 0)
    twice = measure_checkpoints(remote, disk_bytes=0)
    without = count(traffic)
    traffic.clear()
    _remote._shared.cache_clear()
    once = measure_checkpoints(remote)
    assert without > 1.8 * count(traffic)
    np.testing.assert_array_equal(twice.statistics.histogram, once.statistics.histogram)


def test_a_store_returns_arrays_within_its_limit():
    with TemporaryStore(limit=400) as store:
        first, empty = np.arange(90, dtype=np.float32).reshape(2, 5, 3, 3), np.zeros((0, 1, 3, 3))
        store.put(3, first)
        store.put(4, np.ones((2, 2, 3, 3), np.float32))  # 144 bytes, of which 40 are left
        store.put(5, empty)
        np.testing.assert_array_equal(store.get(3), first)
        assert store.get(4) is None
        assert store.get(5).shape == empty.shape


def test_a_full_disk_ends_the_storing_and_not_the_scan(remote, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    expected = measure_checkpoints(remote)
    monkeypatch.setattr(TemporaryStore, "_write", full)
    np.testing.assert_array_equal(
        measure_checkpoints(remote).statistics.histogram, expected.statistics.histogram
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_behind(remote, tmp_path, monkeypatch, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def interrupt(stage, done, total):
        if stage == "histograms":
            raise error

    with pytest.raises(error):
        measure_checkpoints(remote, progress=interrupt)
    assert not list((tmp_path / "temporary").iterdir())


def test_local_checkpoints_are_not_stored_on_disk(local, monkeypatch):
    monkeypatch.setattr(TemporaryStore, "put", lambda *_: pytest.fail("stored"))
    assert len(measure_checkpoints(local).statistics) == 12


def test_what_little_is_held_in_memory_is_not_read_again(local, monkeypatch):
    reads = []
    read = StoredLayer.read
    monkeypatch.setattr(StoredLayer, "read", lambda self: reads.append(self) or read(self))
    held = measure_checkpoints(local)
    assert len(reads) == 12
    monkeypatch.setattr("jfilters.engine._weight_stores.WeightCache.put", lambda *_: None)
    again = measure_checkpoints(local)
    assert len(reads) == 12 + 24
    np.testing.assert_array_equal(again.statistics.histogram, held.statistics.histogram)


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of an S3 server on this machine."""
    moto = pytest.importorskip("moto.server")
    import botocore.session
    import s3fs
    from fsspec.config import conf

    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in (keys | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(conf, "s3", {"endpoint_url": url})
    s3fs.S3FileSystem.clear_instance_cache()
    client = botocore.session.get_session().create_client("s3", endpoint_url=url)
    client.create_bucket(Bucket="bucket")
    _remote._shared.cache_clear()  # of a bucket before this one
    yield client
    client.close()
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_bucket_is_scanned_by_ranges(bucket, traffic):
    for name in ("zoo/a.safetensors", "zoo/deep/b.safetensors"):
        body = save(network(0), metadata={"format": "pt"})
        bucket.put_object(Bucket="bucket", Key=name, Body=body)
    found = measure_checkpoints("s3://bucket/zoo")
    assert [(entry.model, entry.status) for entry in found.entries] == [
        ("a.safetensors", "ok"),
        ("deep/b.safetensors", "ok"),
    ]
    total = sum(entry.bytes for entry in found.entries)
    assert total == 2 * len(body)
    assert 0.04 * total < count(traffic) <= 0.15 * total


def test_the_command_takes_urls_and_help_loads_nothing_of_it():
    code = "import sys; from jfilters_cli import main; sys.argv[1:] = ['--help']\ntry: main()\n"
    code += "except SystemExit: pass\nprint({'fsspec', 'upath', 's3fs'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    command = [sys.executable, "-m", "jfilters_cli", "inspect", "memory://nothing/here.pth"]
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "memory://nothing/here.pth: no such file or folder" in done.stderr


KEYS = 1_000


@pytest.fixture
def calls(monkeypatch):
    """The operations of S3 that were asked for, by name."""
    import s3fs

    counts, call = collections.Counter(), s3fs.S3FileSystem._call_s3

    async def counting(self, method, *arguments, **keywords):
        counts[method] += 1
        return await call(self, method, *arguments, **keywords)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counting)
    return counts


@pytest.mark.slow
def test_a_thousand_keys_are_listed_and_none_is_asked_for_by_itself(bucket, calls):
    body = save({"conv.weight": np.ones((2, 2, 3, 3), np.float32)}, metadata={"format": "pt"})
    for i in range(KEYS):
        bucket.put_object(Bucket="bucket", Key=f"many/part{i % 4}/{i:04}.safetensors", Body=body)
    _, entries, ignored = plan([location("s3://bucket/many")])
    assert (len(entries), ignored) == (KEYS, [])
    assert all(entry.bytes == len(body) and "ETag" in entry.identity for entry in entries)
    # Of the root and its four folders, in which files of checkpoint folders are looked for.
    assert calls["head_object"] + calls["list_objects_v2"] <= 10 * 5
    assert calls["get_object"] <= KEYS + 8


def test_a_key_that_changes_in_mid_read_is_failed(bucket, traffic):
    def put(seed):
        body = save(network(seed), metadata={"format": "pt"})
        bucket.put_object(Bucket="bucket", Key="live/a.safetensors", Body=body)

    def replace(stage, done, total):
        if stage == "moments" and 0 < done < total:
            put(1)

    put(0)
    found = measure_checkpoints("s3://bucket/live", progress=replace, engine="host")
    (entry,) = found.entries
    assert (entry.status, "it changed while it was read" in entry.reason) == ("failed", True)


def test_a_bucket_that_may_not_be_read_tells_of_anonymous_access(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(UnreadableError, match=r"access was denied; .*\{\"anon\": true\}"):
        plan([location("s3://bucket/zoo")])
