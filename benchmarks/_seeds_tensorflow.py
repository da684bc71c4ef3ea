"""Small valid checkpoints of TensorFlow's formats, from which the fuzzing starts."""

from pathlib import Path

import numpy as np

from . import _tflite_models as models

RNG = np.random.default_rng(0)


def _place(root: Path, label: str, name: str = "model") -> Path:
    folder = root / label
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _values(shape: tuple[int, ...]) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def write_tflite(root: Path) -> None:
    """Models with the weights that TensorFlow Lite stores in ways of its own."""
    weight = _values((2, 3, 3, 4))
    integers, four_bits = np.ones((1, 3, 3, 2), "int8"), np.ones(18, "uint8")
    plain = [("CONV_2D", weight, {}), ("DEPTHWISE_CONV_2D", integers, {"scale": [0.5]})]
    _place(root, "plain").write_bytes(models.chain(plain))
    thin = weight * (RNG.random(weight.shape) < 0.4)
    blocks, sparsity = models.block_sparse(thin, 2)
    rows, compressed = models.csr(thin)
    few = {"dtype": "int4", "shape": (2, 3, 3, 2), "scale": [1.0, 2.0]}
    sparse = [
        ("CONV_2D", blocks, {"shape": thin.shape, "sparsity": sparsity}),
        ("CONV_2D", four_bits, few),
    ]
    _place(root, "sparse").write_bytes(models.chain(sparse))
    up = [("TRANSPOSE_CONV", rows, {"shape": thin.shape, "sparsity": compressed})]
    _place(root, "up").write_bytes(models.chain(up))
    _place(root, "graph").write_bytes(_graph(weight))


def _graph(weight: np.ndarray) -> bytes:
    """Two subgraphs, of which one runs the other, with a weight behind a transpose and one outside."""
    order = np.array([3, 0, 1, 2], "int32")
    image, out = models.tensor("x", (1, 8, 8, 4)), models.tensor("y", (1, 8, 8, 2))
    tensors = [image, models.tensor("w", (3, 3, 4, 2), buffer=1), out]
    tensors += [models.tensor("order", (4,), "int32", 2), models.tensor("t", weight.shape), out]
    operators = [
        models.operator("TRANSPOSE", [1, 3], [4]),
        models.operator("CONV_2D", [0, 4], [2]),
        models.operator("WHILE", [2], [5], {0: ("<i", 1), 1: ("<i", 1)}),
    ]
    inner = [
        image,
        models.tensor("v", weight.shape, "float16", 3),
        models.tensor("u", weight.shape),
        out,
    ]
    steps = [models.operator("DEQUANTIZE", [1], [2]), models.operator("CONV_2D", [0, 2], [3])]
    graphs = [models.subgraph(tensors, [0], operators), models.subgraph(inner, [0], steps)]
    stored = [weight.tobytes(), order.tobytes(), weight.astype("float16").tobytes()]
    return models.model(graphs, stored)
