"""Answers: the common form of what questions return."""

import abc
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import MissingExtraError

if TYPE_CHECKING:
    import pandas

Frame: TypeAlias = "pandas.DataFrame"
Row = Mapping[str, Any]


class Answer(abc.ABC):
    """Answer to one question: the form in which all questions of a scan return their results.

    `record()` is everything that the answer holds, for JSON. `rows()` are the lines of a CSV, and `frame`
    the same as a pandas DataFrame. `jfilters.report.text` writes an answer as plain text. Answers hold
    NumPy arrays and plain values; reading them needs no JAX.
    """

    @abc.abstractmethod
    def record(self) -> Any:
        """Return the whole answer as JSON holds it: None where a value is unknown or undefined."""

    def rows(self) -> Iterable[Row]:
        """Return the records of the lines of a CSV; those of the whole record where it is a list."""
        return self.record()

    @property
    def frame(self) -> Frame:
        """The rows as a pandas DataFrame. Raises MissingExtraError without pandas."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("pandas", "plot") from error
        return pandas.json_normalize([dict(row) for row in self.rows()])
