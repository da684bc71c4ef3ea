"""The histograms of whole models, from those of their layers."""

import numpy as np
from jaxtyping import Float, Int64

from ..shift import probability
from ._saved import SavedScan


def layer_counts(scan: SavedScan, *, clean: bool) -> Int64[np.ndarray, "layers d bins"]:
    """The histograms of all layers, without sparse kernels if `clean`.

    Raises ValueError if the scan did not count those apart.
    """
    if not clean:
        return scan.histogram
    if scan.sparse_histogram is None:
        remedy = "scan again with the quality on, or leave out clean"
        raise ValueError(f"{scan.folder} does not tell sparse kernels apart; {remedy}")
    return scan.histogram - scan.sparse_histogram


def model_counts(scan: SavedScan, *, clean: bool = False) -> Int64[np.ndarray, "models d bins"]:
    """The histograms of each model, in the order of `model_names`, without sparse kernels if `clean`."""
    counts = np.zeros((len(scan.model_names), *scan.histogram.shape[1:]), np.int64)
    np.add.at(counts, scan.model_of_layer, layer_counts(scan, clean=clean))
    return counts


def model_probabilities(scan: SavedScan) -> Float[np.ndarray, "models d bins"]:
    """The same as probabilities, all positive."""
    return np.asarray(probability(model_counts(scan), scan.edges))
