"""ONNX models built with onnx.helper; onnx.reference is the oracle for every way to store a weight."""

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from jfilters.converters import StoredArray, open_checkpoint
from jfilters.converters._onnx._format import FORMAT
from jfilters.errors import CheckpointError

from .onnx_models import IMAGE, conv, layers, listing, model, node, reference, stored_model, tensor

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(6, 4, 3, 3)).astype(np.float32)


@pytest.fixture
def listed(tmp_path) -> Callable[[onnx.ModelProto], dict[str, StoredArray]]:
    """The arrays of a model, by name, through a file."""

    return lambda proto: listing(tmp_path, proto)


def test_an_initializer_is_read_as_it_is(listed):
    [array] = listed(model([conv()], [tensor(WEIGHT)])).values()
    assert (array.name, array.shape, array.dtype) == ("w", WEIGHT.shape, "float32")
    assert (array.axes, array.groups, array.transposed, array.depth) == ("OIHW", 1, False, 1)
    assert array.reason is None
    np.testing.assert_array_equal(array.read(), WEIGHT)


SPATIAL = {1: ((5,), "OIW"), 2: ((3, 5), "OIHW"), 3: ((3, 1, 2), "OIDHW")}


def test_the_graph_may_come_before_the_version(tmp_path):
    weight = np.ones((2, 3, 3, 3), np.float32)
    proto = stored_model([conv()], {"w": weight})
    graph = onnx.ModelProto(graph=proto.graph).SerializeToString()
    proto.ClearField("graph")
    path = tmp_path / "net.pnnx.onnx"
    path.write_bytes(graph + proto.SerializeToString())
    (layer,) = open_checkpoint(path).layers
    np.testing.assert_array_equal(layer.read(), weight)


@pytest.mark.parametrize("rank", SPATIAL)
@pytest.mark.parametrize("group", [1, 2])
def test_one_to_three_dimensions_and_groups(listed, rank, group):
    spatial, axes = SPATIAL[rank]
    weight = RNG.normal(size=(4, 3, *spatial)).astype(np.float32)
    [array] = listed(model([conv(group=group)], [tensor(weight)])).values()
    assert (array.axes, array.groups, array.transposed) == (axes, group, False)
    [array] = listed(model([conv(op="ConvTranspose", group=group)], [tensor(weight)])).values()
    assert (array.axes, array.groups, array.transposed) == ("IO" + axes[2:], group, True)
    np.testing.assert_array_equal(array.read(), weight)


@pytest.mark.parametrize("op", ["DeformConv", "FusedConv"])
def test_further_convolution_operators(listed, op):
    domain = {"FusedConv": "com.microsoft"}.get(op, "")
    [array] = listed(model([conv(op=op, domain=domain)], [tensor(WEIGHT)])).values()
    assert array.reason is None
    assert array.axes == "OIHW"


DTYPES = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT16: np.float16,
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    TensorProto.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.INT16: np.int16,
    TensorProto.UINT16: np.uint16,
    TensorProto.INT32: np.int32,
    TensorProto.UINT32: np.uint32,
    TensorProto.INT64: np.int64,
    TensorProto.UINT64: np.uint64,
    TensorProto.BOOL: np.bool_,
}
FIELDS = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("code", DTYPES, ids=lambda code: np.dtype(DTYPES[code]).name)
def test_dtypes_in_raw_and_in_typed_fields(listed, code, is_raw):
    dtype = np.dtype(DTYPES[code])
    # Powers of two survive in every floating point format; wrapped ones cover the integers' signs.
    floats = np.array([0.5, -1.0, 2.0, 0.25, 1.0, 4.0])
    values = floats if "float" in dtype.name else np.array([1, -1, 0, 2, 100, -128])
    values = values.astype(dtype).reshape(1, 1, 6)
    proto = TensorProto(name="w", dims=values.shape, data_type=code)
    if is_raw:
        proto.raw_data = values.tobytes()
    else:
        bits = values.view(f"u{dtype.itemsize}") if dtype.kind in "Vfb" else values
        numbers = values if code in FIELDS else bits
        getattr(proto, FIELDS.get(code, "int32_data")).extend(numbers.reshape(-1).tolist())
    [array] = listed(model([conv()], [proto])).values()
    assert array.dtype == dtype.name
    assert array.read().dtype == dtype
    np.testing.assert_array_equal(array.read(), values)
    np.testing.assert_array_equal(array.read(), numpy_helper.to_array(proto))


