"""A network as an ONNX graph: the same steps, each of them a node, the weights as initializers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._steps import UNFOLDING, Layer, Step, walk

OPSET = 17
SCALES = "scales"


def write_graph(steps: Sequence[Step], values: dict[str, np.ndarray], path: Path):
    """Write the graph of a network; `values` are named as in the state of its module."""
    import onnx
    from onnx import helper, numpy_helper

    made = _Nodes()
    result = walk(steps, "images", made)
    constants = {**values, SCALES: np.array([1, 1, 2, 2], np.float32)}
    used = {name for node in made.nodes for name in node.input}
    graph = helper.make_graph(
        made.nodes,
        "network",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 1, None, None])],
        [helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, ["n", None, None, None])],
        [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class _Nodes:
    """Operations on the names of values: each adds a node."""

    def __init__(self):
        self.nodes: list[Any] = []

    def conv(self, value: str, layer: Layer) -> str:
        conv, name = layer.conv, layer.name
        return self._add(
            "Conv",
            (value, f"{name}.weight", f"{name}.bias"),
            kernel_shape=[conv.taps] * 2,
            strides=[conv.stride] * 2,
            pads=[conv.taps // 2] * 4,
            group=layer.groups,
        )

    def relu(self, value: str) -> str:
        return self._add("Relu", (value,))

    def add(self, value: str, kept: str) -> str:
        return self._add("Add", (value, kept))

    def join(self, value: str, kept: str) -> str:
        nearest = {"mode": "nearest", "nearest_mode": "floor"}
        asymmetric = {"coordinate_transformation_mode": "asymmetric"}
        large = self._add("Resize", (value, "", SCALES), **nearest, **asymmetric)
        return self._add("Concat", (large, kept), axis=1)

    def mean(self, value: str) -> str:
        return self._add("GlobalAveragePool", (value,))

    def unfold(self, value: str) -> str:
        return self._add("DepthToSpace", (value,), blocksize=UNFOLDING, mode="CRD")

    def _add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        output = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output
