"""The models of a scan that are closest to a checkpoint, and a map of all of them."""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from ..answers import Answer
from ..converters import Location, location
from ..engine import Options
from ..engine import scan as scan_checkpoints
from ..engine.internal import size_of
from ..lineage import find_families
from ..scans import Scan, open_scan
from ..scans.internal import MOST_COMPARED, check_comparable, is_written, model_counts
from ..shift import Embedding, classical_mds, drift_matrix, drift_null, probability
from ._neighbor_labels import NeighborLabels, neighbor_labels
from ._standing import LayerStandings, layer_standings
from .lineage._population import Population

SMALL_BYTES = 64 << 20
"""Bytes of checkpoints up to which they are measured in NumPy."""

Counts = Int64[np.ndarray, "models d bins"]


@dataclass(frozen=True)
class Near:
    """A model of the scan.

    - `drift`: D from the checkpoint, in nats; `null_mean`: the mean of its null of sampling.
    - `kin`: mean cosine of the kernels of both if they are kin; None for strangers, and without sketches.
    """

    model: str
    drift: float
    null_mean: float
    kin: float | None = None

    @property
    def d0(self) -> float:
        """The drift less the mean of its null, in nats; about 0 for two samples of one distribution."""
        return self.drift - self.null_mean

    def record(self) -> dict[str, Any]:
        """Return the model with its numbers."""
        return {**vars(self), "d0": self.d0}


@dataclass(frozen=True, eq=False)
class Neighborhood(Answer):
    """The models of a scan by their drift from each checkpoint, closest first, and a map of all.

    `names` and `drifts` have the models of the scan first, then the checkpoints. `partial`
    has the checkpoints that were read in part, and what was not. `labels` tells what neighbors are worth
    as a classifier, among the models of the scan alone. `standings` are the layers of the checkpoints among
    those of the scan; None if they were not asked for.
    """

    near: dict[str, list[Near]]
    names: list[str]
    drifts: Float[np.ndarray, "m m"]
    partial: dict[str, str]
    labels: tuple[NeighborLabels, ...] = ()
    standings: LayerStandings | None = None

    @functools.cached_property
    def map(self) -> Embedding:
        """The positions of all in the plane, by their drifts."""
        return classical_mds(self.drifts)

    def record(self) -> dict[str, Any]:
        """Return the models by drift for every checkpoint, the places on the map, partial checkpoints,
        the worth of neighbors as a classifier, and the layers if they were asked for."""
        places = zip(self.names, self.map.positions.tolist(), strict=True)
        first_query = len(self.names) - len(self.near)
        record = {
            "nearest": {
                query: [model.record() for model in near] for query, near in self.near.items()
            },
            "map": {
                "share": self.map.share,
                "places": [
                    {"model": name, "query": i >= first_query, "place": place}
                    for i, (name, place) in enumerate(places)
                ],
            },
            "partial": self.partial,
            "labels": [vars(labels) for labels in self.labels],
        }
        return record | ({"layers": self.standings.record()} if self.standings else {})

    def rows(self) -> Iterator[dict[str, Any]]:
        """Return one row a checkpoint and model of the scan."""
        for query, near in self.near.items():
            yield from ({"query": query, **vars(model)} for model in near)


def nearest(
    scan: Scan,
    file: str | Location,
    *,
    network: str | None = None,
    standardize: bool = False,
    layers: bool = False,
) -> Neighborhood:
    """The drift of every model of a scan from a checkpoint, or from each in a folder of them.

    **Arguments:**

    - `scan`: gives the basis and the edges.
    - `file`: a checkpoint, a folder of them, or what was written of some already: a scan or a card.
    - `network`: which copy of a network to read of a checkpoint; that of the scan does not count here.
    - `standardize`: read a checkpoint as weight standardization applies it; so it is, too, if the scan was.
    - `layers`: place every layer of the checkpoints among those of the scan, kin left out.

    Raises CheckpointError for a checkpoint that cannot be read, ValueError if it has no kernels of
    the shape of the scan, or was scanned in another basis.
    """
    other = _query(scan, file, network, standardize, layers)
    queries, counts, models = other.model_names, model_counts(other), model_counts(scan)
    drifts = _drifts(scan, np.concatenate([models, counts]))
    names, kin = scan.model_names, _kin(scan, other)
    near = {}
    for i, query in enumerate(queries):
        row = drifts[len(names) + i]
        unsorted = [
            Near(name, float(row[j]), _null_mean(scan, counts[i], models[j]), kin.get((j, i)))
            for j, name in enumerate(names)
        ]
        near[query] = sorted(unsorted, key=lambda model: (model.drift, model.model))
    labels = neighbor_labels(scan, drifts[: len(names), : len(names)])
    standings = layer_standings(scan, other, _names_of_kin(near)) if layers else None
    return Neighborhood(near, [*names, *queries], drifts, other.partial, labels, standings)


def _names_of_kin(near: dict[str, list[Near]]) -> dict[str, set[str]]:
    return {
        query: {model.model for model in models if model.kin is not None}
        for query, models in near.items()
    }


def _query(
    scan: Scan, file: str | Location, network: str | None, standardize: bool, orthogonality: bool
) -> Scan:
    """Return the scan of what is asked about: opened, or made now."""
    place = location(file)
    if is_written(place):
        other = open_scan(place)
        check_comparable(scan, other)
        return other
    other = _scanned(scan, place, network, standardize, orthogonality)
    if not other.arrays:
        reasons = [x["reason"] for x in other.record["checkpoints"] if x["reason"] is not None]
        raise ValueError(f"{place}: no kernels to compare; {'; '.join(reasons) or 'no checkpoint'}")
    return other


def _kin(scan: Scan, other: Scan) -> dict[tuple[int, int], float]:
    """Return the mean cosines of the pairs that are kin, by the places of the model and of the query.

    Nothing if one of both has no sketches, or if they are too many models to compare.
    """
    if scan.sketches is None or other.sketches is None:
        return {}
    first = len(scan.model_names)
    if first + len(other.model_names) > MOST_COMPARED:
        return {}
    population = Population.of(scan) + Population.of(other)
    families = find_families(population.networks, new=first)
    places = zip(*np.nonzero(families.kin[:first, first:]), strict=True)
    return {(int(i), int(j)): float(families.kinship.cosine[i, first + j]) for i, j in places}


def _scanned(
    scan: Scan, place: Location, network: str | None, standardize: bool, orthogonality: bool
) -> Scan:
    """Return the histograms of checkpoints, with the options of `scan` and between the same edges."""
    options = Options.of_record(scan.record["config"])
    options = dataclasses.replace(
        options,
        range=(float(scan.edges[0]), float(scan.edges[-1])),
        network=network,
        standardize=standardize or options.standardize,
        orthogonality=orthogonality,
        sample=0,
        sha256=False,
        max_bytes=None,
        strict=False,
    )
    # A second of JAX's start is more than NumPy takes for so few kernels.
    engine = "host" if size_of(place) <= SMALL_BYTES else "local"
    return scan_checkpoints(place, options, basis=scan.basis, progress=False, engine=engine)


def _drifts(scan: Scan, counts: Counts) -> Float[np.ndarray, "m m"]:
    return drift_matrix(np.asarray(probability(counts, scan.edges)), scan.component_weights)


def _null_mean(scan: Scan, a: Int64[np.ndarray, "d bins"], b: Int64[np.ndarray, "d bins"]) -> float:
    n, m = int(a[0].sum()), int(b[0].sum())
    if not (n and m):
        return float("nan")
    return drift_null(a + b, (n, m), scan.component_weights, scan.edges).mean
