"""A scan and the folder that it is written into, so that the next scan reads only what is new."""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .._files import Location, place, sweep
from ..errors import printable, redacted
from ..scans import MetadataTable, Scan
from ..scans.internal import (
    CACHE,
    NarrowArrays,
    left_out,
    sketch_arrays,
    totals,
    with_families,
    write_scan,
)
from ..scans.schema import MOMENT_PARTS, MOMENTS, VERSION
from ..statistics import Basis
from ..statistics.internal import EPSILONS, basis_arrays
from ._engine import Progress
from ._lock import locked
from ._measurements import Measurements
from ._options import DEFAULTS, Options
from ._plan import Entry
from ._processes import Processes
from ._progress import progress_bar
from ._run import Scannable, measure_checkpoints
from ._sample import SEED
from ._tables import layers_table, models_table
from ._versions import versions


def scan(
    checkpoints: Scannable,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
    metadata: MetadataTable | Path | str | None = None,
    cache: Location | None = None,
    progress: bool | Progress = True,
    processes: Processes | None = None,
    engine: str = "local",
    address: str | None = None,
    num_gpus: int | float = 0,
) -> Scan:
    """Scan checkpoints or networks in memory, and return the statistics of their convolution layers.

    Weights stream through in blocks and are never kept. A checkpoint that cannot be read is an entry of the
    record with its reason, and never stops the scan.

    Args:
        checkpoints: a path, or a URL that fsspec knows, of a folder or a checkpoint; or several of them; or
            a dict of networks by their names: parameters, modules, `Kernels` and paths in any mix.
        options: kernel size, population, range and the like.
        basis: a basis to use instead of fitting one; the scan then reads the weights once, not twice.
        metadata: labels of models, which become columns of the tables: a table, or the path of its file.
        cache: a folder of what earlier scans kept; checkpoints in it are not read again.
        progress: show a progress bar in a terminal or a notebook; or a function of (stage, done, total).
        processes: those of a job, each of which reads its share; all return the same scan.
        engine: "local" reads on this machine's devices; "host" in NumPy on this machine, for a few small
            checkpoints; "ray" reads on the nodes of the Ray cluster at `address`, by default that of this
            machine.
        address: host:port of the Ray cluster.
        num_gpus: GPUs of each task of the Ray cluster, as Ray counts them; 0 computes on its CPUs.

    Returns:
        A `Scan` in memory; `save` writes it, and its methods answer questions.

    Raises:
        UnreadableError: there is no such folder.
        ValueError: an empty dict, a name that is no text, a network under jit, or GPUs that no node has.
        CheckpointError: with `Options(strict=True)`, the first error of a checkpoint.
        LostProcessError: another process of the job has gone.
        ConnectionError: there is no Ray cluster.
        MissingExtraError: ray is not installed.

    >>> import jfilters as jf, numpy as np, safetensors.numpy, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> weights = np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32)
    >>> safetensors.numpy.save_file({"conv.weight": weights}, f"{folder}/net.safetensors")
    >>> jf.scan(folder, progress=False).record["totals"]["kernels"]
    32
    >>> networks = {"base": {"conv": weights}, "tuned": {"conv": weights + 0.01}}
    >>> jf.scan(networks, jf.Options(axes="OIHW"), progress=False).model_names
    ['base', 'tuned']
    """
    with progress_bar(progress) as report:
        measurements = measure_checkpoints(
            checkpoints,
            options,
            basis=basis,
            metadata=metadata,
            cache=cache,
            progress=report,
            processes=processes,
            engine=engine,
            address=address,
            num_gpus=num_gpus,
        )
    return scan_of(measurements, uses_jax=engine != "host")


