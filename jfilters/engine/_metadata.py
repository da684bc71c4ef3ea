"""Metadata of a user's table, joined to the layers of a scan."""

import dataclasses
from collections.abc import Mapping, Sequence

from ..scans import MetadataTable
from ..scans.internal import Cell, Joined, join_metadata
from ._plan import Entry, PlannedLayer


@dataclasses.dataclass(frozen=True)
class Unmatched:
    """Keys of a table that fit no model, and models of which it tells nothing."""

    rows: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def with_metadata(
    entries: Sequence[Entry], table: MetadataTable | None
) -> tuple[list[Entry], Unmatched]:
    """Return the entries with the columns of the table on their layers, and the keys that match nothing."""
    if table is None:
        return list(entries), Unmatched()
    models = [model for entry in entries for model in _models(entry)]
    joined = join_metadata(models, table)
    of_model = dict(zip(models, _rows(joined, len(models)), strict=True))
    with_layers = {model for entry in entries if entry.layers for model in _models(entry)}
    missing = tuple(model for model in joined.unmatched_models if model in with_layers)
    described = [
        dataclasses.replace(
            entry,
            layers=tuple(
                _with(planned, of_model[entry.model_of(planned.member)]) for planned in entry.layers
            ),
        )
        for entry in entries
    ]
    return described, Unmatched(joined.unmatched_rows, missing)


def _models(entry: Entry) -> list[str]:
    members = dict.fromkeys(planned.member for planned in entry.layers)
    return [entry.model_of(member) for member in members or ("",)]


def _rows(joined: Joined, n: int) -> list[dict[str, Cell]]:
    return [{name: values[i] for name, values in joined.columns.items()} for i in range(n)]


def _with(planned: PlannedLayer, values: Mapping[str, Cell]) -> PlannedLayer:
    return dataclasses.replace(planned, metadata={**planned.metadata, **values})
