"""The first screen: counts, and of every model its family, verdicts along depth and first kernels."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...scans import Scan
from ...statistics import VERDICTS
from ...statistics.internal import host_normalize
from ._models import shown_models
from ._pack import packed
from ._verdicts import class_of
from ._view import View

MOST_BARS = 256
"""Layers of a model that have a bar of their own; of more, a bar is the most worrying of some."""

THUMBNAILS = 6
"""Kernels of the first layer of a model that are shown with its name."""

MOST_BYTES = 400_000
"""Of all thumbnails: of more models, or larger kernels, fewer each."""


def glance_section(view: View, lineage: dict[str, Any] | None) -> dict[str, Any]:
    """Return the counts of the tiles, and columns with a value for every row of the table of models."""
    scan = view.scan
    models = shown_models(scan)
    layers_of = _by_depth(scan)
    families = _families(lineage)
    return {
        "models": len(scan.model_names),
        "families": len(families) if _is_known(lineage) else None,
        "layers": _classes(view),
        "kernels": int(sum(scan.layer_table["n_kernels"].to_pylist())),
        "family": _places(families, [scan.model_names[i] for i in models]),
        "verdicts": _counts(view, models),
        "strips": _strips(view, [layers_of[i] for i in models]),
        "thumbnails": _thumbnails(scan, [layers_of[i] for i in models]),
    }


def _is_known(lineage: dict[str, Any] | None) -> bool:
    return lineage is None or lineage["is_known"]


def _families(lineage: dict[str, Any] | None) -> list[list[str]]:
    """Return the names of the models of every family, as the forest has them."""
    sections = [] if lineage is None else lineage["families"]
    return [[row[1] for row in section["rows"]] for section in sections]


def _places(families: list[list[str]], names: Sequence[str]) -> list[int | None]:
    """Return the number of its family for every model, from 1; None without kin."""
    place = {name: i for i, family in enumerate(families, 1) for name in family}
    return [place.get(name) for name in names]


def _by_depth(scan: Scan) -> list[np.ndarray]:
    """Return the layers of every model, the first ones first."""
    depth = np.array(scan.layer_table["depth"].to_pylist(), float)
    order = np.lexsort((depth, scan.model_of_layer))
    ends = np.cumsum(np.bincount(scan.model_of_layer, minlength=len(scan.model_names)))
    return np.split(order, ends[:-1])


def _classes(view: View) -> dict[str, int]:
    """Return how many layers are of each class, and all."""
    verdicts = view.scan.layer_table["verdict"].to_pylist() if view.has_quality else []
    classes = [class_of(verdict) for verdict in verdicts]
    counts = {name: classes.count(name) for name in ("good", "look", "bad", "none")}
    return counts | {"all": view.scan.layer_table.num_rows}


def _counts(view: View, models: Sequence[int]) -> list[dict[str, int]]:
    """Return how many layers of every model have each verdict; nothing if quality was not measured."""
    if not view.has_quality:
        return [{} for _ in models]
    counts = [Counter[str]() for _ in view.scan.model_names]
    verdicts = view.scan.layer_table["verdict"].to_pylist()
    for model, verdict in zip(view.scan.model_of_layer, verdicts, strict=True):
        counts[model][verdict] += 1
    return [dict(counts[i]) for i in models]


def _strips(view: View, layers_of: list[np.ndarray]) -> list[str] | None:
    """Return the places of verdicts in `VERDICTS` along depth, a digit a layer."""
    if not view.has_quality:
        return None
    place = {verdict: i for i, verdict in enumerate(VERDICTS)}
    places = np.array([place[x] for x in view.scan.layer_table["verdict"].to_pylist()], int)
    return ["".join(map(str, _bars(places[layers]))) for layers in layers_of]


def _bars(places: np.ndarray) -> list[int]:
    """Return the places, or the most worrying of each part where there are more than `MOST_BARS`."""
    parts = np.array_split(places, min(len(places), MOST_BARS) or 1)
    return [int(part.min()) for part in parts if len(part)]


def _thumbnails(scan: Scan, layers_of: list[np.ndarray]) -> dict[str, Any] | None:
    """Return some kernels of every model's first layer, each scaled; None if the scan kept no sample."""
    if scan.sample is None or scan.sample_layer is None or not len(scan.sample):
        return None
    most = int(np.clip(MOST_BYTES // max(len(layers_of) * scan.d, 1), 1, THUMBNAILS))
    order = np.argsort(scan.sample_layer, kind="stable")
    layer = scan.sample_layer[order]
    firsts = [layers[0] if len(layers) else -1 for layers in layers_of]
    starts = np.searchsorted(layer, firsts)
    ends = np.minimum(np.searchsorted(layer, firsts, side="right"), starts + most)
    rows = np.concatenate([order[start:end] for start, end in zip(starts, ends, strict=True)])
    kernels = np.nan_to_num(scan.sample[rows], nan=0, posinf=0, neginf=0)
    return {
        "shape": list(scan.spatial),
        "counts": (ends - starts).tolist(),
        "taps": packed(host_normalize(kernels) * 127 + 128, "u1"),
    }