QUANTIZED = RNG.integers(-128, 128, size=(6, 4, 3, 3)).astype(np.int8)
UNSIGNED = RNG.integers(0, 256, size=(6, 4, 3, 3)).astype(np.uint8)
SCALE = np.float32(0.03)
SCALES = RNG.uniform(0.01, 0.1, size=6).astype(np.float32)
INPUT_SCALES = RNG.uniform(0.01, 0.1, size=4).astype(np.float32)
DQ = "DequantizeLinear"

# How tensors become the value "w": stored tensors and nodes; "s" and the like are told beside "q".
WAYS: dict[str, tuple[dict, list]] = {
    "Constant": ({}, [node("Constant", [], ["w"], value=tensor(WEIGHT, ""))]),
    "Identity": ({"q": WEIGHT}, [node("Identity", ["q"], ["w"])]),
    "Cast": (
        {"q": WEIGHT.astype(np.float16)},
        [node("Cast", ["q"], ["w"], to=TensorProto.FLOAT)],
    ),
    "Transpose": (
        {"q": WEIGHT.transpose(2, 3, 1, 0).copy()},
        [node("Transpose", ["q"], ["w"], perm=[3, 2, 0, 1])],
    ),
    "Transpose all": (
        {"q": WEIGHT.transpose(3, 2, 1, 0).copy()},
        [node("Transpose", ["q"], ["w"])],
    ),
    "Reshape": (
        {"q": WEIGHT.reshape(6, 36), "s": np.array([0, 4, -1, 3])},
        [node("Reshape", ["q", "s"], ["w"])],
    ),
    "Reshape with a list": (
        {"q": WEIGHT.reshape(6, 36)},
        [
            node("Constant", [], ["s"], value_ints=[6, 4, 3, 3]),
            node("Reshape", ["q", "s"], ["w"]),
        ],
    ),
    "Squeeze": (
        {"q": WEIGHT[None, :, :, None], "s": np.array([0, -3])},
        [node("Squeeze", ["q", "s"], ["w"])],
    ),
    "Squeeze all": ({"q": WEIGHT[None]}, [node("Squeeze", ["q"], ["w"])]),
    "Unsqueeze": (
        {"q": WEIGHT[0, :, :, 0], "s": np.array([0, -1])},
        [node("Unsqueeze", ["q", "s"], ["w"])],
    ),
    "Dequantize": ({"q": QUANTIZED, "s": SCALE}, [node(DQ, ["q", "s"], ["w"])]),
    "Dequantize with a zero point": (
        {"q": UNSIGNED, "s": SCALE, "z": np.uint8(131)},
        [node(DQ, ["q", "s", "z"], ["w"])],
    ),
    "Dequantize an axis": (
        {"q": UNSIGNED, "s": SCALES, "z": np.arange(120, 126, dtype=np.uint8)},
        [node(DQ, ["q", "s", "z"], ["w"], axis=0)],
    ),
    "Dequantize the default axis": (
        {"q": QUANTIZED, "s": INPUT_SCALES},
        [node(DQ, ["q", "s"], ["w"])],
    ),
    "Dequantize the last but two": (
        {"q": QUANTIZED, "s": INPUT_SCALES},
        [node(DQ, ["q", "s"], ["w"], axis=-3)],
    ),
    "Quantize and back": (
        {"q": WEIGHT, "s": SCALES, "z": np.zeros(6, np.int8)},
        [
            node("QuantizeLinear", ["q", "s", "z"], ["i"], axis=0),
            node(DQ, ["i", "s", "z"], ["w"], axis=0),
        ],
    ),
    "Quantize to uint8 and back": (
        {"q": WEIGHT, "s": SCALE},
        [node("QuantizeLinear", ["q", "s"], ["i"]), node(DQ, ["i", "s"], ["w"])],
    ),
    "scale behind Identity": (
        {"q": QUANTIZED, "t": SCALE},
        [node("Identity", ["t"], ["s"]), node(DQ, ["q", "s"], ["w"])],
    ),
    "all of them": (
        {"q": QUANTIZED.reshape(6, 36), "s": SCALE, "t": np.array([6, 4, 3, 3])},
        [
            node("Identity", ["q"], ["a"]),
            node(DQ, ["a", "s"], ["b"]),
            node("Reshape", ["b", "t"], ["c"]),
            node("Cast", ["c"], ["d"], to=TensorProto.DOUBLE),
            node("Transpose", ["d"], ["w"], perm=[1, 0, 2, 3]),
        ],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_weight_is_what_the_graph_makes_of_it(listed, way):
    stored, nodes = WAYS[way]
    arrays, expected = listed(stored_model([*nodes, conv()], stored)), reference(nodes, stored)
    [array] = layers(arrays).values()
    assert array.name == ("q" if stored else "Conv_y")
    assert array.shape == expected.shape
    assert array.dtype == array.read().dtype.name == expected.dtype.name
    np.testing.assert_allclose(array.read(), expected, rtol=1e-6)
    assert len(arrays) == len(stored) + sum(n.op_type == "Constant" for n in nodes)


def test_axes_of_squeeze_and_unsqueeze_in_old_operator_sets(listed):
    nodes = [
        node("Squeeze", ["q"], ["a"], axes=[0]),
        node("Unsqueeze", ["a"], ["w"], axes=[1]),
        conv(),
    ]
    [array] = listed(model(nodes, [tensor(WEIGHT[:1, 0], "q")], opset=11)).values()
    assert array.shape == (3, 1, 3)
    np.testing.assert_array_equal(array.read(), WEIGHT[0, 0][:, None])


def test_the_weight_of_qlinearconv_is_dequantized(listed):
    names = ["x", "xs", "xz", "w", "s", "z", "ys", "yz", "b"]
    stored = {"w": UNSIGNED, "s": SCALES, "z": np.full(6, 7, np.uint8), "b": np.zeros(6, np.int32)}
    stored |= {"xs": SCALE, "xz": np.uint8(3), "ys": SCALE, "yz": np.uint8(3)}
    proto = model(
        [node("QLinearConv", names, ["y"], name="quantized")],
        [tensor(values, name) for name, values in stored.items()],
    )
    arrays = listed(proto)
    [array] = layers(arrays).values()
    expected = (UNSIGNED.astype(np.float32) - 7) * SCALES[:, None, None, None]
    np.testing.assert_array_equal(array.read(), expected)
    assert array.dtype == "float32"
    assert arrays["b"].reason == "bias of QLinearConv quantized"
    assert arrays["z"].reason == "a parameter of QLinearConv quantized"


def dynamic(scale: list, *, factor: str = "product") -> onnx.ModelProto:
    """A convolution as dynamic quantization writes it."""
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]),
        node("ConvInteger", ["xq", "w", "xz", "z"], ["i"]),
        node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["xs", "s"], ["product"]),
        node("Mul", ["f", factor], ["y"]),
    ]
    stored = [tensor(UNSIGNED), tensor(np.uint8(130), "z"), *scale]
    return model(nodes, stored)


