"""XLA compiles a bounded number of programs, whatever shapes the layers have, for every platform."""

import functools
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import Options
from jfilters.engine._blocks import Segments
from jfilters.engine._passes import histogram_pass, moments_pass, range_pass
from jfilters.statistics import Basis

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


@pytest.mark.slow
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


SHAPES = Segments(
    jax.ShapeDtypeStruct((4, 256, 9), jnp.float32),
    jax.ShapeDtypeStruct((4, 256), bool),
    jax.ShapeDtypeStruct((4,), jnp.float32),
    jax.ShapeDtypeStruct((4, 2, 9), jnp.float32),
)
NUMBER = jax.ShapeDtypeStruct((), jnp.float32)
BASIS = Basis(*(np.zeros(shape, np.float32) for shape in ((9,), (9, 9), (9,))))
PASSES = {
    "moments": (functools.partial(moments_pass, options=Options(), with_normalized=True), ()),
    "histogram": (functools.partial(histogram_pass, options=Options()), (BASIS, NUMBER, NUMBER)),
    "range": (functools.partial(range_pass, options=Options()), (BASIS,)),
}


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
@pytest.mark.parametrize("name", PASSES)
def test_a_pass_lowers_for_every_platform(name, platform):
    program, same = PASSES[name]
    text = jax.jit(program).trace(SHAPES, *same).lower(lowering_platforms=(platform,)).as_text()
    assert not re.search(r"\bf64\b|xf64", text)
    assert ("stablehlo.scatter" in text) == (name == "histogram" and platform == "cpu")
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert all("HIGHEST" in line for line in products)
