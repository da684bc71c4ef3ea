"""Writes the ncnn files beside it with pnnx 20261020: `python -m tests.converters.deployed.make_ncnn`."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from .networks import NETWORKS
from .torch_networks import network

HERE = Path(__file__).parent


def main() -> None:
    """Write every network in float32, and that of 2 axes in float16 too."""
    for name, half in [*((name, 0) for name in NETWORKS), ("two", 1)]:
        module, x = network(name)
        shape = str(list(x.shape)).replace(" ", "")
        with tempfile.TemporaryDirectory() as folder:
            torch.jit.trace(module, x).save(f"{folder}/net.pt")
            command = ["pnnx", "net.pt", f"inputshape={shape}", f"fp16={half}"]
            subprocess.run(command, cwd=folder, check=True)
            for suffix in (".ncnn.param", ".ncnn.bin"):
                shutil.copy(f"{folder}/net{suffix}", HERE / f"{name}{'-half' * half}{suffix}")


if __name__ == "__main__":
    main()
