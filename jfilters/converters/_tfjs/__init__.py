"""TensorFlow.js models: JSON with a topology and a manifest of the weights in shards beside it."""

from ._format import FORMAT as FORMAT
from ._manifest import shards_beside as shards_beside
