"""Quality before and after every BatchNorm is folded into its convolution, side by side.

Sparsity and entropy change with the scale of the output channels, and in a network with BatchNorm that is
the norm's as much as the kernel's. Orthogonality is of directions: it changes only where a scale is 0.
"""

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ..answers import Answer
from ..converters import Location, StoredLayer, open_checkpoint
from ..converters.internal import Folding, folded
from ..engine import Options
from ..errors import CheckpointError
from ..scans import Scan
from ..statistics import EPSILON, LayerQuality, layer_quality

_NUMBERS = ("sparsity", "variance_entropy", "orthogonality")

FOLDED_LAYERS = pa.schema(
    [
        ("layer", pa.string()),
        ("spatial", pa.string()),
        ("n_kernels", pa.int64()),
        ("norm", pa.string()),
        ("untied", pa.string()),
        *(
            pair
            for name in _NUMBERS
            for pair in ((name, pa.float64()), (f"{name}_folded", pa.float64()))
        ),
        ("verdict", pa.string()),
        ("verdict_folded", pa.string()),
    ]
)
"""The columns of `folded_quality`."""


def folded_quality(
    path: Location | str,
    *,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
    sparse_eps: float = EPSILON,
) -> pa.Table:
    """One row a layer, of every kernel size, in depth order: its quality as stored and folded.

    `norm` names the BatchNorm; where there is none `untied` says why, and the folded columns are null, as
    are numbers that are undefined. One weight at a time is in memory. `axes`, `network` and `standardize`
    are those of `open_checkpoint`.

    Raises CheckpointError if the checkpoint cannot be read.
    """
    checkpoint = open_checkpoint(path, axes=axes, network=network, standardize=standardize)
    folding = folded(checkpoint)
    rows = [_row(layer, folding, sparse_eps) for layer in checkpoint.layers]
    return pa.Table.from_pylist(rows, schema=FOLDED_LAYERS)


@dataclass(frozen=True)
class FoldedScan(Answer):
    """Quality of the layers of a scan as stored and with BatchNorm folded in.

    - `layers`: the rows of `folded_quality`, each with its `model`.
    - `unread`: the checkpoints that could not be read again, each with the reason.

    `rows()` gives one row a layer; numbers of layers without a BatchNorm are None.
    """

    layers: list[dict[str, Any]]
    unread: dict[str, str]

    def record(self) -> dict[str, Any]:
        """Return the layers, and the checkpoints that were not read again."""
        return {"rows": self.layers, "unread": self.unread}

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a layer."""
        return self.layers


def folded_scan(scan: Scan) -> FoldedScan:
    """Read the checkpoints of a scan again, and return the quality of its layers as stored and folded.

    Runs on the host, one weight at a time, from the paths that the scan recorded. The options of the scan
    apply: axes, network, standardization and epsilon. A checkpoint that cannot be read is no error: it is
    in `unread` with the reason.
    """
    options = Options.of_record(scan.record["config"])
    rows, unread = [], {}
    for entry in scan.record["checkpoints"]:
        model = entry["model"]
        if layers := _layers_of(scan, model):
            try:
                table = folded_quality(
                    entry["path"],
                    axes=options.axes,
                    network=options.network,
                    standardize=options.standardize,
                    sparse_eps=options.sparse_eps,
                )
            except CheckpointError as error:
                unread[model] = str(error)
                continue
            chosen = [row for row in table.to_pylist() if row["layer"] in layers]
            rows += [{"model": model, **row} for row in chosen]
    return FoldedScan(rows, unread)


def _layers_of(scan: Scan, model: str) -> set[str]:
    columns = scan.layer_table["model"].to_pylist(), scan.layer_table["layer"].to_pylist()
    return {layer for name, layer in zip(*columns, strict=True) if name == model}


def _row(layer: StoredLayer, folding: Folding, sparse_eps: float) -> dict[str, Any]:
    name, weight = layer.qualified.name, layer.read()
    factor = folding.factors.get(name)
    row = {
        "layer": name,
        "spatial": "x".join(map(str, layer.shape[2:])),
        "n_kernels": layer.shape[0] * layer.shape[1],
        "norm": folding.norms.get(name),
        "untied": folding.untied.get(name),
        **_numbers(layer_quality(weight, sparse_eps), ""),
    }
    if factor is None:
        return row
    scaled = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    return row | _numbers(layer_quality(scaled, sparse_eps), "_folded")


def _numbers(quality: LayerQuality, suffix: str) -> dict[str, Any]:
    numbers = {f"{name}{suffix}": getattr(quality, name) for name in _NUMBERS}
    finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return finite | {f"verdict{suffix}": quality.verdict.label}
