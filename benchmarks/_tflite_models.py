"""Small models of TensorFlow Lite, written field by field as its schema numbers them."""

import math
from collections.abc import Sequence

import numpy as np

from ._flatbuffers import flatbuffer

CODES = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6, "RESHAPE": 22, "TRANSPOSE": 39,
         "TRANSPOSE_CONV": 67, "IF": 118, "WHILE": 119, "DENSIFY": 124, "CONV_3D": 132,
         "CONV_3D_TRANSPOSE": 141, "RELU": 19, "STABLEHLO_CONVOLUTION": 171}  # fmt: skip
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9, "int4": 17, "uint4": 20}


def tensor(
    name: str, shape: tuple[int, ...], dtype: str = "float32", buffer: int = 0, **more
) -> dict:
    """A tensor; `more` are `scale`, `zero`, `axis` of its quantization, and `sparsity`."""
    fields = {0: np.array(shape, "<i4"), 1: ("<b", TYPES[dtype]), 2: ("<I", buffer), 3: name}
    if "scale" in more:
        zero = np.array(more.get("zero", [0]), "<i8")
        fields[4] = {2: np.array(more["scale"], "<f4"), 3: zero, 6: ("<i", more.get("axis", 0))}
    if "sparsity" in more:
        fields[6] = more["sparsity"]
    return fields


def operator(
    code: str, inputs: list[int], outputs: list[int], options: dict | None = None
) -> tuple:
    """An operator by its name in `CODES`, or by that of a custom one."""
    fields = {1: np.array(inputs, "<i4"), 2: np.array(outputs, "<i4")}
    return code, fields | ({} if options is None else {4: options})


def subgraph(
    tensors: list[dict], inputs: list[int], operators: list[tuple], name: str = ""
) -> dict:
    """A subgraph of these tensors and operators."""
    return {"tensors": tensors, "inputs": inputs, "operators": operators, "name": name}


def model(subgraphs: list[dict], buffers: Sequence[bytes | dict]) -> bytes:
    """The bytes of a model; buffer 0, which is empty, is put before the others."""
    kinds = sorted({code for graph in subgraphs for code, _ in graph["operators"]})
    codes = [_code(kind) for kind in kinds]
    tables = [
        {
            0: graph["tensors"],
            1: np.array(graph["inputs"], "<i4"),
            3: [{0: ("<I", kinds.index(code))} | fields for code, fields in graph["operators"]],
            4: graph["name"],
        }
        for graph in subgraphs
    ]
    stored = [{}, *({0: data} if isinstance(data, bytes) else data for data in buffers)]
    return flatbuffer({0: ("<I", 3), 1: codes, 2: tables, 4: stored}, b"TFL3")


def _code(kind: str) -> dict:
    number = CODES.get(kind, 32)
    custom = {} if kind in CODES else {1: kind}
    return {0: ("<b", min(number, 127)), 3: ("<i", number)} | custom


def chain(weights: list[tuple[str, np.ndarray, dict]], channels: int = 4) -> bytes:
    """A model of convolutions one behind the other: operator, stored weight, and more of its tensor."""
    tensors, operators, buffers = [tensor("image", (1, 8, 8, channels))], [], []
    for number, (code, values, more) in enumerate(weights):
        at, dtype = len(tensors), more.get("dtype", values.dtype.name)
        shape = more.get("shape", values.shape)
        options = {k: v for k, v in more.items() if k not in ("dtype", "shape")}
        buffers.append(values.tobytes())
        tensors.append(tensor(f"weight{number}", shape, dtype, len(buffers), **options))
        outputs = shape[-1] if code in ("DEPTHWISE_CONV_2D", "CONV_3D") else shape[0]
        tensors.append(tensor(f"image{number}", (1, 8, 8, outputs)))
        image = at - 1
        inputs = [-1, at, image] if code == "TRANSPOSE_CONV" else [image, at]
        operators.append(operator(code, inputs, [at + 1]))
    return model([subgraph(tensors, [0], operators)], buffers)


def csr(dense: np.ndarray) -> tuple[np.ndarray, dict]:
    """The values of a tensor that are not zero, and the sparsity that leads back, along its last axis."""
    rows = dense.reshape(-1, dense.shape[-1])
    counts = (rows != 0).sum(axis=1)
    segments = np.concatenate([[0], np.cumsum(counts)]).astype("<i4")
    indices = np.nonzero(rows)[1].astype("<i4")
    levels = [{0: ("<b", 0), 1: ("<i", size)} for size in dense.shape[:-1]]
    levels.append({0: ("<b", 1), 2: ("<B", 1), 3: {0: segments}, 4: ("<B", 1), 5: {0: indices}})
    order = np.arange(dense.ndim, dtype="<i4")
    return rows[rows != 0], {0: order, 2: levels}


def block_sparse(dense: np.ndarray, block: int) -> tuple[np.ndarray, dict]:
    """The blocks along the last axis that are not zero, and the sparsity that leads back."""
    rows = dense.reshape(-1, dense.shape[-1] // block, block)
    full = (rows != 0).any(axis=2)
    segments = np.concatenate([[0], np.cumsum(full.sum(axis=1))]).astype("<u2")
    indices = np.nonzero(full)[1].astype("u1")
    levels = [{0: ("<b", 0), 1: ("<i", size)} for size in dense.shape[:-1]]
    levels.append({0: ("<b", 1), 2: ("<B", 2), 3: {0: segments}, 4: ("<B", 3), 5: {0: indices}})
    levels.append({0: ("<b", 0), 1: ("<i", block)})
    order = np.arange(dense.ndim + 1, dtype="<i4")
    return rows[full].ravel(), {0: order, 1: np.array([dense.ndim - 1], "<i4"), 2: levels}


def packed(values: np.ndarray) -> bytes:
    """Integers of four bits, two a byte, the first in the low half."""
    halves = np.append(values.ravel(), np.zeros(math.prod(values.shape) % 2, values.dtype)) & 0xF
    return (halves[::2] | halves[1::2] << 4).astype(np.uint8).tobytes()
