"""XLA compiles a bounded number of programs, whatever shapes the layers have."""

import subprocess
import sys

import numpy as np
from safetensors.numpy import save_file

COUNT = """
import sys
import jax
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: compiled.append(event) if "backend_compile" in event else None
)
from jfilters.engine import Options, scan
scan(sys.argv[1], Options(range="data"))
print(len(compiled))
"""


def test_a_folder_of_many_shapes_compiles_at_most_16_programs(tmp_path):
    rng = np.random.default_rng(0)
    shapes = [(8 * i + 3, 5 * i + 1, 3, 3) for i in range(1, 24)] + [(700, 300, 3, 3)]
    weights = {
        f"conv{i}.weight": rng.standard_normal(shape, np.float32) for i, shape in enumerate(shapes)
    }
    save_file(weights, tmp_path / "net.safetensors", metadata={"format": "pt"})
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) <= 16
