"""Bytes by range from URLs: few of them, in spite of hiccups, and never without an end."""

import io
import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

from jfilters.converters import _copied, load, location, open_checkpoint
from jfilters.errors import CheckpointError, MissingExtraError, UnreadableError
from jfilters.io import _local_copy as _local_copy
from jfilters.io import _remote as _remote
from jfilters.io import _request as _request
from jfilters.io._remote import ALLOWANCE, RemoteSource

from .servers import serving, weights

upath = pytest.importorskip("upath")

CONTENT = np.random.default_rng(0).bytes(300_000)


def save_onnx(path):
    stored = weights()
    nodes = [
        helper.make_node("Conv", [f"x{i}", f"{i:02}.conv.weight"], [f"x{i + 1}"]) for i in range(12)
    ]
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ("x0", "x12")]
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph), path)


SAVERS = {
    "a.safetensors": lambda path: save_file(weights(), path, metadata={"format": "pt"}),
    "a.pth": lambda path: torch.save(
        {name: torch.from_numpy(value) for name, value in weights().items()}, path
    ),
    "a.onnx": save_onnx,
}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(_request, "PAUSES", (0.0, 0.0, 0.0))
    with serving() as server:
        yield server


@pytest.fixture
def memory():
    """An empty folder in fsspec's memory."""
    root = upath.UPath("memory://zoo")
    root.mkdir(parents=True, exist_ok=True)
    yield root
    root.fs.rm("/zoo", recursive=True)


def counted(data=CONTENT):
    """A source over bytes, and the ranges that it fetches."""
    spans = []

    def fetch(start, stop):
        spans.append((start, stop))
        return data[start:stop]

    return RemoteSource(upath.UPath("memory://zoo/x"), len(data), fetch), spans


@given(st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 20_000)), max_size=30))
def test_ranges_hold_the_bytes_of_the_file_and_reading_ahead_is_bounded(ranges):
    source, spans = counted()
    for start, length in ranges:
        assert bytes(source.read(start, start + length)) == CONTENT[start : start + length]
    asked = sum(min(start + n, len(CONTENT)) - start for start, n in ranges if start < len(CONTENT))
    assert sum(stop - start for start, stop in spans) <= 2 * asked + ALLOWANCE


def test_what_was_read_is_not_fetched_again():
    source, spans = counted()
    source.read(1000, 9000)
    source.read(2000, 8000)
    assert len(spans) == 1


def test_reading_on_takes_few_requests():
    source, spans = counted()
    for start in range(0, len(CONTENT), 500):
        source.read(start, start + 500)
    assert len(spans) < 20


def test_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr(_remote, "HELD", 50_000)
    source, _ = counted()
    for start in range(0, len(CONTENT), 20_000):
        source.read(start, start + 10_000)
    assert sum(map(len, source._held.values())) <= 50_000


def test_a_short_answer_is_an_error():
    source = RemoteSource(upath.UPath("memory://zoo/x"), 100, lambda start, stop: b"")
    with pytest.raises(UnreadableError, match="memory://zoo/x: expected bytes 0 to 100"):
        source.read(0, 100)


@pytest.mark.parametrize("name", SAVERS)
def test_of_a_checkpoint_with_few_kernels_few_bytes_travel(server, tmp_path, name):
    SAVERS[name](tmp_path / name)
    server.files[name] = (tmp_path / name).read_bytes()
    found, expected = load(f"{server.url}/{name}"), load(tmp_path / name)
    assert found.layers == expected.layers
    for a, b in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = sum(weight.nbytes for weight in found.weights)
    assert kernels == pytest.approx(0.05 * len(server.files[name]), rel=0.02)
    assert kernels <= server.sent <= 0.15 * len(server.files[name])


def npy(shape=(8, 4, 3, 3)):
    file = io.BytesIO()
    np.save(file, np.ones(shape, np.float32))
    return file.getvalue()


def test_hiccups_are_waited_out(server):
    server.files["a.npy"] = npy()
    server.failures = [503, 500]
    assert len(load(f"{server.url}/a.npy", axes="OIHW")) == 1


def test_lasting_failure_names_the_source(server):
    server.files["a.npy"] = npy()
    server.failures = [503] * 100
    with pytest.raises(UnreadableError, match=rf"{server.url}/a.npy: .*503"):
        load(f"{server.url}/a.npy")