def scan_into(
    out: Location | str,
    checkpoints: Scannable,
    options: Options = DEFAULTS,
    *,
    basis: Basis | None = None,
    metadata: MetadataTable | Path | str | None = None,
    progress: bool | Progress = True,
    processes: Processes | None = None,
    engine: str = "local",
    address: str | None = None,
    num_gpus: int | float = 0,
) -> Scan:
    """Scan checkpoints and write the scan into a folder, from which the next scan goes on.

    The hidden folder `.cache` keeps the statistics of each checkpoint: the next scan into the same folder
    reads only what is new, and one that was killed goes on. Of several processes one writes the files.

    Args:
        out: the folder, which is made where it does not exist; a scan in it is replaced. It may be the URL
            of a store, such as gs://bucket/folder: tables and cache lie there.
        checkpoints: as in `scan`, whose arguments the others are too.

    Returns:
        The scan, with `out` as its folder.

    Raises:
        OSError: the folder cannot be written, or another scan is at it; and what `scan` raises.
    """
    job = processes or Processes(0, 1)
    folder = place(out)
    with contextlib.ExitStack() as stack:
        checks: list[Callable[[], None]] = []
        job.on_first(lambda: checks.append(_begun(folder, stack)))
        result = scan(
            checkpoints,
            options,
            basis=basis,
            metadata=metadata,
            cache=folder / CACHE,
            progress=progress,
            processes=processes,
            engine=engine,
            address=address,
            num_gpus=num_gpus,
        )
        job.on_first(lambda: _finish(result, folder, checks))
    return dataclasses.replace(result, folder=folder)


def _begun(folder: Location, stack: contextlib.ExitStack) -> Callable[[], None]:
    """Take the lock of a folder, and return the check that it is still held."""
    check = stack.enter_context(locked(folder))
    if isinstance(folder, Path):
        sweep(folder)
    return check


def _finish(result: Scan, folder: Location, checks: list[Callable[[], None]]) -> None:
    for check in checks:
        check()
    write_scan(result, folder, replace=True)


def scan_of(measurements: Measurements, *, uses_jax: bool = True) -> Scan:
    """Return the scan with these measurements: its record, tables and arrays.

    Without `uses_jax` the record names the host as the device.
    """
    layers = layers_table(measurements)
    models = models_table(measurements, layers)
    record = _record(measurements, layers, models)
    record["device"] = _device() if uses_jax else dict(_HOST)
    return with_families(Scan(record, layers, models, NarrowArrays(_arrays(measurements))))


def _record(measurements: Measurements, layers: pa.Table, models: pa.Table) -> dict[str, Any]:
    checkpoints = [_described(entry) for entry in measurements.entries]
    unmatched = measurements.unmatched
    outside = int(measurements.statistics.n_outside.sum())
    return {
        "schema": VERSION,
        "versions": versions(),
        "device": {},
        "config": {
            "checkpoints": printable(redacted(str(measurements.root))),
            **measurements.options.record(),
        },
        "seed": SEED,
        "totals": totals(checkpoints, [layers], outside),
        "checkpoints": checkpoints,
        "left_out": left_out(models.num_rows),
        "metadata_unmatched": {"rows": list(unmatched.rows), "models": list(unmatched.models)},
        "ignored": [printable(redacted(str(path))) for path in measurements.ignored],
    }


_HOST = {"platform": "host", "kind": "numpy", "dtype": "float32"}


def _device() -> dict[str, str]:
    import jax

    device = jax.devices()[0]
    return {"platform": device.platform, "kind": device.device_kind, "dtype": "float32"}


def _described(entry: Entry) -> dict[str, Any]:
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


def _arrays(measurements: Measurements) -> dict[str, np.ndarray]:
    """Return the arrays of the schema; none without a basis."""
    statistics, options = measurements.statistics, measurements.options
    if measurements.basis is None or measurements.edges is None:
        return {}
    arrays = {"histogram": statistics.histogram, "edges": measurements.edges}
    arrays |= basis_arrays(measurements.basis)
    if options.quality:
        arrays |= {"sparse_histogram": statistics.sparse_histogram}
        arrays |= {"sparse_at": statistics.n_below, "sparse_eps": np.array(EPSILONS)}
    if options.sample:
        sample = measurements.sample
        arrays |= {"sample": sample.kernels, "sample.layer": sample.layer}
        arrays |= {"sample.is_even": sample.marks()}
    arrays |= sketch_arrays(measurements.sketches)
    for name in MOMENTS:
        moments = getattr(statistics, name)
        arrays |= {f"{name}.{part}": np.asarray(getattr(moments, part)) for part in MOMENT_PARTS}
    return arrays
