"""Files of TensorFlow that are damaged or made to do harm: refused with a reason, or read right."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import _tensorflow_files as files
from jfilters.converters import open_checkpoint
from jfilters.converters._tensorflow import _flat
from jfilters.errors import CheckpointError
from jfilters.io import _sorted_table
from jfilters.io._snappy import unsnappy

FIXTURES = Path(__file__).parent / "tensorflow"
WEIGHT = np.arange(216, dtype=np.float32).reshape(3, 3, 4, 6)


def read(path):
    for layer in open_checkpoint(path).layers:
        assert layer.read().shape == layer.shape


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("v1", "checkpoint"):
        shutil.copytree(FIXTURES / name, folder / name)
    shutil.copy(FIXTURES / "frozen_v1.pb", folder / "frozen.pb")
    return folder


NAMES = {
    "v1/model.ckpt.index": "v1/model.ckpt.index",
    "v1/model.ckpt.meta": "v1/model.ckpt.index",
    "checkpoint/model.data-00000-of-00001": "checkpoint/model.index",
    "frozen.pb": "frozen.pb",
}


@pytest.mark.parametrize(("name", "opened"), NAMES.items())
@settings(max_examples=20)
@given(st.data())
def test_damaged_files_are_refused_or_read(folder, name, opened, data):
    file = folder / name
    healthy = file.read_bytes()
    damaged = bytearray(healthy)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    with contextlib.suppress(CheckpointError):
        read(folder / opened)
    file.write_bytes(healthy)


def write(tmp_path, index, data=b""):
    (tmp_path / "net.index").write_bytes(index)
    (tmp_path / "net.data-00000-of-00001").write_bytes(data)
    return tmp_path / "net.index"


def one(**changes):
    values = {"dtype": "float32", "shape": WEIGHT.shape, "start": 0, "size": WEIGHT.nbytes}
    return files.table([(b"", files.field(1, 1)), (b"w", files.entry(**values | changes))])


SLICE = files.field(7, files.field(1, files.field(1, 0) + files.field(2, 3)))

REFUSED = {
    "data outside": (one(start=8), r"expected bytes 8\.\.872 of net\.data-00000-of-00001"),
    "another length": (one(size=4), r"4 bytes of float32"),
    "a negative shape": (one(shape=(3, 3, -4, 6)), "a tensor of shape"),
    "an overflow": (one(shape=(1 << 60,) * 4), "864 bytes of"),
    "a shard too many": (one(shard=3), "net.data-00003-of-00001, which is missing"),
    "big-endian": (files.table([(b"", files.field(1, 1) + files.field(2, 1))]), "big-endian"),
    "no shards": (files.table([(b"", files.field(1, 0))]), "0 files of data"),
    "a missing slice": (
        files.table([(b"", files.field(1, 1)), (b"w", files.entry("float32", (3,), 0, 0) + SLICE)]),
        "1 of 1 slices are missing",
    ),
    "no blocks": (bytes(40) + files.MAGIC, "damaged table"),
    "a block outside": (b"\0" * 3 + b"\xff\xff\x03\x10" + bytes(33) + files.MAGIC, "damaged table"),
    "compressed by nobody": (files.table([], b"\x05\0\0\0\0"), "damaged table: a snappy block"),
}


@pytest.mark.parametrize(("index", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused_by_name(tmp_path, index, words):
    with pytest.raises(CheckpointError, match=words):
        read(write(tmp_path, index, WEIGHT.tobytes()))


def slice_key(length):
    return b"\0w\0\1" + bytes([1, 1]) + bytes([0x80]) + bytes([0x80 ^ length])


def test_slices_that_leave_a_hole_are_refused(tmp_path):
    part = files.entry("float32", (3,), 0, 12)
    entries = [(b"", files.field(1, 1)), (b"w", files.entry("float32", (3, 3, 3), 0, 0) + SLICE)]
    index = files.table([*entries, (slice_key(3), part)])
    with pytest.raises(CheckpointError, match=r"a slice of shape|lie in no slice"):
        read(write(tmp_path, index, bytes(12)))


def test_a_compressed_table_is_read(tmp_path):
    entry = files.entry("float32", WEIGHT.shape, 0, WEIGHT.nbytes)
    plain = files.block([(b"", files.field(1, 1)), (b"w", entry)])
    literal = files.varint(len(plain)) + bytes([60 << 2, len(plain) - 1]) + plain
    path = write(tmp_path, files.table([], literal), WEIGHT.tobytes())
    np.testing.assert_array_equal(
        open_checkpoint(path).layers[0].read(), WEIGHT.transpose(3, 2, 0, 1)
    )


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (b"\x05\x10abcde", b"abcde"),
        (b"\x0b\x08abc\x11\x03", b"abcabcabcab"),
        (b"\x06\x00a\x12\x01\x00", b"aaaaaa"),
        (b"\x07\x04ab\x13\x02\x00\x00\x00", b"abababa"),
    ],
)
def test_snappy(data, plain):
    assert unsnappy(data) == plain


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 9, b"\x05\x10ab", b"\x04\x01\x09", b"\xff\xff\xff\xff\x0f"]
)
def test_damaged_snappy_is_noticed(data):
    with pytest.raises(ValueError, match="snappy"):
        unsnappy(data)


def test_entries_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(_sorted_table, "MAX_ENTRIES", 10)
    entries = [(b"%03d" % number, b"") for number in range(20)]
    with pytest.raises(CheckpointError, match="more than 10 entries"):
        read(write(tmp_path, files.table([(b"", files.field(1, 1)), *entries])))


def test_functions_that_double_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(_flat, "MAX_NODES", 1000)
    nodes = [files.node("x", "Placeholder"), files.node("y", "f0", "x")]
    for i in range(20):
        calls = [files.node(f"c{j}", f"f{i + 1}", "x") for j in range(2)]
        nodes.append(files.function(f"f{i}", ["x"], {"y": "c0:y:0"}, *calls))
    (tmp_path / "net.pb").write_bytes(b"".join(nodes))
    with pytest.raises(CheckpointError, match="more than 1000 nodes"):
        read(tmp_path / "net.pb")


def test_one_value_that_stands_for_terabytes_is_refused(tmp_path):
    tensor = files.field(1, 1) + files.field(2, files.shape_of((3, 3, 1 << 20, 1 << 20)))
    value = files.field(8, tensor + files.field(5, bytes(4)))
    nodes = [
        files.node("x", "Placeholder"),
        files.node("w", "Const", value=value),
        files.node("y", "Conv2D", "x", "w"),
    ]
    (tmp_path / "net.pb").write_bytes(b"".join(nodes))
    with pytest.raises(CheckpointError, match="a constant of shape"):
        read(tmp_path / "net.pb")
