"""The schema of TensorFlow Lite as far as it is read: numbers of fields, types and operators.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3, as of TensorFlow 2.21.
"""

import dataclasses


class Model:
    """Fields of the root table."""

    OPERATOR_CODES, SUBGRAPHS, BUFFERS = 1, 2, 4


class OperatorCode:
    """Fields of the kind of an operator."""

    OLD_BUILTIN, CUSTOM, BUILTIN = 0, 1, 3


class Subgraph:
    """Fields of a subgraph."""

    TENSORS, INPUTS, OUTPUTS, OPERATORS, NAME = range(5)


class Tensor:
    """Fields of a tensor."""

    SHAPE, TYPE, BUFFER, NAME, QUANTIZATION = range(5)
    SPARSITY, SIGNATURE, EXTERNAL = 6, 7, 10


class Operator:
    """Fields of an operator."""

    CODE, INPUTS, OUTPUTS, OPTIONS = 0, 1, 2, 4


class Buffer:
    """Fields of a buffer: bytes inside the flatbuffer, or a place behind it in the same file."""

    DATA, OFFSET, SIZE = range(3)


class Quantization:
    """Fields of the quantization of a tensor."""

    SCALE, ZERO, DETAILS, AXIS = 2, 3, 4, 6


class Sparsity:
    """Fields of the sparsity of a tensor."""

    ORDER, BLOCKS, LEVELS = range(3)


class Level:
    """Fields of one level of a sparse tensor."""

    FORMAT, SIZE, SEGMENTS_TYPE, SEGMENTS, INDICES_TYPE, INDICES = range(6)


SPARSE_VECTORS = {1: "<i4", 2: "<u2", 3: "u1"}
"""The dtypes of segments and indices, by the number of the union."""

DTYPES = {
    0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64),
    5: ("string", 0), 6: ("bool", 8), 7: ("int16", 16), 8: ("complex64", 64), 9: ("int8", 8),
    10: ("float64", 64), 11: ("complex128", 128), 12: ("uint64", 64), 13: ("resource", 0),
    14: ("variant", 0), 15: ("uint32", 32), 16: ("uint16", 16), 17: ("int4", 4),
    18: ("bfloat16", 16), 19: ("int2", 2), 20: ("uint4", 4), 21: ("float8_e4m3fn", 8),
    22: ("float8_e5m2", 8),
}  # fmt: skip
"""Names and bits of the types of tensors."""

QUANTIZED = ("int8", "uint8", "int16", "int4", "uint4", "int2")
"""The types of weights that a scale turns into numbers."""


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The inputs at which an operator has its image, weight and bias, and the axes of its weight."""

    axes: str
    image: int = 0
    bias: int = 2
    transposed: bool = False

    weight = 1


CONV_2D, DEPTHWISE = "CONV_2D", "DEPTHWISE_CONV_2D"

# The kernel of a transposed convolution is stored as that of the convolution whose transpose it is.
CONVOLUTIONS = {
    CONV_2D: Convolution("OHWI"),
    DEPTHWISE: Convolution("IHWO"),
    "TRANSPOSE_CONV": Convolution("OHWI", image=2, bias=3, transposed=True),
    "CONV_3D": Convolution("DHWIO"),
    "CONV_3D_TRANSPOSE": Convolution("DHWOI", image=2, bias=3, transposed=True),
    # Of MediaPipe.
    "Convolution2DTransposeBias": Convolution("OHWI", transposed=True),
}
"""The operators that convolve, by name."""

DEQUANTIZE, DENSIFY, TRANSPOSE = "DEQUANTIZE", "DENSIFY", "TRANSPOSE"
RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")

OPERATORS = {
    0: "ADD", 3: CONV_2D, 4: DEPTHWISE, 6: DEQUANTIZE, 9: "FULLY_CONNECTED", 18: "MUL",
    22: "RESHAPE", 32: "CUSTOM", 34: "PAD", 39: TRANSPOSE, 43: "SQUEEZE", 54: "PRELU",
    67: "TRANSPOSE_CONV", 70: "EXPAND_DIMS", 118: "IF", 119: "WHILE", 124: DENSIFY,
    129: "CALL_ONCE", 132: "CONV_3D", 141: "CONV_3D_TRANSPOSE", 171: "STABLEHLO_CONVOLUTION",
}  # fmt: skip
"""Names of the operators that something is known of, and of the commonest ones with parameters."""

CALLS = {"IF": (0, 1), "WHILE": (0, 1), "CALL_ONCE": (0,)}
"""The fields of the options of operators that run other subgraphs, which hold their numbers."""
