"""ONNX files that are damaged or made to do harm: every one is refused with a reason, or read right."""

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from jfilters.converters import StoredArray
from jfilters.converters._onnx import _budget as _budget
from jfilters.converters._onnx import _graph as _onnx_graph
from jfilters.converters._onnx import _model as _onnx_model
from jfilters.converters._onnx import _nodes as _onnx_nodes
from jfilters.converters._onnx._external import ExternalFiles
from jfilters.converters._onnx._format import FORMAT
from jfilters.errors import CheckpointError, UnreadableError
from jfilters.io import _protobuf as _protobuf

WEIGHT = np.arange(216, dtype=np.float32).reshape(6, 4, 3, 3)


def varint(value: int) -> bytes:
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def field(number: int, value: "int | bytes | str") -> bytes:
    """One field of the protobuf wire format."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def node_bytes(op: str, inputs: Iterable[str] = (), outputs: Iterable[str] = (), more=b"") -> bytes:
    names = [field(1, name) for name in inputs] + [field(2, name) for name in outputs]
    return b"".join(names) + field(4, op) + more


def tensor_bytes(*fields: bytes, name: str = "w") -> bytes:
    return b"".join(fields) + field(8, name)


def model_bytes(*graph: bytes, more: bytes = b"") -> bytes:
    return field(1, 8) + field(7, b"".join(graph)) + more


CONV = field(1, node_bytes("Conv", ["x", "w"], ["y"])) + field(11, field(1, "x"))
SHAPE = b"".join(field(1, size) for size in WEIGHT.shape)
FLOAT = field(2, 1)
STORED = tensor_bytes(SHAPE, FLOAT, field(9, WEIGHT.tobytes()))
GOOD = model_bytes(CONV, field(5, STORED))


@pytest.fixture
def write(tmp_path):
    def write(content: bytes) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return path

    return write


def read_all(path: Path) -> list[StoredArray]:
    arrays = list(FORMAT.arrays(path))
    for array in arrays:
        assert array.read().shape == array.shape
    return arrays


def test_bytes_made_by_hand_are_a_model(write):
    onnx.load_from_string(GOOD)
    path = write(GOOD)
    assert FORMAT.recognizes(path, GOOD[:512])
    [array] = read_all(path)
    np.testing.assert_array_equal(array.read(), WEIGHT)


def with_tensor(*fields: bytes) -> bytes:
    return model_bytes(CONV, field(5, tensor_bytes(*fields)))


NEGATIVE = (1 << 64) - 1
RAW = field(9, WEIGHT.tobytes())
BAD_TENSORS = {
    "too few bytes": (with_tensor(SHAPE, FLOAT, field(9, b"1234")), "expected 864 bytes, found 4"),
    "too many bytes": (
        with_tensor(field(1, 1), FLOAT, field(9, b"12345678")),
        "expected 4 bytes, found 8",
    ),
    "no bytes": (with_tensor(SHAPE, FLOAT), "expected 216 numbers of float32, found 0 bytes"),
    "a shape that overflows": (
        with_tensor(*[field(1, 1 << 62)] * 4, FLOAT, RAW),
        f"expected {4 << 248} bytes, found 864",
    ),
    "a negative size": (with_tensor(field(1, NEGATIVE), FLOAT, RAW), "sizes of 0 and more"),
    "too many axes": (with_tensor(field(1, 1) * 17, FLOAT, RAW), "at most 16 axes"),
    "too many packed axes": (with_tensor(field(1, b"\1" * 999), FLOAT, RAW), "at most 16 axes"),
    "values in two fields": (with_tensor(SHAPE, FLOAT, RAW, field(4, b"1234")), "beside typed"),
    "values in the wrong field": (
        with_tensor(field(1, 1), FLOAT, field(5, b"\1")),
        "expected 1 numbers of float32, found 0 bytes",
    ),
    "no group": (
        model_bytes(
            field(
                1, node_bytes("Conv", ["x", "w"], ["y"], field(5, field(1, "group") + field(3, 0)))
            ),
            field(5, STORED),
        ),
        "expected 1 group or more, found 0",
    ),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_a_bad_tensor_is_refused_by_name(write, case):
    content, reason = BAD_TENSORS[case]
    with pytest.raises(CheckpointError, match=r"model\.onnx: w: ") as caught:
        FORMAT.arrays(write(content))
    assert reason in str(caught.value)


BAD_VALUES = {
    "too few": (field(1, 3), field(2, 6), field(5, b"\x81\x81\1")),
    "beyond int8": (field(1, 1), field(2, 3), field(5, varint(200))),
    "without an end": (field(1, 2), field(2, 6), field(5, b"\1\x80")),
    "longer than 64 bits": (field(1, 2), field(2, 6), field(5, b"\x80" * 10 + b"\1\1")),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_typed_values_are_refused_when_they_are_read(write, case):
    [array] = FORMAT.arrays(write(with_tensor(*BAD_VALUES[case])))
    with pytest.raises(CheckpointError, match="w: "):
        array.read()


@pytest.mark.parametrize("packed", [True, False])
def test_numbers_packed_or_not(write, packed):
    floats = [struct.pack("<f", value) for value in (1.5, -2.0)]
    integers = [varint(3), varint((1 << 64) - 2)]
    if packed:
        data = field(4, b"".join(floats)), field(5, b"".join(integers))
    else:
        data = b"".join(b"\x25" + v for v in floats), b"".join(b"\x28" + v for v in integers)
    tensors = [
        tensor_bytes(field(1, 2), field(2, 1), data[0], name="a"),
        tensor_bytes(field(1, 2), field(2, 3), data[1], name="b"),
    ]
    content = model_bytes(*(field(5, tensor) for tensor in tensors))
    parsed = onnx.load_from_string(content).graph.initializer
    for array, expected in zip(FORMAT.arrays(write(content)), parsed, strict=True):
        np.testing.assert_array_equal(array.read(), numpy_helper.to_array(expected))


BAD_FILES = {
    "empty": b"",
    "a byte": b"\x08",
    "seven bytes": b"\x08\x07\x12\x02ab\x3a",
    "no graph": field(1, 8),
    "two graphs": GOOD + field(7, CONV),
    "a graph that is a number": field(1, 8) + field(7, 5),
    "a length beyond the end": field(1, 8) + varint(7 << 3 | 2) + varint(1 << 40) + CONV,
    "a length of 2^64 - 1": field(1, 8) + varint(7 << 3 | 2) + varint(NEGATIVE),
    "a length inside that lies": model_bytes(varint(1 << 3 | 2) + varint(500) + b"\x0a\1x"),
    "a number without an end": GOOD + b"\x28" + b"\xff" * 20,
    "a number beyond 64 bits": GOOD + b"\x28" + b"\xff" * 9 + b"\x7f",
    "groups of old protobuf": model_bytes(b"\x0b\x0c"),
    "a wire type that is none": model_bytes(b"\x0f"),
    "a fixed field cut off": model_bytes(b"\x0d\0"),
    "a name that is no text": model_bytes(field(1, field(1, b"\xff\xfe"))),
    "a name of a megabyte": model_bytes(field(1, field(1, "a" * (1 << 20)))),
    "a name twice": model_bytes(CONV, field(5, STORED), field(5, STORED)),
    "a weight that is an output too": model_bytes(
        field(5, STORED), field(1, node_bytes("Relu", ["x"], ["w"]))
    ),
    "an output of two nodes": model_bytes(CONV, CONV),
    "a node that reads itself": model_bytes(field(1, node_bytes("Relu", ["a"], ["a"]))),
    "a cycle": model_bytes(
        field(1, node_bytes("Relu", ["a"], ["b"])), field(1, node_bytes("Relu", ["b"], ["a"]))
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_damaged_file_is_refused(write, case):
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        FORMAT.arrays(write(BAD_FILES[case]))


def test_a_cycle_names_a_node(write):
    with pytest.raises(CheckpointError, match="2 nodes wait for each other, among them 'b'"):
        FORMAT.arrays(write(BAD_FILES["a cycle"]))


def nested(levels: int) -> bytes:
    body = field(1, node_bytes("Relu", ["x"], ["y"]))
    for _ in range(levels):
        owner = node_bytes("If", ["c"], ["y"], field(5, field(1, "then_branch") + field(6, body)))
        body = field(1, owner)
    return model_bytes(body)


def test_nesting_is_bounded(write):
    assert FORMAT.arrays(write(nested(32))) == []
    for levels in (33, 3000):
        with pytest.raises(CheckpointError, match="more than 32 bodies"):
            FORMAT.arrays(write(nested(levels)))


def calls(*bodies: list[str]) -> bytes:
    """A model that calls f0, and functions f0, f1, ... that call others by name."""

    def call(name: str) -> bytes:
        return node_bytes(name, ["x"], [], field(7, "d"))

    functions = [
        field(
            25, field(1, f"f{index}") + field(10, "d") + b"".join(field(7, call(b)) for b in body)
        )
        for index, body in enumerate(bodies)
    ]
    return model_bytes(field(1, call("f0")), more=b"".join(functions))


def test_functions_that_call_themselves_or_each_other_without_end(write):
    for bodies in (["f0"],), (["f1"], ["f0"]):
        with pytest.raises(CheckpointError, match="more than 32 bodies and functions"):
            FORMAT.arrays(write(calls(*bodies)))


def test_functions_that_multiply_are_bounded(write, monkeypatch):
    monkeypatch.setattr(_onnx_nodes, "MAX_ITEMS", 100)
    doubling = calls(*([f"f{i + 1}"] * 2 for i in range(30)), [])
    with pytest.raises(CheckpointError, match="at most"):
        FORMAT.arrays(write(doubling))


@pytest.mark.parametrize(
    ("module", "limit", "bound"),
    [
        (_protobuf, "MAX_FIELDS", 10),
        (_protobuf, "MAX_TEXT", 30),
        (_onnx_graph, "MAX_NODES", 5),
        (_onnx_graph, "MAX_VALUES", 5),
        (_onnx_model, "MAX_TENSORS", 5),
    ],
)
def test_every_count_is_bounded(write, monkeypatch, module, limit, bound):
    nodes = [field(1, node_bytes("Relu", ["x"], [f"y{i}"])) for i in range(20)]
    tensors = [field(5, tensor_bytes(field(1, 0), FLOAT, name=f"w{i}")) for i in range(20)]
    path = write(model_bytes(*nodes, *tensors))
    assert len(FORMAT.arrays(path)) == 20
    monkeypatch.setattr(module, limit, bound)
    with pytest.raises(CheckpointError, match=f"(at most|in all).*{bound}|{bound} in all"):
        FORMAT.arrays(path)


def test_a_long_chain_is_no_deep_recursion(write):
    count = 1_200
    nodes = [node_bytes("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)]
    nodes += [node_bytes("Conv", [f"v{count}", "w"], ["y"])]
    content = model_bytes(
        *(field(1, node) for node in nodes), field(5, STORED), field(11, field(1, "v0"))
    )
    [array] = FORMAT.arrays(write(content))
    assert array.depth == count + 1


def test_a_weight_behind_too_many_steps_says_so(write):
    nodes = [node_bytes("Identity", [f"v{i}"], [f"v{i + 1}"]) for i in range(100)]
    nodes += [node_bytes("Conv", ["x", "v100"], ["y"])]
    tensor = tensor_bytes(SHAPE, FLOAT, RAW, name="v0")
    [array] = FORMAT.arrays(write(model_bytes(*(field(1, n) for n in nodes), field(5, tensor))))
    assert array.reason is not None


def constant(values: np.ndarray, name: str) -> bytes:
    return numpy_helper.from_array(np.asarray(values), name).SerializeToString()


def computed(nodes: Iterable[bytes], **stored: np.ndarray) -> bytes:
    """A model of nodes whose value "w" is the weight of a convolution."""
    nodes = [*nodes, node_bytes("Conv", ["x", "w"], ["y"])]
    tensors = [field(5, constant(values, name)) for name, values in stored.items()]
    return model_bytes(*(field(1, node) for node in nodes), *tensors)


KERNEL, HUGE = np.ones((1, 1, 3, 3), np.float32), np.array([1 << 30, 1 << 30, 3, 3])
BOMBS = {
    "Expand": computed([node_bytes("Expand", ["k", "s"], ["w"])], k=KERNEL, s=HUGE),
    "Tile": computed([node_bytes("Tile", ["k", "s"], ["w"])], k=KERNEL, s=HUGE),
    "ConstantOfShape": computed([node_bytes("ConstantOfShape", ["s"], ["w"])], s=HUGE),
    "Pad": computed([node_bytes("Pad", ["k", "s"], ["w"])], k=KERNEL, s=np.tile(HUGE, 2)),
    "Range": computed(
        [node_bytes("Range", ["a", "b", "c"], ["w"])],
        a=np.array(0),
        b=np.array(1 << 62),
        c=np.array(1),
    ),
    "an Expand that is then reduced": computed(
        [node_bytes("Expand", ["k", "s"], ["e"]), node_bytes("ReduceMean", ["e"], ["w"])],
        k=KERNEL,
        s=HUGE,
    ),
    "MatMul": computed(
        [node_bytes("MatMul", ["k", "r"], ["w"])],
        k=np.ones((1 << 20, 1), np.float32),
        r=np.ones((1, 1 << 20), np.float32),
    ),
    "Einsum": computed(
        [
            node_bytes(
                "Einsum",
                ["k"] * 6,
                ["w"],
                field(5, field(1, "equation") + field(4, "a,b,c,d,e,f->")),
            )
        ],
        k=np.ones(99, np.float32),
    ),
    "a wide sum": computed(
        [node_bytes("Neg", ["k"], [f"v{i}"]) for i in range(2000)]
        + [node_bytes("Sum", [f"v{i}" for i in range(2000)], ["w"])],
        k=KERNEL,
    ),
    "many large ones at a time": computed(
        [node_bytes("Expand", ["k", "s"], ["e"])]
        + [node_bytes("Add", ["e", f"k{i}"], [f"v{i}"]) for i in range(9)]
        + [node_bytes("Max", [f"v{i}" for i in range(9)], ["w"])],
        k=KERNEL,
        s=np.array([1 << 16, 1, 3, 3]),
        **{f"k{i}": KERNEL for i in range(9)},
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_weight_that_would_explode_is_unread(write, case):
    arrays = FORMAT.arrays(write(BOMBS[case]))
    assert all(array.reason for array in arrays)
    assert sum(array.unread for array in arrays) == 1


def test_a_value_that_doubles_is_computed_once(write):
    nodes = [node_bytes("Add", [f"v{i}"] * 2, [f"v{i + 1}"]) for i in range(60)]
    path = write(computed([*nodes, node_bytes("Identity", ["v60"], ["w"])], v0=KERNEL))
    [array] = FORMAT.arrays(path)
    np.testing.assert_array_equal(array.read(), KERNEL * 2.0**60)


@pytest.mark.parametrize("count", [100, 3000])
def test_a_long_chain_of_constants_is_refused_without_recursion(write, count):
    nodes = [node_bytes("Add", [f"v{i}", "v0"], [f"v{i + 1}"]) for i in range(count)]
    [array] = FORMAT.arrays(
        write(computed([*nodes, node_bytes("Neg", [f"v{count}"], ["w"])], v0=KERNEL))
    )
    assert array.unread
    assert "behind too many operators" in str(array.reason)


def test_what_all_weights_cost_together_is_bounded(write, monkeypatch):
    monkeypatch.setattr(_budget, "TOTAL", 2000)
    monkeypatch.setattr(_budget, "TOTAL_PER_STORED", 0)
    monkeypatch.setattr(_budget, "_REFUSED", 100)
    nodes = [
        node
        for index in range(40)
        for node in (
            node_bytes("Mul", ["k", f"s{index}"], [f"w{index}"]),
            node_bytes("Conv", ["x", f"w{index}"], [f"y{index}"]),
        )
    ]
    scales = {f"s{index}": np.float32(index) for index in range(40)}
    arrays = FORMAT.arrays(write(computed(nodes, k=KERNEL, w=KERNEL, **scales)))
    read = [array for array in arrays if array.reason is None]
    # Three parts of 64 elements each; what is as it is stored costs nothing.
    assert len(read) == 1 + 2000 // 192
    assert sum(array.unread for array in arrays) == 41 - len(read)


def test_what_is_read_at_once_is_bounded(write, monkeypatch):
    monkeypatch.setattr(_budget, "OPENING", 500)
    monkeypatch.setattr(_budget, "_REFUSED", 100)
    nodes = []
    for index in range(20):
        nodes.append(node_bytes("Reshape", ["k", "s"], [f"r{index}"]))
        nodes.append(node_bytes("Mul", [f"r{index}", f"k{index}"], [f"w{index}"]))
        nodes.append(node_bytes("Conv", ["x", f"w{index}"], [f"y{index}"]))
    factors = {f"k{index}": KERNEL for index in range(20)}
    stored = {"k": KERNEL, "w": KERNEL, "s": np.array([1, 1, 3, 3]), **factors}
    arrays = FORMAT.arrays(write(computed(nodes, **stored)))
    assert {array.reason for array in arrays if array.unread} == {
        f"not followed to Conv y{index}: Reshape: a parameter of shape (4,) that takes too much to compute"
        for index in range(7, 20)
    }


def test_a_file_that_is_gone_while_it_is_opened_is_no_damaged_weight(folder, monkeypatch):
    def gone() -> memoryview:
        raise UnreadableError("no such file", path=folder / "data.bin")

    monkeypatch.setattr(ExternalFiles, "reader", lambda *_: gone)
    entry = field(13, field(1, "location") + field(2, "data.bin"))
    shape = tensor_bytes(field(1, 4), field(2, 7), entry, field(14, 1), name="s")
    nodes = [node_bytes("Reshape", ["k", "s"], ["w"]), node_bytes("Conv", ["x", "w"], ["y"])]
    path, kernel = folder / "model.onnx", field(5, constant(KERNEL, "k"))
    path.write_bytes(model_bytes(*(field(1, node) for node in nodes), kernel, field(5, shape)))
    with pytest.raises(UnreadableError, match="no such file"):
        FORMAT.arrays(path)


def external(**entries: str) -> bytes:
    pairs = [field(13, field(1, key) + field(2, value)) for key, value in entries.items()]
    return with_tensor(SHAPE, FLOAT, *pairs, field(14, 1))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model's folder with its data, and a secret outside of it."""
    inside = tmp_path / "model"
    (inside / "data").mkdir(parents=True)
    (inside / "data.bin").write_bytes(b"\0" * 100 + WEIGHT.tobytes())
    (inside / "data" / "deep.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    (inside / "alias.bin").symlink_to(inside / "data.bin")
    (inside / "escape.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "climb").symlink_to(tmp_path)
    (inside / "loop.bin").symlink_to(inside / "loop.bin")
    os.link(tmp_path / "secret.bin", inside / "hard.bin")
    os.mkfifo(inside / "fifo.bin")
    return inside


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "data.bin", "offset": "100", "length": "864"},
        {"location": "data.bin", "offset": "100"},
        {"location": "data/deep.bin"},
        {"location": "./data/deep.bin", "checksum": "ignored"},
        {"location": "alias.bin", "offset": "100"},
    ],
)
def test_external_data_inside_the_folder_is_read(folder, entries):
    (folder / "model.onnx").write_bytes(external(**entries))
    [array] = FORMAT.arrays(folder / "model.onnx")
    np.testing.assert_array_equal(array.read(), WEIGHT)


