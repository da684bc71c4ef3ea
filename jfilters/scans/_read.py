"""Opening a scan: the folder that `jfilters scan` wrote, or the file of `jfilters bundle`."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from ..errors import CheckpointError, UnreadableError, missing_reason, system_reason
from ..statistics import load_basis
from ._arrays import ArrayFile
from ._bundle import is_bundle, open_bundle
from ._pooled import with_verdicts_counted
from ._scan import Scan
from ._validate import check_record, check_tables, current_layers, current_models, damaged, taps

CACHE = ".cache"
"""The folder of what a scan keeps to resume; it may be deleted at any time."""


def open_scan(path: Path | str) -> Scan:
    """Open what `jfilters scan` wrote into a folder, or `jfilters bundle` into a file.

    Tables are read now, arrays when a question needs them. Columns and arrays that this version does not
    know are kept; optional ones that an earlier version did not write are null or None. Needs no JAX.

    Args:
        path: the folder of a scan, or a bundle.

    Returns:
        The same `Scan` that `jfilters.scan` returns.

    Raises:
        CheckpointError: with the remedy, if it is neither, or not finished, holds no kernels, was written
        by a newer version, or has parts that do not belong together.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> weights = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    >>> safetensors.numpy.save_file({"conv.weight": weights}, f"{folder}/net.safetensors")
    >>> jf.scan(folder, progress=False).save(f"{folder}/scan")
    >>> jf.open_scan(f"{folder}/scan").histogram.shape
    (1, 9, 70)
    """
    path = Path(path)
    return open_bundle(path) if path.is_file() else _open_folder(path)


def is_written(path: Path) -> bool:
    """Return whether this is what a scan or `jfilters bundle` wrote, rather than checkpoints."""
    return is_bundle(path) if path.is_file() else (path / "scan.json").is_file()


def _open_folder(folder: Path) -> Scan:
    record = _record(folder)
    _check_kernels(record, folder)
    layers = current_layers(_table(folder / "layers.parquet"))
    models = current_models(_table(folder / "models.parquet"))
    check_tables(folder, layers, models)
    models = with_verdicts_counted(models, layers)
    if layers.num_rows != record["totals"]["layers"]:
        reason = f"expected the {record['totals']['layers']} layers of scan.json, found"
        raise damaged(folder, f"{reason} {layers.num_rows}")
    path = folder / "arrays.safetensors"
    basis, d = load_basis(path), taps(record)
    if len(basis.mean) != d:
        raise damaged(folder, f"expected a basis of {d} taps, found {len(basis.mean)}")
    arrays = ArrayFile(path, {"layers": layers.num_rows, "d": d})
    return Scan(record, layers, models, arrays, folder)


def _record(folder: Path) -> dict[str, Any]:
    path = folder / "scan.json"
    if not path.is_file():
        unfinished = any((folder / name).exists() for name in (CACHE, "layers.parquet"))
        reason = "expected a finished scan" if unfinished else "expected the folder of a scan"
        remedy = _first_scan(folder, is_unfinished=unfinished)
        raise UnreadableError(f"{reason}, found no scan.json", path=folder, remedy=remedy)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a readable file, got: {reason}", path=path) from error
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
            # read_table would import pandas, which takes half a second.
            return pyarrow.parquet.ParquetFile(file).read()
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a table, got: {reason}", path=path) from error
    except pa.ArrowException as error:
        raise damaged(path, f"expected a Parquet file, got: {error}") from error


def _first_scan(folder: Path, *, is_unfinished: bool) -> str:
    """Return what to do where a folder holds no scan: to scan it, or into it."""
    if not is_unfinished and folder.is_dir() and any(folder.iterdir()):
        return f"scan it first: `jfilters scan {folder}`"
    remedy = f"run `jfilters scan DIR --out {folder}` first"
    return remedy if folder.exists() else f"{missing_reason(folder)}; {remedy}"
