"""Models of TensorFlow Lite that are damaged or made to do harm: refused with a reason, or read right."""

import contextlib
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import _tflite_models as models
from benchmarks._flatbuffers import flatbuffer
from jfilters.converters import open_checkpoint
from jfilters.errors import CheckpointError
from jfilters.io import _flatbuffer as flat

WEIGHT = np.arange(216, dtype=np.float32).reshape(6, 3, 3, 4)
HEALTHY = models.chain(
    [
        ("CONV_2D", WEIGHT, {}),
        ("DEPTHWISE_CONV_2D", np.ones((1, 3, 3, 6), np.int8), {"scale": [0.5]}),
    ]
)


def read(path):
    for layer in open_checkpoint(path).layers:
        assert layer.read().shape == layer.shape


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@given(st.data())
def test_damaged_files_are_refused_or_read(folder, data):
    damaged = bytearray(HEALTHY)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(8, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    (folder / "net").write_bytes(damaged)
    with contextlib.suppress(CheckpointError):
        read(folder / "net")


@pytest.mark.parametrize("size", [8, 12, 30, 100, len(HEALTHY) // 2, len(HEALTHY) - 300])
def test_truncation_is_refused(tmp_path, size):
    (tmp_path / "net").write_bytes(HEALTHY[:size])
    with pytest.raises(CheckpointError, match="net"):
        read(tmp_path / "net")


def graph(tensors, operators=(), inputs=(0,)):
    return models.subgraph(list(tensors), list(inputs), list(operators))


IMAGE = models.tensor("image", (1, 8, 8, 4))
CONV = models.operator("CONV_2D", [0, 1], [0])


def sparse(sparsity, values=WEIGHT):
    more = {"shape": WEIGHT.shape, "sparsity": sparsity}
    return models.chain([("CONV_2D", values, more)])


def csr_with(**fields):
    values, sparsity = models.csr(WEIGHT)
    level = sparsity[2][-1]
    level[3] = {0: fields.get("segments", level[3][0])}
    level[5] = {0: fields.get("indices", level[5][0])}
    return sparse(sparsity, values)


def called_in_a_circle():
    loops = [models.operator("WHILE", [0], [1], {0: ("<i", i), 1: ("<i", 1 - i)}) for i in range(2)]
    return models.model([graph([IMAGE, IMAGE], [loop]) for loop in loops], [])


REFUSED = {
    "no root": (b"\0\0\0\0TFL3" + bytes(600), "an offset of 0"),
    "a root outside": (struct.pack("<I", 1 << 30) + b"TFL3" + bytes(600), "an offset of 1073741824"),
    "no vtable": (struct.pack("<I", 16) + b"TFL3" + bytes(600), "a vtable of 0 bytes"),
    "a buffer outside": (
        models.model([graph([IMAGE, models.tensor("w", WEIGHT.shape, buffer=9)], [CONV])], []),
        "buffer 9 of 1",
    ),
    "values outside": (
        models.model(
            [graph([IMAGE, models.tensor("w", WEIGHT.shape, buffer=1)], [CONV])],
            [{1: ("<Q", 1 << 40), 2: ("<Q", 864)}],
        ),
        "found only",
    ),
    "too few values": (
        models.chain([("CONV_2D", WEIGHT[:5], {"shape": WEIGHT.shape})]),
        "expected 864 bytes of float32",
    ),
    "a negative shape": (
        models.chain([("CONV_2D", WEIGHT, {"shape": (-6, 3, 3, -4)})]),
        "a shape of",
    ),
    "a tensor outside": (
        models.model([graph([IMAGE], [models.operator("CONV_2D", [0, 7], [0])])], []),
        "tensors 0..7 of 1",
    ),
    "too many scales": (
        models.chain([("CONV_2D", WEIGHT.astype(np.int8), {"scale": [1.0, 2.0]})]),
        "2 scales or zero points along axis 0",
    ),
    "a subgraph outside": (
        models.model([graph([IMAGE], [models.operator("WHILE", [0], [0], {0: ("<i", 5)})])], []),
        r"runs subgraphs \(5, 0\) of 1",
    ),
    "a cycle": (
        models.model(
            [graph([IMAGE, IMAGE], [models.operator("RELU", [1], [0]), models.operator("RELU", [0], [1])])],
            [],
        ),
        "has a cycle",
    ),
    "indices outside": (csr_with(indices=np.full(215, 99, "<i4")), "do not fit"),
    "negative indices": (csr_with(indices=np.full(215, -1, "<i4")), "do not fit"),
    "segments outside": (csr_with(segments=np.full(55, 1 << 30, "<i4")), "do not fit"),
    "too few segments": (csr_with(segments=np.zeros(3, "<i4")), "do not fit"),
    "an order that is none": (
        sparse({0: np.array([0, 0, 0, 0], "<i4"), 2: []}),
        "in the order",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused_by_name(tmp_path, data, words):
    (tmp_path / "net").write_bytes(data)
    with pytest.raises(CheckpointError, match=words):
        read(tmp_path / "net")


def test_subgraphs_that_run_themselves_end(tmp_path):
    (tmp_path / "net").write_bytes(called_in_a_circle())
    read(tmp_path / "net")


def test_a_million_offsets_to_one_table_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(flat, "MAX_TABLES", 1000)
    fields = {0: ("<I", 3), 2: [{0: [{} for _ in range(600)]}]}
    (tmp_path / "net").write_bytes(flatbuffer(fields, b"TFL3"))
    with pytest.raises(CheckpointError, match="more than 1000 tables"):
        read(tmp_path / "net")


def test_a_sparse_tensor_of_gigabytes_costs_nothing(tmp_path):
    levels = [{0: ("<b", 0), 1: ("<i", 1 << 15)} for _ in range(4)]
    order = np.arange(4, dtype="<i4")
    more = {"shape": (1 << 15,) * 4, "sparsity": {0: order, 2: levels}}
    (tmp_path / "net").write_bytes(models.chain([("CONV_2D", WEIGHT, more)]))
    tracemalloc.start()
    checkpoint = open_checkpoint(tmp_path / "net")
    assert not checkpoint.layers  # more taps than a kernel has
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
