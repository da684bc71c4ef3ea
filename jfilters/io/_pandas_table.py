"""A pandas table inside an HDF5 file, read without pandas: "table" and "fixed" layouts, and CSV text.

The fixed layout pickles its columns of text. Those go through the inert pickle machine.
"""

import math
import pickletools
import re
from typing import TYPE_CHECKING

import numpy as np

from ._cursor import Cursor
from ._hdf5_file import Hdf5File, Hdf5Node
from ._hdf5_read import read_hdf5_bytes, read_hdf5_rows
from ._inert import Inert, MemorySource
from ._unpickle import unpickle

if TYPE_CHECKING:
    import pyarrow

MAX_META = 1 << 28
"""Bytes of one stored piece of a table."""

_RECONSTRUCT = re.compile(r"numpy\._?core\.multiarray\._reconstruct")


def read_pandas_table(file: Hdf5File, nodes: dict[str, Hdf5Node], key: str) -> "pyarrow.Table":
    """The table stored under `key`, its index levels as columns.

    Raises CheckpointError if it is in none of the three layouts, or damaged.
    """
    if key in nodes:
        return _from_csv(file, nodes[key])
    if f"{key}/table" in nodes:
        return _from_records(file, nodes[f"{key}/table"])
    if f"{key}/axis0" in nodes:
        return _from_blocks(file, nodes, key)
    raise file.error(f"expected a pandas table or CSV text under {key!r}")


def _from_csv(file: Hdf5File, node: Hdf5Node) -> "pyarrow.Table":
    import pyarrow
    import pyarrow.csv

    values = _values(file, node)
    if values.ndim != 1 or values.dtype != np.uint8:
        raise file.error("expected the bytes of a CSV text", node.name)
    # "12:16" would pass for a time of day.
    options = pyarrow.csv.ConvertOptions(column_types={"filter_ids": pyarrow.string()})
    try:
        return pyarrow.csv.read_csv(pyarrow.BufferReader(values.tobytes()), convert_options=options)
    except pyarrow.ArrowException as error:
        raise file.error(f"expected CSV text ({str(error)[:100]})", node.name) from error


def _from_records(file: Hdf5File, node: Hdf5Node) -> "pyarrow.Table":
    """The "table" layout: one compound dataset, whose fields are columns or blocks of them."""
    records = _values(file, node)
    columns: dict[str, list] = {}
    for field in records.dtype.names or ():
        block = records[field].reshape(len(records), -1)
        names = _unpickled_names(file, node, f"{field}_kind") or [field]
        if len(names) != block.shape[1]:
            names = [f"{field}.{index}" for index in range(block.shape[1])]
        columns |= {name: _plain(block[:, i]) for i, name in enumerate(names)}
    columns.pop("index", None)
    return _table(file, columns)


def _from_blocks(file: Hdf5File, nodes: dict[str, Hdf5Node], key: str) -> "pyarrow.Table":
    """The "fixed" layout: one array for the columns of one type, one for each index level."""
    columns: dict[str, list] = {}
    for level in _numbered(nodes, f"{key}/axis1_level"):
        labels = _values(file, nodes[f"{key}/axis1_label{level}"])
        node = nodes[f"{key}/axis1_level{level}"]
        values = _block(file, node)[:, 0]
        if labels.size and not -1 <= labels.min() <= labels.max() < len(values):
            raise file.error(f"index labels beyond the {len(values)} of the level", node.name)
        name = _unpickled_text(file.text(node.dataset, "name")) or f"level_{level}"
        columns[name] = [None if label < 0 else values[label] for label in labels.tolist()]
    for number in _numbered(nodes, f"{key}/block", "_items"):
        names = _plain(_block(file, nodes[f"{key}/block{number}_items"])[:, 0])
        node = nodes.get(f"{key}/block{number}_values")
        block = _block(file, node) if node else np.zeros((0, 0))
        if block.shape[1] != len(names):
            where = f"{key}/block{number}_values"
            raise file.error(f"expected {len(names)} columns, found {block.shape[1]}", where)
        columns |= {str(name): _plain(block[:, i]) for i, name in enumerate(names)}
    return _table(file, columns)


