"""Writing a scan: the files of its folder, each whole or not at all, scan.json last."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet
from jaxtyping import Float

from .._files import Location, make_folder, place, remove, written_whole
from ..errors import CheckpointError
from ..shift import drift_matrix
from ._histograms import model_probabilities
from ._tensors import save_arrays

if TYPE_CHECKING:
    from ._scan import Scan

MOST_MODELS = 2_000
"""Models of which all pairs are compared: four million numbers, 80 MB as text."""


def write_scan(scan: "Scan", folder: Location | str, *, replace: bool = False) -> None:
    """Write the files of a scan into a folder, which is made where it does not exist.

    Args:
        scan: a scan in memory, or one that was opened, merged or narrowed.
        folder: where to write it: a path, or a URL that fsspec knows.
        replace: write over the scan that the folder holds.

    Raises:
        CheckpointError: the folder holds a scan already, and `replace` is not set.
        OSError: the folder cannot be written.
    """
    folder = place(folder)
    if not replace and (folder / "scan.json").exists():
        remedy = "name another folder, or a file"
        raise CheckpointError("holds a scan already", path=folder, remedy=remedy)
    make_folder(folder)
    _write_parquet(scan.layer_table, folder / "layers.parquet")
    _write_parquet(scan.model_table, folder / "models.parquet")
    _write_arrays(scan, folder / "arrays.safetensors")
    _write_drift(scan, folder / "drift-model.csv")
    _atomic(folder / "scan.json", lambda path: _write_json(scan.record, path))


def left_out(n_models: int) -> list[str]:
    """Return the files that a scan of so many models does not write, each with the reason."""
    if n_models <= MOST_MODELS:
        return []
    return [
        f"drift-model.csv: {n_models} models, and a matrix is written for at most {MOST_MODELS}"
    ]


def model_drift(scan: "Scan") -> Float[np.ndarray, "models models"]:
    """Return the square matrix of D between the models of a scan, in nats, in the order of
    `model_names`."""
    return drift_matrix(model_probabilities(scan), scan.component_weights)


def matrix_csv(labels: Sequence[str], matrix: Float[np.ndarray, "m m"]) -> str:
    """Return a square matrix as CSV, labels in header and first column; NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *labels])
    for label, row in zip(labels, matrix.tolist(), strict=True):
        writer.writerow([label, *("" if value != value else repr(value) for value in row)])
    return text.getvalue()


def _write_arrays(scan: "Scan", path: Location) -> None:
    if not scan.arrays:
        remove(path)  # that of an earlier scan with kernels
        return
    _atomic(path, lambda temporary: save_arrays(scan.arrays, temporary))


def _write_drift(scan: "Scan", path: Location) -> None:
    if not scan.arrays or left_out(len(scan.model_names)):
        remove(path)  # that of an earlier scan with fewer models
        return
    text = matrix_csv(scan.model_names, model_drift(scan))
    _atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _write_parquet(table: pyarrow.Table, path: Location) -> None:
    _atomic(path, lambda temporary: pyarrow.parquet.write_table(table, temporary))


def _write_json(record: Mapping[str, Any], path: Path) -> None:
    # The text of a hundred thousand checkpoints in memory would be 100 MB, and its pieces 1 GB.
    with path.open("w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")


def _atomic(path: Location, write: Callable[[Path], object]) -> None:
    with written_whole(path) as temporary:
        write(temporary)
