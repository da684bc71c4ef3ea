"""Reading a Parquet table within bounds: what its pages become is known before any of them is unpacked.

A kilobyte of run lengths can stand for a billion rows, and a dictionary of one long text for terabytes; a
page claims what it decompresses to. So rows and pages are counted first, and texts are read as
dictionaries.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .._bounds import TIMES_COMPRESSED, Allowance, file_allowance
from .._files import Location, file_bytes
from ..errors import CheckpointError
from ._thrift import page_header

MOST_CHUNKS = 100_000
"""Columns times groups of rows; a scan of a hundred million layers has 4,000."""

_CELL = 16
"""Bytes of a cell: a number of 8, and what Arrow and the conversions to come need beside it."""

_SHARED_PREFIXES = 7  # DELTA_BYTE_ARRAY, which makes n² bytes of n
_HEADER = 1 << 16


def read_parquet(path: Location) -> pa.Table:
    """Return the table of a Parquet file whose columns are flat.

    Raises CheckpointError for nested columns, or for a file that unpacks to more than its allowance, and
    OSError, ValueError or pa.ArrowException for one that cannot be read.
    """
    allowance = file_allowance(path, TIMES_COMPRESSED)
    with _opened(path) as file:
        metadata = pq.ParquetFile(file).metadata
        _check_columns(path, metadata)
        for place, size, n_values, encoding in _pages(file, allowance.stored, metadata):
            if encoding == _SHARED_PREFIXES:
                reason = f"expected plain texts, found shared prefixes at byte {place}"
                raise CheckpointError(reason, path=path, remedy="write it again with pyarrow")
            allowance.draw(size + n_values * _CELL, "its pages")
        allowance.draw(metadata.num_rows * metadata.num_columns * _CELL, "its rows")
        texts = [
            metadata.schema.column(i).name
            for i in range(metadata.num_columns)
            if metadata.schema.column(i).physical_type == "BYTE_ARRAY"
        ]
        # read_table would import pandas, which takes half a second.
        table = pq.ParquetFile(file, read_dictionary=texts).read()
    return _decoded(table, allowance)


def _opened(path: Location) -> io.BufferedIOBase:
    return path.open("rb") if isinstance(path, Path) else io.BytesIO(file_bytes(path))


def _check_columns(path: Location, metadata: pq.FileMetaData) -> None:
    if metadata.num_columns * metadata.num_row_groups > MOST_CHUNKS:
        raise CheckpointError(f"expected at most {MOST_CHUNKS:,} parts of columns", path=path)
    for i in range(metadata.num_columns):
        column = metadata.schema.column(i)
        if column.max_repetition_level or column.max_definition_level > 1:
            raise CheckpointError(f"expected flat columns, found {column.path[:80]!r}", path=path)


def _pages(
    file: io.BufferedIOBase, file_size: int, metadata: pq.FileMetaData
) -> Iterator[tuple[int, int, int, int]]:
    """Place, unpacked size, number of values and encoding of every page, as their headers claim."""
    for group in range(metadata.num_row_groups):
        for i in range(metadata.num_columns):
            column = metadata.row_group(group).column(i)
            starts = [column.data_page_offset]
            if column.dictionary_page_offset:
                starts.append(column.dictionary_page_offset)
            place = min(starts)
            stop = min(place + column.total_compressed_size, file_size)
            while 0 <= place < stop:
                file.seek(place)
                length, size, packed, n_values, encoding = page_header(file.read(_HEADER))
                yield place, size, n_values, encoding
                place += length + packed


def _decoded(table: pa.Table, allowance: Allowance) -> pa.Table:
    """The table with its dictionaries as plain columns, after the texts they stand for are drawn."""
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            for chunk in table.column(i).chunks:
                lengths = pc.call_function("binary_length", [chunk.dictionary])
                total = lengths.take(chunk.indices).drop_null().to_numpy().sum(dtype=np.int64)
                allowance.draw(int(total), f"its column {field.name[:80]!r}")
            plain = table.column(i).cast(field.type.value_type)
            table = table.set_column(i, field.name, plain)
    return table
