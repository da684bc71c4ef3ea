"""Convolutions whose weights cannot be read: each is said once, and those that no output needs are not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from jfilters.converters import open_checkpoint
from jfilters.errors import CheckpointError

from .onnx_models import IMAGE, conv, layers, listing, model, node, stored_model, tensor, unread

RNG = np.random.default_rng(0)
W = RNG.normal(size=(6, 4, 3, 3)).astype(np.float32)
SHAPE = np.array(W.shape)
FOLD = "; fold constants, for example with onnxruntime's offline optimization or onnx-simplifier"
DEAD = "used by a convolution whose result nothing uses"


def test_a_weight_behind_an_operator_that_is_not_computed(tmp_path):
    nodes = [node("Erf", ["q"], ["e"]), node("Identity", ["e"], ["w"]), conv(), conv("v", y="z")]
    arrays = listing(tmp_path, stored_model(nodes, {"q": W, "v": W}))
    assert unread(arrays) == {"q": f"not followed to Conv Conv_y: computed by Erf{FOLD}"}
    checkpoint = open_checkpoint(tmp_path / "model.onnx")
    assert [array.name for array in checkpoint.unread] == ["q"]


def test_a_variant_that_is_not_computed(tmp_path):
    nodes = [node("Pad", ["q", "p"], ["w"], mode="edge"), conv()]
    stored = {"q": W, "p": np.array([0, 0, 1, 1] * 2)}
    [reason] = unread(listing(tmp_path, stored_model(nodes, stored))).values()
    assert reason == f"not followed to Conv Conv_y: computed by Pad with mode edge{FOLD}"


def test_only_the_largest_of_the_tensors_is_unread_and_all_say_why(tmp_path):
    nodes = [
        node("Erf", ["g"], ["e"]),
        node("Mul", ["q", "e"], ["w"]),
        conv(),
    ]
    arrays = listing(tmp_path, stored_model(nodes, {"g": W[:, :1, :1, :1], "q": W}))
    reason = f"not followed to Conv Conv_y: computed by Erf{FOLD}"
    assert unread(arrays) == {"q": reason}
    assert arrays["g"].reason == reason


def test_a_weight_that_an_input_modulates(tmp_path):
    nodes = [
        node("ReduceMean", ["x"], ["style"]),
        node("Unsqueeze", ["q", "zero"], ["q5"]),
        node("Mul", ["q5", "style"], ["m"]),
        node("Reshape", ["m", "shape"], ["w"]),
        conv(),
    ]
    stored = {"q": W, "zero": np.array([0]), "shape": SHAPE}
    arrays = listing(tmp_path, stored_model(nodes, stored, 18))
    expected = "not followed to Conv Conv_y: computed by Mul from an input of the network"
    assert unread(arrays) == {"q": expected}


def hypernetwork() -> list:
    nodes = [node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "m"], ["g"])]
    return [*nodes, node("Reshape", ["g", "shape"], ["w"]), conv()]


def test_a_weight_that_a_network_computes_stands_under_its_convolution(tmp_path):
    stored = {"m": np.ones((9, 216), np.float32), "shape": SHAPE}
    arrays = listing(tmp_path, stored_model(hypernetwork(), stored))
    reason = "not followed to Conv Conv_y: computed by Gemm from an input of the network"
    assert unread(arrays) == {"Conv_y": reason}
    assert (arrays["Conv_y"].shape, arrays["m"].reason) == ((), reason)
    with pytest.raises(CheckpointError, match="Conv_y: not followed to Conv"):
        arrays["Conv_y"].read()


def test_a_random_weight_is_not_folded_by_anything(tmp_path):
    nodes = [node("RandomNormal", [], ["w"], shape=[6, 4, 3, 3]), conv()]
    arrays = listing(tmp_path, model(nodes))
    assert unread(arrays) == {"Conv_y": "not followed to Conv Conv_y: computed by RandomNormal"}


def test_a_weight_that_a_body_is_given(tmp_path):
    info = [helper.make_tensor_value_info(n, 1, None) for n in ("i", "c", "a", "out")]
    body = helper.make_graph([conv("a", y="out")], "b", info[:3], info[3:])
    nodes = [node("Loop", ["n", "", "q"], ["y"], body=body)]
    arrays = listing(tmp_path, stored_model(nodes, {"q": W, "n": np.array(1)}))
    [reason] = unread(arrays).values()
    assert "body of the graph" in str(reason)


def test_every_convolution_counts_where_one_tensor_serves_several(tmp_path):
    nodes = [
        conv("q", y="a"),
        node("Erf", ["q"], ["w0"]),
        node("Tan", ["q"], ["w1"]),
        conv("w0", x="a", y="b"),
        conv("w1", x="b", y="y"),
    ]
    arrays = listing(tmp_path, stored_model(nodes, {"q": W}))
    assert layers(arrays).keys() == {"q"}
    assert unread(arrays).keys() == {"Conv_b", "Conv_y"}


def test_convolutions_that_share_a_weight_miss_one(tmp_path):
    nodes = [node("Erf", ["q"], ["w"]), conv(y="a"), conv(x="a", y="y")]
    assert unread(listing(tmp_path, stored_model(nodes, {"q": W}))).keys() == {"q"}


def test_a_weight_that_is_an_input_is_unread(tmp_path):
    info = helper.make_tensor_value_info("w", TensorProto.FLOAT, [6, 4, 3, 3])
    nodes = [conv(y="a"), node("Transpose", ["w"], ["t"]), conv("t", x="a", y="y")]
    arrays = listing(tmp_path, model(nodes, inputs=[IMAGE, info]))
    assert unread(arrays) == {"w": "a graph input without stored values"}
    point = helper.make_tensor_value_info("w", TensorProto.FLOAT, [6, 4, 1, 1])
    assert not unread(listing(tmp_path, model([conv()], inputs=[IMAGE, point])))


def test_a_convolution_without_spatial_extent_misses_no_kernel(tmp_path):
    nodes = [node("Erf", ["q"], ["w"]), conv(kernel_shape=[1, 1])]
    arrays = listing(tmp_path, stored_model(nodes, {"q": W[:, :, :1, :1]}))
    assert not unread(arrays)
    assert "computed by Erf" in str(arrays["q"].reason)


def test_a_damaged_operator_costs_its_own_weight_alone(tmp_path):
    nodes = [
        node("Gather", ["q", "i"], ["w0"]),
        node("Mul", ["q", "t"], ["w1"]),
        conv("w0", y="a"),
        conv("w1", x="a", y="b"),
        conv("q", x="b", y="y"),
    ]
    stored = {"q": W, "i": np.array(6), "t": np.ones(7, np.float32)}
    arrays = listing(tmp_path, stored_model(nodes, stored))
    assert layers(arrays).keys() == {"q"}
    assert unread(arrays) == {
        "Conv_a": "not followed to Conv Conv_a: Gather with indices 6..6 along an axis of 6",
        "Conv_b": "not followed to Conv Conv_b: Mul with shapes (6, 4, 3, 3) and (7,)",
    }


DAMAGED = {
    "Neg of two": [node("Neg", ["q", "q"], ["w"])],
    "Mul of two dtypes": [node("Mul", ["q", "i"], ["w"])],
    "Sqrt of integers": [node("Sqrt", ["i"], ["w"])],
    "Split into too few": [node("Split", ["q", "i"], ["w"])],
    "Slice with step 0": [node("Slice", ["q", "i", "i", "i", "zero"], ["w"])],
    "Slice an axis twice": [node("Slice", ["q", "two", "two", "two"], ["w"])],
    "Expand to less": [node("Expand", ["q", "i"], ["w"])],
    "Expand to less than nothing": [node("Expand", ["q", "minus"], ["w"])],
    "Tile by less than nothing": [node("Tile", ["q", "minus"], ["w"])],
    "Range without a step": [node("Range", ["zero", "i", "zero"], ["w"])],
    "Concat of ranks": [node("Concat", ["q", "i"], ["w"], axis=0)],
    "Concat nothing": [node("Concat", [], ["w"], axis=0)],
    "a reduction of an axis that is none": [node("ReduceSum", ["q", "i"], ["w"])],
    "MatMul of shapes that differ": [node("MatMul", ["q", "q"], ["m"]), node("MatMul", ["m", "g"], ["w"])],
    "Gemm of four axes": [node("Gemm", ["q", "q"], ["w"])],
    "Einsum of a word": [node("Einsum", ["q"], ["w"], equation="ij,k->")],
    "Einsum of dots": [node("Einsum", ["q"], ["w"], equation="...->...")],
    "Einsum of one index twice": [node("Einsum", ["q"], ["w"], equation="abcd->aacd")],
    "a norm of nothing": [node("InstanceNormalization", ["q"], ["w"])],
    "a norm of other channels": [node("InstanceNormalization", ["q", "g", "g"], ["w"])],
    "Flatten behind the end": [node("Flatten", ["q"], ["w"], axis=9)],
    "Reshape by floats": [node("Reshape", ["q", "g"], ["w"])],
    "ConstantOfShape of floats": [node("ConstantOfShape", ["g"], ["w"])],
    "a member of no sequence": [node("SequenceAt", ["q", "zero"], ["w"])],
    "the statistics of a norm": [node("BatchNormalization", ["q"] * 5, ["n", "w"])],
    "a scale of integers": [node("DequantizeLinear", ["q", "zero"], ["w"])],
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_operators_without_sense_are_said(tmp_path, case):
    stored = {"q": W, "i": np.array([7]), "zero": np.array([0]), "two": np.array([1, 1])}
    stored |= {"g": np.ones(7, np.float32), "minus": np.array([-1] * 4)}
    arrays = listing(tmp_path, stored_model([*DAMAGED[case], conv()], stored))
    assert not layers(arrays)
    [reason] = unread(arrays).values()
    assert str(reason).startswith("not followed to Conv Conv_y: ")


def test_a_convolution_that_no_output_needs_has_no_layer(tmp_path):
    nodes = [
        conv("q", y="dead"),
        node("Mul", ["p", "g"], ["w"]),
        conv(y="dead too"),
        node("Erf", ["r"], ["e"]),
        conv("e", y="dead as well"),
        conv("v", y="y"),
    ]
    stored = {"q": W, "p": W, "g": W[:1, :1], "r": W, "v": W}
    arrays = listing(tmp_path, stored_model(nodes, stored))
    assert layers(arrays).keys() == {"v"}
    assert not unread(arrays)
    assert {arrays[name].reason for name in "qpgr"} == {DEAD}


def test_a_weight_of_a_dead_and_a_living_convolution_is_that_of_the_living(tmp_path):
    nodes = [
        conv("q", y="dead", group=2),
        node("Relu", ["x"], ["r"]),
        conv("q", x="r", y="y"),
    ]
    [array] = listing(tmp_path, stored_model(nodes, {"q": W})).values()
    assert (array.reason, array.depth, array.groups) == (None, 2, 1)


def branch(name: str, *, uses: bool = True) -> onnx.GraphProto:
    nodes = [conv(name, y="c"), node("Relu", ["c" if uses else "x"], ["out"])]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "branch", [], [output])


def test_life_goes_through_bodies(tmp_path):
    decide = node(
        *("If", ["c"], ["y"]), then_branch=branch("v"), else_branch=branch("u", uses=False)
    )
    idle = node("If", ["c"], ["z"], then_branch=branch("t"), else_branch=branch("t"))
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, None)
    stored = [tensor(W, name) for name in "vut"]
    arrays = listing(tmp_path, model([decide, idle], stored, [IMAGE, condition]))
    assert {name: array.reason for name, array in arrays.items()} == {
        "v": None,
        "u": DEAD,
        "t": DEAD,
    }


def test_life_goes_through_what_a_body_is_given(tmp_path):
    info = [helper.make_tensor_value_info(n, 1, None) for n in ("i", "c", "a", "out")]
    body = helper.make_graph([node("Relu", ["a"], ["out"])], "b", info[:3], info[3:])
    nodes = [conv("q", y="a0"), node("Loop", ["", "", "a0"], ["y"], body=body)]
    [array] = listing(tmp_path, stored_model(nodes, {"q": W})).values()
    assert array.reason is None


def test_life_goes_through_functions(tmp_path):
    inner = [conv("fw", x="fx", y="c"), node("Relu", ["c"], ["fy"]), conv("fv", x="fx", y="idle")]
    block = helper.make_function(
        "own", "Block", ["fx", "fw", "fv"], ["fy"], inner, [helper.make_opsetid("", 21)]
    )
    calls = [helper.make_node("Block", ["x", "q", "r"], ["y"], domain="own")]
    arrays = listing(tmp_path, stored_model(calls, {"q": W, "r": W}, functions=[block]))
    assert {name: array.reason for name, array in arrays.items()} == {"q": None, "r": DEAD}


def test_a_model_that_declares_no_output_lives(tmp_path):
    proto = stored_model([conv()], {"w": W})
    del proto.graph.output[:]
    assert layers(listing(tmp_path, proto)).keys() == {"w"}


@pytest.mark.parametrize(
    ("op", "domain", "axes", "transposed"),
    [
        ("NhwcFusedConv", "com.microsoft", "OIHW", False),
        ("NhwcConv", "com.microsoft", "OHWI", False),
        ("Conv", "com.ms.internal.nhwc", "OIHW", False),
        ("ConvTranspose", "com.ms.internal.nhwc", "IOHW", True),
        ("ConvTransposeWithDynamicPads", "com.microsoft", "IOHW", True),
    ],
)
def test_the_weights_of_onnxruntimes_own_operators(tmp_path, op, domain, axes, transposed):
    arrays = listing(tmp_path, stored_model([conv(op=op, domain=domain)], {"w": W}))
    [array] = layers(arrays).values()
    assert (array.axes, array.transposed) == (axes, transposed)


@pytest.mark.parametrize("domain", ["com.microsoft", "com.ms.internal.nhwc"])
def test_a_quantized_convolution_in_channels_last_keeps_its_weight(tmp_path, domain):
    names = ["x", "s", "z", "w", "s", "z", "s", "z"]
    stored = {"w": np.full((6, 4, 3, 3), 9, np.uint8), "s": np.float32(0.5), "z": np.uint8(5)}
    nodes = [node("QLinearConv", names, ["y"], domain=domain, channels_last=1)]
    [array] = layers(listing(tmp_path, stored_model(nodes, stored))).values()
    assert (array.axes, array.applied) == ("OIHW", "dequantized")
    assert (array.read() == 2).all()


def test_blocked_weights_are_not_read(tmp_path):
    blocked = {"q": W, "r": W, "b": np.ones(6, np.float32)}
    nodes = [
        node("Conv", ["x", "q", "b"], ["a"], domain="com.microsoft.nchwc", name="first"),
        node("Conv", ["a", "r"], ["y"], domain="com.microsoft.nchwc", name="second"),
    ]
    arrays = listing(tmp_path, stored_model(nodes, blocked))
    assert not layers(arrays)
    assert unread(arrays).keys() == {"q", "r"}
    assert "first: nchwc: reordered into blocks for one machine" in str(arrays["q"].reason)
    assert arrays["b"].reason == "a parameter of com.microsoft.nchwc.Conv first"


@pytest.mark.parametrize("op", ["QLinearConvTranspose", "MMCVModulatedDeformConv2d", "DynamicConv"])
def test_convolutions_in_an_order_that_is_not_known_are_unread(tmp_path, op):
    nodes = [node(op, ["x", "offset", "q", "b"], ["y"], domain="other", name="c")]
    info = helper.make_tensor_value_info("offset", TensorProto.FLOAT, None)
    arrays = listing(
        tmp_path, stored_model(nodes, {"q": W, "b": W[:, 0, 0, 0]}, inputs=[IMAGE, info])
    )
    [reason] = unread(arrays).values()
    assert f"not followed to other.{op} c: the order of its weights is not known" in str(reason)


def test_what_is_called_a_conversion_does_not_convolve(tmp_path):
    nodes = [node("ConvertLayout", ["q"], ["y"], domain="other")]
    assert not unread(listing(tmp_path, stored_model(nodes, {"q": W})))
