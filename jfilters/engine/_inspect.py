"""One checkpoint looked at closely: its layers of every kernel size with their quality."""

import dataclasses
from typing import Any

import pyarrow as pa

from ..answers import Answer
from ..converters import Checkpoint, Location
from ..errors import CheckpointError
from ..scans.internal import READ
from ..scans.schema import LAYERS
from . import _host
from ._local import Local
from ._measurements import Measurements
from ._opening import checkpoint_at
from ._options import Options
from ._plan import Entry, model_name
from ._tables import layers_table
from ._weight_stores import TemporaryStore


@dataclasses.dataclass(frozen=True)
class Inspection(Answer):
    """A checkpoint and the table of its layers, in depth order, whatever their kernel size."""

    checkpoint: Checkpoint
    layers: pa.Table

    def record(self) -> dict[str, Any]:
        """Return the format, one record a layer, and the skipped arrays with their reasons."""
        return {
            "format": self.checkpoint.format,
            "layers": self.rows(),
            "skipped": [dataclasses.asdict(array) for array in self.checkpoint.skipped],
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a layer."""
        return self.layers.to_pylist()


def inspect(
    path: Location | str,
    *,
    axes: str | None = None,
    network: str | None = None,
    standardize: bool = False,
) -> Inspection:
    """Open one checkpoint and measure the quality of every layer; `open_checkpoint` takes the same options.

    **Raises:** `CheckpointError` if it cannot be read.
    """
    options = Options(axes=axes, network=network, standardize=standardize, sha256=False, sample=0)
    checkpoint = checkpoint_at(path, options)
    sizes = sorted({layer.shape[2:] for layer in checkpoint.layers})
    tables = [
        _quality(checkpoint.path, dataclasses.replace(options, spatial=spatial))
        for spatial in sizes
    ]
    layers = pa.concat_tables([LAYERS.empty_table(), *tables], promote_options="default")
    order = [(name, "ascending") for name in ("model", "depth", "layer")]
    return Inspection(checkpoint, layers.sort_by(order))


def _quality(path: Location, options: Options) -> pa.Table:
    with TemporaryStore() as store, Local(options, store, backend=_host) as engine:
        ((_, reading),) = engine.measure([(0, Entry(model_name(path, path), path))])
    if reading.entry.status not in READ:
        raise CheckpointError(reading.entry.reason or reading.entry.status)
    measurements = Measurements(
        path, options, (reading.entry,), (), reading.cards, reading.sample, None, None
    )
    return layers_table(measurements)