def test_a_data_file_for_every_tensor_keeps_none_of_them_open(folder):
    before = len(os.listdir("/proc/self/fd"))
    tensors = []
    for index in range(50):
        (folder / f"{index}.bin").write_bytes(WEIGHT.tobytes())
        entry = field(13, field(1, "location") + field(2, f"{index}.bin"))
        tensors.append(tensor_bytes(SHAPE, FLOAT, entry, field(14, 1), name=f"w{index}"))
    path = folder / "model.onnx"
    path.write_bytes(model_bytes(*(field(5, tensor) for tensor in tensors)))
    arrays = read_all(path)
    assert len(arrays) == 50
    assert len(os.listdir("/proc/self/fd")) - before < 5


@pytest.mark.parametrize(
    "location",
    ["http://host/x", "s3://other/x", "%2e%2e/x", "x?y", "x#y", "../x", "/x", "//host/x"],
)
def test_external_data_of_a_remote_model_stays_beside_it(location):
    upath = pytest.importorskip("upath")
    files = ExternalFiles(upath.UPath("memory://bucket/folder/model.onnx"))
    with pytest.raises(CheckpointError, match=r"model\.onnx: w: external data: expected a path"):
        files.reader({"location": location}, 4, "w")


OUTSIDE = {
    "../secret.bin": "inside the model's folder",
    "data/../../secret.bin": "inside the model's folder",
    "data\\..\\..\\secret.bin": "inside the model's folder",
    "/etc/hostname": "inside the model's folder",
    "C:\\secret.bin": "inside the model's folder",
    "\\\\host\\secret.bin": "inside the model's folder",
    "": "inside the model's folder",
    "a\0b": "inside the model's folder",
    "escape.bin": "no link out",
    "climb/secret.bin": "no link out",
    "hard.bin": "without other hard links",
}


