"""Tables as pandas DataFrames, for notebooks: names in the index, types that hold what is unknown."""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from ..errors import MissingExtraError
from ..statistics import VERDICTS

if TYPE_CHECKING:
    import pandas

# By name, so that nothing optional is imported.
Frame: TypeAlias = "pandas.DataFrame"

_PROSE = ("model", "layer", "reason")
"""Columns of texts that are all different; other texts are labels that come back."""


def frame(table: pa.Table, index: Sequence[str] = ()) -> Frame:
    """A table with some columns as its index.

    Whole numbers become Int64 and truth values boolean, which know what is unknown; labels become
    categories, verdicts from the most worrying to healthy; a number that is unknown is NaN.

    Raises MissingExtraError without pandas.
    """
    pandas = _pandas()
    types = {pa.int64(): pandas.Int64Dtype(), pa.bool_(): pandas.BooleanDtype()}
    labels = [
        field.name
        for field in table.schema
        if pa.types.is_string(field.type) and field.name not in _PROSE
    ]
    data = table.to_pandas(types_mapper=types.get, categories=labels)
    if "verdict" in data:
        data["verdict"] = data["verdict"].cat.set_categories(list(VERDICTS), ordered=True)
    return data.set_index(list(index)) if index else data


def matrix_frame(labels: Sequence[str], matrix: Float[np.ndarray, "m m"], axis: str) -> Frame:
    """A square matrix with the labels of its rows and columns, which are values of `axis`.

    Raises MissingExtraError without pandas.
    """
    pandas = _pandas()
    index = pandas.Index(list(labels), name=axis)
    return pandas.DataFrame(matrix, index=index, columns=index)


def _pandas() -> ModuleType:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas", "plot") from error
    return pandas
