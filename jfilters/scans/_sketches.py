"""The sketches of a scan's layers as its arrays, and its models as networks whose kinship is asked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from ..lineage.internal import Sketches

if TYPE_CHECKING:
    from ..lineage import Networks
    from ._scan import Scan

FIELDS = {
    "sketch": "rows",
    "sketch.rows": "n_rows",
    "sketch.kernels": "n",
    "sketch.spread": "spread",
    "sketch.zeros": "zeros",
    "kernel_hash": "hashes",
    "kernel_hash.layer": "hash_layer",
}
"""The arrays of the schema, and the fields of `Sketches` that they hold."""


def sketch_arrays(sketches: Sketches) -> dict[str, np.ndarray]:
    """Return sketches as arrays under the names of the schema."""
    return {name: getattr(sketches, field) for name, field in FIELDS.items()}


def sketches_in(arrays: Mapping[str, np.ndarray]) -> Sketches | None:
    """Return the sketches of a scan with these arrays; None if it has none."""
    if "sketch" not in arrays:
        return None
    return Sketches(**{field: arrays[name] for name, field in FIELDS.items()})


def networks_of(scan: "Scan") -> "Networks | None":
    """Return the models of a scan as networks, in the order of `model_names`; None without sketches.

    Layers are named as in the table, and have the shapes of their stored weights.
    """
    from ..lineage import Networks

    sketches = scan.sketches
    if sketches is None:
        return None
    layers, order = scan.layer_table, np.argsort(scan.model_of_layer, kind="stable")
    if not np.array_equal(order, np.arange(len(order))):  # the layers of a model are apart
        layers, sketches = layers.take(order), sketches.take(order)
    sizes = zip(layers["out_channels"].to_pylist(), layers["n_kernels"].to_pylist(), strict=True)
    # Not from `in_channels`: it is null where the groups are unknown.
    shapes = [(out or 1, kernels // (out or 1), *scan.spatial) for out, kernels in sizes]
    names = layers["layer"].to_pylist()
    owner = scan.model_of_layer[order]
    return Networks(scan.model_names, names, shapes, owner, _sums(layers), sketches)


def _sums(layers: pa.Table) -> Float[np.ndarray, "layers 3"]:
    """Return the sums of weights of each layer; NaN where the scan, being without quality, took none."""
    columns = (layers[name].to_pylist() for name in ("l1", "l2", "max_abs"))
    sums = np.stack([np.array(column, np.float64) for column in columns], axis=1)
    sums[(sums[:, 1] == 0) & (sums[:, 2] > 0)] = np.nan
    return sums
