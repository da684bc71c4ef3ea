"""TensorFlow Lite (LiteRT) models, by a flatbuffer reader of their own."""

from ._format import FORMAT as FORMAT
