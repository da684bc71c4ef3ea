"""The bundle: a whole scan in one file of kilobytes a model, from which questions are answered as from its
folder.

A safetensors file. Basis and edges lie in it as in a scan's arrays.safetensors, so that `--basis` takes
it; the rest is compressed by LZMA, without loss. The samples of kernels and the moments of raw ones stay
behind: their numbers are in the tables. Sketches stay, so that kin are found.
"""

import contextlib
import json
import lzma
import math
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import save_file

from .._bounds import TIMES_COMPRESSED, Allowance, check_header, file_allowance, parsed_json
from .._files import Location, open_tensors, place, written_whole
from ..errors import CheckpointError
from ..lineage.internal import HASHES, WIDTH
from ..statistics import load_basis
from ..statistics.internal import basis_arrays
from ._pooled import with_verdicts_counted
from ._scan import Scan
from ._sketches import FIELDS, sketch_arrays
from ._validate import (
    SKETCH_ROWS,
    check_record,
    check_shapes,
    check_tables,
    check_values,
    current_layers,
    current_models,
    damaged,
    taps,
)

_MOST_A_LAYER = {
    "sketch": SKETCH_ROWS[-1],
    "kernel_hash": HASHES,
    "kernel_hash.layer": HASHES,
}
"""Rows that a layer can have of the arrays that have any number of them."""

VERSION = 1
"""Of the layout; a file of another one is refused."""

TIMES_COPIED = 2
"""Copies of an array while it is unpacked: as planes of bytes, and as numbers."""

_MARK = "jfilters.bundle"
_MARKS = (_MARK, "jfilters.card")  # the second is that of version 0.1
_UPPER = "normalized.scatter"  # symmetric: its upper triangle is stored
_ARRAYS = ("histogram", "sparse_histogram", "normalized.count", "normalized.mean", _UPPER)
_SMALL = ("sparse_at", "sparse_eps")
_TYPES = ("<i8", "<f8", "|i1")


def save_bundle(scan: Scan, path: Location | str) -> None:
    """Write a scan into one file, which appears whole or not at all.

    It holds tables, histograms, basis and moments of normalized kernels, but no weights and no samples:
    some kilobytes a model. `open_scan` reads it. Runs on the host and needs no JAX.

    Args:
        scan: the scan, in memory or opened.
        path: the file to write; it may be a URL.
    """
    target = place(path)
    arrays = _arrays(scan)
    shapes = {name: [value.dtype.str, *value.shape] for name, value in arrays.items()}
    tables = {
        "record": scan.record,
        "layers": _as_json(scan.layer_table),
        "models": _as_json(scan.model_table),
    }
    text = json.dumps(tables, separators=(",", ":")).encode()
    coded = {name: _coded(_by_byte(value)) for name, value in arrays.items()}
    stored = basis_arrays(scan.basis) | {"edges": np.asarray(scan.edges, np.float64)}
    stored |= coded | {"tables": _coded(text)}
    with written_whole(target) as temporary:
        # One entry, since safetensors writes several in any order.
        save_file(stored, temporary, {_MARK: json.dumps({"version": VERSION, "shapes": shapes})})


def is_bundle(path: Location) -> bool:
    """Return whether a file says that it is a bundle, of whatever version."""
    with contextlib.suppress(OSError, SafetensorError, CheckpointError):
        check_header(path)
        with open_tensors(path) as file:
            return _mark(file.metadata() or {}) is not None
    return False


def open_bundle(path: Location) -> Scan:
    """Open the scan in a bundle.

    Text and arrays may take 256 MB together, or 100 times what the file does where that is more; what is
    beyond is refused before it is unpacked.

    Raises CheckpointError, with the remedy, for anything that `save_bundle` did not write.
    """
    try:
        check_header(path)
        allowance = file_allowance(path, TIMES_COMPRESSED)
        with open_tensors(path) as file:
            shapes = _shapes(path, file.metadata() or {}, allowance)
            tables = _tables(path, file.get_tensor("tables"), allowance)
            layers, models = (_as_table(tables[name]) for name in ("layers", "models"))
            arrays = {"edges": file.get_tensor("edges")}
            for name, (dtype, *shape) in shapes.items():
                _check_rows(path, name, shape, layers.num_rows)
                _check_size(path, name, dtype, shape, allowance)
                arrays[name] = _array(path, name, file.get_tensor(name), dtype, shape)
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise _no_bundle(path, f"expected a bundle, got: {error}") from error
    except (AttributeError, RecursionError, pa.ArrowException) as error:
        raise _no_bundle(path, f"expected the tables of a bundle, got: {error}") from error
    return _assembled(path, tables["record"], layers, models, arrays)


def _assembled(
    path: Location, record: Any, layers: pa.Table, models: pa.Table, arrays: dict[str, np.ndarray]
) -> Scan:
    check_record(path, record)
    basis, d = load_basis(path), taps(record)
    if len(basis.mean) != d:
        raise damaged(path, f"expected a basis of {d} taps, found {len(basis.mean)}")
    if _UPPER in arrays:
        arrays[_UPPER] = _symmetric(path, arrays[_UPPER], d)
    arrays |= basis_arrays(basis)
    layers, models = current_layers(layers), current_models(models)
    check_tables(path, layers, models)
    models = with_verdicts_counted(models, layers)
    shapes = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
    sizes = check_shapes(path, shapes, {"layers": layers.num_rows, "d": d})
    for name, array in arrays.items():
        check_values(path, name, array, sizes)
    return Scan(record, layers, models, arrays, path)


