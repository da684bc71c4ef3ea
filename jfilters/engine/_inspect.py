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
    """Open one checkpoint and measure the quality of every layer, whatever its kernel size.

    It runs in NumPy on the host, which starts faster than a device and needs no compiler.

    Args:
        path: a file, folder or URL of one checkpoint.
        axes: the order of the axes of its weights, where the file does not tell.
        network: the network to read, of a file that holds several.
        standardize: standardize the weights of every output channel, as weight standardization does.

    Returns:
        The checkpoint and the table of its layers.

    Raises:
        CheckpointError: it cannot be read.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> path = f"{tempfile.mkdtemp()}/net.safetensors"
    >>> weights = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    >>> safetensors.numpy.save_file({"conv.weight": weights}, path)
    >>> [(row["layer"], row["n_kernels"]) for row in jf.inspect(path).rows()]
    [('conv.weight', 32)]
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
        ((_, result),) = engine.measure([(0, Entry(model_name(path, path), path))])
    if result.entry.status not in READ:
        raise CheckpointError(result.entry.reason or result.entry.status)
    measurements = Measurements(
        path,
        options,
        (result.entry,),
        (),
        result.layers,
        result.sample,
        result.sketches,
        None,
        None,
    )
    return layers_table(measurements)
