"""Memory stays flat: a hundred copies of a checkpoint need no more than ten."""

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine._weight_stores import MEMORY_BYTES

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


@pytest.mark.slow
def test_a_hundred_copies_need_no_more_memory_than_ten(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir(), many.mkdir()
    rng = np.random.default_rng(0)
    # Ten are more than is held between the passes, and fill every block that is under way at a time.
    weights = {
        f"conv{i}.weight": rng.standard_normal((256, 256, 3, 3), np.float32) for i in range(8)
    }
    assert 10 * sum(weight.nbytes for weight in weights.values()) > MEMORY_BYTES
    save_file(weights, few / "net0.safetensors", metadata={"format": "pt"})
    for i in range(1, 10):
        os.link(few / "net0.safetensors", few / f"net{i}.safetensors")
    for i in range(100):
        os.link(few / "net0.safetensors", many / f"net{i}.safetensors")
    assert peak(many) <= 1.1 * peak(few)