def test_the_scale_of_convinteger_arrives_through_products(listed):
    integers = UNSIGNED.astype(np.float32) - 130
    [array] = layers(listed(dynamic([tensor(SCALE, "s")]))).values()
    np.testing.assert_array_equal(array.read(), integers * SCALE)
    [array] = layers(listed(dynamic([tensor(SCALE, "s")], factor="s"))).values()
    np.testing.assert_array_equal(array.read(), integers * SCALE)
    assert array.note == ""
    [array] = layers(listed(dynamic([]))).values()
    np.testing.assert_array_equal(array.read(), integers)
    assert array.note == "its scale is not stored: in steps of its integers"


def test_a_shared_constant_is_one_layer_at_its_smallest_depth(listed):
    nodes = [
        node("Relu", ["x"], ["r"]),
        conv(x="r", y="late"),
        conv(x="x", y="early"),
        node("Add", ["late", "early"], ["y"]),
    ]
    [array] = listed(model(nodes, [tensor(WEIGHT)])).values()
    assert array.depth == 1


def test_depth_is_the_longest_path_from_an_input_and_constants_do_not_count(listed):
    nodes = [
        node("Identity", ["v"], ["v1"]),
        node("Identity", ["v1"], ["v2"]),
        conv("v2", y="a"),
        node("Relu", ["a"], ["b"]),
        node("Add", ["a", "b"], ["c"]),
        conv("w", x="c", y="y"),
    ]
    arrays = listed(model(nodes, [tensor(WEIGHT), tensor(WEIGHT, "v")]))
    assert {name: array.depth for name, array in arrays.items()} == {"v": 1, "w": 4}