@pytest.mark.parametrize("location", OUTSIDE)
def test_external_data_outside_the_folder_is_refused(folder, location):
    (folder / "model.onnx").write_bytes(external(location=location))
    with pytest.raises(CheckpointError, match="w: external data: expected") as caught:
        FORMAT.arrays(folder / "model.onnx")
    assert OUTSIDE[location] in str(caught.value)
    assert "copy the data file" in str(caught.value)


@pytest.mark.parametrize(
    "location", ["missing.bin", "loop.bin", "fifo.bin", "data", ".", "a" * 999]
)
def test_external_data_that_is_no_file_fails(folder, location):
    (folder / "model.onnx").write_bytes(external(location=location))
    with pytest.raises(UnreadableError, match="w: external data: ") as caught:
        FORMAT.arrays(folder / "model.onnx")
    assert caught.value.status == "failed"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"offset": "101"}, "expected bytes 101..965 of 'data.bin', found only 964"),
        ({"offset": str(1 << 62)}, "found only 964"),
        ({"offset": "-1"}, "expected a number of bytes as offset, found '-1'"),
        ({"offset": "1e3"}, "expected a number of bytes"),
        ({"offset": "9" * 4000}, "expected a number of bytes"),
        ({"length": "100"}, "expected 864 bytes, found a length of 100"),
        ({"length": "\u0664"}, "expected a number of bytes as length"),
    ],
)
def test_external_offsets_and_lengths_that_lie(folder, entries, reason):
    (folder / "model.onnx").write_bytes(external(location="data.bin", **entries))
    with pytest.raises(CheckpointError, match=r"model\.onnx: w: external data: ") as caught:
        FORMAT.arrays(folder / "model.onnx")
    assert reason in str(caught.value)


