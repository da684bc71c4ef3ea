"""Lineage of checkpoints by their paths: scans are opened, everything else is scanned on the way."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...converters import Location, location
from ...engine import Options
from ...engine import scan as scan_checkpoints
from ...engine.internal import size_of
from ...errors import redacted
from ...scans import Scan, open_registry, open_scan
from ...scans.internal import FINDINGS, is_written
from .._nearest import SMALL_BYTES
from ._forest import Forest
from ._lineage import find_lineage


def lineage_of(
    paths: Sequence[str | Location],
    *,
    weights: bool = True,
    against: Location | str | None = None,
    registry: bool | None = None,
    options: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> tuple[Forest, dict[str, str]]:
    """Return the forest of checkpoints, and those that could not be read, whole or in part, with reasons.

    Args:
        paths: scans and bundles, folders of checkpoints, and checkpoints; one broken file stops nothing.
        weights: read the weights of kin.
        against: a scan or bundle of known models, among which those of `paths` are placed.
        registry: place them among the real networks that ship with jfilters; by default one checkpoint of
            their kernel size alone, without `against`.
        options: options of the scan of checkpoints, such as `spatial`.
        progress: show a progress bar while they are scanned.

    Raises:
        CheckpointError: a path does not exist, or is a damaged scan.
        ValueError: the lineage of the scan cannot be found, as `find_lineage` says.
    """
    places = [location(path) for path in paths]
    written = [place for place in places if is_written(place)]
    scans = [open_scan(place) for place in written]
    others = [place for place in places if place not in written]
    if others:
        scans.append(scanned(others, dict(options or {}), progress=progress))
        if not scans[-1].record["checkpoints"]:
            folders = ", ".join(redacted(str(place)) for place in others)
            raise ValueError(f"expected checkpoints, found none in {folders}")
    known = _reference(scans, against, registry, alone=not written)
    forest = find_lineage(*scans, weights=weights, against=known)
    if known is not None and against is None:
        note = f"placed among the {len(known.model_names)} real networks that ship with jfilters"
        forest = dataclasses.replace(forest, notes=(note, *forest.notes))
    return forest, {name: text for scan in scans for name, text in _unread(scan).items()}


def _reference(
    scans: Sequence[Scan], against: Location | str | None, registry: bool | None, *, alone: bool
) -> Scan | None:
    """Return the scan of known models: the one that is named, or the registry where it is asked for."""
    if against is not None and registry:
        raise ValueError("expected a scan to place models among, or the registry; got both")
    if against is not None or registry is False:
        return None if against is None else open_scan(against)
    if registry is None and not (alone and sum(len(scan.model_names) for scan in scans) == 1):
        return None
    known = open_registry()
    if all(scan.spatial == known.spatial for scan in scans):
        return known
    if registry:
        sizes = ["x".join(map(str, scan.spatial)) for scan in (known, scans[0])]
        raise ValueError(f"the registry holds kernels of {sizes[0]}, got {sizes[1]}; leave it out")
    return None


def scanned(places: Sequence[Location], options: dict[str, Any], *, progress: bool) -> Scan:
    """Return the scan of checkpoints that lineage needs, without what it does not look at."""
    settings = Options.of_record(options | {"orthogonality": False, "sample": 0, "sha256": False})
    # A second of JAX's start is more than NumPy takes for so few kernels.
    engine = "host" if sum(map(size_of, places)) <= SMALL_BYTES else "local"
    return scan_checkpoints(places, settings, progress=progress, engine=engine)


def _unread(scan: Scan) -> dict[str, str]:
    return {
        entry["model"]: str(entry["reason"])
        for entry in scan.record["checkpoints"]
        if entry.get("status") in FINDINGS and entry.get("reason")
    }
