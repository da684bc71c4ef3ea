"""ncnn models: what torch wrote through pnnx is read bit for bit, and every byte is accounted for."""

import contextlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import detect, open_checkpoint
from jfilters.converters.internal import part_names
from jfilters.engine import scan
from jfilters.errors import ForeignFormatError, UnknownFormatError

from .deployed.networks import GROUPS, NETWORKS, kernels
from .ncnn_models import FLOATS, HALF, INT8, Model, network, raw, table, tagged

DEPLOYED = Path(__file__).parent / "deployed"
RNG = np.random.default_rng(0)
WEIGHT, OTHER = (RNG.integers(-99, 99, (2, 4, 3, 3, 3)) / 64).astype(np.float32)


@pytest.mark.parametrize(
    ("file", "name", "dtype"),
    [
        ("one", "one", "float32"),
        ("two", "two", "float32"),
        ("three", "three", "float32"),
        ("two-half", "two", "float16"),
    ],
)
def test_a_network_of_torch_is_read_bit_for_bit(file, name, dtype):
    checkpoint = open_checkpoint(DEPLOYED / f"{file}.ncnn.param")
    layers = list(NETWORKS[name])
    assert len(checkpoint.layers) == len(layers)
    for stored, layer in zip(checkpoint.layers, layers, strict=True):
        expected = kernels(name, layer)
        np.testing.assert_array_equal(stored.read(), expected, strict=True)
        assert stored.layer.groups == GROUPS.get(layer, 1)
        assert stored.layer.transposed == layer.startswith("up")
        assert (stored.layer.dtype, stored.layer.depth_source) == (dtype, "graph")
        assert stored.shape == expected.shape


def test_either_file_stands_for_the_model():
    by_param = open_checkpoint(DEPLOYED / "two.ncnn.param")
    by_bin = open_checkpoint(DEPLOYED / "two.ncnn.bin")
    assert by_param.format == by_bin.format == "ncnn"
    assert [x.layer for x in by_param.layers] == [x.layer for x in by_bin.layers]
    assert by_param.companions == (DEPLOYED / "two.ncnn.bin",)
    assert by_bin.companions == (DEPLOYED / "two.ncnn.param",)


def single(stored: bytes, **numbers: int) -> Model:
    return network().conv("in", "conv", stored, WEIGHT, **numbers)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("tag", "dtype"), [(0, "float32"), (HALF, "float16"), (FLOATS, "float32")])
def test_tags_tell_how_weights_are_stored(tmp_path, tag, dtype, binary):
    path = single(tagged(WEIGHT, tag)).save(tmp_path, binary=binary)
    (layer,) = open_checkpoint(path).layers
    assert layer.layer.dtype == dtype
    np.testing.assert_array_equal(layer.read(), WEIGHT)


@pytest.mark.parametrize("scales", [[64.0] * 4, [64.0, 32.0, 16.0, 128.0]])
def test_int8_is_divided_by_its_scales(tmp_path, scales):
    integers = RNG.integers(-127, 128, WEIGHT.shape)
    path = single(tagged(integers, INT8) + raw(scales, 3.0), k8=2).save(tmp_path)
    (layer,) = open_checkpoint(path).layers
    np.testing.assert_array_equal(layer.read(), integers / np.reshape(scales, (4, 1, 1, 1)))
    assert (layer.layer.applied, layer.layer.dtype) == ("dequantized", "int8")


def test_a_scale_of_zero_belongs_to_an_output_of_zeros(tmp_path):
    integers = np.ones(WEIGHT.shape)
    path = single(tagged(integers, INT8) + raw([0, 1, 1, 1], 3.0), k8=2).save(tmp_path)
    weight = open_checkpoint(path).layers[0].read()
    assert not weight[0].any()
    assert (weight[1:] == 1).all()


