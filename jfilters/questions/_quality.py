"""The health of a scan's layers: verdicts along an axis, their dependence on epsilon, prunable kernels."""

import functools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _html
from ..answers import Answer
from ..scans import Scan, axis_values
from ..scans.internal import BAD, DEGENERATE, verdict_counts
from ..statistics import VERDICTS, judge, random_orthogonality, randomness_threshold
from ._folding import FoldedScan, folded_scan
from ._prunable import Prunable, prunable

OF_MODELS = (
    *("model", "n_layers", "n_degenerate", "n_kernels", "sparsity", "variance_entropy"),
    *("variance_entropy_ratio", "orthogonality"),
)
NUMBERS = ("n_kernels", "sparsity", "variance_entropy", "orthogonality", "verdict", "reason")


@dataclass(frozen=True)
class Share:
    """The layers with one label, and how many of them are degenerate."""

    label: str
    layers: int
    degenerate: int

    @property
    def share(self) -> float:
        """Degenerate layers of all."""
        return self.degenerate / self.layers


@dataclass(frozen=True)
class Quality(Answer):
    """The health of the layers of a scan, from their statistics.

    `layers` has a record for each: its numbers, and beside them those of random weights of its size. In
    `strip` the layers of every verdict are counted for every epsilon of the test for sparse kernels; None
    if the scan did not count for them. `models` are pooled over their layers; `verdicts` of a model counts
    its layers. `prunable` are the models with kernels that could be zero.
    """

    by: str
    verdicts: dict[str, int]
    shares: list[Share]
    strip: dict[float, dict[str, int]] | None
    prunable: list[Prunable]
    models: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    folded: FoldedScan | None = None

    def record(self) -> dict[str, Any]:
        """Return verdicts, shares of degenerate layers, the strip, sparse kernels, models and layers."""
        labels = [{**vars(share), "share": round(share.share, 6)} for share in self.shares]
        record = {
            "verdicts": self.verdicts,
            "bad": list(BAD),
            "degenerate": {"by": self.by, "labels": labels},
            "strip": self.strip and {str(eps): verdicts for eps, verdicts in self.strip.items()},
            "prunable": [vars(model) for model in self.prunable],
            "models": self.models,
            "layers": self.layers,
        }
        return record | ({"folded": self.folded.record()} if self.folded else {})

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.verdicts.items())
        return f"Quality({len(self.models):,} models, {len(self.layers):,} layers: {counts})"

    def _repr_html_(self) -> str:
        return quality_html(self)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a layer; of its quality as stored and folded, if that was computed."""
        return self.folded.rows() if self.folded else self.layers


def quality_html(answer: Quality) -> str:
    """Return one line a model, those with the most bad layers first: numbers, and verdicts in color."""
    verdicts: dict[str, list[str]] = {model["model"]: [] for model in answer.models}
    for layer in answer.layers:
        verdicts[layer["model"]].append(layer["verdict"])
    counts = {model: _counted(labels) for model, labels in verdicts.items()}
    models = sorted(
        answer.models, key=lambda model: (-_bad(counts[model["model"]]), model["model"])
    )
    rows = [[*(model[name] for name in _SHOWN), _words(counts[model["model"]])] for model in models]
    styles = [_styles(model, counts[model["model"]]) for model in models]
    head = ["model", "layers", "kernels", "sparse", "H/T", "not healthy"]
    return _html.paragraph(repr(answer)) + _html.styled(head, rows, styles, caption=_HEADS)


_SHOWN = ("model", "n_layers", "n_kernels", "sparsity", "variance_entropy_ratio")
_HEADS = (
    "sparse: share of sparse kernels; H/T: variance entropy over that of random kernels, median"
)


def _bad(counts: dict[str, int]) -> int:
    return sum(counts.get(label, 0) for label in BAD)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {label}" for label, count in counts.items() if label != "healthy")


def _styles(model: dict[str, Any], counts: dict[str, int]) -> list[str]:
    right, color = "text-align:right", "#8a6100"
    if _bad(counts):
        color = "#b3261e"
    sparse = _html.shade(model["sparsity"] or 0.0)
    return ["text-align:left", right, right, sparse, right, f"text-align:left;color:{color}"]


def quality(scan: Scan, *, by: str = "depth_decile", fold_batchnorm: bool | None = None) -> Quality:
    """Return the verdicts of all layers, the share of degenerate ones along an axis, and sparse kernels.

    Degenerate are layers that look random, are collapsed, or all zero (METHOD, Degeneration).

    Args:
        scan: in memory or opened.
        by: the axis along which degenerate layers are counted.
        fold_batchnorm: read all checkpoints again, and add the quality of every layer with its BatchNorm
            folded in. False reads none; by default some small ones are read again, to count the kernels
            that could be zero with BatchNorm folded in.

    Raises:
        ValueError: for an axis that is not there.
    """
    rows = scan.layer_table.to_pylist()
    return Quality(
        by,
        _counted(row["verdict"] for row in rows),
        _shares(rows, axis_values(scan, by)),
        _strip(scan, rows),
        prunable(scan, fold_batchnorm=fold_batchnorm),
        [_of_model(row) for row in scan.model_table.to_pylist()],
        [_beside_random(row, scan.d) for row in rows],
        folded_scan(scan) if fold_batchnorm else None,
    )


def _counted(labels: Iterable[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {label: counts[label] for label in VERDICTS if counts[label]}


def _shares(rows: list[dict], labels: np.ndarray) -> list[Share]:
    layers: Counter = Counter()
    degenerate: Counter = Counter()
    for row, label in zip(rows, labels.tolist(), strict=True):
        layers[label] += 1
        degenerate[label] += row["verdict"] in DEGENERATE
    ordered = sorted((label for label in layers if label is not None), key=_order)
    labels_in_order = ordered + [None] * (None in layers)
    return [
        Share("unknown" if label is None else str(label), layers[label], degenerate[label])
        for label in labels_in_order
    ]


def _order(label: object) -> tuple[bool, object]:
    return isinstance(label, str), label


def _strip(scan: Scan, rows: list[dict]) -> dict[float, dict[str, int]] | None:
    if scan.sparse_at is None or scan.sparse_eps is None:
        return None
    return {
        float(eps): _counted(
            _verdict_at(row, int(sparse), scan.d)
            for row, sparse in zip(rows, scan.sparse_at[:, i], strict=True)
        )
        for i, eps in enumerate(scan.sparse_eps)
    }


def _verdict_at(row: dict, sparse: int, d: int) -> str:
    finite = row["n_kernels"] - row["n_nonfinite"]
    return judge(
        n_kernels=row["n_kernels"],
        n_nonfinite=row["n_nonfinite"],
        max_abs=row["max_abs"],
        sparsity=sparse / finite if finite else math.nan,
        variance_entropy=_or_nan(row["variance_entropy"]),
        threshold=_threshold(finite, d),
        d=d,
    ).label


@functools.cache
def _threshold(n: int, d: int) -> float:
    # Many layers have the same number of kernels.
    return float(randomness_threshold(n, d))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _of_model(row: dict) -> dict[str, Any]:
    return {name: row[name] for name in OF_MODELS} | {"verdicts": verdict_counts(row)}


def _beside_random(row: dict, d: int) -> dict[str, Any]:
    if row["groups"] is None:
        length = row["n_kernels"] // row["out_channels"] * d
    else:
        length = row["in_channels"] // row["groups"] * d
    threshold = _threshold(row["n_kernels"] - row["n_nonfinite"], d)
    return {
        "model": row["model"],
        "layer": row["layer"],
        **{name: row[name] for name in NUMBERS},
        "random_variance_entropy": None if math.isnan(threshold) else threshold,
        "random_orthogonality": random_orthogonality(length),
    }