def _mark(header: dict[str, str]) -> str | None:
    return next((mark for mark in _MARKS if mark in header), None)


def _arrays(scan: Scan) -> dict[str, np.ndarray]:
    normalized = scan.moments.get("normalized")
    arrays = {"histogram": scan.histogram, "sparse_histogram": scan.sparse_histogram}
    arrays |= {"sparse_at": scan.sparse_at, "sparse_eps": scan.sparse_eps}
    if normalized is not None:
        rows, columns = np.triu_indices(scan.d)
        arrays["normalized.count"] = np.asarray(normalized.count)
        arrays["normalized.mean"] = np.asarray(normalized.mean)
        arrays[_UPPER] = np.asarray(normalized.scatter)[:, rows, columns]
    if scan.sketches is not None:
        arrays |= sketch_arrays(scan.sketches)
    return {name: value for name, value in arrays.items() if value is not None}


def _by_byte(array: np.ndarray) -> bytes:
    """The first bytes of all numbers, then the second ones: alike, and so better compressed."""
    width = array.dtype.itemsize
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1, width).T.tobytes()


def _coded(data: bytes) -> np.ndarray:
    return np.frombuffer(lzma.compress(data), np.uint8)


def _tables(path: Location, coded: np.ndarray, allowance: Allowance) -> Any:
    # As text and, decoded, once more; what its values take is drawn when they are counted.
    text = _decoded(path, "tables", coded, allowance.left // 2)
    return parsed_json(text, allowance, "its tables")


def _decoded(path: Location, name: str, coded: np.ndarray, most: int) -> bytes:
    try:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=1 << 27)
        data = decoder.decompress(coded.tobytes(), max_length=most)
    except lzma.LZMAError as error:
        raise _no_bundle(path, f"expected {name} compressed by LZMA, got: {error}") from error
    if not decoder.eof:
        raise _no_bundle(path, f"expected at most {most:,} bytes of {name}, found more or a cut")
    return data


def _array(
    path: Location, name: str, coded: np.ndarray, dtype: str, shape: list[int]
) -> np.ndarray:
    width = np.dtype(dtype).itemsize
    size = math.prod(shape) * width
    # One more than expected, since a decoder that is full need not have seen the end.
    data = _decoded(path, name, coded, size + 1)
    if len(data) != size:
        raise _no_bundle(path, f"expected {size} bytes of {name}, found {len(data)}")
    planes = np.frombuffer(data, np.uint8).reshape(width, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(shape)


def _shapes(path: Location, header: dict[str, str], allowance: Allowance) -> dict[str, list[Any]]:
    mark = _mark(header)
    if mark is None:
        raise _no_bundle(path, "expected a bundle, found another safetensors file")
    head = parsed_json(header[mark].encode(), allowance, "its header")
    if head["version"] != VERSION:
        version = f"version {head['version']!r}"
        raise _no_bundle(path, f"expected a bundle of version {VERSION}, found {version}")
    shapes = head["shapes"]
    for name, (dtype, *shape) in shapes.items():
        fits = all(isinstance(n, int) and 0 <= n < 1 << 32 for n in shape)
        if name not in (*_ARRAYS, *_SMALL, *FIELDS) or dtype not in _TYPES or not fits:
            raise _no_bundle(path, f"expected arrays of a bundle, found {name!r}")
    return shapes


def _check_rows(path: Location, name: str, shape: list[int], rows: int) -> None:
    # Every layer has a row of text, which bounds what the shapes can ask for.
    most = 1 << 24
    if name in _MOST_A_LAYER:
        if not shape or shape[0] > _MOST_A_LAYER[name] * rows or shape[1:] not in ([], [WIDTH]):
            reason = f"expected {name} of {rows} layers, found the shape {tuple(shape)}"
            raise _no_bundle(path, reason)
        return
    if (name != "sparse_eps" and shape[:1] != [rows]) or math.prod(shape[1:]) > most:
        raise _no_bundle(path, f"expected {name} of {rows} layers, found the shape {tuple(shape)}")


def _check_size(
    path: Location, name: str, dtype: str, shape: list[int], allowance: Allowance
) -> None:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size * TIMES_COPIED > allowance.left:
        raise _no_bundle(path, f"expected {name} in proportion to the file, found {tuple(shape)}")
    allowance.draw(size, name)


def _symmetric(path: Location, upper: np.ndarray, d: int) -> np.ndarray:
    rows, columns = np.triu_indices(d)
    if upper.ndim != 2 or upper.shape[1] != len(rows):
        raise _no_bundle(path, f"expected {len(rows)} products a layer, found {upper.shape}")
    matrices = np.empty((len(upper), d, d))
    matrices[:, rows, columns] = upper
    matrices[:, columns, rows] = upper
    return matrices


def _as_json(table: pa.Table) -> dict[str, Any]:
    types = {field.name: str(field.type) for field in table.schema}
    return {"types": types, "columns": table.to_pydict()}


def _as_table(stored: dict[str, Any]) -> pa.Table:
    types = {name: pa.type_for_alias(alias) for name, alias in stored["types"].items()}
    return pa.table({name: pa.array(stored["columns"][name], types[name]) for name in types})


def _no_bundle(path: Location, reason: str) -> CheckpointError:
    remedy = "`jfilters bundle SCAN -o FILE` writes one"
    return CheckpointError(reason, path=path, remedy=remedy)