@pytest.mark.parametrize(
    ("term", "count", "more"), [(1, 2, 1), (2, 1, 1), (101, 2, 2), (102, 1, 2)]
)
def test_grouped_int8_has_a_scale_for_each_group_or_one(tmp_path, term, count, more):
    integers = RNG.integers(-127, 128, (4, 3, 3, 3))
    scales = np.array([32.0, 64.0][:count])
    numbers = {0: 4, 1: 3, 6: integers.size, 7: 2, 8: term}
    stored = tagged(integers, INT8) + raw(scales, np.ones(more))
    path = network().add("ConvolutionDepthWise", ["in"], ["c"], numbers, stored).save(tmp_path)
    (layer,) = open_checkpoint(path).layers
    factors = np.repeat(scales, 4 // count).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(layer.read(), integers / factors)
    assert layer.layer.groups == 2


def test_integers_without_scales_make_the_model_partial(tmp_path):
    path = single(tagged(np.ones(WEIGHT.shape), INT8)).save(tmp_path)
    checkpoint = open_checkpoint(path)
    assert (
        checkpoint.shortfall == "0 of 1 layers read; not read: integer weights without a scale (1)"
    )


def test_weights_to_be_rounded_later_say_so(tmp_path):
    path = single(tagged(WEIGHT) + raw(np.ones(5)), k8=2).save(tmp_path)
    (layer,) = open_checkpoint(path).layers
    np.testing.assert_array_equal(layer.read(), WEIGHT)
    assert "rounds it to int8" in layer.layer.note


def test_a_lookup_table_is_looked_up(tmp_path):
    indices = RNG.integers(0, 256, WEIGHT.shape)
    values = RNG.standard_normal(256).astype(np.float32)
    path = single(table(indices, values)).save(tmp_path)
    (layer,) = open_checkpoint(path).layers
    np.testing.assert_array_equal(layer.read(), values[indices])
    assert (layer.layer.applied, layer.layer.dtype) == ("dequantized", "uint8")


# The floats behind the tags of each layer, as ncnn 1.0.20261020 asks for them.
OTHERS = {
    "BatchNorm": ({0: 5}, [5] * 4),
    "Bias": ({0: 5}, [5]),
    "Scale": ({0: 5, 1: 1}, [5, 5]),
    "Scale of two blobs": ({0: -233}, []),
    "PReLU": ({0: 5}, [5]),
    "Normalize": ({3: 5}, [5]),
    "InstanceNorm": ({0: 5}, [5, 5]),
    "InstanceNorm without": ({0: 5, 2: 0}, []),
    "LayerNorm": ({0: 5}, [5, 5]),
    "GroupNorm": ({0: 2, 1: 6}, [6, 6]),
    "RMSNorm": ({0: 5}, [5]),
    "MemoryData": ({0: 5, 1: 2, 11: 2, 2: 3}, [60]),
    "MemoryData tagged": ({0: 5, 21: 0}, [(5,)]),
    "InnerProduct": ({0: 4, 1: 1, 2: 12, 8: 1}, [(12,), 4, 4, 1]),
    "Embed": ({0: 4, 1: 3, 2: 1, 3: 12, 18: 1}, [(12,), 4, 1]),
    "LSTM": ({0: 4, 1: 144, 3: 6}, [(144,), (24,), (96,), (24,)]),
    "LSTM both ways": ({0: 4, 1: 192, 2: 2, 8: 1}, [(192,), (32,), (128,), 32, 32]),
    "GRU": ({0: 4, 1: 36, 8: 1}, [(36,), (16,), (48,), 12, 12]),
    "RNN": ({0: 4, 1: 12}, [(12,), (4,), (16,)]),
    "MultiHeadAttention": (
        {0: 4, 1: 2, 2: 24, 3: 5, 4: 6, 18: 1},
        [(24,), 4, (20,), 4, (24,), 4, (24,), 6, 4, 4, 4, 1],
    ),
    "Quantize": ({}, [1]),
    "Dequantize": ({0: 3, 1: 2}, [3, 2]),
    "Requantize": ({0: 3, 1: 2, 2: 4}, [3, 2, 4]),
    "Padding": ({6: 3}, [3]),
    "Gemm": ({5: 1, 6: 1, 7: 2, 8: 3, 9: 4, 10: 4}, [(12,), (3,)]),
    "Gemm of int8": ({4: 1, 5: 1, 6: 1, 7: 2, 8: 3, 9: 4, 18: 2}, [(8,), (12,), (1,), 2, 1]),
    "DeformableConv2D": ({0: 4, 1: 3, 5: 1, 6: 108}, [(108,), 4]),
    "Deconvolution of a computed weight": ({0: 4, 1: 3, 5: 1, 6: 108, 28: 1}, []),
}


@pytest.mark.parametrize("case", OTHERS)
def test_every_byte_of_other_layers_is_counted(tmp_path, case):
    numbers, counts = OTHERS[case]
    stored = b"".join(
        tagged(np.ones(c)) if isinstance(c, tuple) else raw(np.ones(c)) for c in counts
    )
    before = network().conv("in", "first", tagged(WEIGHT), WEIGHT)
    model = before.add(case.split()[0], ["first"], ["x"], numbers, stored)
    path = model.conv("x", "last", tagged(OTHER), OTHER).save(tmp_path)
    weights = {x.layer.name: x.read() for x in open_checkpoint(path).layers}
    np.testing.assert_array_equal(weights["last.weight"], OTHER)


def test_blocks_of_four_bits_are_passed_over(tmp_path):
    # 40 values of 4 bits in 3 rows, behind a tag of a table: 60 indices, then two scales a row.
    numbers = {3: 1, 5: 1, 7: 2, 8: 3, 9: 40, 18: 400}
    stored = tagged(np.ones(60), INT8) + raw(np.ones(6))
    model = network().add("Gemm", ["in"], ["x"], numbers, stored)
    path = model.conv("x", "last", tagged(WEIGHT), WEIGHT).save(tmp_path)
    np.testing.assert_array_equal(open_checkpoint(path).layers[0].read(), WEIGHT)


def test_a_computed_weight_makes_the_model_partial(tmp_path):
    numbers = {0: 4, 1: 3, 6: WEIGHT.size, 19: 1}
    path = network().add("Convolution", ["in", "in"], ["c"], numbers).save(tmp_path)
    words = "its weight is computed while the network runs (1)"
    assert words in str(open_checkpoint(path).shortfall)


def drawn() -> tuple[bytes, np.ndarray]:
    """A weight that is no copy of another, as it is stored and itself."""
    weight = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    return tagged(weight), weight


def test_depth_is_the_longest_path_through_blobs(tmp_path):
    model = network().conv("in", "stem", *drawn())
    model.add("Split", ["stem"], ["left", "right"])
    model.conv("right", "long1", *drawn())
    model.conv("long1", "long2", *drawn())
    model.conv("left", "short", *drawn())
    model.add("Concat", ["long2", "short"], ["both"])
    model.conv("both", "last", *drawn())
    layers = open_checkpoint(model.save(tmp_path)).layers
    depths = {x.layer.name.removesuffix(".weight"): x.layer.depth for x in layers}
    assert depths == {"stem": 0, "long1": 1, "short": 1, "long2": 2, "last": 3}


def test_a_layer_that_makes_the_blob_it_reads_is_no_circle(tmp_path):
    model = network().conv("in", "a", *drawn())
    model.add("ReLU", ["a"], ["a"]).conv("a", "b", *drawn())
    layers = open_checkpoint(model.save(tmp_path)).layers
    assert [x.layer.depth for x in layers] == [0, 1]


def test_an_unknown_layer_without_weights_is_passed_over(tmp_path):
    model = network().add("YoloV5Focus", ["in"], ["f"]).conv("f", "c", tagged(WEIGHT), WEIGHT)
    np.testing.assert_array_equal(open_checkpoint(model.save(tmp_path)).layers[0].read(), WEIGHT)


def test_an_unknown_layer_with_weights_is_refused_by_name(tmp_path):
    model = network().conv("in", "c", tagged(WEIGHT), WEIGHT)
    path = model.add("MyLayer", ["c"], ["m"], {}, raw(np.ones(5))).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"20 bytes of weights .* unknown types: MyLayer"):
        open_checkpoint(path)


