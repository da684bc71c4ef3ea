"""The phenotype of every layer, model or other group of a scan, from the sample of kernels that it kept."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from ..answers import Answer
from ..scans import Scan, group_layers
from ..statistics import Phenotype, phenotype

FEWEST = 200
"""Sampled kernels of a group that has a phenotype; of fewer a Gaussian sample looks like spikes."""


@dataclasses.dataclass(frozen=True)
class PhenotypeRow:
    """Phenotype of one group of layers.

    - `label`: its label on the axis; "model: layer" for single layers.
    - `layers`, `kernels`: its number of layers, and of sampled kernels that are finite.
    - `phenotype`: label, reason and features of the plane of its first two coefficients; None below
      `FEWEST` kernels.
    """

    label: str
    layers: int
    kernels: int
    phenotype: Phenotype | None


@dataclasses.dataclass(frozen=True)
class Phenotypes(Answer):
    """Phenotypes of the groups of a scan along an axis.

    - `by`: the axis; "model" or "layer" for single models or layers.
    - `groups`: one `PhenotypeRow` a group, in the order of the labels.
    - `unknown`: number of layers without a label, which are in no group.

    `rows()` gives one row a group, with the features that the phenotype follows from.
    """

    by: str
    groups: tuple[PhenotypeRow, ...]
    unknown: int

    def record(self) -> dict[str, Any]:
        """Return the axis, the layers without a label, and one record a group."""
        return {
            "by": self.by,
            "unknown": self.unknown,
            "groups": list(self.rows()),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a group."""
        return map(_record, self.groups)


def phenotypes(scan: Scan, by: str = "model") -> Phenotypes:
    """Classify the plane of the first two coefficients of every group along an axis.

    Runs on the host and needs no JAX. Of every model as many kernels are looked at, however large it is,
    drawn evenly from all of its kernels; of single layers all that were sampled.

    Args:
        scan: in memory or opened, with a sample.
        by: an axis; "layer" classifies each layer by itself.

    Returns:
        One row a group: a phenotype such as "sun" or "spikes", with its reason.

    Raises:
        ValueError: for a scan without a sample, and for an axis that is not there.
    """
    points, layer_of = coefficient_plane(scan, is_even=by != "layer")
    groups, unknown = _groups(scan, by)
    rows = [_row(label, layers, points, layer_of) for label, layers in groups]
    return Phenotypes(by, tuple(rows), unknown)


def coefficient_plane(
    scan: Scan, *, is_even: bool = True
) -> tuple[Float[np.ndarray, "m 2"], Int64[np.ndarray, " m"]]:
    """The first two coefficients of the sampled kernels that are finite, and the row of each one's layer.

    `is_even`: of those alone that are drawn evenly from the kernels of each model.

    Raises ValueError for a scan without a sample, and for kernels of one tap.
    """
    if scan.sample is None or scan.sample_layer is None or not len(scan.sample):
        raise ValueError(
            f"{scan.folder}: expected a sample of kernels, found none; "
            "run `jfilters scan` again without `--sample 0`"
        )
    sample, layer = scan.even_sample if is_even else (scan.sample, scan.sample_layer)
    assert sample is not None
    assert layer is not None
    finite = np.isfinite(sample).all(axis=1)
    if scan.d < 2:
        raise ValueError(f"{scan.folder}: expected kernels of 2 taps or more, found {scan.d}")
    return scan.coefficients(sample[finite])[:, :2], layer[finite]


def _groups(scan: Scan, by: str) -> tuple[list[tuple[str, np.ndarray]], int]:
    """Labels with the rows of their layers, and how many layers have no label."""
    if by == "layer":
        names = zip(
            *(scan.layer_table[column].to_pylist() for column in ("model", "layer")), strict=True
        )
        return [(f"{model}: {layer}", np.array([i])) for i, (model, layer) in enumerate(names)], 0
    partition = group_layers(scan, by)
    return [(group.label, group.layers) for group in partition.groups], partition.unknown


def _row(
    label: str,
    layers: Int64[np.ndarray, " layers"],
    points: Float[np.ndarray, "m 2"],
    layer_of: Int64[np.ndarray, " m"],
) -> PhenotypeRow:
    chosen = points[np.isin(layer_of, layers)]
    result = phenotype(chosen) if len(chosen) >= FEWEST else None
    return PhenotypeRow(label, len(layers), len(chosen), result)


def _record(row: PhenotypeRow) -> dict[str, Any]:
    record: dict[str, Any] = {"label": row.label, "layers": row.layers, "kernels": row.kernels}
    if row.phenotype is None:
        return record | {"phenotype": None, "reason": f"too few kernels: below {FEWEST}"}
    label, reason, features = row.phenotype
    return record | {"phenotype": label, "reason": reason, **features._asdict()}
