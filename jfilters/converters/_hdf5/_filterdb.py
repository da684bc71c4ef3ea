"""The CNN Filter DB: the 3x3 kernels of many networks in one HDF5 file, and whose they are.

`/filters` holds the kernels, (N, 3, 3) or (N, 9). `/meta` has one row a layer, with its first and last
kernel as `filter_ids`, "start:end". Source: Gavrikov & Keuper, CVPR 2022, arXiv:2203.15331.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CheckpointError
from ...io import (
    Hdf5File,
    Hdf5Node,
    Location,
    hdf5_errors,
    is_hdf5,
    location,
    open_source,
    read_hdf5_rows,
    read_pandas_table,
)
from ...layers import Layer
from .._format import Format
from .._stored import Metadata, StoredArray
from ._filterdb_meta import Rows

if TYPE_CHECKING:
    import pyarrow

_IDS = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")

MAX_CELLS = 1 << 22
"""Cells of a table that is listed as layers, which take up to 1 GB."""


@dataclasses.dataclass(frozen=True)
class FilterPopulation:
    """The kernels of a Filter DB file, read by slices, and its table of one row a layer.

    The file stays open as long as this object lives. The published file holds 1.4 billion 3x3 kernels, so
    that nothing but slices of them is ever in memory.

    - `path`: the file.
    - `count`: the number of kernels.
    - `meta`: the columns of `/meta`, the levels of its index first.
    - `dtype`: that of the kernels as stored.

    >>> import tempfile
    >>> import numpy as np, pyarrow as pa
    >>> from jfilters.converters import write_filterdb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_filterdb(f"{folder}/a.h5", [np.ones((4, 2, 3, 3))], pa.table({"model": ["a"]}))
    ...     kernels = population(f"{folder}/a.h5")
    ...     kernels.count, kernels.slice(0, 5).shape
    (8, (5, 3, 3))
    """

    path: Location
    count: int
    meta: "pyarrow.Table"
    dtype: str
    _file: Hdf5File = dataclasses.field(repr=False, compare=False)
    _node: Hdf5Node = dataclasses.field(repr=False, compare=False)

    def slice(self, start: int, stop: int) -> np.ndarray:
        """The kernels start..stop, (n, 3, 3), as stored; CheckpointError if they are damaged."""
        return read_hdf5_rows(self._file, self._node, slice(start, stop)).reshape(-1, 3, 3)

    def rows(self) -> list[range | None]:
        """The kernels of each row of `meta`; None for a row that names none.

        Raises CheckpointError if a row names kernels that the file does not hold.
        """
        if "filter_ids" not in self.meta.column_names:
            raise self._file.error(
                f"expected a column filter_ids, found {self.meta.column_names[:9]}"
            )
        return [
            self._range(index, ids) for index, ids in enumerate(self.meta["filter_ids"].to_pylist())
        ]

    def _range(self, index: int, ids: object) -> range | None:
        if ids is None:
            return None
        match = _IDS.fullmatch(ids) if isinstance(ids, str) else None
        start, last = (int(match[1]), int(match[2])) if match else (1, 0)
        if not start <= last < self.count:
            expected = f"expected filter_ids within 0:{self.count - 1}"
            raise self._file.error(f"row {index}: {expected}, found {str(ids)[:40]!r}", "meta")
        return range(start, last + 1)


def population(path: str | Location) -> FilterPopulation:
    """Open the kernels and the table of a CNN Filter DB file; only the table is read.

    The kernels stay in the file, and slices of them are read on demand. The table has one row a layer, with
    its first and last kernel, and may be in either of the layouts of pandas or CSV text.

    **Returns:** the `FilterPopulation`, which keeps the file open.

    **Raises:** CheckpointError if it is no such file, MissingExtraError without h5py.

    >>> import tempfile
    >>> import numpy as np, pyarrow as pa
    >>> from jfilters.converters import write_filterdb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_filterdb(f"{folder}/a.h5", [np.ones((4, 2, 3, 3))], pa.table({"model": ["a"]}))
    ...     population(f"{folder}/a.h5").rows()
    [range(0, 8)]
    """
    path = location(path)
    file = Hdf5File(path, open_source(path))
    with hdf5_errors(path):
        nodes = {node.name: node for node in file.nodes()}
        if not _are_kernels(nodes.get("filters")):
            raise file.error("expected kernels of shape (N, 3, 3) or (N, 9)", "filters")
        meta = read_pandas_table(file, nodes, "meta")
        kernels: Any = nodes["filters"].dataset
        count, dtype = kernels.shape[0], kernels.dtype.name
        return FilterPopulation(path, count, meta, dtype, file, nodes["filters"])


def _are_kernels(node: Hdf5Node | None) -> bool:
    if node is None or node.dataset is None or node.reason or node.dataset.dtype.kind != "f":
        return False
    return node.dataset.shape[1:] in ((3, 3), (9,))


def _recognizes(path: Location, head: bytes) -> bool:
    if not is_hdf5(path, head):
        return False
    try:
        file = Hdf5File(path, open_source(path))
        with hdf5_errors(path):
            names = {"filters", "meta"} <= set(file.file)
            return names and any(n.name == "filters" and _are_kernels(n) for n in file.nodes())
    except CheckpointError:
        return False


def _arrays(path: Location) -> Sequence[StoredArray]:
    kernels = population(path)
    if kernels.meta.num_rows * kernels.meta.num_columns > MAX_CELLS:
        raise CheckpointError(f"a table of more than {MAX_CELLS:,} cells", path=path, tensor="meta")
    with hdf5_errors(path):
        ids, table = kernels.rows(), Rows(kernels.meta)
        networks = table.networks().items()
        return [
            array for name, rows in networks for array in _network(kernels, ids, table, name, rows)
        ]


def _network(
    kernels: FilterPopulation, ids: list[range | None], table: Rows, name: str, rows: list[int]
) -> list[StoredArray]:
    """The layers of one network in depth order, and its rows that have no kernels."""
    spans = {row: span for row in rows if (span := ids[row]) is not None}
    layers = table.layers(list(spans), list(map(len, spans.values())), kernels.dtype)
    stored = [
        _layer(kernels, span, layer, table.channels(row, len(span)), name, table.metadata(row))
        for (row, span), layer in zip(spans.items(), layers, strict=True)
    ]
    stored.sort(key=lambda array: array.layer.depth if array.layer else 0)
    return stored + [
        _empty(kernels, f"{name}/layer{row}".lstrip("/")) for row in rows if row not in spans
    ]


def _layer(
    kernels: FilterPopulation,
    ids: range,
    layer: Layer,
    channels: tuple[int, int, int | None],
    member: str,
    metadata: Metadata,
) -> StoredArray:
    shape = (*channels[:2], 3, 3)
    return StoredArray(
        layer.name,
        shape,
        kernels.dtype,
        lambda: kernels.slice(ids.start, ids.stop).reshape(shape),
        member=member,
        layer=layer,
        metadata=metadata,
    )


def _empty(kernels: FilterPopulation, name: str) -> StoredArray:
    nothing = np.zeros((0, 1, 3, 3), kernels.dtype)
    reason = "no 3x3 kernels"
    return StoredArray(name, nothing.shape, kernels.dtype, lambda: nothing, reason=reason)


FORMAT = Format(
    name="filterdb",
    reads="CNN Filter DB: dataset.h5 with /filters and /meta",
    suffixes=(".h5",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
    extra="keras",
)
