"""Scans and bundles of several machines or days merged into one, as if all had been scanned together.

Counts add and nothing is estimated: the histograms have to be in one basis, between the same edges.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ._compatible import check_comparable, check_same_sparse
from ._families import with_families
from ._scan import Scan, checkpoint_of
from ._sketches import FIELDS
from ._totals import totals
from ._write import left_out
from .schema import ARRAY, ARRAYS, MOMENT_PARTS, MOMENTS, VERSION


def merge_scans(scans: Sequence[Scan]) -> tuple[Scan, list[str]]:
    """Merge scans into one, as if their checkpoints had been scanned together.

    A model that several of them hold with the same content (sha256, or without one the same histograms) is
    kept once; models of one name and different content get the name of their source before theirs.

    Args:
        scans: one or more, of the same kernel size, basis and edges.

    Returns:
        The merged scan in memory, and the names of arrays that it lacks because not all scans have them.

    Raises:
        ValueError: there is none, or their histograms cannot be put together.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> folder, rng = tempfile.mkdtemp(), np.random.default_rng(0)
    >>> for name in ("a", "b"):
    ...     weights = rng.normal(size=(8, 4, 3, 3)).astype(np.float32)
    ...     safetensors.numpy.save_file({"conv.weight": weights}, f"{folder}/{name}.safetensors")
    >>> first = jf.scan(f"{folder}/a.safetensors", progress=False)
    >>> second = jf.scan(f"{folder}/b.safetensors", basis=first.basis, progress=False)
    >>> scan, left_out = jf.merge_scans([first, second])
    >>> scan.model_names, left_out
    (['a.safetensors', 'b.safetensors'], [])
    """
    if not scans:
        raise ValueError("expected scans or bundles to merge, got none")
    for other in scans[1:]:
        check_comparable(scans[0], other)
        check_same_sparse(scans[0], other)
    parts = _named_apart(scans)
    missing = _not_in_all(parts)
    merged = Scan(
        record=_record(parts, scans),
        layer_table=_concatenated([scan.layer_table for scan in parts]),
        model_table=_concatenated([scan.model_table for scan in parts]),
        arrays=_arrays(parts, missing),
    )
    return with_families(merged), list(dict.fromkeys(_LABELS.get(name, name) for name in missing))


_LABELS = {
    **{f"{name}.{part}": f"{name} moments" for name in MOMENTS for part in MOMENT_PARTS},
    "sparse_eps": "sparse_at",
    "sample.layer": "sample",
    "sample.is_even": "sample",
    **dict.fromkeys(FIELDS, "sketches"),
}


def _named_apart(scans: Sequence[Scan]) -> list[Scan]:
    """Every scan with only the models that no earlier one holds too, under names of their own."""
    sources = _source_names(scans)
    holders: dict[str, list[tuple[int, object]]] = {}
    for i, scan in enumerate(scans):
        contents = _contents(scan)
        for model in scan.model_names:
            entries = holders.setdefault(model, [])
            if contents[model] not in [content for _, content in entries]:
                entries.append((i, contents[model]))
    names: list[dict[str, str]] = [{} for _ in scans]
    for model, entries in holders.items():
        for i, _ in entries:
            names[i][model] = model if len(entries) == 1 else f"{sources[i]}/{model}"
    _check_apart([name for renamed in names for name in renamed.values()])
    return [_renamed(scan, names[i]) for i, scan in enumerate(scans)]


def _check_apart(names: list[str]) -> None:
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"two models would be called {twice[0]!r}; rename one of the sources")


def _source_names(scans: Sequence[Scan]) -> list[str]:
    names: list[str] = []
    for scan in scans:
        name, number = scan.title, 2
        shown = name
        while shown in names:
            shown, number = f"{name}-{number}", number + 1
        names.append(shown)
    return names


def _contents(scan: Scan) -> dict[str, object]:
    """Return what identifies the content of every model: its layers, and their hash or histograms."""
    hashes = {entry["model"]: entry.get("sha256") for entry in scan.record["checkpoints"]}
    names = np.array(scan.layer_table["layer"].to_pylist(), object)
    contents: dict[str, object] = {}
    for i, model in enumerate(scan.model_names):
        in_model = scan.model_of_layer == i
        sha256 = hashes.get(checkpoint_of(model, hashes))
        contents[model] = (sha256 or scan.histogram[in_model].tobytes(), tuple(names[in_model]))
    return contents


def _renamed(scan: Scan, names: dict[str, str]) -> Scan:
    in_names = np.array([model in names for model in scan.model_names], bool)
    part = scan if in_names.all() else scan.only(in_names[scan.model_of_layer])
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


def _checkpoints(scan: Scan, names: dict[str, str]) -> list[dict[str, Any]]:
    """Return the records of the checkpoints, less those of which every model is in another scan."""
    entries = scan.record["checkpoints"]
    checkpoints = {entry["model"] for entry in entries}
    dropped = {
        checkpoint_of(model, checkpoints) for model in scan.model_names if model not in names
    }
    dropped -= {checkpoint_of(model, checkpoints) for model in names}
    return [
        {**entry, "model": names.get(entry["model"], entry["model"])}
        for entry in entries
        if entry["model"] not in dropped
    ]


def _record(parts: Sequence[Scan], scans: Sequence[Scan]) -> dict[str, Any]:
    checkpoints = _once([entry for scan in parts for entry in scan.record["checkpoints"]])
    counted = (scan.record["totals"].get("coefficients_outside_range", 0) for scan in parts)
    outside = sum(counted)
    sources = [
        {"source": scan.name}
        | {key: scan.record[key] for key in ("versions", "device", "config") if key in scan.record}
        for scan in scans
    ]
    return {
        **parts[0].record,
        "schema": VERSION,
        "totals": totals(checkpoints, [scan.layer_table for scan in parts], outside),
        "checkpoints": checkpoints,
        "left_out": left_out(sum(len(scan.model_names) for scan in parts)),
        "ignored": [path for scan in parts for path in scan.record.get("ignored", [])],
        "merged": sources,
    }


def _once(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries without repetitions; those of one content and status are one."""
    distinct = {}
    for entry in entries:
        path = None if entry.get("sha256") else entry.get("path")
        distinct.setdefault((entry["model"], entry.get("sha256"), entry.get("status"), path), entry)
    return list(distinct.values())


