"""Caffe models: messages of both schemas, written out here, are read value by value."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import open_checkpoint

RNG = np.random.default_rng(0)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def span(number: int, data: bytes | str) -> bytes:
    """A field of bytes or text."""
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def count(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def blob(values: np.ndarray) -> bytes:
    shape = span(1, b"".join(map(varint, values.shape)))
    return span(7, shape) + span(5 if values.dtype == "f4" else 8, values.tobytes())


def old_blob(values: np.ndarray) -> bytes:
    axes = (1,) * (4 - values.ndim) + values.shape
    return b"".join(count(1 + at, axis) for at, axis in enumerate(axes)) + span(5, values.tobytes())


def layer(name: str, kind: str, reads: str, makes: str, *blobs: bytes, groups: int = 0) -> bytes:
    """A layer of the schema of today."""
    ends = b"".join(span(3, x) for x in reads.split()) + span(4, makes)
    more = span(106, count(1, 4) + count(5, groups)) if groups else b""
    stored = b"".join(span(7, x) for x in blobs)
    return span(100, span(1, name) + span(2, kind) + ends + stored + more)


def old_layer(
    name: str, kind: int, reads: str, makes: str, *blobs: bytes, groups: int = 0
) -> bytes:
    """A layer of the schema before."""
    ends = span(2, reads) + span(3, makes)
    more = span(10, count(5, groups)) if groups else b""
    stored = b"".join(span(6, x) for x in blobs)
    return span(2, ends + span(4, name) + count(5, kind) + stored + more)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def opened(folder, *layers: bytes, name: str = "net"):
    (folder / "net.caffemodel").write_bytes((span(1, name) if name else b"") + b"".join(layers))
    return open_checkpoint(folder / "net.caffemodel")


@pytest.mark.parametrize("name", ["net", ""])
def test_a_network_is_read_in_the_order_of_its_graph(tmp_path, name):
    first, right, last = floats(4, 3, 3, 3), floats(4, 2, 3, 3), floats(2, 8, 5, 5)
    checkpoint = opened(
        tmp_path,
        layer("last", "Convolution", "both", "out", blob(last)),
        layer("data", "Input", "", "data"),
        layer("first", "Convolution", "data", "x", blob(first), blob(floats(4))),
        layer("relu", "ReLU", "x", "x"),
        layer("right", "Convolution", "x", "y", blob(right), groups=2),
        layer("join", "Concat", "x y", "both"),
        layer("norm", "BatchNorm", "out", "out", blob(floats(2)), blob(floats(2)), blob(floats(1))),
        layer("dense", "InnerProduct", "out", "z", blob(floats(5, 50))),
        name=name,
    )
    assert checkpoint.format == "caffe"
    for stored, weight in zip(checkpoint.layers, (first, right, last), strict=True):
        np.testing.assert_array_equal(stored.read(), weight)
    assert [x.layer.name for x in checkpoint.layers] == [
        "first.weight",
        "right.weight",
        "last.weight",
    ]
    assert [x.layer.groups for x in checkpoint.layers] == [1, 2, 1]
    assert {x.layer.depth_source for x in checkpoint.layers} == {"graph"}
    reasons = {x.name: x.reason for x in checkpoint.skipped}
    assert reasons["first.bias"] == "bias or scale (1-D)"
    assert reasons["dense.weight"] == "dense (2-D)"
    assert checkpoint.has_batchnorm


def test_deconvolutions_are_those_of_torch(tmp_path):
    weight = floats(6, 2, 3, 3)
    stored = layer("up", "Deconvolution", "data", "x", blob(weight), groups=2)
    (up,) = opened(tmp_path, stored).layers
    expected = weight.reshape(2, 3, 2, 3, 3).swapaxes(1, 2).reshape(4, 3, 3, 3)
    np.testing.assert_array_equal(up.read(), expected)
    assert (up.layer.transposed, up.layer.groups) == (True, 2)


@pytest.mark.parametrize("kind", ["ConvolutionDepthwise", "DepthwiseConvolution"])
def test_depthwise_layers_have_a_group_for_each_output(tmp_path, kind):
    weight = floats(6, 1, 3, 3)
    (one,) = opened(tmp_path, layer("dw", kind, "data", "x", blob(weight))).layers
    np.testing.assert_array_equal(one.read(), weight)
    assert one.layer.is_depthwise(1)


def test_the_schema_before_is_read(tmp_path):
    weight, up, dense = floats(1, 1, 3, 3), floats(1, 2, 3, 3), floats(5, 20)
    checkpoint = opened(
        tmp_path,
        old_layer("conv", 4, "data", "x", old_blob(weight), old_blob(floats(1))),
        old_layer("relu", 18, "x", "x"),
        old_layer("up", 39, "x", "y", old_blob(up)),
        old_layer("dense", 14, "y", "z", old_blob(dense)),
    )
    np.testing.assert_array_equal(checkpoint.layers[0].read(), weight)
    np.testing.assert_array_equal(checkpoint.layers[1].read(), up.swapaxes(0, 1))
    assert {x.name: x.shape for x in checkpoint.skipped} == {
        "conv.bias": (1,),
        "dense.weight": (5, 20),
    }


def test_weights_of_one_and_three_axes_and_of_doubles_are_read(tmp_path):
    for weight in (floats(4, 3, 5), floats(4, 3, 2, 3, 3), floats(4, 3, 3, 3).astype("f8")):
        (one,) = opened(tmp_path, layer("c", "Convolution", "data", "x", blob(weight))).layers
        np.testing.assert_array_equal(one.read(), weight.astype("f4"))


def test_a_layer_that_writes_over_the_input_reads_no_layer(tmp_path):
    weight = floats(4, 3, 3, 3)
    scale = layer("scale", "Scale", "data", "data", blob(floats(3)))
    (conv,) = opened(tmp_path, scale, layer("c", "Convolution", "data", "x", blob(weight))).layers
    np.testing.assert_array_equal(conv.read(), weight)


REFUSED = {
    "too few values": (span(7, span(1, b"\4\3\3\3")) + span(5, bytes(40)), "found 40"),
    "no values": (span(7, span(1, b"\4\3\3\3")), "in one piece, found none"),
    "two pieces": (span(7, span(1, b"\2")) + span(5, bytes(4)) * 2, "in one piece, found 4, 4"),
    "a negative axis": (span(7, span(1, varint((1 << 64) - 1))), "expected the axes of a blob"),
    "many axes": (span(7, span(1, b"\1" * 99)) + span(5, bytes(4)), "more than 32 axes"),
    "a huge shape": (
        span(7, span(1, varint(1 << 30) * 3)) + span(5, bytes(4)),
        "expected the bytes of float32",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_damaged_blobs_are_refused(tmp_path, case):
    data, words = REFUSED[case]
    with pytest.raises(CheckpointError, match=words):
        opened(tmp_path, layer("c", "Convolution", "data", "x", data))


def test_layers_in_a_circle_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="feed each other in a circle"):
        opened(tmp_path, layer("a", "ReLU", "x", "y"), layer("b", "ReLU", "y", "x"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_any_damage_of_a_model_is_read_or_refused(tmp_path, place, data):
    path = tmp_path / "net.caffemodel"
    stored = layer("conv", "Convolution", "data", "x", blob(floats(2, 1, 3, 3)), groups=1)
    whole = span(1, "net") + stored
    path.write_bytes(whole[:place] + data + whole[place + len(data) :])
    with contextlib.suppress(CheckpointError):
        for item in open_checkpoint(path).layers:
            assert item.read().shape == item.shape