def test_one_byte_too_few_or_too_many_is_refused(tmp_path):
    path = single(tagged(WEIGHT)).save(tmp_path)
    weights = path.with_suffix(".bin")
    data = weights.read_bytes()
    weights.write_bytes(data + b"\0")
    with pytest.raises(CheckpointError, match="1 bytes of weights behind those of the last layer"):
        open_checkpoint(path)
    weights.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=r"model\.bin: conv: the file ends early"):
        open_checkpoint(path)


DAMAGED = {
    "no counts": ("7767517\n", "expected a count of layers"),
    "too few layers": ("7767517\n3 3\nInput in 0 1 in\n", "expected 3 layers, found 1"),
    "a negative count": ("7767517\n-1 3\nInput in 0 1 in\n", "expected -1 layers, found 1"),
    "no layer": ("7767517\n1 1\nInput in\n", "expected a layer and its blobs, found 'Input in'"),
    "too few blobs": ("7767517\n1 1\nReLU r 3 1 a b\n", "r: expected 3 and 1 blobs, found 2"),
    "a negative size": (
        "7767517\n1 1\nConvolution c 1 1 a b 0=-4 1=3 6=108\n",
        "c: expected a count as number 0 of Convolution, found -4",
    ),
    "a size of no integer": (
        "7767517\n1 1\nConvolution c 1 1 a b 0=4.5 1=3 6=108\n",
        "c: expected a count as number 0 of Convolution, found nan",
    ),
    "a size that fits no kernel": (
        "7767517\n1 1\nConvolution c 1 1 a b 0=4 1=3 6=107\n",
        r"c: 107 weights do not fit 4 outputs in 1 groups and a kernel of \(3, 3\)",
    ),
    "groups that fit no outputs": (
        "7767517\n1 1\nConvolutionDepthWise c 1 1 a b 0=4 1=3 6=108 7=3\n",
        "do not fit 4 outputs in 3 groups",
    ),
    "a huge size": (
        "7767517\n1 1\nConvolution c 1 1 a b 0=2147483647 1=1 6=2147483647\n",
        "the file ends early: expected 8589934588 more bytes",
    ),
    "layers in a circle": (
        "7767517\n2 2\nReLU a 1 1 y x\nReLU b 1 1 x y\n",
        "layers that feed each other in a circle",
    ),
    "a product of an unknown kind": (
        "7767517\n1 1\nGemm g 1 1 a b 3=1 5=1 7=1 8=1 9=1 18=409\n",
        "g: weights quantized in the unknown way 409",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_descriptions_are_refused(tmp_path, case):
    text, words = DAMAGED[case]
    (tmp_path / "m.param").write_text(text)
    (tmp_path / "m.bin").write_bytes(bytes(64))
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(tmp_path / "m.param")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8), st.booleans())
def test_any_damage_is_read_or_refused(tmp_path, place, data, binary):
    path = single(tagged(WEIGHT, HALF)).save(tmp_path, binary=binary)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + data + whole[place + len(data) :])
    with contextlib.suppress(CheckpointError):
        for layer in open_checkpoint(path).layers:
            assert layer.read().shape == layer.shape


