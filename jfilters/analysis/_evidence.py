"""What a metric reads of a group of layers, from cards or from the sample, under a balance.

Everything adds up: a group is the sum of the rows of its layers, so that a value, and the same value
for any other split of models or layers, is a function of two sums.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from ._models import layer_counts
from ._saved import SavedScan

Balance = Literal["kernels", "layers", "models"]
"""What counts the same in a group: every kernel, every layer, or every model."""


@dataclass(frozen=True, eq=False)
class Units:
    """Rows that are dealt to two groups whole: models, or layers or parts within their model.

    `strata` is None where any unit may change sides with any other, else units change sides within
    their stratum alone.
    """

    rows: Float[np.ndarray, "units features"]
    in_first: Bool[np.ndarray, " units"]
    strata: Int64[np.ndarray, " units"] | None


def kernel_counts(scan: SavedScan, clean: bool) -> Float[np.ndarray, " layers"]:
    """The kernels of every layer that are in its histogram, without sparse ones if `clean`."""
    return layer_counts(scan, clean=clean)[:, 0].sum(axis=-1).astype(np.float64)


def layer_histograms(scan: SavedScan, clean: bool) -> Float[np.ndarray, "layers features"]:
    """The histogram of every layer as one row of d x bins counts, without sparse kernels if `clean`."""
    return layer_counts(scan, clean=clean).reshape(len(scan.histogram), -1).astype(np.float64)


def layer_moments(scan: SavedScan) -> Float[np.ndarray, "layers features"]:
    """Count, sum and sum of outer products of the normalized kernels of every layer, as one row."""
    moments = scan.moments["normalized"]
    count, mean = np.asarray(moments.count)[:, None], np.asarray(moments.mean)
    outer = np.asarray(moments.scatter) + count[..., None] * mean[:, :, None] * mean[:, None, :]
    return np.concatenate([count, count * mean, outer.reshape(len(mean), -1)], axis=1)


def layer_weights(
    counts: Float[np.ndarray, " layers"], model: Int64[np.ndarray, " layers"], balance: Balance
) -> Float[np.ndarray, " layers"]:
    """What a kernel of each of a group's layers counts, so that what is balanced counts the same."""
    if balance == "kernels":
        return np.ones(len(counts))
    totals = counts if balance == "layers" else np.bincount(model, counts)[model]
    return np.divide(1, totals, out=np.zeros(len(counts)), where=totals > 0)


def effective_size(
    counts: Float[np.ndarray, " layers"], weights: Float[np.ndarray, " layers"]
) -> float:
    """The number of equally weighted kernels that tell as much as these.

    Source: Kish, "Survey sampling", 1965.
    """
    squares = float(counts @ weights**2)
    return float(counts @ weights) ** 2 / squares if squares > 0 else 0.0


def dealt_units(
    rows: Float[np.ndarray, "layers features"],
    model: Int64[np.ndarray, " layers"],
    in_first: Bool[np.ndarray, " layers"],
    balance: Balance,
) -> Units:
    """What the layers of two groups are permuted as.

    Models, where every model lies in one of both groups: kernels of one model are no independent draws.
    Where models have layers in both, their labels are permuted within each model: layers one by one;
    or, as models that count the same have to stay so, the parts of a model on either side.
    """
    if not np.intersect1d(model[in_first], model[~in_first]).size:
        return _summed(rows, model, in_first, stratified=False)
    if balance == "models":
        return _summed(rows, model, in_first, stratified=True)
    return Units(rows, in_first, model)


def _summed(
    rows: Float[np.ndarray, "layers features"],
    model: Int64[np.ndarray, " layers"],
    in_first: Bool[np.ndarray, " layers"],
    *,
    stratified: bool,
) -> Units:
    """The layers of a model on one side as one unit."""
    keys, unit = np.unique(2 * model + in_first, return_inverse=True)
    sums = np.zeros((len(keys), rows.shape[1]))
    np.add.at(sums, unit, rows)
    return Units(sums, keys % 2 == 1, keys // 2 if stratified else None)
