"""ONNX models from their wire format: the graph, its depths, and weights wherever they are stored."""

from ._batchnorm import graph_norms as graph_norms
from ._format import FORMAT as FORMAT
