"""Writing a scan: the files of its folder, each whole or not at all, scan.json last."""

import contextlib
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

FILES = ("scan.json", "models.parquet", "layers.parquet", "arrays.safetensors", "drift-model.csv")
"""The files of a scan; scan.json says that the others are whole."""

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
    writers = _writers(scan)
    with contextlib.ExitStack() as stack:
        # All are written before the first takes its place, and scan.json does so last.
        for name, write in writers.items():
            write(stack.enter_context(written_whole(folder / name)))
    for name in FILES:
        if name not in writers:
            remove(folder / name)  # that of an earlier scan with kernels, or with fewer models


def _writers(scan: "Scan") -> dict[str, Callable[[Path], object]]:
    """The files of a scan, each with the function that writes it."""
    writers: dict[str, Callable[[Path], object]] = {
        "scan.json": lambda path: _write_json(scan.record, path),
        "models.parquet": lambda path: pyarrow.parquet.write_table(scan.model_table, path),
        "layers.parquet": lambda path: pyarrow.parquet.write_table(scan.layer_table, path),
    }
    if scan.arrays:
        writers["arrays.safetensors"] = lambda path: save_arrays(scan.arrays, path)
        if not left_out(len(scan.model_names)):
            text = matrix_csv(scan.model_names, model_drift(scan))
            writers["drift-model.csv"] = lambda path: path.write_text(text, encoding="utf-8")
    return writers


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


def _write_json(record: Mapping[str, Any], path: Path) -> None:
    # The text of a hundred thousand checkpoints in memory would be 100 MB, and its pieces 1 GB.
    with path.open("w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        file.write("\n")
