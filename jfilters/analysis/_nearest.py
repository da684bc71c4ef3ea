"""The models of a scan that are closest to a checkpoint, and a map of all of them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from ..converters import Location, location
from ..engine import Options, model_histograms
from ..engine import scan as scan_checkpoints
from ..shift import Embedding, classical_mds, drift_matrix, null_level, probability
from ._compatible import check_comparable
from ._models import model_counts
from ._open import is_written, open_scan
from ._saved import SavedScan

Counts = Int64[np.ndarray, "models d bins"]


@dataclass(frozen=True)
class Near:
    """A model of the scan: its drift D from the one asked about, in nats, and that of chance alone."""

    model: str
    drift: float
    null_level: float


@dataclass(frozen=True, eq=False)
class Neighborhood:
    """For every model asked about the models of the scan, closest first, and where all lie on a map.

    `names` and the places of `map` have the models of the scan first, then those asked about. `partial`
    has the checkpoints asked about that were read in part, and what was not.
    """

    near: dict[str, list[Near]]
    names: list[str]
    map: Embedding
    partial: dict[str, str]


def nearest(
    scan: SavedScan,
    file: str | Location,
    *,
    network: str | None = None,
    standardize: bool = False,
) -> Neighborhood:
    """The drift of every model of a scan from a checkpoint, or from each in a folder of them.

    **Arguments:**

    - `scan`: gives the basis and the edges.
    - `file`: a checkpoint, a folder of them, or what was written of some already: a scan or a card.
    - `network`: which copy of a network to read of a checkpoint; that of the scan does not count here.
    - `standardize`: read a checkpoint as weight standardization applies it; so it is, too, if the scan was.

    Raises CheckpointError for a checkpoint that cannot be read, ValueError if it has no kernels of
    the shape of the scan, or was scanned in another basis.
    """
    asked, counts, partial = _asked(scan, file, network, standardize)
    ours = model_counts(scan)
    drifts = _drifts(scan, np.concatenate([ours, counts]))
    names = scan.model_names
    near = {}
    for i, model in enumerate(asked):
        row = drifts[len(names) + i]
        found = [
            Near(name, float(row[j]), _chance(scan, counts[i], ours[j]))
            for j, name in enumerate(names)
        ]
        near[model] = sorted(found, key=lambda one: (one.drift, one.model))
    return Neighborhood(near, [*names, *asked], classical_mds(drifts), partial)


def neighborhood_record(found: Neighborhood) -> dict:
    """The same as JSON has it."""
    return {
        "nearest": {model: [vars(one) for one in near] for model, near in found.near.items()},
        "map": {
            "share": found.map.share,
            "places": [
                {"model": name, "asked": i >= len(found.names) - len(found.near), "place": place}
                for i, (name, place) in enumerate(
                    zip(found.names, found.map.places.tolist(), strict=True)
                )
            ],
        },
        "partial": found.partial,
    }


def _asked(
    scan: SavedScan, file: str | Location, network: str | None, standardize: bool
) -> tuple[list[str], Counts, dict[str, str]]:
    place = location(file)
    if isinstance(place, Path) and is_written(place):
        other = open_scan(place)
        check_comparable(scan, other)
        return other.model_names, model_counts(other), other.partial
    options = _same_options(scan, network, standardize)
    found = scan_checkpoints(place, options, basis=scan.basis)
    reasons = [entry.reason for entry in found.entries if entry.reason is not None]
    if found.edges is None:
        raise ValueError(f"{place}: no kernels to compare; {'; '.join(reasons) or 'no checkpoint'}")
    partial = {x.model: x.reason or "" for x in found.entries if x.status == "partial"}
    return *model_histograms(found), partial


def _same_options(scan: SavedScan, network: str | None, standardize: bool) -> Options:
    """Those of the scan, between the same edges, for as little beside the histograms as can be."""
    options = Options.of_record(scan.record["config"])
    edges = float(scan.edges[0]), float(scan.edges[-1])
    return dataclasses.replace(
        options,
        range=edges,
        network=network,
        standardize=standardize or options.standardize,
        orthogonality=False,
        sample=0,
        sha256=False,
        max_bytes=None,
        strict=False,
    )


def _drifts(scan: SavedScan, counts: Counts) -> Float[np.ndarray, "m m"]:
    return drift_matrix(np.asarray(probability(counts, scan.edges)), scan.component_weights)


def _chance(
    scan: SavedScan, a: Int64[np.ndarray, "d bins"], b: Int64[np.ndarray, "d bins"]
) -> float:
    occupied = np.count_nonzero(a + b, axis=1)
    n, m = int(a[0].sum()), int(b[0].sum())
    return null_level(n, m, occupied, scan.component_weights) if n and m else float("nan")
