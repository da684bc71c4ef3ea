"""The operators that convolve, and where each of them has its weight."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Convolution:
    """At which inputs an operator has its weight, bias, and the weight's scale and zero point."""

    weight: int = 1
    bias: int = 2
    scale: int | None = None
    zero: int | None = None
    axes: str = "OIHW"
    transposed: bool = False


_PLAIN, _TRANSPOSED = Convolution(), Convolution(axes="IOHW", transposed=True)
_QUANTIZED = Convolution(weight=3, bias=8, scale=4, zero=5)

# onnxruntime's NHWC variants have the image alone in that order, checked against its kernels and its
# sources; NhwcConv, which its transformer optimizer writes, has the weight in it too.
CONVOLUTIONS = {
    "Conv": _PLAIN,
    "com.microsoft.FusedConv": _PLAIN,
    "com.microsoft.NhwcFusedConv": _PLAIN,
    "com.microsoft.NhwcConv": Convolution(axes="OHWI"),
    "com.ms.internal.nhwc.Conv": _PLAIN,
    "ConvTranspose": _TRANSPOSED,
    "com.microsoft.ConvTransposeWithDynamicPads": dataclasses.replace(_TRANSPOSED, bias=3),
    "com.ms.internal.nhwc.ConvTranspose": _TRANSPOSED,
    "DeformConv": Convolution(bias=3),
    "ConvInteger": Convolution(bias=-1, zero=3),
    "QLinearConv": _QUANTIZED,
    "com.microsoft.QLinearConv": _QUANTIZED,
    "com.ms.internal.nhwc.QLinearConv": _QUANTIZED,
}
"""All convolution operators that are read, by name."""

_BLOCKED = "com.microsoft.nchwc."
_CONVOLVES = re.compile(r"(.*\.)?\w*Conv(?!ert)\w*")


def obstacle(op: str) -> str | None:
    """The reason why the weights of an operator that convolves are not read; None if there is none."""
    if op in CONVOLUTIONS or not _CONVOLVES.fullmatch(op):
        return None
    if op.startswith(_BLOCKED):
        return (
            "nchwc: reordered into blocks for one machine; save the graph with basic optimizations"
        )
    return "the order of its weights is not known; export it with the operators of ONNX itself"
