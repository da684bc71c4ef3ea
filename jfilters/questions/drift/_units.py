"""The rows of layers that a metric reads, from layer statistics or from the sample, under a balance.

Everything adds up: a group is the sum of the rows of its layers, so that a value, and the same value
for any other split of models or layers, is a function of two sums.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64, Num

from ...scans import Scan
from ...scans.internal import layer_counts
from ._question import Balance


@dataclass(frozen=True, eq=False)
class Units:
    """Rows that are permuted among groups whole: models, or layers or parts within their model.

    `side` is the place of the group that each is in. Units change sides within their stratum alone.
    """

    rows: Num[np.ndarray, "units features"]
    side: Int64[np.ndarray, " units"]
    strata: Int64[np.ndarray, " units"]


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
    counts: Float[np.ndarray, " layers"], model: Int64[np.ndarray, " layers"], balance: Balance
) -> Float[np.ndarray, " layers"]:
    """Return the weight of a kernel in each of a group's layers, so that balanced parts weigh the same."""
    if balance == "kernels":
        return np.ones(len(counts))
    totals = counts if balance == "layers" else np.bincount(model, counts)[model]
    return np.divide(1, totals, out=np.zeros(len(counts)), where=totals > 0)


def effective_size(
    counts: Float[np.ndarray, " layers"], weights: Float[np.ndarray, " layers"]
) -> float:
    """The number of equally weighted kernels of the same precision.

    Source: Kish, "Survey sampling", 1965.
    """
    squares = float(counts @ weights**2)
    return float(counts @ weights) ** 2 / squares if squares > 0 else 0.0


def permuted_units(
    rows: Num[np.ndarray, "layers features"],
    model: Int64[np.ndarray, " layers"],
    side: Int64[np.ndarray, " layers"],
    matched: Int64[np.ndarray, " layers"],
    balance: Balance,
) -> Units:
    """Return the units as which the layers of some groups are permuted.

    Models of the same `matched` number, where every model lies in one group: kernels of one model are no
    independent draws. Where models have layers in several, their labels are permuted within each model:
    layers one by one; or, as models that count the same have to stay so, the parts of a model on a side.
    """
    parts = np.unique(np.stack([model, side]), axis=1).shape[1]
    if parts == len(np.unique(model)):
        return _summed(rows, model, side, matched)
    if balance == "models":
        return _summed(rows, model, side, model)
    return Units(rows, side, model)


def _summed(
    rows: Num[np.ndarray, "layers features"],
    model: Int64[np.ndarray, " layers"],
    side: Int64[np.ndarray, " layers"],
    strata: Int64[np.ndarray, " layers"],
) -> Units:
    """The layers of a model on one side as one unit."""
    keys = model * (1 + side.max()) + side
    _, place, unit = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.zeros((len(place), rows.shape[1]), rows.dtype)
    np.add.at(sums, unit, rows)
    return Units(sums, side[place], strata[place])
