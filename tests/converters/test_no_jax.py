"""Checkpoints are opened, read and folded without JAX, whose import takes longer than the reading."""

import json
import os
import subprocess
import sys
from pathlib import Path

import flax.serialization
import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

ROOT = Path(__file__).parents[2]
WEIGHT = np.random.default_rng(0).standard_normal((8, 5, 3, 3)).astype(np.float32)

HEAVY = {"jax", "jaxlib", "jaxtyping", "equinox", "flax", "torch", "onnx", "pyarrow", "h5py"}
HEAVY |= {"asyncio", "fsspec", "upath", "unittest", "multiprocessing"}

# The parent package is replaced by an empty one: it has imports of its own.
READ = """
import json, sys, types
package = types.ModuleType("jfilters")
package.__path__ = [sys.argv[1]]
sys.modules["jfilters"] = package
from jfilters.converters import open_checkpoint
from jfilters.converters.internal import folded
checkpoint = open_checkpoint(sys.argv[2])
shapes = [layer.read().shape for layer in checkpoint.layers]
folded(checkpoint)
print(json.dumps([checkpoint.format, shapes, sorted(sys.modules)]))
"""


def save_onnx(path):
    node = helper.make_node("Conv", ["x", "conv.weight"], ["y"])
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy"]
    weight = numpy_helper.from_array(WEIGHT, "conv.weight")
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], [weight])), path)


def save_keras(path):
    with h5py.File(path, "w") as file:
        file["model_weights/conv/conv/kernel:0"] = np.moveaxis(WEIGHT, (0, 1), (3, 2))


def save_flax(path):
    tree = {"params": {"Conv_0": {"kernel": np.moveaxis(WEIGHT, (0, 1), (3, 2))}}}
    path.write_bytes(flax.serialization.msgpack_serialize(tree))


def save_numpy(path):
    with path.open("wb") as file:
        np.savez(file, **{"conv.weight": WEIGHT})


SAVED = {
    "safetensors": lambda path: save_file({"conv.weight": WEIGHT}, path),
    "torch": lambda path: torch.save({"conv.weight": torch.from_numpy(WEIGHT)}, path),
    "numpy": save_numpy,
    "onnx": save_onnx,
    "keras": save_keras,
    "flax": save_flax,
}


@pytest.mark.parametrize("name", SAVED)
def test_reading_imports_neither_jax_nor_equinox(name, tmp_path):
    path = tmp_path / "net"
    SAVED[name](path)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(ROOT / "jfilters"), str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, shapes, modules = json.loads(done.stdout)
    assert shapes == [list(WEIGHT.shape)]
    unwanted = HEAVY & {*modules} - ({"h5py"} if name == "keras" else set())
    assert not unwanted
