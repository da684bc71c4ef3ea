"""A scan as a record back into a folder, under the names that `jfilters scan` gives its files."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
from safetensors.numpy import save_file

from .._files import written_whole
from ..errors import CheckpointError
from ..statistics import basis_arrays
from ._saved import SavedScan

_OPTIONAL = ("sparse_histogram", "sparse_at", "sparse_eps", "sample", "sample_layer")


def save_scan(scan: SavedScan, folder: Path) -> None:
    """Write a folder like that of `jfilters scan`, without the matrix of drift between models.

    Raises CheckpointError if the folder already holds a scan.
    """
    if (folder / "scan.json").exists():
        remedy = "name another folder, or a file"
        raise CheckpointError("holds a scan already", path=folder, remedy=remedy)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("layers", scan.layer_table), ("models", scan.model_table)):
        with written_whole(folder / f"{name}.parquet") as path:
            pyarrow.parquet.write_table(table, path)
    arrays = {name: np.ascontiguousarray(value) for name, value in _arrays(scan).items()}
    with written_whole(folder / "arrays.safetensors") as path:
        save_file(arrays, path)
    with written_whole(folder / "scan.json") as path:
        path.write_text(json.dumps(scan.record, indent=1) + "\n", encoding="utf-8")


def _arrays(scan: SavedScan) -> dict[str, np.ndarray]:
    optional = {
        name.replace("sample_layer", "sample.layer"): getattr(scan, name) for name in _OPTIONAL
    }
    moments = {
        f"{name}.{part}": np.asarray(getattr(values, part))
        for name, values in scan.moments.items()
        for part in ("count", "mean", "scatter")
    }
    arrays = {"histogram": scan.histogram, "edges": scan.edges} | moments | optional
    return basis_arrays(scan.basis) | {k: v for k, v in arrays.items() if v is not None}
