"""ONNX models from their wire format: the graph, its depths, and weights wherever they are stored."""

from ._format import FORMAT as FORMAT