@settings(max_examples=20)
@given(data=st.data())
def test_depth_agrees_with_a_recursive_reference(tmp_path_factory, data):
    count = data.draw(st.integers(1, 12))
    before = [data.draw(st.lists(st.integers(-1, i - 1), max_size=3)) for i in range(count)]
    name = {-1: "x", **{i: f"v{i}" for i in range(count)}}
    nodes = [node("Sum", [name[j] for j in before[i]], [name[i]]) for i in range(count)]
    nodes = data.draw(st.permutations([*nodes, conv(x=name[count - 1])]))
    path = tmp_path_factory.mktemp("dag") / "model.onnx"
    path.write_bytes(model(nodes, [tensor(WEIGHT)]).SerializeToString())

    def longest(i: int) -> float:
        return 0 if i == -1 else 1 + max(map(longest, before[i]), default=-np.inf)

    [array] = FORMAT.arrays(path)
    assert array.depth == max(longest(count - 1) + 1, 0)


def branch(weight: np.ndarray, x: str = "x") -> onnx.GraphProto:
    nodes = [node("Relu", [x], ["r"]), conv(x="r", y="out")]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "branch", [], [output], [tensor(weight)])


def test_bodies_of_if_hold_weights_of_the_same_name(listed):
    decide = node("If", ["c"], ["i"], then_branch=branch(WEIGHT), else_branch=branch(-WEIGHT))
    nodes = [node("Relu", ["x0"], ["x"]), decide, conv("v", x="i")]
    inputs = [helper.make_tensor_value_info(n, 1, None) for n in ("x0", "c")]
    arrays = listed(model(nodes, [tensor(WEIGHT, "v")], inputs))
    assert {name: array.depth for name, array in arrays.items()} == {"v": 5, "w": 3, "w#2": 3}
    signs = sorted(
        float(arrays[name].read()[0, 0, 0, 0] / WEIGHT[0, 0, 0, 0]) for name in ("w", "w#2")
    )
    assert signs == [-1, 1]


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_bodies_of_loop_and_scan(listed, op):
    info = [helper.make_tensor_value_info(n, 1, None) for n in ("i", "c", "a", "out")]
    body = helper.make_graph([conv(x="a", y="out")], "b", info[:3], info[3:], [tensor(WEIGHT)])
    attributes = {"num_scan_inputs": 1} if op == "Scan" else {}
    nodes = [
        node("Relu", ["x"], ["r"]),
        node(op, ["", "", "r"], ["y"], body=body, **attributes),
        conv("v", x="y", y="z"),
    ]
    arrays = listed(model(nodes, [tensor(WEIGHT, "v")]))
    assert {name: array.depth for name, array in arrays.items()} == {"w": 2, "v": 4}


def test_a_body_sees_the_weights_around_it(listed):
    inner = helper.make_graph(
        [conv(y="out")], "b", [], [helper.make_tensor_value_info("out", 1, None)]
    )
    decide = node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    inputs = [IMAGE, helper.make_tensor_value_info("c", TensorProto.BOOL, None)]
    [array] = listed(model([decide], [tensor(WEIGHT)], inputs)).values()
    assert (array.name, array.depth, array.reason) == ("w", 1, None)


def function(nodes, inputs=("fx", "fw"), attributes=(), defaults=()) -> onnx.FunctionProto:
    return helper.make_function(
        "mine", "Block", list(inputs), ["fy"], nodes, [helper.make_opsetid("", 21)],
        list(attributes), list(defaults),
    )  # fmt: skip


def call(x: str, y: str, weights=(), **attributes):
    return helper.make_node("Block", [x, *weights], [y], domain="mine", **attributes)


def test_a_function_that_is_given_its_weights(listed):
    block = function([conv("fw", x="fx", y="t"), node("Relu", ["t"], ["fy"])])
    nodes = [call("x", "a", ["w"]), call("a", "y", ["v"])]
    proto = model(nodes, [tensor(WEIGHT), tensor(-WEIGHT, "v")], functions=[block])
    arrays = listed(proto)
    assert {name: array.depth for name, array in arrays.items()} == {"w": 1, "v": 3}
    np.testing.assert_array_equal(arrays["v"].read(), -WEIGHT)


def test_a_function_that_holds_its_weight_is_one_layer_however_often_it_is_called(listed):
    constant = node("Constant", [], ["fw"], value=tensor(WEIGHT, "inside"))
    block = function([constant, conv("fw", x="fx", y="fy")], inputs=["fx"])
    [array] = listed(model([call("x", "a"), call("a", "y")], functions=[block])).values()
    assert (array.name, array.depth) == ("inside", 1)