def test_a_description_alone_says_what_is_missing(tmp_path):
    path = single(tagged(WEIGHT)).save(tmp_path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(CheckpointError, match=r"model\.bin is missing; put model\.bin beside it"):
        open_checkpoint(path)


def test_weights_without_their_description_are_of_no_format(tmp_path):
    path = single(tagged(WEIGHT)).save(tmp_path).with_suffix(".bin")
    (tmp_path / "model.param").unlink()
    with pytest.raises(UnknownFormatError):
        detect(path)


def test_a_folder_holds_one_model_for_each_pair(tmp_path):
    single(tagged(WEIGHT)).save(tmp_path, "a")
    single(tagged(WEIGHT)).save(tmp_path, "a", binary=True)
    single(tagged(WEIGHT)).save(tmp_path, "b", binary=True)
    assert part_names(sorted(tmp_path.iterdir())) == {"a.bin", "a.param.bin", "b.bin"}
    record = scan(tmp_path).record["checkpoints"]
    assert [(x["model"], x["companions"]) for x in record] == [
        ("a.param", ["a.bin"]),
        ("b.param.bin", ["b.bin"]),
    ]
    assert {x["status"] for x in record} == {"ok"}


def test_bin_files_beside_other_descriptions_are_left_alone(tmp_path):
    shutil.copy(single(tagged(WEIGHT)).save(tmp_path).with_suffix(".bin"), tmp_path / "n.bin")
    (tmp_path / "n.param").write_text("lr=0.1\n")
    assert part_names(sorted(tmp_path.iterdir())) == {"model.bin"}


def test_a_description_of_pnnx_names_what_to_give(tmp_path):
    text = "7767517\n2 1\npnnx.Input in 0 1 0 #0=(1,3,8,8)f32\npnnx.Output o 1 0 0\n"
    (tmp_path / "m.pnnx.param").write_text(text)
    with pytest.raises(UnknownFormatError, match=r"PNNX model.*; give the \.ncnn\.param"):
        open_checkpoint(tmp_path / "m.pnnx.param")
    with zipfile.ZipFile(tmp_path / "m.pnnx.bin", "w") as archive:
        archive.writestr("conv.weight", bytes(36))
    with pytest.raises(
        ForeignFormatError, match=r"weights of a PNNX model.*; give the \.ncnn\.param"
    ):
        open_checkpoint(tmp_path / "m.pnnx.bin")
