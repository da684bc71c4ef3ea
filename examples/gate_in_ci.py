"""A gate for CI: fail a build whose network has dead layers or has moved too far from the release.

It writes rules, a reference and two candidates, and runs the commands that a job in CI would run. The first
candidate passes with exit code 0. The second has a dead layer: exit code 1.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

RULES = """
[[rule]]
name = "no layer is dead"
require = "verdict not in ['collapsed', 'all-zero', 'non-finite']"

[[rule]]
name = "close to the release"
reference = "release.bundle"
model = "release.safetensors"
drift = {max = 0.5}
"""


def network(seed: int) -> dict[str, np.ndarray]:
    """Two layers of smooth kernels."""
    rng = np.random.default_rng(seed)
    smooth = np.exp(-np.add.outer([1, 0, 1], [1, 0, 1]))
    shapes = {"conv1.weight": (32, 16, 3, 3), "conv2.weight": (64, 32, 3, 3)}
    return {
        name: (smooth * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def save(weights: dict[str, np.ndarray], path: Path) -> None:
    """Write a checkpoint whose weights are ordered as in torch."""
    path.parent.mkdir(exist_ok=True)
    save_file(weights, path, metadata={"format": "pt"})


def jfilters(*arguments: str) -> int:
    """Run a command of jfilters, and return its exit code."""
    print("$ jfilters", *arguments, flush=True)
    return subprocess.run(
        [sys.executable, "-m", "jfilters_cli", *arguments], check=False
    ).returncode


damaged = network(2)
damaged["conv2.weight"][:] = 0
Path("rules.toml").write_text(RULES)
save(network(0), Path("release/release.safetensors"))
save(network(1), Path("good/good.safetensors"))
save(damaged, Path("bad/bad.safetensors"))

jfilters("scan", "--checkpoints", "release", "--out", "scans/release")
jfilters("bundle", "scans/release", "-o", "release.bundle")
for candidate in ("good", "bad"):
    scan = f"scans/{candidate}"
    jfilters("scan", "--checkpoints", candidate, "--out", scan, "--basis", "release.bundle")
    code = jfilters("check", scan, "--rules", "rules.toml", "--junit", f"{candidate}.xml")
    print(f"{candidate}: exit code {code}")
