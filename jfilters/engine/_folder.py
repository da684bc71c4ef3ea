"""The folder that a scan writes, file by file: nothing half-written is ever visible."""

import contextlib
import csv
import dataclasses
import io
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import pyarrow.parquet
import safetensors.numpy
from jaxtyping import Float, Int64

from .._files import written_whole
from ..converters import Location
from ..errors import printable, redacted
from ..shift import drift_matrix, probability
from ..statistics import EPSILONS, Basis, basis_arrays
from ._engine import Progress
from ._lock import locked
from ._metadata import MetadataTable
from ._options import DEFAULTS, Options
from ._plan import Entry
from ._processes import Processes
from ._run import Scan, scan
from ._status import STATUSES
from ._tables import layers_table, model_index, models_table

MOST_MODELS = 2_000
"""Models of which all pairs are compared: four million numbers, 80 MB as text."""

KEPT = ".cards"
"""The folder of a scan's readings, which may be deleted at any time."""


def scan_into(
    out: Path,
    checkpoints: Location | str,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
    metadata: MetadataTable | None = None,
    progress: Progress | None = None,
    processes: Processes | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> Scan:
    """`scan` and `write_scan`, so that the next one into the same folder reads only what is new.

    What was found in each checkpoint is kept in the hidden folder `.cards`: a scan that is killed at any
    moment goes on from there. Of several processes one writes the tables.

    Raises what `scan` does; OSError where the folder cannot be written, or another scan is at it.
    """
    is_first = processes is None or processes.index == 0
    with locked(out) if is_first else contextlib.nullcontext():
        found = scan(
            checkpoints,
            options,
            basis=basis,
            metadata=metadata,
            cache=out / KEPT,
            progress=progress,
            processes=processes,
            engine=engine,
            address=address,
        )
        if is_first:
            write_scan(found, out)
    return found


def write_scan(scan: Scan, out: Path, *, seed: int = 0) -> None:
    """Write the files of a scan into `out`, each whole or not at all, scan.json last."""
    out.mkdir(parents=True, exist_ok=True)
    layers = layers_table(scan)
    _write_parquet(layers, out / "layers.parquet")
    _write_parquet(models_table(scan, layers), out / "models.parquet")
    if (basis := scan.basis) is not None:
        _atomic(out / "arrays.safetensors", lambda path: _save_arrays(scan, basis, path))
        _write_drift(scan, out / "drift-model.csv")
    text = json.dumps(describe(scan, seed=seed), indent=1)
    _atomic(out / "scan.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))


def _write_drift(scan: Scan, path: Path) -> None:
    if left_out(scan):
        path.unlink(missing_ok=True)  # that of an earlier scan with fewer models
    else:
        names, drift = model_drift(scan)
        _atomic(path, lambda temporary: _save_matrix(names, drift, temporary))


def left_out(scan: Scan) -> list[str]:
    """The files that a scan of so many models does not write, each with the reason."""
    n = len(model_index(scan)[0])
    if n <= MOST_MODELS:
        return []
    return [f"drift-model.csv: {n} models, and a matrix is written for at most {MOST_MODELS}"]


def describe(scan: Scan, *, seed: int = 0) -> dict:
    """What scan.json holds: provenance, totals, and what came of every checkpoint."""
    device = jax.devices()[0]
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jfilters", "jax", "numpy", "equinox")},
        },
        "device": {"platform": device.platform, "kind": device.device_kind, "dtype": "float32"},
        "config": {
            "checkpoints": printable(redacted(str(scan.root))),
            **dataclasses.asdict(scan.options),
        },
        "seed": seed,
        "totals": totals(scan),
        "checkpoints": [_describe_entry(entry) for entry in scan.entries],
        "left_out": left_out(scan),
        "metadata_unmatched": dataclasses.asdict(scan.unmatched),
        "ignored": [printable(redacted(str(path))) for path in scan.ignored],
    }


def totals(scan: Scan) -> dict[str, int]:
    """Counts over the whole scan."""
    statuses = [entry.status for entry in scan.entries]
    return {
        "checkpoints": len(scan.entries),
        **{status: statuses.count(status) for status in STATUSES},
        "bytes": sum(entry.total_bytes for entry in scan.entries),
        "layers": len(scan.cards),
        "kernels": int(scan.cards.n_kernels.sum()),
        "zero_kernels": int(scan.cards.n_zero.sum()),
        "nonfinite_kernels": int(scan.cards.n_nonfinite.sum()),
        "coefficients_outside_range": int(scan.cards.n_outside.sum()),
    }


def model_drift(scan: Scan) -> tuple[list[str], np.ndarray]:
    """The names of the models and the square matrix of D between them, in nats."""
    if scan.basis is None or scan.edges is None:
        raise ValueError("a scan without kernels has no drift")
    names, counts = model_histograms(scan)
    probabilities = np.asarray(probability(counts, scan.edges))
    return names, drift_matrix(probabilities, component_weights(scan.basis, scan.options.weights))


def model_histograms(scan: Scan) -> tuple[list[str], Int64[np.ndarray, "models d bins"]]:
    """The names of the models with layers, and the histograms of all their kernels."""
    names, index = model_index(scan)
    first = np.searchsorted(index, np.arange(len(names)))
    return names, np.add.reduceat(scan.cards.histogram, first)


def component_weights(
    basis: Basis, weights: Literal["variance-ratio", "uniform"]
) -> Float[np.ndarray, " d"]:
    """What each component counts in a drift: its share of the variance, or the same for all."""
    d = len(basis.mean)
    if weights == "uniform":
        return np.full(d, 1 / d)
    return np.asarray(basis.variance_ratio, np.float64)


def _describe_entry(entry: Entry) -> dict:
    return {
        "model": entry.model,
        "path": printable(redacted(str(entry.path))),
        "bytes": entry.total_bytes,
        "sha256": entry.sha256,
        "identity": entry.version,
        "companions": [printable(companion.name) for companion in entry.companions],
        "format": entry.format,
        "status": entry.status,
        "reason": entry.reason,
        "skipped": dict(entry.skipped),
    }


def _save_arrays(scan: Scan, basis: Basis, path: Path) -> None:
    arrays = {"histogram": scan.cards.histogram, "edges": scan.edges, **basis_arrays(basis)}
    if scan.options.quality:
        arrays["sparse_histogram"] = scan.cards.sparse_histogram
        arrays |= {"sparse_at": scan.cards.n_below, "sparse_eps": np.array(EPSILONS)}
    if scan.options.sample:
        arrays |= {"sample": scan.sample.kernels, "sample.layer": scan.sample.layer}
    for name in ("normalized", "raw", "clean"):
        moments = getattr(scan.cards, name)
        arrays |= {
            f"{name}.{part}": np.asarray(getattr(moments, part))
            for part in ("count", "mean", "scatter")
        }
    arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    safetensors.numpy.save_file(arrays, path)


def _save_matrix(names: list[str], matrix: np.ndarray, path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *names])
    for name, row in zip(names, matrix.tolist(), strict=True):
        writer.writerow([name, *map(repr, row)])
    path.write_text(text.getvalue(), encoding="utf-8")


def _write_parquet(table: pyarrow.Table, path: Path) -> None:
    _atomic(path, lambda temporary: pyarrow.parquet.write_table(table, temporary))


def _atomic(path: Path, write: Callable[[Path], object]) -> None:
    with written_whole(path) as temporary:
        write(temporary)