def test_a_model_beyond_two_gibibytes(tmp_path):
    path, size = tmp_path / "large.onnx", (2 << 30) + 4
    head = field(1, size // 4) + FLOAT + field(8, "large") + varint(9 << 3 | 2) + varint(size)
    tail = field(5, STORED) + CONV
    tensor = varint(5 << 3 | 2) + varint(len(head) + size) + head
    graph = varint(7 << 3 | 2) + varint(len(tensor) + size + len(tail)) + tensor
    with path.open("wb") as file:
        # A hole in the file takes no space on disk.
        file.write(field(1, 8) + graph)
        file.seek(size, os.SEEK_CUR)
        file.write(tail)
    assert FORMAT.recognizes(path, field(1, 8) + graph)
    large, weight = FORMAT.arrays(path)
    assert large.shape == (size // 4,)
    np.testing.assert_array_equal(weight.read(), WEIGHT)


def rich_model(size: int) -> bytes:
    """All that the reader looks at, with one tensor of `size` numbers."""
    weight = WEIGHT[:2, :1]
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [helper.make_node("Conv", ["x", "inner"], ["out"])], "b", [], [out],
        [numpy_helper.from_array(weight, "inner")],
    )  # fmt: skip
    opset = helper.make_opsetid("", 21)
    block = helper.make_function(
        "d", "F", ["a", "b"], ["c"], [helper.make_node("Conv", ["a", "b"], ["c"])], [opset]
    )
    constant = helper.make_tensor("k", TensorProto.FLOAT, [1, 1, 2], [1, 2])
    nodes = [
        helper.make_node("If", ["x"], ["i"], then_branch=body, else_branch=body),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["r"], axis=0),
        helper.make_node("Reshape", ["r", "t"], ["w"]),
        helper.make_node("Conv", ["i", "w"], ["j"], group=2),
        helper.make_node("Constant", [], ["k"], value=constant),
        helper.make_node("F", ["j", "k"], ["y"], domain="d"),
    ]
    stored = [
        numpy_helper.from_array(weight.astype(np.int8), "q"),
        numpy_helper.from_array(np.ones(2, np.float32), "s"),
        helper.make_tensor("z", TensorProto.INT8, [2], [-1] * 2),
        numpy_helper.from_array(np.array([2, 1, 9, 1]), "t"),
        numpy_helper.from_array(np.zeros(size, np.float32), "big"),
    ]
    graph = helper.make_graph(nodes, "g", [info], [out], stored)
    return helper.make_model(graph, opset_imports=[opset], functions=[block]).SerializeToString()