def _not_in_all(scans: Sequence[Scan]) -> list[str]:
    """Return the arrays that only some of the scans have, or have for other thresholds."""
    names = [array.name for array in ARRAYS if not array.required]
    missing = [name for name in names if len({name in scan.arrays for scan in scans}) > 1]
    if "sample" not in missing and _MARKS in missing:
        missing.remove(_MARKS)
    if "sparse_eps" not in missing and any(_other_eps(scans[0], scan) for scan in scans[1:]):
        missing += ["sparse_at", "sparse_eps"]
    return missing


def _other_eps(a: Scan, b: Scan) -> bool:
    if a.sparse_eps is None or b.sparse_eps is None:
        return False
    return not np.array_equal(a.sparse_eps, b.sparse_eps)


def _arrays(scans: Sequence[Scan], missing: list[str]) -> dict[str, np.ndarray]:
    """Return the arrays that all scans have: those of layers one scan after the other, the others once."""
    in_any = dict.fromkeys(name for scan in scans for name in scan.arrays)
    names = [name for name in in_any if name not in missing and name in ARRAY]
    of_layers = [name for name in names if ARRAY[name].axes[0] in _BY_LAYERS]
    arrays = {name: scans[0].arrays[name] for name in names if name not in of_layers}
    arrays |= {name: np.concatenate([_array(s, name) for s in scans]) for name in of_layers}
    starts = np.cumsum([0, *(scan.layer_table.num_rows for scan in scans[:-1])])
    for name in {"sample.layer", "kernel_hash.layer"} & set(arrays):
        rows = [scan.arrays[name] + start for scan, start in zip(scans, starts, strict=True)]
        arrays[name] = np.concatenate(rows)
    return arrays


def _array(scan: Scan, name: str) -> np.ndarray:
    """Return an array; scans of an earlier version drew every kernel of their sample evenly."""
    if name == _MARKS and name not in scan.arrays:
        return np.ones(len(scan.arrays["sample"]), bool)
    return scan.arrays[name]


_MARKS = "sample.is_even"

_BY_LAYERS = ("layers", "m", "marks", "sketch_rows", "hashes")
"""First axes of arrays that hold something of each layer."""


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """One table with the columns of all; a column of several types becomes text."""
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    mixed = {name for name, variants in types.items() if len(variants) > 1}
    return pa.concat_tables([_as_text(table, mixed) for table in tables], promote_options="default")


def _as_text(table: pa.Table, columns: set[str]) -> pa.Table:
    for name in columns & set(table.column_names):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
    return table
