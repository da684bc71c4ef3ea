"""Opening what was written: the folder of a scan, or a card file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError, UnreadableError
from ..statistics import load_basis
from ._card import is_card, open_card
from ._open_scan import OpenScan
from ._parts import ARRAYS, check_record, damaged
from ._saved import SavedScan, assembled


def open_scan(path: Path | str) -> OpenScan:
    """What `jfilters scan` wrote into a folder, or `jfilters card` into a file.

    Raises CheckpointError, with the remedy, if it is neither, or not finished, holds no kernels, or has
    parts that do not belong together.
    """
    path = Path(path)
    return OpenScan.of(open_card(path) if path.is_file() else _open_folder(path))


def is_written(path: Path) -> bool:
    """Whether this is what a scan or `jfilters card` wrote, rather than checkpoints."""
    return is_card(path) if path.is_file() else (path / "scan.json").is_file()


def _open_folder(folder: Path) -> SavedScan:
    record = _record(folder)
    _check_kernels(record, folder)
    scan = assembled(
        folder,
        record,
        _table(folder / "layers.parquet"),
        _table(folder / "models.parquet"),
        load_basis(folder / "arrays.safetensors"),
        _arrays(folder / "arrays.safetensors"),
    )
    if scan.layer_table.num_rows != record["totals"]["layers"]:
        reason = f"scan.json tells of {record['totals']['layers']} layers, found"
        raise damaged(folder, f"{reason} {scan.layer_table.num_rows}")
    return scan


def _record(folder: Path) -> dict[str, Any]:
    path = folder / "scan.json"
    if not path.is_file():
        unfinished = (folder / ".cards").is_dir() or (folder / "layers.parquet").is_file()
        reason = "expected a finished scan" if unfinished else "expected the folder of a scan"
        remedy = f"run `jfilters scan --checkpoints DIR --out {folder}` first"
        raise UnreadableError(f"{reason}, found no scan.json", path=folder, remedy=remedy)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableError(f"expected a readable file, got: {error}", path=path) from error
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"expected the record of a scan, got: {error}") from error
    check_record(path, record)
    return record


def _check_kernels(record: dict[str, Any], folder: Path) -> None:
    if record["totals"]["layers"] and (folder / "arrays.safetensors").is_file():
        return
    size = "x".join(map(str, record["config"]["spatial"]))
    reason = f"expected {size} kernels that vary, and arrays.safetensors with their histograms"
    remedy = "scan checkpoints with such kernels, or another size with --spatial"
    raise CheckpointError(f"{reason}; found none", path=folder, remedy=remedy)


def _table(path: Path) -> pa.Table:
    try:
        with path.open("rb") as file:
            # Not read_table: that imports pandas.
            return pyarrow.parquet.ParquetFile(file).read()
    except OSError as error:
        raise UnreadableError(f"expected a table, got: {error}", path=path) from error
    except pa.ArrowException as error:
        raise damaged(path, f"expected a Parquet file, got: {error}") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in sorted(ARRAYS & set(file.keys()))}
    except (SafetensorError, OSError, TypeError) as error:
        raise damaged(path, f"expected the arrays of a scan, got: {error}") from error