@pytest.mark.parametrize(("given", "groups"), [({"g": 2}, 2), ({}, 3)])
def test_attributes_of_a_function_call(listed, given, groups):
    inner = conv("fw", x="fx", y="fy")
    inner.attribute.append(onnx.AttributeProto(name="group", ref_attr_name="g", type=2))
    block = function([inner], defaults=[helper.make_attribute("g", 3)])
    [array] = listed(
        model([call("x", "y", ["w"], **given)], [tensor(WEIGHT)], functions=[block])
    ).values()
    assert array.groups == groups


def test_an_attribute_that_the_call_leaves_out_keeps_its_default(listed):
    inner = conv("fw", x="fx", y="fy")
    inner.attribute.append(onnx.AttributeProto(name="group", ref_attr_name="g", type=2))
    block = function([inner], attributes=["g"])
    [array] = listed(model([call("x", "y", ["w"])], [tensor(WEIGHT)], functions=[block])).values()
    assert array.groups == 1


def test_a_weight_that_is_an_input_with_a_default_as_in_old_models(listed):
    inputs = [IMAGE, helper.make_tensor_value_info("w", 1, WEIGHT.shape)]
    # The path from a weight's default is none from an input.
    nodes = [node("Identity", ["w"], ["a"]), node("Identity", ["a"], ["b"]), conv("b")]
    [array] = listed(model(nodes, [tensor(WEIGHT)], inputs, ir_version=3)).values()
    assert (array.reason, array.depth) == (None, 1)
    np.testing.assert_array_equal(array.read(), WEIGHT)


@pytest.mark.parametrize(
    ("shape", "expected"), [([6, 4, 3, 3], (6, 4, 3, 3)), (["n", 4, 3, 3], ())]
)
def test_a_weight_that_is_an_input_is_named_and_not_read(listed, shape, expected):
    inputs = [IMAGE, helper.make_tensor_value_info("w", 1, shape)]
    [array] = listed(model([conv()], (), inputs)).values()
    assert (array.name, array.shape, array.dtype) == ("w", expected, "float32")
    assert array.reason == "a graph input without stored values"
    with pytest.raises(CheckpointError, match="w: a graph input without"):
        array.read()


def test_every_array_has_a_layer_or_a_reason(listed):
    biased = helper.make_node("Conv", ["x", "w", "b"], ["c"], name="first")
    nodes = [
        biased,
        node("Constant", [], ["shape"], value=tensor(np.array([1, -1]))),
        node("Reshape", ["c", "shape"], ["r"]),
        node("Identity", ["m"], ["m2"]),
        node("Gemm", ["r", "m2"], ["y"]),
        node("ConstantOfShape", ["shape"], ["o"], value=tensor(np.zeros(1), "fill")),
    ]
    stored = {"w": WEIGHT, "b": np.zeros(6), "m": np.zeros((2, 2)), "idle": np.zeros(3)}
    proto = model(nodes, [tensor(values, name) for name, values in stored.items()])
    proto.graph.node[1].attribute[0].t.name = ""
    sparse = helper.make_sparse_tensor(tensor(np.ones(1), "holes"), tensor(np.zeros(1, int)), [9])
    proto.graph.sparse_initializer.append(sparse)
    assert {name: array.reason for name, array in listed(proto).items()} == {
        "w": None,
        "b": "bias of Conv first",
        "shape": "used by Reshape, not by a convolution",
        "m": "used by Gemm, not by a convolution",
        "idle": "used by no node",
        "fill": "an attribute of ConstantOfShape",
        "holes": "a sparse tensor",
    }


@pytest.mark.parametrize(
    ("stored", "attributes", "found"),
    [
        ({"q": QUANTIZED, "s": np.ones(5, np.float32)}, {}, "scale or zero point of shape (5,)"),
        ({"q": QUANTIZED, "s": np.ones((6, 2), np.float32)}, {"axis": 0}, "of shape (6, 2)"),
        ({"q": QUANTIZED}, {}, "with a parameter that is not stored"),
    ],
)
def test_quantization_that_is_not_followed_says_why(listed, stored, attributes, found):
    nodes = [node(DQ, ["q", "s"], ["w"], **attributes), conv()]
    arrays = listed(model(nodes, [tensor(values, name) for name, values in stored.items()]))
    assert found in arrays["q"].reason


