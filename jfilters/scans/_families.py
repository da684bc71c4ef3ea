"""Families and runs of the models of a scan, as columns of its table of models."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ._runs import LAYER_IDENTITY, architectures_of, runs_of
from ._sketches import networks_of

if TYPE_CHECKING:
    from ..lineage import Families
    from ._scan import Scan

MOST_COMPARED = 4_000
"""Models of which families are found: each pair takes 60 bytes, a gigabyte in all."""

_RECORD = "families"


def with_families(scan: "Scan") -> "Scan":
    """Return a scan with the families and runs of its models, found again from its sketches.

    The record says how many pairs were tested, from which z on two models are kin, and the chance of any
    false link. Without sketches, or with more than `MOST_COMPARED` models, families are null.
    """
    record = {key: value for key, value in scan.record.items() if key != _RECORD}
    names = scan.model_names
    families = _families(scan) if len(names) <= MOST_COMPARED else None
    if families is not None:
        record = _beside_totals(record, families.alarm._asdict())
    elif scan.sketches is not None:
        record["left_out"] = [*record.get("left_out", []), _left_out(len(names))]
    labels = None if families is None else families.labels.tolist()
    return dataclasses.replace(scan, record=record, model_table=_labeled(scan, labels))


def _runs(scan: "Scan", numbers: Sequence[int] | None) -> list[str | None]:
    models, steps = (scan.model_table[name].to_pylist() for name in ("model", "step"))
    of_models = architectures_of(scan.layer_table.select(LAYER_IDENTITY).to_pydict())
    pattern = scan.record.get("config", {}).get("run")
    return runs_of(models, steps, numbers, [of_models.get(model) for model in models], pattern)


def _families(scan: "Scan") -> "Families | None":
    networks = networks_of(scan)
    if networks is None:
        return None
    from ..lineage import find_families  # at the end of a scan alone, not when one is opened

    return find_families(networks)


def _labeled(scan: "Scan", labels: Sequence[int] | None) -> pa.Table:
    """Return the table of models with their families, which have numbers in the order of first members."""
    table, names = scan.model_table, scan.model_names
    firsts: dict[str, str | None] = dict.fromkeys(names)
    numbers = None
    if labels is not None:
        first_of = dict(zip(reversed(labels), reversed(names), strict=True))
        firsts = {name: first_of[label] for name, label in zip(names, labels, strict=True)}
        number_of = dict(zip(names, labels, strict=True))
        numbers = [number_of[name] for name in table["model"].to_pylist()]
    models = table["model"].to_pylist()
    families = _with(table, "family", [firsts[model] for model in models])
    return _with(families, "run", _runs(scan, numbers))


def _with(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, pa.string()))


def _left_out(count: int) -> str:
    return f"family: {count} models, and families are found among at most {MOST_COMPARED}"


def _beside_totals(record: dict[str, Any], alarm: dict[str, Any]) -> dict[str, Any]:
    keys = list(record)
    place = keys.index("totals") + 1 if "totals" in record else len(keys)
    items = list(record.items())
    return dict([*items[:place], (_RECORD, alarm), *items[place:]])
