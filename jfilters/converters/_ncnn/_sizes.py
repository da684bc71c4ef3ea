"""The weights of each type of layer, in the order in which ncnn reads them from the file.

Every count here was compared with the bytes that ncnn 1.0.20261020 itself reads for such a layer; the table
of operators is in ncnn's docs/developer-guide/operators.md.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ...errors import CheckpointError
from ._param import Step


class Part(NamedTuple):
    """One array of a layer. `is_tagged`: four bytes before it say how it is stored; else it is float32."""

    role: str
    shape: tuple[int, ...]
    is_tagged: bool = False


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A type of convolution: its spatial axes, whether it has groups, and whether it is transposed.

    `is_plain` ones have neither scales nor a weight that another layer makes.
    """

    rank: int = 2
    is_grouped: bool = False
    transposed: bool = False
    is_plain: bool = False

    def shape(self, step: Step) -> tuple[int, ...]:
        """(out, in / groups, *spatial), whose inputs only the count of weights gives away."""
        outputs, width, size = step.number(0), step.number(1), step.number(6)
        spatial = (step.number(21, width), step.number(11, width), width)[3 - self.rank :]
        per_input = outputs * math.prod(spatial)
        groups = self.groups(step)
        if not per_input or not size or size % per_input or not groups or outputs % groups:
            kernel = f"{outputs} outputs in {groups} groups and a kernel of {spatial}"
            raise CheckpointError(f"{size} weights do not fit {kernel}", tensor=step.name)
        return (outputs, size // per_input, *spatial)

    def groups(self, step: Step) -> int:
        """The groups of a layer."""
        return step.number(7, 1) if self.is_grouped else 1

    def parts(self, step: Step) -> Iterator[Part]:
        """The arrays of a layer; none where its weight is another layer's output."""
        if self.is_dynamic(step):
            return
        yield Part("weight", self.shape(step), True)
        if step.number(5):
            yield Part("bias", (step.number(0),))
        if self.rank == 2 and not self.transposed and not self.is_plain:
            yield from self._scales(step)

    def is_dynamic(self, step: Step) -> bool:
        """Return whether the weight is computed while the network runs."""
        return not self.is_plain and step.number(28 if self.transposed else 19) != 0

    def _scales(self, step: Step) -> Iterator[Part]:
        term = step.number(8)
        if not term:
            return
        is_single = self.is_grouped and term in (2, 102)
        yield Part(SCALES, (1 if is_single else self._scaled(step),))
        yield Part("input scale", (1,))
        if term > 100:
            yield Part("output scale", (1,))

    def _scaled(self, step: Step) -> int:
        return self.groups(step) if self.is_grouped else step.number(0)


SCALES = "scales"
"""The role of the factors by which weights were multiplied before they were rounded to int8."""

CONVOLUTIONS = {
    f"{name}{grouped}{rank}": Convolution(int(rank[:1] or 2), bool(grouped), name.startswith("D"))
    for name in ("Convolution", "Deconvolution")
    for grouped in ("", "DepthWise")
    for rank in ("", "1D", "3D")
} | {"DeformableConv2D": Convolution(is_plain=True)}


def parts(step: Step) -> Sequence[Part]:
    """The arrays of a layer, none of them empty."""
    if step.kind in CONVOLUTIONS:
        arrays = CONVOLUTIONS[step.kind].parts(step)
    else:
        arrays = _OTHERS.get(step.kind, _none)(step)
    return [part for part in arrays if math.prod(part.shape)]


def has_known_parts(kind: str) -> bool:
    """Return whether the arrays of a type of layer are known."""
    return kind in CONVOLUTIONS or kind in _OTHERS


def _none(step: Step) -> Sequence[Part]:
    return ()


def _vectors(**roles: int) -> Callable[[Step], Iterator[Part]]:
    """Arrays of one axis, each as long as the number of that key says."""

    def parts(step: Step) -> Iterator[Part]:
        return (Part(role, (step.number(key),)) for role, key in roles.items())

    return parts


def _affine(size: int, affine: int, *roles: str) -> Callable[[Step], Sequence[Part]]:
    """Arrays of one axis that a layer has unless its number `affine` is 0."""

    def parts(step: Step) -> Sequence[Part]:
        return [Part(role, (step.number(size),)) for role in roles if step.number(affine, 1)]

    return parts


def _scale(step: Step) -> Iterator[Part]:
    if step.numbers.get(0) == -233:  # The factors are another layer's output.
        return
    yield Part("scale", (step.number(0),))
    if step.number(1):
        yield Part("bias", (step.number(0),))


def _scalars(*roles: str) -> Callable[[Step], Iterator[Part]]:
    """Arrays whose lengths are the first numbers of a layer: the scales count 1 unless told, the bias 0."""

    def parts(step: Step) -> Iterator[Part]:
        for key, role in enumerate(roles):
            yield Part(role, (step.number(key, 0 if role == "bias" else 1),))

    return parts


def _dense(step: Step) -> Iterator[Part]:
    outputs, size = step.number(0), step.number(2)
    yield Part("weight", _rows(step, size, outputs), True)
    if step.number(1):
        yield Part("bias", (outputs,))
    if step.number(8):
        yield Part(SCALES, (outputs,))
        yield Part("input scale", (1,))


def _embedding(step: Step) -> Iterator[Part]:
    outputs = step.number(0)
    yield Part("weight", (step.number(3),), True)
    if step.number(2):
        yield Part("bias", (outputs,))
    if step.number(18):
        yield Part("weight scale", (1,))


def _constant(step: Step) -> Iterator[Part]:
    sizes = [size for size in (step.number(key) for key in (2, 11, 1, 0)) if size]
    if sizes:
        yield Part("data", tuple(sizes), not step.number(21, 1))


def _recurrent(gates: int, biases: int) -> Callable[[Step], Iterator[Part]]:
    """The arrays of a recurrent layer with so many gates and rows of biases."""

    def parts(step: Step) -> Iterator[Part]:
        outputs, directions = step.number(0), 2 if step.number(2) == 2 else 1
        hidden = step.number(3, outputs) if gates == 4 else outputs
        yield Part("weight_xc", _rows(step, step.number(1), directions * hidden * gates), True)
        yield Part("bias_c", (directions, biases, hidden), True)
        yield Part("weight_hc", (directions, gates * hidden, outputs), True)
        if hidden != outputs:
            yield Part("weight_hr", (directions, outputs, hidden), True)
        if step.number(8):
            yield Part("weight_hc scales", (directions, gates * hidden))
            yield Part("weight_xc scales", (directions, gates * hidden))

    return parts


def _attention(step: Step) -> Iterator[Part]:
    width, size = step.number(0), step.number(2)
    query = _rows(step, size, width)[1]
    inputs = {"q": query, "k": step.number(3, width), "v": step.number(4, width)}
    for name, count in inputs.items():
        yield Part(f"{name}_weight", (width, count), True)
        yield Part(f"{name}_bias", (width,))
    yield Part("out_weight", (query, width), True)
    yield Part("out_bias", (query,))
    if step.number(18):
        yield from (Part(f"{name} scales", (width,)) for name in inputs)
        yield Part("out scale", (1,))


_BLOCKS = (32, 64, 128)
"""Weights that share a scale, by the last digit of the number that says how a product is quantized."""


def _product(step: Step) -> Iterator[Part]:
    m, n, k, term = *(step.number(key) for key in (7, 8, 9)), step.number(18)
    has_left, has_right = step.number(4) == 1, step.number(5) == 1
    is_packed = term >= 400 and step.number(3)
    if is_packed and term % 10 >= len(_BLOCKS):
        raise CheckpointError(f"weights quantized in the unknown way {term}", tensor=step.name)
    if has_left:
        yield Part("A", (m, k), True)
    if has_right:
        yield Part("B", (n, -(-k * (term // 100) // 8) if is_packed else k), True)
    broadcast = step.numbers.get(10, 0)
    if step.number(6) == 1 and broadcast in (0, 1, 2, 3, 4):
        yield Part("C", ((1,), (m,), (m,), (m, n), (n,))[int(broadcast)], True)
    if is_packed:
        yield Part("B scales", (n, -(-k // _BLOCKS[term % 10])))
        if term % 100 // 10 == 1:
            yield Part("B input scales", (k,))
    elif term:
        yield from (Part("A scales", (m,)) for _ in range(has_left))
        yield from (Part("B scale", (1,)) for _ in range(has_right))


def _rows(step: Step, size: int, rows: int) -> tuple[int, int]:
    """The shape of a matrix of `size` values. Raises CheckpointError if they do not fill its rows."""
    if not rows or size % rows:
        raise CheckpointError(f"{size} weights do not fill {rows} rows", tensor=step.name)
    return rows, size // rows


_OTHERS: dict[str, Callable[[Step], Iterator[Part] | Sequence[Part]]] = {
    "BatchNorm": _vectors(slope=0, mean=0, var=0, bias=0),
    "Bias": _vectors(bias=0),
    "Dequantize": _scalars("scale", "bias"),
    "Embed": _embedding,
    "GRU": _recurrent(3, 4),
    "Gemm": _product,
    "GroupNorm": _affine(1, 3, "gamma", "beta"),
    "InnerProduct": _dense,
    "InstanceNorm": _affine(0, 2, "gamma", "beta"),
    "LSTM": _recurrent(4, 4),
    "LayerNorm": _affine(0, 2, "gamma", "beta"),
    "MemoryData": _constant,
    "MultiHeadAttention": _attention,
    "Normalize": _vectors(scale=3),
    "PReLU": _vectors(slope=0),
    "Padding": _vectors(value=6),
    "Quantize": _scalars("scale"),
    "RMSNorm": _affine(0, 2, "gamma"),
    "RNN": _recurrent(1, 1),
    "Requantize": _scalars("scale_in", "scale_out", "bias"),
    "Scale": _scale,
}
