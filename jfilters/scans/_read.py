"""Opening a scan: the folder that `jfilters scan` wrote, or the file of `jfilters bundle`."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from .._bounds import file_allowance, parsed_json
from .._files import Location, file_bytes, readable
from ..errors import CheckpointError, UnreadableError, missing_reason, system_reason
from ..io import is_file, is_folder
from ..statistics import load_basis
from ._arrays import ArrayFile
from ._bundle import is_bundle, open_bundle
from ._parquet import read_parquet
from ._pooled import with_verdicts_counted
from ._scan import Scan
from ._validate import check_record, check_tables, current_layers, current_models, damaged, taps

CACHE = ".cache"
"""The folder of what a scan keeps to resume; it may be deleted at any time."""


def open_scan(path: Location | str) -> Scan:
    """Open what `jfilters scan` wrote into a folder, or `jfilters bundle` into a file.

    Tables are read now, arrays when a question needs them. Columns and arrays that this version does not
    know are kept; optional ones that an earlier version did not write are null or None. Needs no JAX.

    Args:
        path: the folder of a scan, or a bundle; or the URL of either, of which only what a question needs
            is read.

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
    path = readable(path)
    return open_bundle(path) if is_file(path) else _open_folder(path)


def is_written(path: Location) -> bool:
    """Return whether this is what a scan or `jfilters bundle` wrote, rather than checkpoints."""
    try:
        return is_bundle(path) if is_file(path) else is_file(path / "scan.json")
    except UnreadableError:
        return False  # whoever reads it says why


def _open_folder(folder: Location) -> Scan:
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


def _record(folder: Location) -> dict[str, Any]:
    path = folder / "scan.json"
    if not is_file(path):
        unfinished = is_folder(folder / CACHE) or is_file(folder / "layers.parquet")
        reason = "expected a finished scan" if unfinished else "expected the folder of a scan"
        remedy = _first_scan(folder, is_unfinished=unfinished)
        raise UnreadableError(f"{reason}, found no scan.json", path=folder, remedy=remedy)
    try:
        record = parsed_json(file_bytes(path), file_allowance(path), "its text")
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a readable file, got: {reason}", path=path) from error
    except CheckpointError:
        raise
    except ValueError as error:
        raise damaged(path, f"expected the record of a scan, got: {error}") from error
    check_record(path, record)
    return record


def _holds_files(folder: Location) -> bool:
    try:
        return any(not path.name.startswith(".") for path in folder.iterdir())
    except OSError:
        return False


def _check_kernels(record: dict[str, Any], folder: Location) -> None:
    if record["totals"]["layers"] and is_file(folder / "arrays.safetensors"):
        return
    size = "x".join(map(str, record["config"]["spatial"]))
    reason = f"expected {size} kernels that vary, and arrays.safetensors with their histograms"
    remedy = "scan checkpoints with such kernels, or another size with --spatial"
    raise CheckpointError(f"{reason}; found none", path=folder, remedy=remedy)


def _table(path: Location) -> pa.Table:
    try:
        return read_parquet(path)
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a table, got: {reason}", path=path) from error
    except CheckpointError:
        raise
    except (pa.ArrowException, ValueError) as error:
        raise damaged(path, f"expected a Parquet file, got: {error}") from error


def _first_scan(folder: Location, *, is_unfinished: bool) -> str:
    """Return what to do where a folder holds no scan: to scan it, or into it."""
    # A folder that holds other files may be that of the checkpoints: no scan is to be written there.
    if not is_unfinished and _holds_files(folder):
        return f"scan it first: `jfilters scan {folder}`"
    remedy = f"run `jfilters scan DIR --out {folder}` first"
    if not isinstance(folder, Path) or folder.exists():
        return remedy
    return f"{missing_reason(folder)}; {remedy}"
