"""One checkpoint looked at closely: its layers of every kernel size with their quality."""

import dataclasses

import pyarrow as pa

from ..converters import Checkpoint, Location, open_checkpoint
from ..errors import CheckpointError
from ._options import Options
from ._plan import survey
from ._run import Run, Scan
from ._tables import LAYERS, layers_table


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A checkpoint and the table of its layers, in depth order, whatever their kernel size."""

    checkpoint: Checkpoint
    layers: pa.Table


def inspect(path: Location | str, *, axes: str | None = None) -> Inspection:
    """Open one checkpoint and measure the quality of every layer.

    **Raises:** `CheckpointError` if it cannot be read.
    """
    checkpoint = open_checkpoint(path, axes=axes)
    sizes = sorted({layer.shape[2:] for layer in checkpoint.layers})
    tables = [_quality(checkpoint.path, Options(spatial=spatial, axes=axes)) for spatial in sizes]
    layers = pa.concat_tables([LAYERS.empty_table(), *tables])
    return Inspection(checkpoint, layers.sort_by([("depth", "ascending"), ("layer", "ascending")]))


def _quality(path: Location, options: Options) -> pa.Table:
    run = Run(options, list(survey(path, [path], options)))
    run.measure()
    (entry,) = run.entries
    if entry.status != "ok":
        raise CheckpointError(entry.reason or entry.status)
    return layers_table(Scan(path, options, (entry,), (), run.cards, None, None))
