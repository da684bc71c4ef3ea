"""A whole `jfilters scan` in a new process, with no program that an earlier scan compiled."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ._timing import Row, alone


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """From the shell's side: start, compile, scan, write."""
    megabytes = 1 if quick else 100
    checkpoints = folder / "command"
    write_checkpoint(checkpoints / "network.safetensors", megabytes=megabytes)
    command = [sys.executable, "-m", "jfilters_cli", "scan", "--checkpoints", str(checkpoints)]

    # An installed package has its bytecode; only XLA's programs are to be missing.
    environment = {name: os.environ[name] for name in os.environ if name != _NO_BYTECODE}

    def cold() -> None:
        with tempfile.TemporaryDirectory() as fresh:
            subprocess.run(
                [*command, "--out", str(Path(fresh) / "scan")],
                check=True,
                capture_output=True,
                env={**environment, "XDG_CACHE_HOME": str(Path(fresh) / "cache")},
            )

    work = f"`jfilters scan` of a {megabytes} MB checkpoint, whole process, cold"
    return [alone(work, cold, runs=1 if quick else 3, most_seconds=6)]


_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


def write_checkpoint(path: Path, *, megabytes: float) -> None:
    """A network of 3x3 convolutions of growing width, as safetensors from PyTorch would be."""
    from safetensors.numpy import save_file

    rng, weights, width = np.random.default_rng(1), {}, 64
    while sum(weight.nbytes for weight in weights.values()) < megabytes * 1e6:
        shape = (width, width, 3, 3)
        weights[f"layer{len(weights)}.conv.weight"] = 0.05 * rng.standard_normal(shape, np.float32)
        width = min(2 * width, 512)
    path.parent.mkdir(parents=True)
    save_file(weights, path, metadata={"format": "pt"})
