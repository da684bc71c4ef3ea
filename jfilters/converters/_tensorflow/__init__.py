"""TensorFlow's graphs and checkpoints, and what TensorFlow.js shares with them."""

from ._format import FORMAT as FORMAT
from ._format import parts_beside as parts_beside
