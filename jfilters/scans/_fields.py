"""The entries of the schema: a column of a table, and an array."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

Pool = Callable[[dict[str, np.ndarray], str], Any]
"""Makes the value of a model from the columns of its layers and the name of a column."""


@dataclass(frozen=True)
class Column:
    """One column of layers.parquet or models.parquet.

    - `unit` and `source`: empty where there is none; sources are sections of METHOD or papers.
    - `nullable`: rows may be null, where the value is unknown or undefined.
    - `optional`: scans of an earlier version may lack the column; it is null then.
    - `formerly`: the name in scans before schema 1.
    - `pool`: for a column of models, the value from the columns of its layers; None where it names the
    model.
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    source: str = ""
    nullable: bool = True
    optional: bool = False
    formerly: str = ""
    pool: Pool | None = None


@dataclass(frozen=True)
class StoredArray:
    """One array of arrays.safetensors.

    - `axes`: the name of the size of each axis; equal names are equal sizes, "layers" are the rows of
      layers.parquet, "d" the taps of a kernel.
    - `required`: every scan with kernels has it.
    - `together`: arrays of one such name are all there or none is.
    """

    name: str
    dtype: str
    axes: tuple[str, ...]
    meaning: str
    unit: str = ""
    required: bool = False
    together: str = ""
    nonnegative: bool = False


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Arrow schema of a table with these columns."""
    return pa.schema([(column.name, column.type) for column in columns])
