"""The histograms of whole models, from those of their layers."""

import numpy as np
from jaxtyping import Float, Int64

from ..shift import probability
from ._saved import SavedScan


def model_counts(scan: SavedScan) -> Int64[np.ndarray, "models d bins"]:
    """The histograms of all kernels of each model, in the order of `model_names`."""
    counts = np.zeros((len(scan.model_names), *scan.histogram.shape[1:]), np.int64)
    np.add.at(counts, scan.model_of_layer, scan.histogram)
    return counts


def model_probabilities(scan: SavedScan) -> Float[np.ndarray, "models d bins"]:
    """The same as probabilities, all positive."""
    return np.asarray(probability(model_counts(scan), scan.edges))
