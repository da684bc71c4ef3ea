"""The kernels of a scan as one CNN Filter DB file, read again from the checkpoints that it names.

What is written is what was scanned: a checkpoint that has gone or changed since is an error. Those of URLs
are told apart by what their stores say of them, and else by the names and shapes of their layers alone.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .._files import file_bytes, place, readable
from ..converters import Checkpoint, Location, location, write_filterdb
from ..converters.internal import identity, is_file, is_folder, is_remote
from ..errors import CheckpointError, UnreadableError
from ..scans.internal import READ
from ._digest import digest
from ._opening import checkpoint_at, chosen_layers, largest_layers
from ._options import Options
from ._plan import Entry

SPATIAL = (3, 3)
"""The one kernel size of a Filter DB."""

_RENAMED = {"depth": "conv_depth", "relative_depth": "conv_depth_norm"}
_MODEL, _KERNELS = "model_id", "(3, 3) filters"
_Layer = tuple[str, int, int]
_AGAIN = "scan the checkpoints again"


@dataclasses.dataclass(frozen=True)
class _Source:
    """One checkpoint of a scan as scan.json names it, and its layers as layers.parquet does.

    Of each layer its name, its output channels and its kernels; those of all networks of a population.
    """

    path: str
    sha256: str | None
    identity: str | None
    options: Options
    layers: list[_Layer]


def export_filterdb(scan_folder: Location | str, path: Location | str) -> int:
    """Write the kernels of a scan as a Filter DB, and return their number.

    Kernels are in the order of layers.parquet, and the table has its columns. The Filter DB's own names
    replace columns of the same name: model_id, conv_depth, conv_depth_norm, and "(3, 3) filters", the
    number of kernels of the model. The checkpoints are read again, one layer at a time.

    Args:
        scan_folder: the folder of a scan of 3x3 kernels, whose checkpoints are where they were.
        path: the HDF5 file to write; both may be URLs.

    Returns:
        The number of kernels in the file.

    Raises:
        CheckpointError: the folder holds no scan of 3x3 kernels, or a checkpoint has gone or changed.
        MissingExtraError: h5py is not installed.
    """
    folder, target = readable(scan_folder), place(path)
    table = _read_layers(folder)
    sources = _sources(folder, table)
    write_filterdb(target, itertools.chain.from_iterable(map(_kernels, sources)), _meta(table))
    return sum(table["n_kernels"].to_pylist())


def _read_layers(folder: Location) -> pa.Table:
    try:
        table = pq.read_table(pa.BufferReader(file_bytes(folder / "layers.parquet")))
    except (OSError, UnreadableError, pa.ArrowException) as error:
        raise _no_scan(folder) from error
    if not table.num_rows:
        raise CheckpointError("a scan without kernels: nothing to export", path=folder)
    return table


def _sources(folder: Location, table: pa.Table) -> list[_Source]:
    """The checkpoints that were read, in the order of the scan."""
    columns = (table[name].to_pylist() for name in ("model", "layer", "out_channels", "n_kernels"))
    layers = {
        model: [row[1:] for row in rows]
        for model, rows in itertools.groupby(zip(*columns, strict=True), lambda row: row[0])
    }
    sources = _read_sources(folder, layers)
    if sum(len(source.layers) for source in sources) != table.num_rows:
        reason = "scan.json and layers.parquet name different checkpoints"
        raise CheckpointError(reason, path=folder, remedy=_AGAIN)
    return sources


def _read_sources(folder: Location, layers: dict[str, list[_Layer]]) -> list[_Source]:
    """The checkpoints in scan.json that have these layers."""
    try:
        record = json.loads(file_bytes(folder / "scan.json"))
        spatial, options = tuple(record["config"]["spatial"]), Options.of_record(record["config"])
        sources = [
            _source(entry, options, layers)
            for entry in record["checkpoints"]
            if entry["status"] in READ
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _no_scan(folder) from error
    if spatial != SPATIAL:
        size = "x".join(map(str, spatial))
        raise CheckpointError(f"a Filter DB holds 3x3 kernels, not {size}", path=folder)
    return sources


def _source(entry: dict, options: Options, layers: dict[str, list[_Layer]]) -> _Source:
    identities = entry["sha256"], entry.get("identity")
    return _Source(str(entry["path"]), *identities, options, _layers_of(entry["model"], layers))


def _layers_of(model: str, layers: dict[str, list[_Layer]]) -> list[_Layer]:
    """The layers of a checkpoint, or of all networks in it. Raises KeyError if there is none."""
    if model in layers:
        return layers[model]
    members = [name for name in layers if name.startswith(f"{model}/")]
    if not members:
        raise KeyError(model)
    return [layer for member in members for layer in layers[member]]


def _no_scan(folder: Location) -> CheckpointError:
    reason = "expected the folder of a scan, with scan.json and layers.parquet"
    return CheckpointError(reason, path=folder, remedy="`jfilters scan` writes one")


def _meta(table: pa.Table) -> pa.Table:
    """The table of the scan with the columns that a Filter DB has, under its names."""
    models = table["model"].combine_chunks().dictionary_encode()
    per_model = np.bincount(models.indices, weights=table["n_kernels"])
    counts = pa.array(per_model.astype(np.int64)).take(models.indices)
    names = [
        name for name in table.column_names if name not in {*_RENAMED.values(), _MODEL, _KERNELS}
    ]
    if table["depthwise"].null_count:
        # A Filter DB has no unknown truth value: numbers, of which some are NaN.
        place = table.column_names.index("depthwise")
        table = table.set_column(place, "depthwise", table["depthwise"].cast(pa.int64()))
    renamed = table.select(names).rename_columns([_RENAMED.get(name, name) for name in names])
    numbered = renamed.add_column(0, _MODEL, models.indices.cast(pa.int64()))
    return numbered.append_column(_KERNELS, counts)


def _kernels(source: _Source) -> Iterator[np.ndarray]:
    """The weights of a checkpoint's 3x3 layers, if it is still the one that was scanned."""
    path = location(source.path)
    _check_there(path)
    checkpoint = checkpoint_at(path, source.options)
    _check_unchanged(path, checkpoint, source)
    layers = largest_layers(chosen_layers(checkpoint, SPATIAL))
    current = [(x.layer.name, x.shape[0], x.shape[0] * x.shape[1]) for x in layers]
    if current != source.layers:
        reason = "its layers are no longer those in layers.parquet"
        raise CheckpointError(reason, path=path, remedy=_AGAIN)
    for layer in layers:
        yield layer.read()


def _check_there(path: Location) -> None:
    if not is_file(path) and not is_folder(path):
        where = (
            "" if is_remote(path) else "a relative path counts from where the scan was run; else "
        )
        raise UnreadableError("gone since the scan", path=path, remedy=where + _AGAIN)


def _check_unchanged(path: Location, checkpoint: Checkpoint, source: _Source) -> None:
    entry = Entry("", path, identity=identity(path)).with_companions_of(checkpoint)
    if source.sha256 is not None and isinstance(path, Path):
        former, current, name = source.sha256, digest(path, entry.companions), "sha256"
    else:
        former, current, name = source.identity, entry.version, "identity"
    if former is not None and former != current:
        reason = f"its {name} is no longer the one in scan.json"
        raise CheckpointError(reason, path=path, remedy=_AGAIN)
