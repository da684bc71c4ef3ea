"""The operators of TensorFlow that convolve, and those that a weight or its channels pass through."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The inputs at which an operator has its image and its weight, and the axes of the weight."""

    axes: str = "HWIO"
    image: int = 0
    transposed: bool = False

    weight = 1


_PLAIN, _DEPTHWISE = Convolution(), Convolution("HWIM")
_VOLUME = Convolution("DHWIO")

# What computes a gradient of one is the other: (sizes, weight, image).
CONVOLUTIONS = {
    "Conv": _PLAIN,
    "Conv2D": _PLAIN,
    "_FusedConv2D": _PLAIN,
    "FusedConv2D": _PLAIN,
    "FusedConv2DBiasActivation": _PLAIN,
    "DepthwiseConv2dNative": _DEPTHWISE,
    "DepthwiseConv2d": _DEPTHWISE,
    "FusedDepthwiseConv2dNative": _DEPTHWISE,
    "_FusedDepthwiseConv2dNative": _DEPTHWISE,
    "Conv2DBackpropInput": Convolution("HWOI", 2, transposed=True),
    "Conv2dTranspose": Convolution("HWOI", 2, transposed=True),
    "Conv1D": Convolution("WIO"),
    "Conv3D": _VOLUME,
    "_FusedConv3D": _VOLUME,
    "Conv3DBackpropInputV2": Convolution("DHWOI", 2, transposed=True),
}
"""The operators that convolve, by name."""

_CONVOLVES = re.compile(r"\w*conv(?!ert)\w*", re.IGNORECASE)
_GRADIENT = re.compile(r"\w*Backprop(Filter|Input)\w*")


def is_unknown_convolution(op: str) -> bool:
    """Return whether an operator convolves in a way that is not known here."""
    is_known = op in CONVOLUTIONS or _GRADIENT.fullmatch(op) is not None
    return not is_known and _CONVOLVES.fullmatch(op) is not None


TRANSPARENT = {
    *("Identity", "ReadVariableOp", "StopGradient", "PreventGradient", "Snapshot", "CheckNumerics"),
    *("Enter", "RefEnter", "Switch", "RefSwitch", "Cast", "EnsureShape", "RefIdentity"),
    *("PlaceholderWithDefault", "OptimizationBarrier"),
}
"""The operators that leave the numbers and axes of a weight as they are."""

VARIABLES = {"VarHandleOp", "VariableV2", "Variable", "AutoReloadVariable"}
"""The operators that hold a variable."""

CONSTANT = "Const"

WITHOUT_INPUT = {CONSTANT, *VARIABLES, "NoOp", "RestoreV2", "HashTableV2", "MutableHashTableV2"}
"""The operators that read nothing and are no input of a network."""

KEEPING = {
    *("BiasAdd", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus"),
    *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx", "Prelu"),
    *("Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "MaxPool", "AvgPool", "Pad"),
    *("MaxPool3D", "AvgPool3D", "PadV2", "MirrorPad", "ResizeBilinear", "ResizeNearestNeighbor"),
    *("SpaceToBatchND", "BatchToSpaceND", "Softmax", "Exp", "Square", "Sqrt", "Rsqrt", "AddN"),
}
"""The operators that give as many channels as their first input has."""

NORMALIZES = re.compile(r"_?FusedBatchNorm(V[23]|Ex)?")

_KEEPS_HOUSE = re.compile(
    r"(Resource)?(Sparse)?(Apply|Scatter)\w*|Assign\w*|DisableCopyOnRead|VarIsInitializedOp"
    r"|IsVariableInitialized|SaveV2"
)


def keeps_house(op: str) -> bool:
    """Return whether an operator only restores, saves or trains variables."""
    return _KEEPS_HOUSE.fullmatch(op) is not None
