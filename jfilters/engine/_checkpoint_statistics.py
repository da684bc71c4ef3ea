"""The statistics of one checkpoint, and their bytes in the cache and on the way between processes."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import safetensors.numpy

from ..layers import Layer
from ..lineage.internal import Sketches
from ..scans.internal import LayerStatistics, narrow
from ..statistics import Moments
from ._options import Options
from ._plan import Companion, Entry, PlannedLayer
from ._sample import Sample


@dataclasses.dataclass(frozen=True)
class CheckpointStatistics:
    """One checkpoint: its entry, the statistics and sketches of its layers in order, and a sample.

    `bins_key` names the bins of the histograms; None while there are none.
    """

    entry: Entry
    layers: LayerStatistics
    sample: Sample
    sketches: Sketches
    bins_key: str | None = None

    @classmethod
    def of_nothing(cls, entry: Entry, options: Options) -> "CheckpointStatistics":
        """A checkpoint without layers, for whatever reason."""
        layers, sample = (
            LayerStatistics.empty(0, options.d, options.bins),
            Sample.of_nothing(options.d),
        )
        return cls(entry, layers, sample, Sketches.of_nothing())


def dump(statistics: CheckpointStatistics) -> bytes:
    """Return the statistics of a checkpoint as the bytes of one safetensors file.

    The statistics of layers, the sketches and the sample are its arrays. The entry, without name and path,
    is JSON in its metadata. Histograms are most of the bytes: they are stored in the smallest integer type
    that holds them, and not at all where they are empty.
    """
    entry = statistics.entry
    record = {name: getattr(entry, name) for name in _OF_ENTRY} | {
        "layers": [_layer_record(planned) for planned in entry.layers],
        "metadata": _columns(entry.layers),
        "companions": [dataclasses.astuple(companion) for companion in entry.companions],
        "bins": statistics.layers.histogram.shape[2],
        "bins_key": statistics.bins_key,
    }
    arrays = _arrays(statistics.layers) | {
        "sample": statistics.sample.kernels,
        "sample.layer": statistics.sample.layer,
        "sample.is_even": statistics.sample.marks(),
        **{f"sketches.{name}": getattr(statistics.sketches, name) for name in _OF_SKETCHES},
    }
    return safetensors.numpy.save(arrays, {_RECORD: json.dumps(record)})


def load(data: bytes, entry: Entry) -> CheckpointStatistics:
    """Return the statistics that `dump` wrote.

    **Arguments:**

    - `data`: the bytes of one file. They may come from a damaged cache or an earlier version.
    - `entry`: gives name, path, size and identity; layers, status and hash come from the file.

    **Raises:** ValueError if the bytes are not such a file.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        record = json.loads(header["__metadata__"][_RECORD])
        arrays = safetensors.numpy.load(data)
        statistics = _layer_statistics(arrays, record.pop("bins"))
        sample = Sample(arrays["sample"], arrays["sample.layer"], arrays["sample.is_even"])
        sketches = Sketches(**{name: arrays[f"sketches.{name}"] for name in _OF_SKETCHES})
        layers = _planned_layers(record.pop("layers"), record.pop("metadata"))
        bins_key = record.pop("bins_key")
        record["companions"] = tuple(Companion(*fields) for fields in record["companions"])
        record["skipped"] = tuple((reason, n) for reason, n in record["skipped"])
        entry = dataclasses.replace(entry, layers=layers, **record)
        return CheckpointStatistics(entry, statistics, sample, sketches, bins_key)
    except (LookupError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(f"no statistics of a checkpoint: {error}") from error


_RECORD = "reading"
"""Name of the JSON in the file's metadata; another one would make every cache of earlier scans useless."""

_OF_ENTRY = ("format", "sha256", "status", "reason", "skipped", "updates", "batchnorm")
_OF_SKETCHES = tuple(field.name for field in dataclasses.fields(Sketches))
_MOMENTS = ("normalized", "raw", "clean")
_PARTS = ("count", "mean", "scatter")
_HISTOGRAMS = ("histogram", "sparse_histogram")
_PLAIN = tuple(
    field.name
    for field in dataclasses.fields(LayerStatistics)
    if field.name not in (*_MOMENTS, *_HISTOGRAMS)
)


def _layer_record(planned: PlannedLayer) -> dict:
    return vars(planned.layer) | {"shape": planned.shape, "member": planned.member}


def _columns(layers: Sequence[PlannedLayer]) -> dict[str, list]:
    """The metadata by column: names are many times longer than most values."""
    names = layers[0].metadata if layers else ()
    return {name: [planned.metadata[name] for planned in layers] for name in names}


def _planned_layers(records: list[dict], columns: dict[str, list]) -> tuple[PlannedLayer, ...]:
    layers = []
    for i, record in enumerate(records):
        shape, member = tuple(record.pop("shape")), record.pop("member")
        metadata = {name: column[i] for name, column in columns.items()}
        layers.append(PlannedLayer(Layer(**record), shape, member, metadata))
    return tuple(layers)


def _arrays(statistics: LayerStatistics) -> dict[str, np.ndarray]:
    arrays = {name: getattr(statistics, name) for name in _PLAIN}
    for name in _MOMENTS:
        moments = getattr(statistics, name)
        arrays |= {f"{name}.{part}": np.asarray(getattr(moments, part)) for part in _PARTS}
    # Counts are most of the bytes, and most of them fit into 8 or 16 bits.
    for name in _HISTOGRAMS:
        counts = narrow(getattr(statistics, name))
        if counts.any():
            arrays[name] = counts
    return {name: np.ascontiguousarray(values) for name, values in arrays.items()}


def _layer_statistics(arrays: dict[str, np.ndarray], bins: int) -> LayerStatistics:
    fields: dict[str, Any] = {name: arrays[name] for name in _PLAIN}
    shape = (*arrays["normalized.mean"].shape, bins)
    empty = np.broadcast_to(np.zeros((), np.uint8), shape)
    for name in _HISTOGRAMS:
        fields[name] = arrays.get(name, empty)
    for name in _MOMENTS:
        fields[name] = Moments(*(arrays[f"{name}.{part}"] for part in _PARTS))
    return LayerStatistics(**fields)
