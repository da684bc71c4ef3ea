"""Memory stays flat: a hundred copies of a checkpoint need no more than one."""

import os
import subprocess
import sys

import numpy as np
from safetensors.numpy import save_file

PEAK = """
import resource, sys
from jfilters.engine import scan
scan(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(folder):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_a_hundred_copies_need_no_more_memory_than_one(tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    one.mkdir(), many.mkdir()
    rng = np.random.default_rng(0)
    # Large enough to fill every block that is under way at a time.
    weights = {
        f"conv{i}.weight": rng.standard_normal((256, 256, 3, 3), np.float32) for i in range(8)
    }
    save_file(weights, one / "net.safetensors", metadata={"format": "pt"})
    for i in range(100):
        os.link(one / "net.safetensors", many / f"net{i}.safetensors")
    assert peak(many) <= 1.1 * peak(one)