def test_a_stalled_source_is_named_without_its_secrets(server, monkeypatch):
    server.files["a.npy"] = npy()
    server.stalls.set()
    monkeypatch.setenv("JFILTERS_TIMEOUT", "0.3")
    url = server.url.replace("//", "//user:word@")
    with pytest.raises(UnreadableError, match=rf"^{server.url}/a.npy: no answer in 0.3 s") as error:
        load(f"{url}/a.npy?signature=secret")
    assert not {"word", "secret"} & set(str(error.value).replace("=", ":").split(":"))


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_timeout_is_seconds(memory, monkeypatch, text):
    monkeypatch.setenv("JFILTERS_TIMEOUT", text)
    with pytest.raises(UnreadableError, match="expected seconds in JFILTERS_TIMEOUT"):
        load("memory://zoo/a.npy")


def test_a_server_without_ranges_is_refused(server):
    server.ranges, server.files["a.npy"] = False, npy((64, 64, 3, 3))
    with pytest.raises(UnreadableError, match=r"a.npy: .*range"):
        load(f"{server.url}/a.npy", axes="OIHW")


@pytest.mark.parametrize(("error", "calls"), [(ConnectionError, 4), (FileNotFoundError, 1)])
def test_only_what_may_pass_is_tried_again(monkeypatch, error, calls):
    monkeypatch.setattr(_request, "PAUSES", (0.0, 0.0, 0.0))
    seen = []

    def call():
        seen.append(1)
        raise error("x")

    with pytest.raises(UnreadableError, match="memory://zoo/x"):
        _request.request(upath.UPath("memory://zoo/x"), call)
    assert len(seen) == calls


def test_a_missing_file_is_missing(server, memory):
    for url in (f"{server.url}/b.npy", "memory://zoo/b.npy"):
        with pytest.raises(UnreadableError, match=r"b.npy: no such file or folder"):
            load(url)


def test_sharded_folders_are_read_over_the_web(server, tmp_path):
    server.files["m-1.safetensors"] = save_shard(tmp_path, "conv1.weight")
    server.files["m-2.safetensors"] = save_shard(tmp_path, "conv2.weight")
    index = '{"weight_map": {"conv1.weight": "m-1.safetensors", "conv2.weight": "m-2.safetensors"}}'
    server.files["model.safetensors.index.json"] = index.encode()
    assert len(load(f"{server.url}/")) == 2


def save_shard(folder, name):
    array = np.ones((8, 4, 3, 3), np.float32)
    save_file({name: array}, folder / "shard", metadata={"format": "pt"})
    return (folder / "shard").read_bytes()


def save_orbax(path):
    import orbax.checkpoint as ocp

    kernel = np.random.default_rng(1).standard_normal((3, 3, 8, 16)).astype(np.float32)
    with ocp.StandardCheckpointer() as saver:
        saver.save(path, {"Conv_0": {"kernel": kernel}})
    return kernel


def test_an_orbax_folder_is_copied_and_the_copy_removed(memory, tmp_path):
    kernel = save_orbax(tmp_path / "step")
    memory.fs.put(str(tmp_path / "step"), "/zoo/", recursive=True)
    opened = open_checkpoint("memory://zoo/step")
    copy = _copied._last_copy(upath.UPath("memory://zoo/step")).path
    shutil.rmtree(tmp_path / "step")
    np.testing.assert_array_equal(opened.layers[0].read(), kernel.transpose(3, 2, 0, 1))
    assert copy.is_dir()
    _copied._last_copy.cache_clear()
    del opened
    assert not copy.parent.exists()


def test_a_copy_is_bounded_and_its_errors_name_the_url(memory, tmp_path, monkeypatch):
    save_orbax(tmp_path / "big")
    memory.fs.put(str(tmp_path / "big"), "/zoo/", recursive=True)
    (memory / "big" / "_METADATA").write_bytes(b"{")
    with pytest.raises(CheckpointError, match=r"^memory://zoo/big/_METADATA: no valid JSON"):
        load("memory://zoo/big")
    _copied._last_copy.cache_clear()
    monkeypatch.setattr(_local_copy, "LARGEST_COPY", 100)
    with pytest.raises(CheckpointError, match="memory://zoo/big: a folder of more than 100 bytes"):
        load("memory://zoo/big")


def test_external_data_of_onnx_lies_beside_the_model(memory, tmp_path):
    save_onnx(tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data")
    for name in ("m.onnx", "m.data"):
        (memory / name).write_bytes((tmp_path / name).read_bytes())
    assert len(load("memory://zoo/m.onnx")) == 12


def test_paths_stay_paths_and_other_urls_are_refused(tmp_path):
    assert location(str(tmp_path)) == tmp_path
    assert location("a::b.pth").name == "a::b.pth"
    with pytest.raises(UnreadableError, match="nonsense://x: no URL that can be read"):
        location("nonsense://x")


def test_without_the_packages_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(MissingExtraError, match=r"universal-pathlib.*'\.\[cloud\]'"):
        location("s3://bucket/a.pth")
