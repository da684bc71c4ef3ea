"""Commands as whole processes with warm disk caches: the seconds before an answer."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from ._command import write_checkpoint
from ._timing import Row, alone, side_by_side

KERNELS = 20_000_000
"""Of the large checkpoint, 720 MB of 3x3 kernels."""

_JAX = "import jax, jax.numpy; jax.devices()"

# Seconds that each command may take on a scan of two dozen models.
_SECONDS = {
    "formats": 0.7,
    "quality SCAN": 0.7,
    "drift SCAN --by kind": 0.7,
    "check SCAN --rules RULES": 0.7,
    "trajectory SCAN": 0.7,
    "bundle SCAN --output BUNDLE": 0.7,
    "compare FILE FILE": 1.5,
    "nearest SCAN FILE": 1.5,
    "inspect FILE": 1.5,
    "axes SCAN": 2.5,
    "report SCAN": 6.0,
}


def rows(folder: Path, *, quick: bool) -> list[Row]:
    """Time every question of a small scan, and scans beside the import of JAX alone."""
    runs = 1 if quick else 5
    places = _population(folder, models=6 if quick else 24)
    answers = [
        alone(f"`jfilters {command}`", _command(command, places), runs=runs, most_seconds=seconds)
        for command, seconds in _SECONDS.items()
    ]
    large = folder / "large"
    write_checkpoint(large / "network.safetensors", megabytes=1 if quick else KERNELS * 36 / 1e6)
    return [
        *answers,
        _beside_jax("a small folder", folder / "nets", folder / "small-out", runs, 1.0),
        _beside_jax("a file of 20 M kernels", large, folder / "large-out", runs, 2.0),
    ]


def _population(folder: Path, *, models: int) -> dict[str, str]:
    """Write checkpoints of one run, with labels and rules, and scan them."""
    from safetensors.numpy import save_file

    rng, nets = np.random.default_rng(0), folder / "nets"
    nets.mkdir(parents=True)
    for step in range(models):
        weights = {
            f"conv{i}.weight": rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
            for i in range(12)
        }
        save_file(weights, nets / f"step_{step}.safetensors", metadata={"format": "pt"})
    lines = [f"step_{step}.safetensors,{'abc'[step % 3]}" for step in range(models)]
    (folder / "meta.csv").write_text("\n".join(["model,kind", *lines]) + "\n")
    (folder / "rules.toml").write_text('[[rule]]\nname = "finite"\nrequire = "n_nonfinite == 0"\n')
    places = {"SCAN": folder / "scan", "FILE": nets / "step_0.safetensors"}
    places |= {"RULES": folder / "rules.toml", "BUNDLE": folder / "scan.bundle"}
    names = {name: str(place) for name, place in places.items()}
    meta = ("--meta", str(folder / "meta.csv"))
    _run(*_PROGRAM, "scan", "--checkpoints", str(nets), *meta, "--out", names["SCAN"])
    return names


def _beside_jax(what: str, checkpoints: Path, out: Path, runs: int, seconds: float) -> Row:
    """Time a first scan, and the import of JAX in turn; the note says what the scan adds to it."""
    count = iter(range(1_000_000))

    def scan() -> None:
        # A folder of its own each time: nothing is kept from the scan before.
        _run(*_PROGRAM, "scan", "--checkpoints", str(checkpoints), "--out", f"{out}{next(count)}")

    return side_by_side(
        f"`jfilters scan` of {what}, whole process",
        scan,
        lambda: _run(sys.executable, "-c", _JAX),
        peer="import of JAX alone",
        runs=runs,
        note=f"allowed: the import + {seconds:g} s",
    )


def _command(command: str, places: dict[str, str]):
    words = [places.get(word, word) for word in command.split()]
    return lambda: _run(*_PROGRAM, *words)


_PROGRAM = [sys.executable, "-m", "jfilters_cli"]


def _run(*command: str) -> None:
    # A check with a broken rule, or a scan with refused checkpoints, ends with 1.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
