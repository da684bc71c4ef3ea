"""Weights that an ONNX graph computes from stored tensors: which layers they are, and by what name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from jfilters.converters import open_checkpoint
from jfilters.converters.internal import folded

from .onnx_models import conv, layers, listing, model, node, stored_model, tensor

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


W, POSITIVE = normal(6, 4, 3, 3), np.abs(normal(6, 4, 3, 3)) + np.float32(0.1)
GAIN, HALF, SHAPE = normal(6, 1, 1, 1), np.float32(0.5), ints(6, 4, 3, 3)


def weight_norm(order: str, *, root: bool = False) -> list:
    """g v / |v| as nodes, in one of the orders that exporters write."""
    norm = [node("ReduceL2", ["v", "axes"], ["n"])]
    if root:
        norm = [node("ReduceSumSquare", ["v", "axes"], ["n2"]), node("Sqrt", ["n2"], ["n"])]
    if order == "direction":
        return [*norm, node("Div", ["v", "n"], ["d"]), node("Mul", ["g", "d"], ["w"])]
    return [*norm, node("Div", ["g", "n"], ["f"]), node("Mul", ["v", "f"], ["w"])]


@pytest.mark.parametrize("order", ["direction", "factor"])
@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_weight_norm_is_recognized(tmp_path, order, root, op):
    stored = {"g": GAIN, "v": W, "axes": ints(1, 2, 3)}
    nodes = [*weight_norm(order, root=root), conv(op=op)]
    arrays = listing(tmp_path, stored_model(nodes, stored, 18))
    [array] = layers(arrays).values()
    assert (array.name, array.applied) == ("v", "weight-norm")
    norm = np.sqrt(np.square(W.astype("f8")).sum((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(array.read(), GAIN * W / norm, rtol=1e-5)
    assert arrays["g"].reason == f"part of the weight of {op} {op}_y"


def test_weight_norm_over_the_whole_tensor(tmp_path):
    nodes = [
        node("Reshape", ["v", "flat"], ["f"]),
        node("ReduceL2", ["f"], ["n"], keepdims=0),
        node("Div", ["g", "n"], ["s"]),
        node("Mul", ["v", "s"], ["w"]),
        conv(),
    ]
    stored = {"g": HALF, "v": W, "flat": ints(-1)}
    [array] = layers(listing(tmp_path, stored_model(nodes, stored, 18))).values()
    assert (array.name, array.applied) == ("v", "weight-norm")
    np.testing.assert_allclose(array.read(), W / np.linalg.norm(W) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        # The norm of another tensor, a gain of another shape, and a sum instead of a norm.
        [node("ReduceL2", ["u", "axes"], ["n"]), node("Div", ["v", "n"], ["d"])],
        [node("ReduceL2", ["v"], ["n"]), node("Div", ["v", "n"], ["d"])],
        [node("ReduceL1", ["v", "axes"], ["n"]), node("Div", ["v", "n"], ["d"])],
    ],
)
def test_what_only_looks_like_weight_norm_is_computed(tmp_path, nodes):
    stored = {"g": GAIN, "v": W, "u": POSITIVE, "axes": ints(1, 2, 3)}
    proto = stored_model([*nodes, node("Mul", ["d", "g"], ["w"]), conv()], stored, 18)
    [array] = layers(listing(tmp_path, proto)).values()
    assert array.applied == "computed"


def test_a_bank_is_a_layer_for_each_weight_that_is_taken_from_it(tmp_path):
    bank = normal(3, 4, 4, 3, 3)
    nodes = [
        node("Gather", ["bank", "i"], ["w0"]),
        node("Gather", ["bank", "j"], ["w1"]),
        node("Gather", ["bank", "j"], ["again"]),
        conv("w0", y="a"),
        conv("w1", x="a", y="b", group=1),
        conv("again", x="b", y="y"),
    ]
    stored = {"bank": bank, "i": ints(2)[0], "j": ints(0)[0]}
    arrays = listing(tmp_path, stored_model(nodes, stored))
    weights = layers(arrays)
    assert {name: array.depth for name, array in weights.items()} == {"bank": 1, "Conv_b": 2}
    np.testing.assert_array_equal(weights["bank"].read(), bank[2])
    np.testing.assert_array_equal(weights["Conv_b"].read(), bank[0])
    assert arrays["i"].reason == "part of the weight of Conv Conv_a"


def test_the_parts_of_a_split_are_layers(tmp_path):
    nodes = [
        node("Split", ["bank"], ["w0", "w1"], num_outputs=2),
        conv("w0", y="a"),
        conv("w1", x="a", y="y", group=2),
    ]
    weights = layers(listing(tmp_path, stored_model(nodes, {"bank": W}, 18)))
    assert {name: array.groups for name, array in weights.items()} == {"bank": 1, "Conv_y": 2}
    np.testing.assert_array_equal(weights["bank"].read(), W[:3])
    np.testing.assert_array_equal(weights["Conv_y"].read(), W[3:])


def test_the_groups_of_an_expanded_kernel(tmp_path):
    kernel = normal(1, 1, 3, 3)
    nodes = [node("Expand", ["k", "s"], ["w"]), conv(group=8)]
    [array] = layers(
        listing(tmp_path, stored_model(nodes, {"k": kernel, "s": ints(8, 1, 3, 3)}))
    ).values()
    assert (array.name, array.groups) == ("k", 8)
    np.testing.assert_array_equal(array.read(), np.repeat(kernel, 8, 0))


def standardized(suffix: str) -> list:
    """A computed weight with Constants of its own, as an exporter writes it for every call."""
    return [
        node("Constant", [], [f"axes{suffix}"], value=tensor(ints(1, 2, 3), "")),
        node("ReduceMean", ["q", f"axes{suffix}"], [f"m{suffix}"]),
        node("Sub", ["q", f"m{suffix}"], [f"w{suffix}"]),
    ]


def test_a_weight_that_is_computed_twice_in_the_same_way_is_one(tmp_path):
    nodes = [*standardized("0"), *standardized("1"), conv("w0", y="a"), conv("w1", x="a", y="y")]
    [array] = layers(listing(tmp_path, stored_model(nodes, {"q": W}, 18))).values()
    assert (array.name, array.depth) == ("q", 1)


def test_equal_weights_of_two_tensors_stay_two(tmp_path):
    nodes = [
        node("Constant", [], ["k0"], value=tensor(W, "first")),
        node("Constant", [], ["k1"], value=tensor(W, "second")),
        node("Mul", ["k0", "s"], ["w0"]),
        node("Mul", ["k1", "s"], ["w1"]),
        conv("w0", y="a"),
        conv("w1", x="a", y="y"),
    ]
    assert layers(listing(tmp_path, stored_model(nodes, {"s": GAIN}))).keys() == {"first", "second"}


def test_a_function_that_computes_its_weight_is_one_layer_however_often_it_is_called(tmp_path):
    inner = [
        node("Constant", [], ["k"], value=tensor(W, "inside")),
        node("Constant", [], ["s"], value_float=2.0),
        node("Mul", ["k", "s"], ["fw"]),
        conv("fw", x="fx", y="fy"),
    ]
    block = helper.make_function(
        "own", "Block", ["fx"], ["fy"], inner, [helper.make_opsetid("", 21)]
    )
    calls = [helper.make_node("Block", [x], [y], domain="own") for x, y in (("x", "a"), ("a", "y"))]
    [array] = layers(listing(tmp_path, model(calls, functions=[block]))).values()
    assert (array.name, array.depth, array.applied) == ("inside", 1, "computed")
    np.testing.assert_array_equal(array.read(), 2 * W)


def test_a_weight_that_a_body_computes(tmp_path):
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    inner = [node("Mul", ["v", "g"], ["w"]), conv(y="out")]
    body = helper.make_graph(inner, "branch", [], [output], [tensor(W, "v")])
    decide = node("If", ["x"], ["y"], then_branch=body, else_branch=body)
    arrays = listing(tmp_path, stored_model([decide], {"g": GAIN}))
    np.testing.assert_array_equal(arrays["v"].read(), W * GAIN)
    assert arrays["g"].reason == "part of the weight of Conv Conv_out"


def test_the_largest_tensor_names_a_weight_and_a_mask_does_not(tmp_path):
    mask = W > 0
    nodes = [
        node("Cast", ["m"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["f", "q"], ["fq"]),
        node("Mul", ["n_mask", "fq"], ["w"]),
        conv(),
    ]
    stored = {"m": mask, "n_mask": np.ones_like(W), "q": W}
    arrays = listing(tmp_path, stored_model(nodes, stored))
    assert layers(arrays).keys() == {"q"}
    assert arrays["m"].reason == arrays["n_mask"].reason == "part of the weight of Conv Conv_y"


def test_a_weight_of_no_tensor_goes_by_its_convolution(tmp_path):
    nodes = [node("ConstantOfShape", ["s"], ["w"]), conv()]
    [array] = layers(listing(tmp_path, stored_model(nodes, {"s": SHAPE}))).values()
    assert (array.name, array.shape) == ("Conv_y", W.shape)
    assert not array.read().any()


def test_the_norm_behind_a_computed_weight_is_tied_to_it(tmp_path):
    statistics = dict.fromkeys(("gamma", "beta", "mean", "var"), np.ones(6, np.float32))
    nodes = [
        *standardized(""),
        conv(y="c"),
        node("BatchNormalization", ["c", *statistics], ["y"], name="bn"),
    ]
    listing(tmp_path, stored_model(nodes, {"q": W, **statistics}, 18))
    assert folded(open_checkpoint(tmp_path / "model.onnx")).norms == {"q": "bn"}


@settings(max_examples=25)
@given(data=st.data())
def test_any_sum_of_products_is_what_numpy_makes_of_it(tmp_path_factory, data):
    values = [W, GAIN, POSITIVE, normal(4, 1, 1)]
    stored = {f"v{i}": array for i, array in enumerate(values)}
    nodes = []
    for _ in range(data.draw(st.integers(1, 12))):
        a, b = (data.draw(st.integers(0, len(values) - 1)) for _ in range(2))
        op, function = data.draw(st.sampled_from([("Sub", np.subtract), ("Max", np.maximum)]))
        nodes.append(node(op, [f"v{a}", f"v{b}"], [f"v{len(values)}"]))
        values.append(function(values[a], values[b]))
    nodes.append(node("Add", [f"v{len(values) - 1}", "v0"], ["w"]))
    folder = tmp_path_factory.mktemp("sums")
    [array] = layers(listing(folder, stored_model([*nodes, conv()], stored))).values()
    np.testing.assert_allclose(array.read(), values[-1] + W, rtol=1e-5, atol=1e-5)
