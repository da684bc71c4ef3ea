"""The rows of layers that a metric reads, and what a kernel of each layer counts under a balance.

Everything adds up: a group is the sum of the rows of its layers, so that a value is a function of two sums.
"""

import numpy as np
from jaxtyping import Float, Int64

from ...scans import Scan
from ...scans.internal import layer_counts
from ._question import Balance


def kernel_counts(scan: Scan, clean: bool) -> Float[np.ndarray, " layers"]:
    """The kernels of every layer that are in its histogram, without sparse ones if `clean`."""
    return layer_counts(scan, clean=clean)[:, 0].sum(axis=-1).astype(np.float64)


def layer_histograms(scan: Scan, clean: bool) -> Int64[np.ndarray, "layers features"]:
    """The histogram of every layer as one row of d x bins counts, without sparse kernels if `clean`."""
    return layer_counts(scan, clean=clean).reshape(len(scan.histogram), -1)


def layer_moments(scan: Scan) -> Float[np.ndarray, "layers features"]:
    """Count, sum and sum of outer products of the normalized kernels of every layer, as one row."""
    moments = scan.moments["normalized"]
    count, mean = np.asarray(moments.count)[:, None], np.asarray(moments.mean)
    outer = np.asarray(moments.scatter) + count[..., None] * mean[:, :, None] * mean[:, None, :]
    return np.concatenate([count, count * mean, outer.reshape(len(mean), -1)], axis=1)


def layer_weights(
    counts: Float[np.ndarray, " layers"],
    model: Int64[np.ndarray, " layers"],
    unit: Int64[np.ndarray, " layers"],
    balance: Balance,
) -> Float[np.ndarray, " layers"]:
    """Return the weight of a kernel in each of a group's layers, so that balanced parts weigh the same."""
    if balance == "kernels":
        return np.ones(len(counts))
    totals = counts
    if balance != "layers":
        owner = model if balance == "models" else unit
        totals = np.bincount(owner, counts)[owner]
    return np.divide(1, totals, out=np.zeros(len(counts)), where=totals > 0)
