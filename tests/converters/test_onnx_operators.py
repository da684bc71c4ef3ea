"""The operators that weights are computed by, against the reference evaluator of onnx."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from .onnx_models import conv, layers, listing, node, reference, stored_model, tensor, unread

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


W, POSITIVE = normal(6, 4, 3, 3), np.abs(normal(6, 4, 3, 3)) + np.float32(0.1)
GAIN, HALF, SHAPE = normal(6, 1, 1, 1), np.float32(0.5), ints(6, 4, 3, 3)
LAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
QUANTIZED = RNG.integers(-128, 128, size=(6, 4, 3, 3)).astype(np.int8)

# What makes the value "w": nodes, stored tensors, and the version of the operators.
UNARY = {
    op: ([node(op, ["q"], ["w"])], {"q": POSITIVE if op in ("Sqrt", "Log") else W}, 21)
    for op in (
        *("Neg", "Abs", "Sign", "Relu", "Exp", "Tanh", "Sigmoid", "Softplus", "Floor", "Ceil"),
        *("Round", "Sqrt", "Log", "Reciprocal", "Sum", "Mean", "Max", "Min"),
    )
}
BINARY = {
    f"{op} {shape}{' behind' if behind else ''}": (
        [node(op, ["q", "s"][:: -1 if behind else 1], ["w"])],
        {"q": W, "s": normal(*shape) if shape else HALF},
        21,
    )
    for op in ("Add", "Sub", "Mul", "Div")
    for shape in ((6, 1, 1, 1), (3,), (), (4, 3, 3), (1, 6, 4, 1, 3)[1:])
    for behind in (False, True)
}
REDUCERS = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare")
REDUCTIONS = {
    f"Reduce{name} {label}": (
        [
            node(f"Reduce{name}", ["q", *inputs], ["r"], **attributes),
            node("Mul", ["q", "r"], ["w"]),
        ],
        {"q": W, **({"axes": axes} if inputs else {})},
        opset,
    )
    for name in REDUCERS
    for label, inputs, axes, attributes, opset in (
        ("by attribute", [], None, {"axes": [1, -1]}, 11),
        ("by input", ["axes"], ints(1, -1), {}, 18),
        ("dropping", ["axes"], ints(0), {"keepdims": 0}, 18),
        ("all", [], None, {}, 18),
        ("all, dropping", [], None, {"keepdims": 0}, 18),
        ("no axes", ["axes"], ints(), {"keepdims": 0}, 18),
        ("none", [], None, {"noop_with_empty_axes": 1}, 18),
    )
}


def clip(*bounds: str, opset: int = 21, **attributes):
    stored = {"q": W, "low": np.float32(-0.3), "high": np.float32(0.5)}
    return [node("Clip", ["q", *bounds], ["w"], **attributes)], stored, opset


def cut(starts, ends, axes=None, steps=None):
    given = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    stored = {"q": W, **{name: ints(*x) for name, x in given.items() if x is not None}}
    inputs = ["q", *("" if x is None else name for name, x in given.items())]
    return [node("Slice", inputs, ["w"])], stored, 21


def pads(*widths: int, **more: np.ndarray | None):
    stored = {"q": W, "p": ints(*widths), **more}
    inputs = ["q", "p", *("" if x is None else name for name, x in more.items())]
    given = {name: x for name, x in stored.items() if x is not None}
    return [node("Pad", inputs, ["w"])], given, 21


def gather(bank: np.ndarray, places: np.ndarray, axis: int = 0):
    return [node("Gather", ["q", "i"], ["w"], axis=axis)], {"q": bank, "i": places}, 21


OTHERS = {
    "Pow": ([node("Pow", ["q", "e"], ["w"])], {"q": W, "e": np.float32(2)}, 21),
    "Pow of an integer": ([node("Pow", ["q", "e"], ["w"])], {"q": W, "e": ints(3)[0]}, 21),
    "Sum of three": ([node("Sum", ["q", "a", "b"], ["w"])], {"q": W, "a": GAIN, "b": normal(3)}, 21),
    "Mean of three": ([node("Mean", ["q", "a", "b"], ["w"])], {"q": W, "a": GAIN, "b": normal(3)}, 21),
    "Max of two": ([node("Max", ["q", "a"], ["w"])], {"q": W, "a": GAIN}, 21),
    "Min of two": ([node("Min", ["q", "a"], ["w"])], {"q": W, "a": GAIN}, 21),
    "Clip": clip("low", "high"),
    "Clip below": clip("low"),
    "Clip above": clip("", "high"),
    "Clip by attributes": clip(opset=6, min=-0.2, max=0.4),
    "Where": (
        [node("Greater", ["q", "z"], ["m"]), node("Where", ["m", "q", "b"], ["w"])],
        {"q": W, "z": np.float32(0), "b": normal(3)},
        21,
    ),
    "a mask of equal ones": (
        [
            node("Equal", ["a", "b"], ["m"]),
            node("Cast", ["m"], ["f"], to=TensorProto.FLOAT),
            node("Mul", ["f", "q"], ["w"]),
        ],
        {"q": W, "a": ints(0, 1, 2), "b": ints(0, 5, 2)},
        21,
    ),
    "integers are divided towards zero": (
        [
            node("Div", ["a", "b"], ["d"]),
            node("CastLike", ["d", "q"], ["f"]),
            node("Mul", ["q", "f"], ["w"]),
        ],
        {"q": W, "a": ints(-7, 7, 6), "b": ints(2, -2, 3)},
        21,
    ),
    "Concat": ([node("Concat", ["a", "b"], ["w"], axis=-4)], {"a": W[:2], "b": W[2:]}, 21),
    "Concat of inputs": ([node("Concat", ["a", "b"], ["w"], axis=1)], {"a": W[:, :1], "b": W[:, 1:]}, 21),
    "Slice": cut([1], [-1], [0]),
    "Slice backwards": cut([-1], [-100], [0], [-1]),
    "Slice to the very first": cut([-1, -1], [LAST, LAST], [2, 3], [-1, -1]),
    "Slice backwards to an end": cut([100], [1], [0], [-2]),
    "Slice beyond the end": cut([0], [MOST], [1], [3]),
    "Slice without axes": cut([0, 1], [5, 100]),
    "Slice by attributes": (
        [node("Slice", ["q"], ["w"], starts=[1, 0], ends=[5, -1], axes=[0, 1])],
        {"q": W},
        9,
    ),
    "Split": ([node("Split", ["q", "s"], ["a", "w"], axis=1)], {"q": W, "s": ints(1, 3)}, 13),
    "Split by attribute": ([node("Split", ["q"], ["a", "w"], split=[2, 4])], {"q": W}, 11),
    "Split evenly": ([node("Split", ["q"], ["a", "w", "b"])], {"q": W}, 13),
    "Split with a smaller last part": (
        [node("Split", ["q"], ["a", "b", "c", "w"], num_outputs=4)],
        {"q": normal(7, 4, 3, 3)},
        18,
    ),
    "a member of a sequence": (
        [
            node("SplitToSequence", ["q", "s"], ["parts"], axis=0),
            node("SequenceAt", ["parts", "i"], ["w"]),
        ],
        {"q": W, "s": ints(4)[0], "i": ints(-1)[0]},
        18,
    ),
    "Gather one of a bank": gather(normal(3, 6, 4, 3, 3), ints(-1)[0]),
    "Gather channels": gather(W, ints(3, 0, -2, 0), axis=1),
    "Gather a square": gather(W[..., 0], ints(0, 1, 2, 1).reshape(2, 2), axis=2),
    "Expand": (
        [node("Expand", ["q", "s"], ["w"])], {"q": normal(1, 1, 3, 3), "s": ints(8, 1, 1, 1)}, 21
    ),
    "Expand a matrix": (
        [node("Expand", ["q", "s"], ["w"])], {"q": normal(3, 3), "s": ints(8, 1, 3, 3)}, 21
    ),
    "Tile": ([node("Tile", ["q", "s"], ["w"])], {"q": normal(2, 1, 3, 3), "s": ints(4, 2, 1, 1)}, 21),
    "Pad": pads(0, 0, 1, 1, 0, 0, 1, 1),
    "Pad with a value": pads(0, 0, 1, 0, 0, 0, 2, 1, v=np.float32(0.25)),
    "Pad some axes": pads(1, 1, 2, 0, v=None, axes=ints(3, -2)),
    "Pad by attributes": ([node("Pad", ["q"], ["w"], pads=[0, 0, 1, 1] * 2, value=0.5)], {"q": W}, 2),
    "Flatten": (
        [node("Flatten", ["q"], ["f"], axis=-1), node("Reshape", ["f", "s"], ["w"])],
        {"q": W, "s": SHAPE},
        21,
    ),
    "a shape of a shape": (
        [
            node("Shape", ["q"], ["a"], start=0, end=-1),
            node("Concat", ["a", "b"], ["s"], axis=0),
            node("Reshape", ["q", "s"], ["w"]),
        ],
        {"q": W.reshape(6, 4, 9), "b": ints(3, 3)},
        15,
    ),
    "ConstantOfShape": (
        [
            node("ConstantOfShape", ["s"], ["o"], value=tensor(np.float32([0.5]), "v")),
            node("Add", ["q", "o"], ["w"]),
        ],
        {"q": W, "s": SHAPE},
        21,
    ),
    "ConstantOfShape of no axes": (
        [
            node("Shape", ["h"], ["s"]),
            node("ConstantOfShape", ["s"], ["o"], value=tensor(np.float32([3]), "v")),
            node("Mul", ["q", "o"], ["w"]),
        ],
        {"q": W, "h": HALF},
        21,
    ),
    "Range": (
        [node("Range", ["a", "b", "c"], ["r"]), node("Mul", ["q", "r"], ["w"])],
        {"q": W, "a": np.float32(0.5), "b": np.float32(2), "c": HALF},
        21,
    ),
    "a low-rank update": (
        [
            node("MatMul", ["b", "a"], ["ba"]),
            node("Reshape", ["ba", "s"], ["d"]),
            node("Mul", ["d", "half"], ["dh"]),
            node("Add", ["q", "dh"], ["w"]),
        ],
        {"q": W, "b": normal(6, 2), "a": normal(2, 36), "s": SHAPE, "half": HALF},
        21,
    ),
    "MatMul of stacks": ([node("MatMul", ["b", "q"], ["w"])], {"q": W, "b": normal(1, 4, 3, 3)}, 21),
    "Gemm": (
        [
            node("Gemm", ["a", "b", "c"], ["d"], transA=1, transB=1, alpha=0.5, beta=2.0),
            node("Reshape", ["d", "s"], ["w"]),
        ],
        {"a": normal(5, 6), "b": normal(36, 5), "c": normal(36), "s": SHAPE},
        21,
    ),
    "Einsum": (
        [node("Einsum", ["a", "q"], ["w"], equation="oi, icxy -> ocxy")],
        {"q": W, "a": normal(5, 6)},
        21,
    ),
    "Einsum without a result": (
        [node("Einsum", ["a", "b"], ["m"], equation="ij,jk"), node("Reshape", ["m", "s"], ["w"])],
        {"a": normal(6, 3), "b": normal(3, 36), "s": SHAPE},
        21,
    ),
    "BatchNormalization": (
        [node("BatchNormalization", ["q", "g", "b", "m", "v"], ["w"], epsilon=1e-3)],
        {"q": W, "g": normal(4), "b": normal(4), "m": normal(4), "v": np.abs(normal(4))},
        15,
    ),
    "InstanceNormalization": (
        [node("InstanceNormalization", ["q", "g", "b"], ["w"], epsilon=1e-3)],
        {"q": W, "g": normal(4), "b": normal(4)},
        21,
    ),
    "halves of other scales": (
        [
            node("DequantizeLinear", ["q", "s"], ["a"]),
            node("DequantizeLinear", ["r", "t"], ["b"], axis=0),
            node("Concat", ["a", "b"], ["w"], axis=0),
        ],
        {"q": QUANTIZED[:3], "s": HALF, "r": QUANTIZED[3:], "t": np.abs(normal(3))},
        21,
    ),
    "a spectral norm": (
        [
            node("Flatten", ["q"], ["f"], axis=1),
            node("MatMul", ["f", "v"], ["fv"]),
            node("MatMul", ["u", "fv"], ["sigma"]),
            node("Div", ["q", "sigma"], ["w"]),
        ],
        {"q": W, "u": normal(6), "v": normal(36)},
        21,
    ),
    "a Constant as a factor": (
        [node("Constant", [], ["c"], value_float=0.5), node("Mul", ["q", "c"], ["w"])],
        {"q": W},
        21,
    ),
    "float64": ([node("Mul", ["q", "s"], ["w"])], {"q": W.astype("f8"), "s": GAIN.astype("f8")}, 21),
    "float16": ([node("Mul", ["q", "s"], ["w"])], {"q": W.astype("f2"), "s": GAIN.astype("f2")}, 21),
}  # fmt: skip
MOVED = ("Flatten", "a shape of a shape")
COMPUTED = {**UNARY, **BINARY, **REDUCTIONS, **OTHERS}


@pytest.mark.parametrize("way", COMPUTED)
def test_a_computed_weight_is_what_the_graph_computes(tmp_path, way):
    nodes, stored, opset = COMPUTED[way]
    expected = reference(nodes, stored, opset)
    arrays = listing(tmp_path, stored_model([*nodes, conv()], stored, opset))
    [array] = layers(arrays).values()
    assert not unread(arrays)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype.name)
    assert array.read().dtype == expected.dtype
    np.testing.assert_allclose(
        array.read(), expected, rtol=2e-3 if "16" in way else 1e-5, atol=1e-6
    )
    assert array.applied == ("as stored" if way in MOVED else "computed")


def test_arithmetic_of_single_numbers(tmp_path):
    nodes = [
        node("Shape", ["q"], ["s"]),
        node("Gather", ["s", "i"], ["n"]),
        node("Div", ["n", "two"], ["h"]),
        node("Sum", ["h", "h"], ["n2"]),
        node("Unsqueeze", ["n2", "zero"], ["first"]),
        node("Concat", ["first", "behind"], ["shape"], axis=0),
        node("Sigmoid", ["half"], ["p"]),
        node("Div", ["p", "half"], ["r"]),
        node("Mul", ["q", "r"], ["m"]),
        node("Reshape", ["m", "shape"], ["w"]),
    ]
    stored = {"q": W, "i": ints(0)[0], "two": ints(2)[0], "zero": ints(0), "behind": ints(-1, 3, 3)}
    stored |= {"half": HALF}
    [array] = layers(listing(tmp_path, stored_model([*nodes, conv()], stored))).values()
    np.testing.assert_allclose(array.read(), reference(nodes, stored), rtol=1e-6)


def test_training_mode_standardizes_with_the_statistics_of_the_weight(tmp_path):
    rows = W.reshape(1, 6, -1)
    nodes = [
        node("Reshape", ["q", "rows"], ["r"]),
        node(
            *("BatchNormalization", ["r", "g", "b", "m", "v"], ["n", "mean", "var"]),
            training_mode=1,
            epsilon=1e-6,
        ),
        node("Shape", ["q"], ["shape"]),
        node("Reshape", ["n", "shape"], ["w"]),
        conv(),
    ]
    ones, zeros = np.ones(6, np.float32), np.zeros(6, np.float32)
    stored = {"q": W, "rows": ints(1, 6, -1), "g": ones, "b": zeros, "m": zeros, "v": ones}
    [array] = layers(listing(tmp_path, stored_model(nodes, stored, 15))).values()
    deviation = np.sqrt(rows.var(-1, keepdims=True) + 1e-6)
    expected = ((rows - rows.mean(-1, keepdims=True)) / deviation).reshape(W.shape)
    np.testing.assert_allclose(array.read(), expected, rtol=1e-4, atol=1e-5)


def test_the_first_operator_sets_tell_the_axis_of_a_factor(tmp_path):
    stored = {"q": W, "g": GAIN.reshape(-1)}
    nodes = [node("Mul", ["q", "g"], ["w"], broadcast=1, axis=0), conv()]
    [array] = layers(listing(tmp_path, stored_model(nodes, stored, 6))).values()
    np.testing.assert_array_equal(array.read(), W * GAIN)


def test_bfloat16_is_computed_in_float32_and_rounded(tmp_path):
    half, gain = W.astype(ml_dtypes.bfloat16), GAIN.astype(ml_dtypes.bfloat16)
    stored = {"q": half, "g": gain}
    proto = stored_model([node("Mul", ["q", "g"], ["w"]), conv()], stored)
    [array] = layers(listing(tmp_path, proto)).values()
    assert array.dtype == "bfloat16"
    wide = half.astype(np.float32) * gain.astype(np.float32)
    np.testing.assert_array_equal(array.read(), wide.astype(ml_dtypes.bfloat16))


def test_a_scale_of_float16_gives_float16(tmp_path):
    stored = {"q": QUANTIZED, "s": np.float16(0.25)}
    nodes = [node("DequantizeLinear", ["q", "s"], ["w"]), conv()]
    [array] = layers(listing(tmp_path, stored_model(nodes, stored))).values()
    assert (array.dtype, array.applied) == ("float16", "dequantized")
    np.testing.assert_array_equal(array.read(), reference(nodes[:1], stored))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [(([-1], [MOST], [2], [-1]), W[:, :, ::-1]), (([-100], [LAST], [0], [-1]), W[:1])],
)
def test_slices_backwards_in_which_onnxruntime_is_not_python(tmp_path, bounds, expected):
    """The largest integer ends them at the front, and a start before the front is the front."""
    nodes, stored, opset = cut(*bounds)
    [array] = layers(listing(tmp_path, stored_model([*nodes, conv()], stored, opset))).values()
    np.testing.assert_array_equal(array.read(), expected)


def test_negative_pads_crop(tmp_path):
    nodes, stored, opset = pads(-1, 0, 1, -1, -2, 0, -1, 2)
    [array] = layers(listing(tmp_path, stored_model([*nodes, conv()], stored, opset))).values()
    expected = np.pad(W[1:-2, :, :-1, 1:], ((0, 0), (0, 0), (1, 0), (0, 2)))
    np.testing.assert_array_equal(array.read(), expected)