@pytest.mark.parametrize(
    ("nodes", "beside", "found"),
    [
        (
            [node("Transpose", ["q"], ["w"], perm=[0, 0, 1, 2])],
            (),
            "Transpose with axes [0, 0, 1, 2]",
        ),
        ([node("Reshape", ["q", "s"], ["w"])], ([5, -1],), "Reshape with shape (5, 43)"),
        ([node("Unsqueeze", ["q", "s"], ["w"])], ([0, 0],), "Unsqueeze with axes [0, 0]"),
        ([node("Cast", ["q"], ["w"], to=8)], (), "Cast with a target that is not read"),
        ([node("Identity", [], ["w"])], (), None),
    ],
)
def test_nonsense_before_a_convolution_says_why(listed, nodes, beside, found):
    stored = [tensor(WEIGHT, "q"), *(tensor(np.array(values), "s") for values in beside)]
    arrays = listed(model([*nodes, conv()], stored))
    assert found in arrays["q"].reason if found else not layers(arrays)


def test_dtypes_that_are_not_read_are_named(listed):
    text = helper.make_tensor("t", TensorProto.STRING, [1], [b"a"])
    four = helper.make_tensor("w", TensorProto.INT4, [1, 1, 2], [1, -2, ])  # fmt: skip
    arrays = listed(model([conv()], [text, four]))
    assert arrays["t"].reason == "string values are not read"
    assert arrays["w"].reason == "not followed to Conv Conv_y: int4 values are not read"
    with pytest.raises(CheckpointError, match="int4 values are not read"):
        arrays["w"].read()


def test_external_data_in_the_folder_of_the_model(tmp_path):
    proto = model([conv(), conv("v", y="z")], [tensor(WEIGHT), tensor(-WEIGHT, "v")])
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="data.bin", size_threshold=0)
    assert path.stat().st_size < WEIGHT.nbytes
    arrays = {array.name: array for array in FORMAT.arrays(path)}
    np.testing.assert_array_equal(arrays["w"].read(), WEIGHT)
    np.testing.assert_array_equal(arrays["v"].read(), -WEIGHT)


def test_a_weight_read_twice_is_the_same(listed):
    proto = TensorProto(name="w", dims=[1, 1, 3], data_type=1, float_data=[1.0, 2.0, 3.0])
    [array] = listed(model([conv()], [proto])).values()
    np.testing.assert_array_equal(array.read(), array.read())


def test_a_convolution_behind_no_input_comes_first(listed):
    nodes = [node("RandomNormal", [], ["x"], shape=[1, 4, 8, 8]), conv()]
    [array] = listed(model(nodes, [tensor(WEIGHT)], ())).values()
    assert array.depth == 0


def test_an_opened_checkpoint_has_depths_from_the_graph(tmp_path):
    # The weights lie backwards in the file, so that only the graph can tell their order.
    weights = {f"w{i}": WEIGHT[:4] * (i + 1) for i in range(3)}
    nodes = [
        conv("w0", x="x", y="a"),
        conv("w1", x="a", y="b", op="ConvTranspose", group=2),
        conv("w2", x="b", y="y"),
    ]
    stored = [tensor(weights[name], name) for name in reversed(weights)]
    path = tmp_path / "model.onnx"
    path.write_bytes(model(nodes, stored).SerializeToString())
    checkpoint = open_checkpoint(path)
    found = [(s.layer.name, s.layer.depth, s.layer.relative_depth) for s in checkpoint.layers]
    assert checkpoint.format == "onnx"
    assert found == [("w0", 0, 0.0), ("w1", 1, 0.5), ("w2", 2, 1.0)]
    assert {stored.layer.depth_source for stored in checkpoint.layers} == {"graph"}
    assert [stored.shape for stored in checkpoint.layers] == [
        (4, 4, 3, 3),
        (8, 2, 3, 3),
        (4, 4, 3, 3),
    ]
    np.testing.assert_array_equal(checkpoint.layers[2].read(), weights["w2"])


def test_what_other_formats_begin_with_is_not_recognized(tmp_path: Path):
    path = tmp_path / "file"
    proto = model([conv()], [tensor(WEIGHT)]).SerializeToString()
    for content in (b"", b"\x08", b"\x08\x07", b"\x08\x07" + b"\0" * 600, proto[:-1], proto[2:]):
        path.write_bytes(content)
        assert not FORMAT.recognizes(path, content[:512])
    assert not FORMAT.recognizes(tmp_path, b"")
    assert not FORMAT.recognizes(tmp_path / "missing", proto[:512])
