"""Scans and cards of several machines or days merged into one, as if all had been scanned together.

Counts add and nothing is estimated: the histograms have to be in one basis, between the same edges.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from ..engine import STATUSES
from ..statistics import Moments
from ._compatible import check_comparable, check_same_sparse
from ._parts import MOMENTS
from ._saved import SavedScan, checkpoint_of


def merge_scans(scans: Sequence[SavedScan]) -> tuple[SavedScan, list[str]]:
    """The scans as one, and what could not be kept because not all of them have it.

    A model that several of them hold with the same content (sha256, or without one the same cards) is
    kept once; models of one name and different content get the name of their source before theirs.

    Raises ValueError if there is none, or where their histograms cannot be put together.
    """
    if not scans:
        raise ValueError("expected scans or cards to merge, got none")
    for other in scans[1:]:
        check_comparable(scans[0], other)
        check_same_sparse(scans[0], other)
    kept = _named_apart(scans)
    lost = _not_in_all(kept)
    merged = dataclasses.replace(
        kept[0],
        record=_record(kept, scans),
        layer_table=_concatenated([scan.layer_table for scan in kept]),
        model_table=_concatenated([scan.model_table for scan in kept]),
        histogram=np.concatenate([scan.histogram for scan in kept]),
        moments={
            name: _stacked([scan.moments[name] for scan in kept])
            for name in MOMENTS
            if all(name in scan.moments for scan in kept)
        },
        **_sparse(kept, lost),
        **_sample(kept, lost),
    )
    return merged, lost


def _named_apart(scans: Sequence[SavedScan]) -> list[SavedScan]:
    """Every scan with only the models that no earlier one holds too, under names of their own."""
    sources = _source_names(scans)
    holders: dict[str, list[tuple[int, object]]] = {}
    for i, scan in enumerate(scans):
        contents = _contents(scan)
        for model in scan.model_names:
            found = holders.setdefault(model, [])
            if contents[model] not in [content for _, content in found]:
                found.append((i, contents[model]))
    names: list[dict[str, str]] = [{} for _ in scans]
    for model, found in holders.items():
        for i, _ in found:
            names[i][model] = model if len(found) == 1 else f"{sources[i]}/{model}"
    _check_apart([name for given in names for name in given.values()])
    return [_renamed(scan, names[i]) for i, scan in enumerate(scans)]


def _check_apart(names: list[str]) -> None:
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"two models would be called {twice[0]!r}; rename one of the sources")


def _source_names(scans: Sequence[SavedScan]) -> list[str]:
    names: list[str] = []
    for scan in scans:
        path = scan.folder.resolve()
        name, number = path.stem if path.is_file() else path.name, 2
        shown = name
        while shown in names:
            shown, number = f"{name}-{number}", number + 1
        names.append(shown)
    return names


def _contents(scan: SavedScan) -> dict[str, object]:
    """For every model what tells its content: which layers it has, and their hash or histograms."""
    hashes = {entry["model"]: entry.get("sha256") for entry in scan.record["checkpoints"]}
    names = np.array(scan.layer_table["layer"].to_pylist(), object)
    contents: dict[str, object] = {}
    for i, model in enumerate(scan.model_names):
        mine = scan.model_of_layer == i
        known = hashes.get(checkpoint_of(model, hashes))
        contents[model] = (known or scan.histogram[mine].tobytes(), tuple(names[mine]))
    return contents


def _renamed(scan: SavedScan, names: dict[str, str]) -> SavedScan:
    kept = np.array([model in names for model in scan.model_names], bool)
    part = scan if kept.all() else scan.only(kept[scan.model_of_layer])
    return dataclasses.replace(
        part,
        layer_table=_with_names(part.layer_table, names),
        model_table=_with_names(part.model_table, names),
        record={**part.record, "checkpoints": _checkpoints(scan, names)},
    )


def _with_names(table: pa.Table, names: dict[str, str]) -> pa.Table:
    new = [names[model] for model in table["model"].to_pylist()]
    place = table.column_names.index("model")
    return table.set_column(place, "model", pa.array(new, pa.string()))


def _checkpoints(scan: SavedScan, names: dict[str, str]) -> list[dict]:
    """What came of the checkpoints, less those of which every model is kept elsewhere."""
    entries = scan.record["checkpoints"]
    known = {entry["model"] for entry in entries}
    gone = {checkpoint_of(model, known) for model in scan.model_names if model not in names}
    gone -= {checkpoint_of(model, known) for model in names}
    return [
        {**entry, "model": names.get(entry["model"], entry["model"])}
        for entry in entries
        if entry["model"] not in gone
    ]


def _record(kept: Sequence[SavedScan], scans: Sequence[SavedScan]) -> dict[str, Any]:
    checkpoints = _once([entry for scan in kept for entry in scan.record["checkpoints"]])
    sources = [
        {"source": str(scan.folder)}
        | {key: scan.record[key] for key in ("versions", "device", "config") if key in scan.record}
        for scan in scans
    ]
    return {
        **kept[0].record,
        "totals": _totals(kept, checkpoints),
        "checkpoints": checkpoints,
        "ignored": [path for scan in kept for path in scan.record.get("ignored", [])],
        "merged": sources,
    }


def _once(entries: list[dict]) -> list[dict]:
    """Checkpoints that several sources tell of alike, the first time only."""
    told = {}
    for entry in entries:
        where = None if entry.get("sha256") else entry.get("path")
        told.setdefault((entry["model"], entry.get("sha256"), entry.get("status"), where), entry)
    return list(told.values())


def _totals(kept: Sequence[SavedScan], checkpoints: list[dict]) -> dict[str, int]:
    statuses = [entry.get("status") for entry in checkpoints]
    outside = [scan.record["totals"].get("coefficients_outside_range", 0) for scan in kept]
    counts = {
        "kernels": "n_kernels",
        "zero_kernels": "n_zero",
        "nonfinite_kernels": "n_nonfinite",
    }
    return {
        "checkpoints": len(checkpoints),
        **{status: statuses.count(status) for status in STATUSES},
        "bytes": sum(entry.get("bytes") or 0 for entry in checkpoints),
        "layers": sum(scan.layer_table.num_rows for scan in kept),
        **{
            total: sum(sum(scan.layer_table[name].to_pylist()) for scan in kept)
            for total, name in counts.items()
        },
        "coefficients_outside_range": sum(outside),
    }


def _not_in_all(scans: Sequence[SavedScan]) -> list[str]:
    lost = [
        name
        for name in ("sparse_histogram", "sparse_at", "sample")
        if len({getattr(scan, name) is None for scan in scans}) > 1
    ]
    moments = [f"{name} moments" for name in MOMENTS if len({name in s.moments for s in scans}) > 1]
    if "sparse_at" not in lost and any(_other_eps(scans[0], scan) for scan in scans[1:]):
        lost.append("sparse_at")
    return lost + moments


def _other_eps(a: SavedScan, b: SavedScan) -> bool:
    if a.sparse_eps is None or b.sparse_eps is None:
        return False
    return not np.array_equal(a.sparse_eps, b.sparse_eps)


def _sparse(scans: Sequence[SavedScan], lost: list[str]) -> dict[str, np.ndarray | None]:
    at_eps = "sparse_at" in lost
    return {
        "sparse_histogram": _joined([scan.sparse_histogram for scan in scans]),
        "sparse_at": None if at_eps else _joined([scan.sparse_at for scan in scans]),
        "sparse_eps": None if at_eps else scans[0].sparse_eps,
    }


def _sample(scans: Sequence[SavedScan], lost: list[str]) -> dict[str, np.ndarray | None]:
    if "sample" in lost or scans[0].sample is None:
        return {"sample": None, "sample_layer": None}
    first = np.cumsum([0, *(scan.layer_table.num_rows for scan in scans[:-1])])
    rows = [np.asarray(scan.sample_layer) + start for scan, start in zip(scans, first, strict=True)]
    return {
        "sample": _joined([scan.sample for scan in scans]),
        "sample_layer": np.concatenate(rows),
    }


def _joined(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if len(known) == len(arrays) else None


def _stacked(parts: list[Moments]) -> Moments:
    return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """One table with the columns of all; a column of several types becomes text."""
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, found in types.items() if len(found) > 1}
    return pa.concat_tables([_as_text(table, mixed) for table in tables], promote_options="default")


def _as_text(table: pa.Table, columns: set[str]) -> pa.Table:
    for name in columns & set(table.column_names):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
    return table
