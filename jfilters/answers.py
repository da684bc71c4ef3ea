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
    """The answer to one question: a record for JSON, rows for CSV and data frames, text by
    `report.text`."""

    @abc.abstractmethod
    def record(self) -> Any:
        """Return everything that is known as JSON holds it: None where a value is unknown or undefined."""

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
