"""OpenVINO models: what torch wrote through openvino is read bit for bit, whatever lies before a weight."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import open_checkpoint
from jfilters.converters._openvino._xml import describes, read_nodes
from jfilters.converters.internal import part_names
from jfilters.engine import scan
from jfilters.io import MemorySource

from .deployed.networks import GROUPS, NETWORKS, kernels
from .openvino_models import Model, network

DEPLOYED = Path(__file__).parent / "deployed"
RNG = np.random.default_rng(0)
SHAPE = (4, 3, 3, 3)
WEIGHT = RNG.standard_normal(SHAPE).astype(np.float32)
SCALE = RNG.uniform(0.5, 2, (4, 1, 1, 1)).astype(np.float32)
ZERO = RNG.integers(0, 99, (4, 1, 1, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("file", "name", "dtype"),
    [
        ("one", "one", "float32"),
        ("two", "two", "float32"),
        ("three", "three", "float32"),
        ("two-half", "two", "float16"),
    ],
)
@pytest.mark.parametrize("ending", [".xml", ".bin"])
def test_a_network_of_torch_is_read_bit_for_bit(file, name, dtype, ending):
    checkpoint = open_checkpoint(DEPLOYED / f"{file}{ending}")
    other = DEPLOYED / f"{file}{'.bin' if ending == '.xml' else '.xml'}"
    assert (checkpoint.format, checkpoint.companions) == ("openvino", (other,))
    assert len(checkpoint.layers) == len(NETWORKS[name])
    for stored, layer in zip(checkpoint.layers, NETWORKS[name], strict=True):
        np.testing.assert_array_equal(stored.read(), kernels(name, layer), strict=True)
        assert stored.layer.groups == GROUPS.get(layer, 1)
        assert stored.layer.transposed == layer.startswith("up")
        assert (stored.layer.dtype, stored.layer.depth_source) == (dtype, "graph")
        assert stored.layer.applied == "as stored"


def test_a_weight_goes_by_its_name_in_the_original():
    names = [x.layer.name for x in open_checkpoint(DEPLOYED / "two-half.xml").layers]
    assert {"self.conv.weight", "self.up.weight"} < set(names)


def read(model: Model, folder: Path):
    (layer,) = open_checkpoint(model.save(folder)).layers
    return layer.read(), layer.layer


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_integers_are_scaled_as_the_network_scales_them(tmp_path, dtype):
    model, image = network()
    integers = RNG.integers(0, 128, SHAPE).astype(dtype)
    floats = model.add("Convert", [model.const(integers)], destination_type="f32")
    zero = model.add("Convert", [model.const(ZERO)], destination_type="f32")
    centered = model.add("Subtract", [floats, zero])
    model.conv(image, model.add("Multiply", [centered, model.const(SCALE)]))
    weight, layer = read(model, tmp_path)
    np.testing.assert_array_equal(weight, (np.float32(integers) - np.float32(ZERO)) * SCALE)
    assert (layer.applied, layer.dtype) == ("dequantized", dtype)


@pytest.mark.parametrize(("element", "low"), [("u4", 0), ("i4", -8)])
@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 3, 3)])
def test_two_values_of_four_bits_share_a_byte(tmp_path, element, low, shape):
    model, image = network()
    integers = RNG.integers(low, low + 16, shape)
    halves = np.append(integers.reshape(-1) & 15, 0)[: 2 * (-(-integers.size // 2))]
    packed = (halves[::2] | halves[1::2] << 4).astype(np.uint8).tobytes()
    floats = model.add("Convert", [model.const(integers, element, packed)], destination_type="f32")
    model.conv(
        image, model.add("Multiply", [floats, model.const(np.full((1, 1, 1, 1), 0.5, np.float32))])
    )
    np.testing.assert_array_equal(read(model, tmp_path)[0], np.float32(integers) / 2)


def test_fake_quantization_rounds_to_its_levels(tmp_path):
    model, image = network()
    ranges = [model.const(sign * SCALE) for sign in (-1, 1, -2, 3)]
    constant = model.const(WEIGHT)
    model.conv(image, model.add("FakeQuantize", [constant, *ranges], levels=255))
    weight, layer = read(model, tmp_path)
    steps = np.clip(np.rint((WEIGHT + SCALE) / (2 * SCALE) * 254), 0, 254)
    np.testing.assert_allclose(weight, steps / 254 * 5 * SCALE - 2 * SCALE, rtol=1e-5, atol=1e-6)
    assert layer.applied == "computed"


def test_a_range_of_no_width_has_two_values(tmp_path):
    model, image = network()
    point = model.const(np.zeros((1, 1, 1, 1), np.float32))
    ends = [model.const(np.full((1, 1, 1, 1), value, np.float32)) for value in (-1, 2)]
    weight = model.const(WEIGHT)
    model.conv(image, model.add("FakeQuantize", [weight, point, point, *ends], levels=255))
    np.testing.assert_array_equal(read(model, tmp_path)[0], np.where(WEIGHT > 0, 2, -1))


def test_a_weight_may_be_reordered_and_reshaped(tmp_path):
    model, image = network()
    order = model.const(np.array([3, 2, 0, 1]))
    turned = model.add("Transpose", [model.const(WEIGHT.transpose(2, 3, 1, 0).copy()), order])
    shape = (2, 2, 3, 3, 3)
    grouped = model.add("Reshape", [turned, model.const(np.array(shape))], shape)
    model.conv(image, grouped, "GroupConvolution")
    weight, layer = read(model, tmp_path)
    np.testing.assert_array_equal(weight, WEIGHT)
    assert layer.groups == 2


def test_deformable_convolutions_have_their_weight_behind_offsets(tmp_path):
    model, image = network()
    model.add("DeformableConvolution", [image, image, model.const(WEIGHT)], group=2)
    weight, layer = read(model, tmp_path)
    np.testing.assert_array_equal(weight, WEIGHT)
    assert layer.groups == 2


UNREAD = {
    "an input": (lambda model, image: image, "computed by Parameter"),
    "another operation": (
        lambda model, image: model.add("Sin", [model.const(WEIGHT)], SHAPE),
        "computed by Sin",
    ),
    "an element type": (
        lambda model, image: model.const(np.ones(SHAPE), "nf4", bytes(54)),
        "nf4 values are not read",
    ),
    "a shape that grows": (
        lambda model, image: model.add(
            "Multiply", [model.const(np.ones((4, 1, 3, 3))), model.const(np.ones((1, 3, 1, 1)))]
        ),
        r"grow to \(4, 3, 3, 3\)",
    ),
    "a shape that does not fit": (
        lambda model, image: model.add("Reshape", [model.const(WEIGHT)], (4, 3, 3, 4)),
        "does not become",
    ),
    "an order of no axes": (
        lambda model, image: model.add(
            "Transpose", [model.const(WEIGHT), model.const(np.array([0, 1, 2, 2]))]
        ),
        "no order of axes",
    ),
    "no levels": (
        lambda model, image: model.add("FakeQuantize", [model.const(WEIGHT)], levels=1),
        "1 levels and 0 ranges",
    ),
}


@pytest.mark.parametrize("case", UNREAD)
def test_a_weight_that_is_not_computed_makes_the_model_partial(tmp_path, case):
    make, words = UNREAD[case]
    model, image = network()
    model.conv(image, make(model, image))
    checkpoint = open_checkpoint(model.save(tmp_path))
    assert checkpoint.layers == ()
    (unread,) = checkpoint.unread
    assert re.search(words, unread.reason)


def test_depth_counts_layers_from_the_input_and_not_from_constants(tmp_path):
    model, image = network()
    weights = [model.const(RNG.standard_normal(SHAPE).astype(np.float32)) for _ in range(3)]
    for _ in range(5):
        weights[0] = model.add("Convert", [weights[0]], destination_type="f32")
    first = model.conv(image, weights[0])
    model.conv(model.conv(first, weights[1]), weights[2])
    names = [x.layer.name for x in open_checkpoint(model.save(tmp_path)).layers]
    assert names == ["Const1", "Const2", "Const3"]


def test_two_convolutions_of_one_weight_are_one_layer(tmp_path):
    model, image = network()
    weight = model.const(WEIGHT)
    model.conv(model.conv(image, weight), weight)
    assert len(open_checkpoint(model.save(tmp_path)).layers) == 1


@pytest.mark.parametrize(("owner", "tag"), [("TensorIterator", "body"), ("If", "then_body")])
def test_bodies_of_loops_and_branches_are_read(tmp_path, owner, tag):
    model, image = network()
    first = model.conv(image, model.const(WEIGHT))
    inner = Model(data=model.data)
    other = RNG.standard_normal(SHAPE).astype(np.float32)
    start = inner.add("Parameter")
    inner.add("Result", [inner.conv(start, inner.const(other))])
    model.data = inner.data
    loop = model.add(owner, [first], inner=f"<{tag}>{inner.body()}</{tag}>")
    last = RNG.standard_normal(SHAPE).astype(np.float32)
    model.conv(loop, model.const(last))
    layers = open_checkpoint(model.save(tmp_path)).layers
    for layer, weight in zip(layers, (WEIGHT, other, last), strict=True):
        np.testing.assert_array_equal(layer.read(), weight)
    assert [x.layer.depth for x in layers] == [0, 1, 2]


def test_other_constants_are_listed_with_their_use(tmp_path):
    model, image = network()
    result = model.conv(image, model.const(WEIGHT))
    model.add("Add", [result, model.const(np.ones((1, 4, 1, 1), np.float32))])
    ones = model.add("Convert", [model.const(np.ones((1, 4, 1, 1)))], destination_type="f32")
    model.add("Multiply", [result, ones])
    model.const(np.ones(1, np.float32))
    reasons = [x.reason for x in open_checkpoint(model.save(tmp_path)).skipped]
    assert reasons == [
        "used by Add, not by a convolution",
        "used by Multiply, not by a convolution",
        "used by no layer",
    ]


def test_batchnorm_in_a_graph_is_noticed(tmp_path):
    model, image = network()
    result = model.conv(image, model.const(WEIGHT))
    assert open_checkpoint(model.save(tmp_path)).has_batchnorm is False
    model.add("BatchNormInference", [result, *(model.const(np.ones(4)) for _ in range(4))])
    assert open_checkpoint(model.save(tmp_path)).has_batchnorm


def description(text: str, folder: Path) -> Path:
    (folder / "m.bin").write_bytes(bytes(64))
    (folder / "m.xml").write_text(text)
    return folder / "m.xml"


ENTITIES = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
NET = '<net name="n" version="11"><layers>{}</layers><edges>{}</edges></net>'
CONST = (
    '<layer id="0" name="c" type="Const"><data element_type="f32" shape="{}" offset="{}" size="{}"/>'
    '<output><port id="0"/></output></layer>'
)
REFUSED = {
    "entities": (f"<net name='' version='11'><!DOCTYPE x [{ENTITIES}]></net>", "no valid XML"),
    "no end": ("<net name='' version='11'><layers>", "no valid XML"),
    "an old version": (
        "<net name='n' version='7'></net>",
        "version 7 of the format, expected 10 or later",
    ),
    "no version": ("<net name='n' version='x'></net>", "expected a network with a version"),
    "nesting": ("<net version='11'>" + "<a>" * 99, "more than 64 elements inside each other"),
    "a missing layer": (
        NET.format("", '<edge from-layer="1" to-layer="2" to-port="0"/>'),
        "an edge between layers '1' and '2' that are missing",
    ),
    "two layers of a number": (
        NET.format(2 * CONST.format("1", 0, 4), ""),
        "two of the number '0'",
    ),
    "no port": (
        NET.format('<layer id="0"><output><port id="x"/></output></layer>', ""),
        "expected the number of a port, found 'x'",
    ),
    "a circle": (
        NET.format(
            '<layer id="0" name="a" type="ReLU"/>',
            '<edge from-layer="0" to-layer="0" to-port="0"/>',
        ),
        "layers that feed each other in a circle",
    ),
    "bytes beyond the end": (NET.format(CONST.format("2", 60, 8), ""), r"c: bytes 60\.\.68 of 64"),
    "too few bytes": (NET.format(CONST.format("9", 0, 8), ""), r"8 bytes for f32 \(9,\), expected 36"),
    "a negative place": (NET.format(CONST.format("1", -4, 4), ""), "a number of bytes as offset"),
    "a huge shape": (
        NET.format(CONST.format("99999999,99999999,99999999", 0, 4), ""),
        "4 bytes for f32",
    ),
    "no shape": (NET.format(CONST.format("?,3", 0, 4), ""), r"expected a shape, found '\?,3'"),
    "no weight": (
        NET.format('<layer id="0" name="c" type="Convolution"/>', ""),
        "c: a convolution without a weight",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_damaged_descriptions_are_refused(tmp_path, case):
    text, words = REFUSED[case]
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(description(text, tmp_path))


def test_a_document_type_is_refused_before_any_entity_is_read(tmp_path):
    path = description(NET.format("", ""), tmp_path)
    source = MemorySource(path, memoryview(f"<!DOCTYPE net [{ENTITIES}]><net>&b;</net>".encode()))
    with pytest.raises(CheckpointError, match="a document type"):
        read_nodes(source)


def test_comments_before_a_network_cost_no_time(tmp_path):
    assert describes(b'<!--a--> <!--b--><net name="n" version="11">')
    assert not describes(70 * b"<!---->" + b"<ne")


def test_a_deep_chain_of_operations_is_not_followed_for_ever(tmp_path):
    model, image = network()
    weight = model.const(WEIGHT)
    for _ in range(5000):
        weight = model.add("Convert", [weight], destination_type="f32")
    model.conv(image, weight)
    assert len(open_checkpoint(model.save(tmp_path)).unread) == 1


def test_elements_without_end_are_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr("jfilters.converters._openvino._xml.MAX_ELEMENTS", 50)
    with pytest.raises(CheckpointError, match="more than 50 elements of XML"):
        open_checkpoint(description(NET.format(50 * "<a/>", ""), tmp_path))


def test_a_description_beyond_the_limit_is_not_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr("jfilters.converters._openvino._xml.MAX_BYTES", 50)
    with pytest.raises(CheckpointError, match="more than 50 bytes of description"):
        open_checkpoint(description(NET.format("", ""), tmp_path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.integers(0, 1500), st.binary(min_size=1, max_size=8))
def test_any_damage_of_a_description_is_read_or_refused(tmp_path, place, data):
    model, image = network()
    model.conv(image, model.add("Multiply", [model.const(WEIGHT), model.const(SCALE)]))
    path = model.save(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + data + whole[place + len(data) :])
    with contextlib.suppress(CheckpointError):
        for layer in open_checkpoint(path).layers:
            assert layer.read().shape == layer.shape


def test_a_description_alone_says_what_is_missing(tmp_path):
    path = network()[0].save(tmp_path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(CheckpointError, match=r"model\.bin is missing; put model\.bin beside it"):
        open_checkpoint(path)


def test_a_folder_holds_one_model_for_each_pair(tmp_path):
    model, image = network()
    model.conv(image, model.const(WEIGHT))
    model.save(tmp_path)
    (tmp_path / "settings.xml").write_text("<settings/>")
    assert part_names(sorted(tmp_path.iterdir())) == {"model.bin"}
    result = scan(tmp_path).record
    (entry,) = result["checkpoints"]
    assert (entry["model"], entry["status"], entry["companions"]) == (
        "model.xml",
        "ok",
        ["model.bin"],
    )
