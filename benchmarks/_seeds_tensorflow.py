"""Small valid checkpoints of TensorFlow's formats, from which the fuzzing starts."""

import json
import shutil
from pathlib import Path

import numpy as np

from . import _tensorflow_files as files
from . import _tflite_models as models

FIXTURES = Path(__file__).parents[1] / "tests" / "converters" / "tensorflow"
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


def write_tfjs(root: Path) -> None:
    """Models of a graph and of layers, with weights in the ways that manifests know."""
    attributes = {"f": {"func": {"name": "f"}}, "T": {"type": "DT_FLOAT"}}
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"shape": {"shape": {"dim": [{"size": "5"}]}}}}
    ]
    nodes += [{"name": name, "op": "Const"} for name in ("a", "b", "c", "axis")]
    nodes.append({"name": "d", "op": "FusedDepthwiseConv2dNative", "input": ["x", "b", "c"]})
    nodes.append({"name": "w", "op": "ConcatV2", "input": ["a", "a", "axis"]})
    nodes.append({"name": "y", "op": "_FusedConv2D", "input": ["d", "w:0"]})
    nodes.append({"name": "z", "op": "PartitionedCall", "input": ["y", "a"], "attr": attributes})
    body = [{"name": "t", "op": "Conv2DBackpropInput", "input": ["i", "v", "i", "^v"]}]
    signature = {
        "name": "f",
        "inputArg": [{"name": "i"}, {"name": "v"}],
        "outputArg": [{"name": "o"}],
    }
    function = {"signature": signature, "nodeDef": body, "ret": {"o": "t:output:0"}}
    topology = {"node": nodes, "library": {"function": [function]}}
    arrays = {"a": _values((3, 3, 5, 2)), "b": _values((3, 3, 5, 1)), "c": _values((5,))}
    arrays["axis"] = np.array([3], "int32")
    _web_model(root / "graph", topology, arrays)
    config = [
        {"class_name": kind, "config": {"name": name, "groups": 1}}
        for name, kind in (("a", "Conv2D"), ("b", "DepthwiseConv2D"), ("c", "Conv2DTranspose"))
    ]
    topology = {"model_config": {"class_name": "Sequential", "config": {"layers": config}}}
    integers = RNG.integers(0, 255, (3, 3, 5, 2))
    arrays = {"a/kernel": integers.astype("uint8"), "b/depthwise_kernel": _values((3, 3, 5, 1))}
    arrays |= {"c/kernel": integers.astype("uint16"), "c/bias": _values((5,)).astype("float16")}
    _web_model(root / "layers", topology, arrays)


def _web_model(folder: Path, topology: dict, arrays: dict[str, np.ndarray]) -> None:
    """A model whose weights lie in two shards."""
    folder.mkdir(parents=True)
    scale = {"scale": 0.5, "min": -3.0}
    weights = []
    for name, value in arrays.items():
        weight = {"name": name, "shape": value.shape, "dtype": value.dtype.name}
        if value.dtype.name in ("uint8", "uint16", "float16"):
            weight |= {"dtype": "float32", "quantization": {"dtype": value.dtype.name, **scale}}
        weights.append(weight)
    data = b"".join(value.tobytes() for value in arrays.values())
    (folder / "shard1").write_bytes(data[:100])
    (folder / "shard2").write_bytes(data[100:])
    manifest = [{"paths": ["shard1", "shard2"], "weights": weights}]
    content = {"modelTopology": topology, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(content))


def write_tensorflow(root: Path) -> None:
    """A frozen graph, a SavedModel, and checkpoints in slices, with objects, and with a graph beside."""
    for name in ("v1/model.ckpt", "checkpoint/model"):
        for suffix in (".index", ".data-00000-of-00001"):
            source = FIXTURES / f"{name}{suffix}"
            shutil.copy(source, _place(root, source.parent.name, f"model{suffix}"))
    weight, order = _values((2, 5, 3, 3)), np.array([2, 3, 1, 0], "int32")
    call = files.field(10, files.field(1, "f"))
    nodes = [
        files.node("x", "Placeholder", shape=files.field(7, files.shape_of((1, 8, 8, 5)))),
        files.constant("w", weight),
        files.constant("order", order),
        files.node("t", "Transpose", "w", "order"),
        files.node("part", "ConcatV2", "t", "n", "axis"),
        files.node("m", "Mean", "t", "axis", keep_dims=files.field(5, 1)),
        files.node("n", "Sub", "t", "m"),
        files.constant("axis", np.array([3], "int32")),
        files.node("y", "PartitionedCall", "x", "part", f=call),
        files.function("f", ["i", "k"], {"o": "c:output:0"}, files.node("c", "Conv2D", "i", "k")),
    ]
    _place(root, "frozen").write_bytes(b"".join(nodes))
    saved, index = _place(root, "saved", "saved_model.pb"), root / "saved" / "variables"
    saved.write_bytes(files.field(1, 1) + files.field(2, _restored()))
    index.mkdir()
    _bundle(index / "variables")
    _bundle(_place(root, "meta"))
    (root / "meta" / "model.meta").write_bytes(_restored())


def _bundle(stem: Path) -> None:
    arrays = {"a/kernel": _values((3, 3, 5, 2)), "b/depthwise_kernel": _values((3, 3, 2, 1))}
    arrays |= {"a/bias": _values((2,)), "a/kernel/Momentum": _values((3, 3, 5, 2))}
    table, data = files.bundle(arrays)
    stem.with_name(f"{stem.name}.index").write_bytes(table)
    stem.with_name(f"{stem.name}.data-00000-of-00001").write_bytes(data)


def _restored() -> bytes:
    """A graph of two convolutions whose variables an operator restores."""
    texts = files.field(1, files.TYPES["string"]) + files.field(2, files.shape_of((2,)))
    texts += files.field(8, "a/kernel") + files.field(8, "b/depthwise_kernel")
    nodes = [
        files.node("x", "Placeholder"),
        files.node("keys", "Const", value=files.field(8, texts)),
    ]
    nodes.append(files.node("r", "RestoreV2", "x", "keys", "keys"))
    for place, (name, op) in enumerate((("v", "Conv2D"), ("u", "DepthwiseConv2dNative"))):
        nodes.append(files.node(name, "VarHandleOp", shared_name=files.field(2, name)))
        nodes.append(files.node(f"{name}/read", "ReadVariableOp", name))
        nodes.append(
            files.node(f"{name}/conv", op, "x" if place == 0 else "v/conv", f"{name}/read")
        )
        nodes.append(files.node(f"{name}/set", "AssignVariableOp", name, f"r:{place}"))
    return files.field(2, b"".join(nodes))
