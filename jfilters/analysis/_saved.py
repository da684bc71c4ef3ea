"""A written scan as a record: its tables, cards and basis, read back and checked.

Every question takes one, and may narrow it to some of its layers first.
"""

import dataclasses
import functools
import math
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float32, Int64

from ..engine import Options, component_weights
from ..shift import host_normalize
from ..statistics import Basis, Moments
from ._frames import Frame, frame
from ._parts import MOMENTS, check_parts, with_later_columns
from ._pooling import pooled_again
from ._summary import summary, summary_html


@dataclasses.dataclass(frozen=True, eq=False)
class SavedScan:
    """What a scan wrote, in the order of its layers.

    `folder` is where it was read from, `record` is its scan.json, with paths as they were when it was
    run. `sparse_histogram` is the part of `histogram` that sparse kernels make; of the kernels of a layer
    `sparse_at` have no weight of at least `sparse_eps` times the largest; `sample` holds raw kernels, and
    `sample_layer` the row of the layer of each. What the scan did not keep is None, or not in `moments`.
    """

    folder: Path
    record: dict[str, Any]
    layer_table: pa.Table
    model_table: pa.Table
    basis: Basis
    edges: Float[np.ndarray, " edges"]
    histogram: Int64[np.ndarray, "layers d bins"]
    sparse_histogram: Int64[np.ndarray, "layers d bins"] | None
    moments: dict[str, Moments]
    sparse_at: Int64[np.ndarray, "layers k"] | None
    sparse_eps: Float[np.ndarray, " k"] | None
    sample: Float32[np.ndarray, "m d"] | None
    sample_layer: Int64[np.ndarray, " m"] | None

    def __repr__(self) -> str:
        return summary(type(self).__name__, self.folder, self.layer_table)

    def _repr_html_(self) -> str:
        return summary_html(self.folder, self.layer_table, self.model_table)

    @property
    def spatial(self) -> tuple[int, ...]:
        """The shape of the kernels."""
        return tuple(self.record["config"]["spatial"])

    @property
    def d(self) -> int:
        """Taps of a kernel."""
        return math.prod(self.spatial)

    @functools.cached_property
    def model_names(self) -> list[str]:
        """The models, in the order of their layers."""
        return list(self._places)

    @functools.cached_property
    def model_of_layer(self) -> Int64[np.ndarray, " layers"]:
        """For every layer the place of its model in `model_names`."""
        return np.array(
            [self._places[name] for name in self.layer_table["model"].to_pylist()], np.int64
        )

    @functools.cached_property
    def layers(self) -> Frame:
        """The table of layers under (model, layer), for notebooks; needs pandas."""
        return frame(self.layer_table, ("model", "layer"))

    @functools.cached_property
    def models(self) -> Frame:
        """The table of models under their name, for notebooks; needs pandas."""
        return frame(self.model_table, ("model",))

    @functools.cached_property
    def partial(self) -> dict[str, str]:
        """The checkpoints that were read in part, and what was not read of them."""
        return {
            entry["model"]: str(entry.get("reason") or "")
            for entry in self.record["checkpoints"]
            if entry.get("status") == "partial"
        }

    def partial_models(self, models: Iterable[str]) -> dict[str, str]:
        """The models among these whose checkpoints were read in part, and what was not read."""
        names = {entry["model"] for entry in self.record["checkpoints"]}
        named = ((model, checkpoint_of(model, names)) for model in models)
        return {model: self.partial[name] for model, name in named if name in self.partial}

    @property
    def component_weights(self) -> Float[np.ndarray, " d"]:
        """What each component counts in a drift."""
        return component_weights(self.basis, Options.of_record(self.record["config"]).weights)

    def coefficients(self, kernels: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Raw kernels, finite ones, normalized and in the basis of the scan, in float64."""
        normalized = host_normalize(kernels.astype(np.float64))
        return (normalized - np.asarray(self.basis.mean)[None]) @ np.asarray(
            self.basis.components
        ).T

    def only(self, mask: Bool[np.ndarray, " layers"]) -> "SavedScan":
        """The same scan as if it had the layers in `mask` alone; basis and record stay.

        The numbers of a model that loses layers are pooled again over the rest.
        """
        layers = self.layer_table.filter(mask.tolist())
        return dataclasses.replace(
            self,
            layer_table=layers,
            model_table=pooled_again(self.model_table, layers),
            histogram=self.histogram[mask],
            sparse_histogram=_taken(self.sparse_histogram, mask),
            moments={name: _part(part, mask) for name, part in self.moments.items()},
            sparse_at=_taken(self.sparse_at, mask),
            **self._sample_of(mask),
        )

    def _sample_of(self, mask: Bool[np.ndarray, " layers"]) -> dict[str, np.ndarray | None]:
        if self.sample is None or self.sample_layer is None:
            return {"sample": None, "sample_layer": None}
        place = np.cumsum(mask) - 1
        kept = mask[self.sample_layer]
        return {"sample": self.sample[kept], "sample_layer": place[self.sample_layer[kept]]}

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        names = dict.fromkeys(self.layer_table["model"].to_pylist())
        return {name: place for place, name in enumerate(names)}


def checkpoint_of(model: str, names: Container[str]) -> str:
    """The checkpoint of a model: of its name, or that of the population that it is a member of."""
    while model not in names and "/" in model:
        model = model.rpartition("/")[0]
    return model


def assembled(
    folder: Path,
    record: dict[str, Any],
    layers: pa.Table,
    models: pa.Table,
    basis: Basis,
    arrays: Mapping[str, np.ndarray],
) -> SavedScan:
    """A scan from its parts, with `arrays` under the names of arrays.safetensors.

    Raises CheckpointError if they do not belong together.
    """
    layers = with_later_columns(layers)
    check_parts(folder, record, layers, models, basis, arrays)
    return SavedScan(
        folder,
        record,
        layers,
        models,
        basis,
        arrays["edges"],
        arrays["histogram"],
        arrays.get("sparse_histogram"),
        {name: _moments(arrays, name) for name in MOMENTS if f"{name}.count" in arrays},
        arrays.get("sparse_at"),
        arrays.get("sparse_eps"),
        arrays.get("sample"),
        arrays.get("sample.layer"),
    )


def _moments(arrays: Mapping[str, np.ndarray], name: str) -> Moments:
    return Moments(*(arrays[f"{name}.{part}"] for part in ("count", "mean", "scatter")))


def _taken(array: np.ndarray | None, mask: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[mask]


def _part(moments: Moments, mask: np.ndarray) -> Moments:
    return jax.tree.map(lambda values: values[mask], moments)