RICH, LONG = rich_model(1), rich_model(5000)


def check(content: bytes, path: Path) -> None:
    """Read right or refused; any other error fails the test."""
    path.write_bytes(content)
    FORMAT.recognizes(path, content[:512])
    with contextlib.suppress(CheckpointError):
        read_all(path)


def test_the_rich_model_is_read(write):
    path = write(RICH)
    assert len(read_all(path)) == 8
    assert sum(array.reason is None for array in FORMAT.arrays(path)) == 4


def test_truncation_at_every_block_and_in_the_head(write):
    for size in (*range(64), *range(0, len(LONG), 4096), len(LONG) - 1):
        with pytest.raises(CheckpointError, match=r"model\.onnx"):
            FORMAT.arrays(write(LONG[:size]))


@given(position=st.integers(0, len(RICH) * 8 - 1))
def test_one_flipped_bit(tmp_path_factory, position):
    content = bytearray(RICH)
    content[position // 8] ^= 1 << position % 8
    check(bytes(content), tmp_path_factory.getbasetemp() / "flipped.onnx")


@given(changes=st.dictionaries(st.integers(0, len(RICH) - 1), st.integers(0, 255), max_size=5))
def test_changed_bytes(tmp_path_factory, changes):
    content = bytearray(RICH)
    for position, byte in changes.items():
        content[position] = byte
    check(bytes(content), tmp_path_factory.getbasetemp() / "changed.onnx")


@given(content=st.binary(max_size=300))
def test_arbitrary_bytes(tmp_path_factory, content):
    check(b"\x08\x08" + content, tmp_path_factory.getbasetemp() / "noise.onnx")