def _numbered(nodes: dict[str, Hdf5Node], start: str, end: str = "") -> list[int]:
    """The numbers between `start` and `end` in the names of nodes, in order."""
    pattern = re.compile(f"{re.escape(start)}([0-9]{{1,6}}){re.escape(end)}")
    return sorted(int(match[1]) for name in nodes if (match := pattern.fullmatch(name)))


def _values(file: Hdf5File, node: Hdf5Node) -> np.ndarray:
    """The values of a dataset of the table, within `MAX_META`."""
    if node.dataset is None or node.reason or node.dataset.dtype.hasobject:
        raise file.error(node.reason or "expected numbers or text of one length", node.name)
    if math.prod(node.dataset.shape) * node.dataset.dtype.itemsize > MAX_META:
        raise file.error(f"a table of more than {MAX_META:,} bytes", node.name)
    return read_hdf5_rows(file, node)


def _block(file: Hdf5File, node: Hdf5Node) -> np.ndarray:
    """The values of some columns, (rows, columns)."""
    if node.dataset is not None and node.dataset.dtype.hasobject:
        return _pickled_block(file, node, read_hdf5_bytes(file, node))
    values = _values(file, node)
    return values.reshape(len(values) if values.ndim else 1, -1)


def _pickled_block(file: Hdf5File, node: Hdf5Node, data: bytes) -> np.ndarray:
    """An array of text and numbers from its pickle; nothing else is built."""
    source = MemorySource(file.path, memoryview(data))
    record = unpickle(Cursor(source), lambda _: None)
    is_array = isinstance(record, Inert) and _RECONSTRUCT.fullmatch(record.name)
    state = record.state if isinstance(record, Inert) and is_array else None
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[4], list):
        raise file.error("expected a pickled array of text and numbers", node.name)
    shape, flat = state[1], [_cell(value) for value in state[4]]
    is_shape = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
    if not is_shape or not 1 <= len(shape) <= 2 or math.prod(shape) != len(flat):
        raise file.error(
            f"expected the {len(flat)} values of a pickled array in its shape", node.name
        )
    block = np.empty(len(flat), dtype=object)
    block[:] = flat
    return block.reshape(shape[0], -1) if flat else block.reshape(0, 0)


def _cell(value: object) -> object:
    """A value of the table; what is neither text nor number is missing."""
    return value if isinstance(value, str | bool | int | float) else None


def _unpickled_names(file: Hdf5File, node: Hdf5Node, attribute: str) -> list[str]:
    """The column names that PyTables pickles into an attribute."""
    text = file.text(node.dataset, attribute) or ""
    # A list of distinct names is its own listing of opcodes, of whatever protocol.
    opcodes = pickletools.genops(text.encode()) if text.endswith(".") else ()
    return [str(name) for opcode, name, _ in opcodes if "UNICODE" in opcode.name]


def _unpickled_text(text: str | None) -> str | None:
    """A text attribute; PyTables pickles None."""
    return None if text == "N." else text


def _plain(values: np.ndarray) -> list:
    """A column as Python values: text decoded, missing text None."""
    cells = values.tolist()
    if values.dtype.kind == "S":
        texts = [value.decode("utf-8", "replace") for value in cells]
        return [None if text == "nan" else text for text in texts]
    if values.dtype.kind == "O":
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in cells]
        return [None if isinstance(v, float) and math.isnan(v) else v for v in texts]
    return cells


def _table(file: Hdf5File, columns: dict[str, list]) -> "pyarrow.Table":
    import pyarrow

    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise file.error(f"expected columns of one length, found {sorted(lengths)}")
    return pyarrow.table({name: _column(values) for name, values in columns.items()})


def _column(values: list) -> "pyarrow.Array":
    import pyarrow

    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError):
        return pyarrow.array([None if value is None else str(value) for value in values])
