"""Functions that cannot run under jit say so in one sentence, without the text of JAX."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfilters as jf
from jfilters.engine import measure_quality

from .training.networks import arrays

WEIGHT = jnp.ones((4, 4, 3, 3))

VALUES = {
    "compare": lambda x, out: jf.compare({"conv": x}, {"conv": x}),
    "compare Kernels": lambda x, out: jf.compare(jf.Kernels((x,), (jf.Layer("conv"),)), out),
    "scan": lambda x, out: jf.scan({"net": {"conv": x}}, progress=False),
    "scan of an array": lambda x, out: jf.scan(x, progress=False),
    "measure": lambda x, out: jf.measure(jf.Kernels((x,), (jf.Layer("conv"),))),
    "measure_quality": lambda x, out: measure_quality(jf.Kernels((x,), (jf.Layer("conv"),))),
    "watch": lambda x, out: jf.watch()(0, {"conv": {"kernel": x.transpose(2, 3, 1, 0)}}),
    "watch from a start": lambda x, out: jf.watch(
        start={"conv": {"kernel": x.transpose(2, 3, 1, 0)}}
    ),
    "rows of quality": lambda x, out: jf.statistics.quality(x).rows(),
    "open_checkpoint": lambda x, out: jf.open_checkpoint(x),
    "load": lambda x, out: jf.load(x),
    "inspect": lambda x, out: jf.inspect(x),
    "from_module": lambda x, out: jf.from_module(x),
}
"""Functions of the host, given the values of a traced array."""

STATIC = """
import json, jax, jax.numpy as jnp, jfilters as jf, pyarrow as pa
from jfilters.converters import write_filterdb
from jfilters.training import cosine_basis

kernels, labels = jf.from_params({"w": jnp.ones((4, 4, 3, 3))}, axes="OIHW"), pa.table({"model": ["a"]})
functions = {
    "select by depth": lambda n: kernels.select(depth=(0.0, n)),
    "select by size": lambda n: kernels.select(spatial=(n, 3)),
    "every": lambda n: jf.watch(every=n),
    "bins": lambda n: jf.Options(bins=n),
    "a size": lambda n: cosine_basis((n, 3)),
    "write_filterdb": lambda n: write_filterdb("a.h5", [n * jnp.ones((4, 3, 3))], labels),
}
errors = {}
for name, function in functions.items():
    try:
        jax.jit(function)(3)
    except Exception as error:
        errors[name] = str(error).partition("\\n----")[0]
print(json.dumps(errors))
"""
"""Functions with an argument that decides what is computed, without the type checker of these tests."""


@pytest.mark.parametrize("name", VALUES)
def test_values_of_arrays(name, tmp_path):
    if name == "from_module":
        pytest.importorskip("torch")
    with pytest.raises(ValueError, match="under jit") as raised:
        jax.jit(lambda x: VALUES[name](x, tmp_path))(WEIGHT)
    assert_plain(raised.value)


def test_static_arguments(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", STATIC], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    errors = json.loads(done.stdout)
    assert len(errors) == 6
    for message in errors.values():
        assert "under jit" in message
        assert_plain(message)


def assert_plain(error):
    message = str(error).partition("\n----")[0]
    assert "racer" not in message
    assert "\n" not in message


def test_a_step_on_the_device():
    with pytest.raises(ValueError, match="count steps in the loop"):
        jax.jit(lambda step: jf.watch()(step, arrays()))(3)


@pytest.mark.parametrize("value", [{"conv": 1}, 3, None, np.ones(3)])
def test_what_is_no_path_is_named_by_its_type(value):
    with pytest.raises(jf.CheckpointError, match=f"a path or a URL, got {type(value).__name__}"):
        jf.converters.location(value)
