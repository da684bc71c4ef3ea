"""ONNX models by onnx.helper, and their arrays as jfilters lists them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from jfilters.converters import StoredArray
from jfilters.converters._onnx._format import FORMAT

IMAGE = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
RESULT = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)


def tensor(values: np.ndarray, name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def model(nodes, initializers=(), inputs=(IMAGE,), opset: int = 21, **more) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", list(inputs), [RESULT], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def conv(weight: str = "w", x: str = "x", y: str = "y", op: str = "Conv", **attributes):
    return helper.make_node(op, [x, weight], [y], name=f"{op}_{y}", **attributes)


def node(op: str, inputs: list[str], outputs: list[str], **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def stored_model(nodes, stored: dict[str, np.ndarray], opset: int = 21, **more) -> onnx.ModelProto:
    """A model of nodes and of initializers by name."""
    return model(nodes, [tensor(x, name) for name, x in stored.items()], opset=opset, **more)


def listing(folder: Path, proto: onnx.ModelProto) -> dict[str, StoredArray]:
    """The arrays of a model by name, through a file."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    assert FORMAT.recognizes(path, path.read_bytes()[:512])
    arrays = FORMAT.arrays(path)
    assert len({array.name for array in arrays}) == len(arrays)
    return {array.name: array for array in arrays}


def layers(arrays: dict[str, StoredArray]) -> dict[str, StoredArray]:
    return {name: array for name, array in arrays.items() if array.reason is None}


def unread(arrays: dict[str, StoredArray]) -> dict[str, str | None]:
    return {name: array.reason for name, array in arrays.items() if array.unread}


def reference(nodes, stored: dict[str, np.ndarray], opset: int = 21) -> np.ndarray:
    """The value "w" that the nodes make, by the reference evaluator of onnx."""
    oracle = stored_model(nodes, stored, opset, inputs=())
    oracle.graph.output[0].name = "w"
    return ReferenceEvaluator(oracle).run(None, {})[0]
