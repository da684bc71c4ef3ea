"""The record of a scan: its tables, layer statistics and basis, in memory or read from where they were
written.

`jfilters.scan` returns one, `open_scan` reads one, every question takes one, and it may be narrowed to
some of its layers first. NumPy and Arrow on the host; nothing here imports JAX.
"""

import dataclasses
import functools
import math
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float32, Int64

from .._files import Location
from ..errors import CheckpointError
from ..lineage.internal import Sketches
from ..statistics import Basis, Moments
from ..statistics.internal import host_normalize
from ._arrays import Arrays, LayerArrays
from ._asked import Asked
from ._frames import Frame, frame
from ._pooled import pooled_again
from ._sketches import sketches_in
from ._summary import summary, summary_html
from ._write import write_scan
from .schema import MOMENT_PARTS, MOMENTS


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """A scan of checkpoints, in the order of its layers; its questions are methods.

    - `record`: what scan.json holds, with paths as they were when it was run.
    - `layer_table`, `model_table`: one row a layer, one row a model, as `schema` lists their columns.
    - `arrays`: histograms, moments, basis, edges, sample and sketches, under the names of `schema.ARRAYS`.
      Those of a file are read when they are first needed. It is empty if no kernels of the chosen size
      vary.
    - `folder`: the folder or bundle that it was read from; None for one in memory.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> weights = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    >>> safetensors.numpy.save_file({"conv.weight": weights}, f"{folder}/net.safetensors")
    >>> scan = jf.scan(folder, progress=False)
    >>> scan.model_names, scan.layer_table["n_kernels"].to_pylist()
    (['net.safetensors'], [32])
    """

    record: dict[str, Any]
    layer_table: pa.Table
    model_table: pa.Table
    arrays: Arrays
    folder: Location | None = None

    drift = Asked()
    axes = Asked()
    quality = Asked()
    nearest = Asked()
    trajectory = Asked()
    lineage = Asked()
    phenotypes = Asked()
    check = Asked()
    densities = Asked()
    report = Asked()
    figures = Asked()

    def __repr__(self) -> str:
        return summary(self.name, self.layer_table, self.record["checkpoints"])

    def _repr_html_(self) -> str:
        checkpoints = self.record["checkpoints"]
        return summary_html(self.name, self.layer_table, self.model_table, checkpoints)

    @property
    def name(self) -> str:
        """The folder or file that it was read from; of a scan in memory, where its checkpoints are."""
        return str(self.folder or self.record["config"].get("checkpoints", "scan"))

    @property
    def title(self) -> str:
        """The last part of its name, without the suffix of a bundle."""
        path = Path(self.name).resolve()
        return path.stem if path.is_file() else path.name

    @property
    def spatial(self) -> tuple[int, ...]:
        """The size of the kernels, such as (3, 3)."""
        return tuple(self.record["config"]["spatial"])

    @property
    def d(self) -> int:
        """Taps of a kernel."""
        return math.prod(self.spatial)

    @functools.cached_property
    def model_names(self) -> list[str]:
        """The models with layers, in the order of their layers."""
        return list(self._model_index)

    @functools.cached_property
    def model_of_layer(self) -> Int64[np.ndarray, " layers"]:
        """For every layer the place of its model in `model_names`."""
        index = self._model_index
        return np.array([index[name] for name in self.layer_table["model"].to_pylist()], np.int64)

    @functools.cached_property
    def layers(self) -> Frame:
        """The table of layers under (model, layer), as a pandas DataFrame."""
        return frame(self.layer_table, ("model", "layer"))

    @functools.cached_property
    def models(self) -> Frame:
        """The table of models under their name, as a pandas DataFrame."""
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
        """Return the models among these whose checkpoints were read in part, and what was not read."""
        names = {entry["model"] for entry in self.record["checkpoints"]}
        checkpoints = ((model, checkpoint_of(model, names)) for model in models)
        return {model: self.partial[name] for model, name in checkpoints if name in self.partial}

    @functools.cached_property
    def basis(self) -> Basis:
        """The basis that its histograms are in. Raises ValueError for a scan without kernels that vary."""
        return Basis(
            *(self._array(f"basis.{part}") for part in ("mean", "components", "variance_ratio"))
        )

    @property
    def edges(self) -> Float[np.ndarray, " edges"]:
        """The edges of the bins, the same for all components."""
        return self._array("edges")

    @property
    def histogram(self) -> Int64[np.ndarray, "layers d bins"]:
        """The coefficients of the kernels of every layer along each component."""
        return self._array("histogram")

    @property
    def sparse_histogram(self) -> Int64[np.ndarray, "layers d bins"] | None:
        """The part of `histogram` that sparse kernels make; None if the scan did not count it."""
        return self.arrays.get("sparse_histogram")

    @property
    def sparse_at(self) -> Int64[np.ndarray, "layers k"] | None:
        """Sparse kernels of every layer for each of `sparse_eps`; None if the scan did not count them."""
        return self.arrays.get("sparse_at")

    @property
    def sparse_eps(self) -> Float[np.ndarray, " k"] | None:
        """The thresholds of `sparse_at`, as shares of the layer's largest weight."""
        return self.arrays.get("sparse_eps")

    @property
    def sample(self) -> Float32[np.ndarray, "m d"] | None:
        """Sampled kernels as stored; None if the scan kept none."""
        return self.arrays.get("sample")

    @property
    def sample_layer(self) -> Int64[np.ndarray, " m"] | None:
        """For every sampled kernel the row of its layer."""
        return self.arrays.get("sample.layer")

    @property
    def even_sample(
        self,
    ) -> tuple[Float32[np.ndarray, "k d"], Int64[np.ndarray, " k"]] | tuple[None, None]:
        """The part of `sample` that is drawn evenly from all kernels of each model, with its layers.

        What is said of a model or a group has to be of this part: the others complete small layers.
        """
        if self.sample is None or self.sample_layer is None:
            return None, None
        is_even = self.arrays.get("sample.is_even")
        if is_even is None:  # of an earlier version, which took no others
            return self.sample, self.sample_layer
        if len(is_even) != len(self.sample):
            reason = f"expected sample.is_even of {len(self.sample)} kernels, found {len(is_even)}"
            raise CheckpointError(reason, path=self.folder, remedy="run `jfilters scan` again")
        return self.sample[is_even], self.sample_layer[is_even]

    @property
    def sketches(self) -> Sketches | None:
        """The sketches of all layers; None if the scan took none."""
        return sketches_in(self.arrays)

    @functools.cached_property
    def moments(self) -> Mapping[str, Moments]:
        """The moments of every layer, of those of `schema.MOMENTS` that the scan kept."""
        return {name: self._moments(name) for name in MOMENTS if f"{name}.count" in self.arrays}

    @functools.cached_property
    def component_weights(self) -> Float[np.ndarray, " d"]:
        """The weight of each component in a drift: its share of the variance, or the same for all."""
        if self.record["config"].get("weights") == "uniform":
            return np.full(self.d, 1 / self.d)
        return np.asarray(self.basis.variance_ratio, np.float64)

    def coefficients(self, kernels: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Return the coefficients, in float64, of kernels as stored, all finite, in the basis of the
        scan."""
        normalized = host_normalize(kernels.astype(np.float64))
        mean, components = (np.asarray(x) for x in (self.basis.mean, self.basis.components))
        return (normalized - mean[None]) @ components.T

    def only(self, mask: Bool[np.ndarray, " layers"]) -> "Scan":
        """Return the scan of the layers in `mask` alone; basis and record stay.

        The numbers of a model that loses layers are pooled again over those that stay.
        """
        layers = self.layer_table.filter(mask.tolist())
        models = pooled_again(self.model_table, layers)
        arrays = LayerArrays(self.arrays, mask)
        return dataclasses.replace(self, layer_table=layers, model_table=models, arrays=arrays)

    def where(self, condition: str) -> "Scan":
        """Return the scan of the layers for which a condition holds: "task == 'detection' and depth > 2".

        Raises ValueError for what is no condition on its columns and axes, and if no layer is left.
        """
        from ._where import nothing_left, where

        mask = where(self, condition)
        if not mask.any():
            raise ValueError(nothing_left(self, condition))
        return self.only(mask)

    def save(self, folder: Location | str) -> None:
        """Write the files of a scan into a folder or below a URL, which `open_scan` reads.

        Raises CheckpointError if the folder already holds a scan.
        """
        write_scan(self, folder)

    def _array(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            size = "x".join(map(str, self.spatial))
            raise ValueError(
                f"{self.name}: expected {size} kernels that vary, found none; scan checkpoints with such "
                "kernels, or another size with --spatial"
            )
        return self.arrays[name]

    def _moments(self, name: str) -> Moments:
        return Moments(*(self.arrays[f"{name}.{part}"] for part in MOMENT_PARTS))

    @functools.cached_property
    def _model_index(self) -> dict[str, int]:
        names = dict.fromkeys(self.layer_table["model"].to_pylist())
        return {name: place for place, name in enumerate(names)}


def checkpoint_of(model: str, names: Container[str]) -> str:
    """Return the checkpoint of a model: of its name, or that of the population that it is a member of."""
    while model not in names and "/" in model:
        model = model.rpartition("/")[0]
    return model
