"""Measure jfilters beside the NumPy and scikit-learn way, and write the table to results/bench/."""

import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jfilters.engine import Options, measure, scan
from jfilters.kernels import Kernels, Layer

from ._peers import normalize_basis_histograms, of_checkpoint
from ._timing import Row, alone, side_by_side

KERNELS = 4_000_000
OUT = Path(__file__).parent.parent / "results" / "bench"


def main() -> None:
    """Run every comparison and write speed.json and speed.md."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*in_memory(), *on_disk(Path(folder))]
    Console().print(table(rows))
    OUT.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine(), "rows": [dataclasses.asdict(row) for row in rows]}
    (OUT / "speed.json").write_text(json.dumps(record, indent=1) + "\n")
    (OUT / "speed.md").write_text(markdown(rows))


def in_memory() -> list[Row]:
    """Normalize, basis and histograms of four million random kernels in memory, both passes."""
    kernels = np.random.default_rng(0).standard_normal((KERNELS, 9), dtype=np.float32)
    weight = jnp.asarray(kernels.reshape(2000, 2000, 3, 3))
    ours = Kernels(weights=(weight,), layers=(Layer("all"),))
    work = f"normalize + basis + histograms, {KERNELS:,} kernels in memory"
    return [
        side_by_side(
            f"{work}; peer with {name}",
            lambda: measure(ours, Options(quality=False)),
            lambda solver=solver: normalize_basis_histograms(kernels, solver=solver),
            runs=5,
            target=">= 6x",
        )
        for name, solver in (("the papers' full SVD", "full"), ("today's covariance PCA", "auto"))
    ]


def on_disk(folder: Path) -> list[Row]:
    """The same from a 100 MB checkpoint, warm, and a whole `jfilters scan` in a new process."""
    path = folder / "in" / "network.safetensors"
    write_checkpoint(path, megabytes=100)
    command = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(path.parent)]

    def new_process() -> None:
        # Cold: no program that an earlier scan compiled.
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            arguments = [*command, "--out", str(folder / "out")]
            subprocess.run(arguments, check=True, capture_output=True, env=environment)

    seconds = alone(
        "`jfilters scan` of the 100 MB checkpoint, whole process, cold",
        new_process,
        runs=3,
        target="<= 6 s",
    )
    return [
        *(
            side_by_side(
                f"the same from a 100 MB checkpoint{ours}; peer with the full SVD",
                lambda quality=quality: scan(path.parent, Options(quality=quality)),
                lambda: of_checkpoint(str(path)),
                runs=5,
                target=target,
            )
            for ours, quality, target in (
                ("", False, ">= 6x"),
                (", ours with every quality metric", True, ""),
            )
        ),
        seconds,
    ]


def write_checkpoint(path: Path, *, megabytes: int) -> None:
    """A network of 3x3 convolutions of growing width, as safetensors from PyTorch would be."""
    from safetensors.numpy import save_file

    rng, weights, width = np.random.default_rng(1), {}, 64
    while sum(weight.nbytes for weight in weights.values()) < megabytes * 1e6:
        shape = (width, width, 3, 3)
        weights[f"layer{len(weights)}.conv.weight"] = 0.05 * rng.standard_normal(shape, np.float32)
        width = min(2 * width, 512)
    path.parent.mkdir(parents=True)
    save_file(weights, path, metadata={"format": "pt"})


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    packages = {name: version(name) for name in ("jax", "numpy", "scikit-learn")}
    return {"cpus": os.cpu_count(), "python": platform.python_version(), **packages}


def table(rows: list[Row]) -> Table:
    """The rows for a terminal."""
    result = Table("work", "jfilters", "peer", "ratio", "target", box=None, pad_edge=False)
    for row in rows:
        result.add_row(*cells(row))
    return result


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table under a line on the machine."""
    lines = [" | ".join(cells(row)) for row in rows]
    head = (
        "work | jfilters | NumPy and scikit-learn | ratio | target\n--- | ---: | ---: | ---: | ---"
    )
    described = ", ".join(f"{key} {value}" for key, value in machine().items())
    return (
        f"Medians of one run of `make bench` ({described}).\n\n{head}\n" + "\n".join(lines) + "\n"
    )


def cells(row: Row) -> list[str]:
    """One row as text."""
    theirs = "" if row.theirs is None else f"{row.theirs:.2f} s"
    ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
    return [row.work, f"{row.ours:.2f} s", theirs, ratio, row.target]


if __name__ == "__main__":
    main()
