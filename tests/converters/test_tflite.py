"""TensorFlow Lite: the networks of its own converter bit by bit, and what that seldom writes."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import _tflite_models as models
from jfilters.converters import load, open_checkpoint

from .agreement import GROUPS, TRANSPOSED

FIXTURES = Path(__file__).parent / "tensorflow"
TRUTH = dict(np.load(FIXTURES / "truth.npz"))
RNG = np.random.default_rng(0)
OHWI = (6, 3, 3, 4)


def expected():
    weights = [TRUTH[f"layer{index}.weight"] for index in range(4)]
    return [*weights[:3], weights[3].swapaxes(0, 1)]


def norm_scale():
    """The factor of the untrained BatchNorm that the converter folds, as float32 has it."""
    return np.float32(1) / np.sqrt(np.float32(1 + 1e-3))


@pytest.fixture
def save(tmp_path):
    def write(data):
        path = tmp_path / "net.tflite"
        path.write_bytes(data)
        return path

    return write


def values(shape=OHWI, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


def test_a_network_of_the_converter_is_that_of_torch():
    kernels = load(FIXTURES / "float32.tflite")
    for weight, reference in zip(kernels.weights[:3], expected()[:3], strict=True):
        np.testing.assert_array_equal(weight, reference, strict=True)
    # Its BatchNorm is folded into it.
    np.testing.assert_allclose(kernels.weights[3], expected()[3] * norm_scale(), rtol=1e-6)
    assert tuple(layer.groups for layer in kernels.layers) == GROUPS
    assert tuple(layer.transposed for layer in kernels.layers) == TRANSPOSED
    assert [layer.depth_source for layer in kernels.layers] == ["graph"] * 4
    assert [layer.depth for layer in kernels.layers] == [0, 1, 2, 3]


def test_halves_are_read_behind_their_dequantize():
    kernels, halves = load(FIXTURES / "float32.tflite"), load(FIXTURES / "float16.tflite")
    assert {layer.dtype for layer in halves.layers} == {"float16"}
    for weight, half in zip(kernels.weights, halves.weights, strict=True):
        np.testing.assert_array_equal(half, np.asarray(weight, np.float16).astype(np.float32))


def test_integers_are_within_half_a_step_of_the_floats():
    kernels, integers = load(FIXTURES / "float32.tflite"), load(FIXTURES / "int8.tflite")
    assert {layer.dtype for layer in integers.layers} == {"int8"}
    assert {layer.applied for layer in integers.layers} == {"dequantized"}
    for weight, integer in zip(kernels.weights, integers.weights, strict=True):
        step = np.abs(weight).max(axis=(1, 2, 3)) / 127
        error = np.abs(np.asarray(weight) - integer).max(axis=(1, 2, 3))
        assert (error <= 0.5001 * step).all()
        assert error.max() > 0


def test_whether_it_has_batchnorm_is_told():
    assert open_checkpoint(FIXTURES / "float32.tflite").has_batchnorm is False


def test_every_array_is_a_layer_or_has_a_reason():
    checkpoint = open_checkpoint(FIXTURES / "float32.tflite")
    reasons = {array.reason for array in checkpoint.skipped}
    assert "bias of CONV_2D" in reasons
    assert "1x1 convolution: no spatial extent" in reasons
    assert checkpoint.shortfall is None


def test_three_dimensions():
    truth = dict(np.load(FIXTURES / "volumes.npz"))
    kernels = load(FIXTURES / "volume.tflite")
    np.testing.assert_array_equal(kernels.weights[0], truth["conv"].transpose(4, 3, 0, 1, 2))
    np.testing.assert_array_equal(kernels.weights[1], truth["up"].transpose(3, 4, 0, 1, 2))
    assert [layer.transposed for layer in kernels.layers] == [False, True]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("count", [1, 6])
def test_scales_and_zero_points(save, dtype, count):
    stored = RNG.integers(0, 100, OHWI).astype(dtype)
    scale, zero = RNG.random(count, np.float32), RNG.integers(0, 50, count)
    path = save(models.chain([("CONV_2D", stored, {"scale": scale, "zero": zero})]))
    expected = (stored - zero.reshape(-1, 1, 1, 1)).astype(np.float32)
    expected *= scale.reshape(-1, 1, 1, 1)
    (weight,) = load(path).weights
    np.testing.assert_array_equal(weight, expected.transpose(0, 3, 1, 2))


def test_scales_of_a_depthwise_weight_lie_along_its_last_axis(save):
    stored = RNG.integers(-99, 99, (1, 3, 3, 8)).astype(np.int8)
    scale = RNG.random(8, np.float32)
    path = save(models.chain([("DEPTHWISE_CONV_2D", stored, {"scale": scale, "axis": 3})]))
    (layer,) = open_checkpoint(path).layers
    # Four channels of the image, two kernels for each.
    assert layer.layer.groups == 4
    np.testing.assert_array_equal(layer.read(), (stored * scale).transpose(3, 0, 1, 2))


@pytest.mark.parametrize(("dtype", "low", "high"), [("int4", -8, 8), ("uint4", 0, 16)])
def test_four_bits(save, dtype, low, high):
    stored = RNG.integers(low, high, (5, 3, 3, 3)).astype(np.int8)
    packed = np.frombuffer(models.packed(stored), np.uint8)
    more = {"dtype": dtype, "shape": stored.shape, "scale": [0.5]}
    (layer,) = open_checkpoint(save(models.chain([("CONV_2D", packed, more)], 3))).layers
    np.testing.assert_array_equal(layer.read(), 0.5 * stored.transpose(0, 3, 1, 2))
    assert layer.layer.dtype == dtype


@pytest.mark.parametrize("write", [models.csr, lambda dense: models.block_sparse(dense, 2)])
def test_sparse_tensors(save, write):
    dense = values() * (RNG.random(OHWI) < 0.3)
    stored, sparsity = write(dense)
    more = {"shape": OHWI, "sparsity": sparsity}
    (weight,) = load(save(models.chain([("CONV_2D", stored, more)]))).weights
    np.testing.assert_array_equal(weight, dense.transpose(0, 3, 1, 2))


def test_values_behind_the_flatbuffer(save):
    weight = values()
    graph = one_convolution()
    size = len(models.model([graph], [{1: ("<Q", 2), 2: ("<Q", weight.nbytes)}]))
    buffer = {1: ("<Q", size), 2: ("<Q", weight.nbytes)}
    path = save(models.model([graph], [buffer]) + weight.tobytes())
    np.testing.assert_array_equal(load(path).weights[0], weight.transpose(0, 3, 1, 2))


def one_convolution(name="main"):
    tensors = [models.tensor("image", (1, 8, 8, 4)), models.tensor("weight", OHWI, buffer=1)]
    tensors.append(models.tensor("out", (1, 8, 8, 6)))
    return models.subgraph(tensors, [0], [models.operator("CONV_2D", [0, 1], [2])], name)


def test_a_weight_behind_a_transpose(save):
    weight, order = values((3, 3, 4, 6)), np.array([3, 0, 1, 2], np.int32)
    tensors = [
        models.tensor("image", (1, 8, 8, 4)),
        models.tensor("weight", weight.shape, buffer=1),
        models.tensor("order", (4,), "int32", 2),
        models.tensor("turned", OHWI),
        models.tensor("out", (1, 8, 8, 6)),
    ]
    operators = [
        models.operator("TRANSPOSE", [1, 2], [3]),
        models.operator("CONV_2D", [0, 3], [4]),
    ]
    data = models.model(
        [models.subgraph(tensors, [0], operators)], [weight.tobytes(), order.tobytes()]
    )
    (loaded,) = load(save(data)).weights
    np.testing.assert_array_equal(loaded, weight.transpose(3, 2, 0, 1))


def test_a_weight_that_several_signatures_share_is_one_layer(save):
    graphs = [one_convolution("encode"), one_convolution("decode")]
    checkpoint = open_checkpoint(save(models.model(graphs, [values().tobytes()])))
    assert len(checkpoint.layers) == 1
    assert "the weight of another subgraph" in {array.reason for array in checkpoint.skipped}


def test_several_networks_in_one_file_are_told_apart(save):
    first = one_convolution("encode")
    second = one_convolution("decode")
    second["tensors"][1] = models.tensor("weight", OHWI, buffer=2)
    stored = [values().tobytes(), values().tobytes()]
    kernels = load(save(models.model([first, second], stored)))
    assert [layer.network for layer in kernels.layers] == ["encode", "decode"]
    assert [layer.depth for layer in kernels.layers] == [0, 0]


@pytest.mark.parametrize("code", ["TRANSPOSE_CONV", "Convolution2DTransposeBias"])
def test_transposed_convolutions_are_not_mirrored(save, code):
    weight = values()
    (layer,) = open_checkpoint(save(models.chain([(code, weight, {})]))).layers
    assert layer.layer.transposed
    np.testing.assert_array_equal(layer.read(), weight.transpose(0, 3, 1, 2))


def test_a_subgraph_that_is_run_lies_where_its_caller_is(save):
    tensors = [models.tensor("image", (1, 8, 8, 4))]
    tensors += [models.tensor(f"weight{i}", (4, 3, 3, 4), buffer=i) for i in (1, 2)]
    tensors += [models.tensor(f"image{i}", (1, 8, 8, 4)) for i in range(3)]
    loop = {0: ("<i", 1), 1: ("<i", 1)}
    operators = [
        models.operator("CONV_2D", [0, 1], [3]),
        models.operator("WHILE", [3], [4], loop),
        models.operator("CONV_2D", [4, 2], [5]),
    ]
    body = models.subgraph(
        [
            models.tensor("x", (1, 8, 8, 4)),
            models.tensor("inner", (4, 3, 3, 4), buffer=3),
            models.tensor("y", (1, 8, 8, 4)),
        ],
        [0],
        [models.operator("CONV_2D", [0, 1], [2])],
    )
    weights = [values((4, 3, 3, 4)).tobytes() for _ in range(3)]
    kernels = load(save(models.model([models.subgraph(tensors, [0], operators), body], weights)))
    assert kernels.names == ("weight1", "inner", "weight2")
    assert [layer.depth for layer in kernels.layers] == [0, 1, 2]


UNREAD = [
    (RNG.integers(0, 9, OHWI).astype(np.int8), {}, "integer weights without a scale"),
    (np.empty(0, np.float32), {"shape": OHWI}, "given when the network is run"),
]


@pytest.mark.parametrize(("stored", "more", "reason"), UNREAD, ids=["no-scale", "no-values"])
def test_a_weight_that_cannot_be_read_makes_the_checkpoint_partial(save, stored, more, reason):
    checkpoint = open_checkpoint(
        save(models.chain([("CONV_2D", values((4, 3, 3, 4)), {}), ("CONV_2D", stored, more)]))
    )
    assert len(checkpoint.layers) == 1
    assert checkpoint.shortfall.startswith("1 of 2 layers read")
    assert reason in checkpoint.shortfall


def test_a_convolution_of_unknown_axes_is_told_of(save):
    path = save(models.chain([("STABLEHLO_CONVOLUTION", values(), {})]))
    assert "axes are not known" in open_checkpoint(path).shortfall
