"""The card file: a whole scan in kilobytes a model, from which questions are answered as from its folder.

A safetensors file. Basis and edges lie in it as in a scan's arrays.safetensors, so that `--basis` takes
it; the rest is compressed by LZMA, without loss. The samples of kernels and the moments of raw ones stay
behind: their numbers are in the tables.
"""

import contextlib
import json
import lzma
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .._files import written_whole
from ..errors import CheckpointError
from ..statistics import basis_arrays, load_basis
from ._parts import check_record
from ._saved import SavedScan, assembled

VERSION = 1
"""Of the layout; a file of another one is refused."""

MOST_TEXT = 1 << 30
"""Bytes of tables in one file; 40,000 layers make 30 MB."""

_MARK = "jfilters.card"
_UPPER = "normalized.scatter"  # symmetric: its upper triangle is stored
_ARRAYS = ("histogram", "sparse_histogram", "normalized.count", "normalized.mean", _UPPER)
_SMALL = ("sparse_at", "sparse_eps")


def save_card(scan: SavedScan, path: Path) -> None:
    """Write the card file of a scan; it appears whole or not at all."""
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
    with written_whole(path) as temporary:
        # One entry, since safetensors writes several in any order.
        save_file(stored, temporary, {_MARK: json.dumps({"version": VERSION, "shapes": shapes})})


def is_card(path: Path) -> bool:
    """Whether a file says that it is a card, of whatever version."""
    with contextlib.suppress(OSError, SafetensorError), safe_open(path, framework="numpy") as file:
        return _MARK in (file.metadata() or {})
    return False


def open_card(path: Path) -> SavedScan:
    """The scan in a card file.

    No more memory is taken than the arrays need that its tables tell of, and `MOST_TEXT` for those.

    Raises CheckpointError, with the remedy, for anything that `save_card` did not write.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = _shapes(path, file.metadata() or {})
            tables = json.loads(_decoded(path, "tables", file.get_tensor("tables"), MOST_TEXT))
            layers, models = (_as_table(tables[name]) for name in ("layers", "models"))
            arrays = {"edges": file.get_tensor("edges")}
            for name, (dtype, *shape) in shapes.items():
                _check_rows(path, name, shape, layers.num_rows)
                arrays[name] = _array(path, name, file.get_tensor(name), dtype, shape)
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise _no_card(path, f"expected a card file, got: {error}") from error
    except (AttributeError, RecursionError, pa.ArrowException) as error:
        raise _no_card(path, f"expected the tables of a card, got: {error}") from error
    check_record(path, tables["record"])
    basis = load_basis(path)
    if _UPPER in arrays:
        arrays[_UPPER] = _symmetric(path, arrays[_UPPER], len(basis.mean))
    return assembled(path, tables["record"], layers, models, basis, arrays)


def _arrays(scan: SavedScan) -> dict[str, np.ndarray]:
    normalized = scan.moments.get("normalized")
    arrays = {"histogram": scan.histogram, "sparse_histogram": scan.sparse_histogram}
    arrays |= {"sparse_at": scan.sparse_at, "sparse_eps": scan.sparse_eps}
    if normalized is not None:
        rows, columns = np.triu_indices(scan.d)
        arrays["normalized.count"] = np.asarray(normalized.count)
        arrays["normalized.mean"] = np.asarray(normalized.mean)
        arrays[_UPPER] = np.asarray(normalized.scatter)[:, rows, columns]
    return {name: value for name, value in arrays.items() if value is not None}


def _by_byte(array: np.ndarray) -> bytes:
    """The first bytes of all numbers, then the second ones: alike, and so better compressed."""
    width = array.dtype.itemsize
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1, width).T.tobytes()


def _coded(data: bytes) -> np.ndarray:
    return np.frombuffer(lzma.compress(data), np.uint8)


def _decoded(path: Path, name: str, coded: np.ndarray, most: int) -> bytes:
    try:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=1 << 27)
        data = decoder.decompress(coded.tobytes(), max_length=most)
    except lzma.LZMAError as error:
        raise _no_card(path, f"expected {name} compressed by LZMA, got: {error}") from error
    if not decoder.eof:
        raise _no_card(path, f"expected at most {most} bytes of {name}, found more or a cut")
    return data


def _array(path: Path, name: str, coded: np.ndarray, dtype: str, shape: list[int]) -> np.ndarray:
    width = np.dtype(dtype).itemsize
    size = math.prod(shape) * width
    # One more than expected, since a decoder that is full need not have seen the end.
    data = _decoded(path, name, coded, size + 1)
    if len(data) != size:
        raise _no_card(path, f"expected {size} bytes of {name}, found {len(data)}")
    planes = np.frombuffer(data, np.uint8).reshape(width, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(shape)


def _shapes(path: Path, told: dict[str, str]) -> dict[str, list[Any]]:
    if _MARK not in told:
        raise _no_card(path, "expected a card file, found another safetensors file")
    head = json.loads(told[_MARK])
    if head["version"] != VERSION:
        found = f"version {head['version']!r}"
        raise _no_card(path, f"expected a card file of version {VERSION}, found {found}")
    shapes = head["shapes"]
    for name, (dtype, *shape) in shapes.items():
        fits = all(isinstance(n, int) and 0 <= n < 1 << 32 for n in shape)
        if name not in (*_ARRAYS, *_SMALL) or dtype not in ("<i8", "<f8") or not fits:
            raise _no_card(path, f"expected arrays of a card, found {name!r}")
    return shapes


def _check_rows(path: Path, name: str, shape: list[int], rows: int) -> None:
    # Every layer has a row of text, which bounds what the shapes can ask for.
    most = 1 << 24
    if (name != "sparse_eps" and shape[:1] != [rows]) or math.prod(shape[1:]) > most:
        raise _no_card(path, f"expected {name} of {rows} layers, found the shape {tuple(shape)}")


def _symmetric(path: Path, upper: np.ndarray, d: int) -> np.ndarray:
    rows, columns = np.triu_indices(d)
    if upper.ndim != 2 or upper.shape[1] != len(rows):
        raise _no_card(path, f"expected {len(rows)} products a layer, found {upper.shape}")
    whole = np.empty((len(upper), d, d))
    whole[:, rows, columns] = upper
    whole[:, columns, rows] = upper
    return whole


def _as_json(table: pa.Table) -> dict[str, Any]:
    types = {field.name: str(field.type) for field in table.schema}
    return {"types": types, "columns": table.to_pydict()}


def _as_table(stored: dict[str, Any]) -> pa.Table:
    types = {name: pa.type_for_alias(alias) for name, alias in stored["types"].items()}
    return pa.table({name: pa.array(stored["columns"][name], types[name]) for name in types})


def _no_card(path: Path, reason: str) -> CheckpointError:
    remedy = "`jfilters card SCAN -o FILE` writes one"
    return CheckpointError(reason, path=path, remedy=remedy)
