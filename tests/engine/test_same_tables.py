"""One network saved in six formats: its rows in the tables of a scan are the same, and nothing drifts."""

from pathlib import Path

import equinox as eqx
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import orbax.checkpoint as ocp
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from onnx import TensorProto, helper, numpy_helper

from jfilters.engine import scan
from jfilters.scans.internal import model_drift

SHAPES = {
    "layer0": (16, 3, 3, 3),
    "layer1": (16, 1, 3, 3),
    "layer2": (32, 16, 3, 3),
    "layer3": (24, 32, 3, 3),
}
GROUPS = {"layer0": 1, "layer1": 16, "layer2": 1, "layer3": 1}
FORMATS = ("equinox", "flax", "onnx", "orbax", "safetensors", "torch")

EXACT = [
    "n_kernels",
    "n_zero",
    "n_sparse",
    "n_nonfinite",
    "max_abs",
    "sparsity",
    "variance_entropy",
    "variance_entropy_ratio",
    "variance_entropy_clean",
    "variance_entropy_clean_ratio",
    "orthogonality",
    "l1",
    "l2",
    "out_channels",
    "in_channels",
    "groups",
    "depthwise",
    "depth",
    "relative_depth",
    "spatial",
    "dtype",
    "verdict",
    "reason",
]


def weights() -> dict[str, np.ndarray]:
    """Kernels by layer, some of them sparse or zero."""
    rng = np.random.default_rng(0)
    found = {name: rng.standard_normal(shape, np.float32) for name, shape in SHAPES.items()}
    found["layer2"][:3] *= 1e-4
    found["layer3"][5, :7] = 0
    return found


def biases() -> dict[str, np.ndarray]:
    return {name: np.full(shape[0], 0.5, np.float32) for name, shape in SHAPES.items()}


def torch_arrays() -> dict[str, np.ndarray]:
    bias = biases()
    pairs = [{f"{n}.weight": w, f"{n}.bias": bias[n]} for n, w in weights().items()]
    return {name: value for pair in pairs for name, value in pair.items()}


def flax_params() -> dict[str, dict]:
    bias = biases()
    params = {n: {"bias": bias[n], "kernel": w.transpose(2, 3, 1, 0)} for n, w in weights().items()}
    return {"params": jax.tree.map(np.ascontiguousarray, params)}


def save_torch(folder: Path):
    torch.save({n: torch.from_numpy(v) for n, v in torch_arrays().items()}, folder / "torch.pt")


def save_safetensors(folder: Path):
    path = folder / "safetensors.safetensors"
    safetensors.numpy.save_file(torch_arrays(), path, metadata={"format": "pt"})


def save_flax(folder: Path):
    (folder / "flax.msgpack").write_bytes(flax.serialization.to_bytes(flax_params()))


def save_orbax(folder: Path):
    with ocp.StandardCheckpointer() as saver:
        saver.save(folder / "orbax", flax_params())


def save_equinox(folder: Path):
    key, bias = jax.random.key(0), biases()
    modules = []
    for name, weight in weights().items():
        out, inner = SHAPES[name][0], SHAPES[name][1] * GROUPS[name]
        module = eqx.nn.Conv2d(inner, out, 3, groups=GROUPS[name], key=key)
        values = (jnp.asarray(weight), jnp.asarray(bias[name].reshape(-1, 1, 1)))
        modules.append(eqx.tree_at(lambda m: (m.weight, m.bias), module, values))
    eqx.tree_serialise_leaves(folder / "equinox.eqx", modules)


def save_onnx(folder: Path):
    nodes = [
        helper.make_node(
            "Conv", [f"x{i}", f"{n}.weight", f"{n}.bias"], [f"x{i + 1}"], group=GROUPS[n]
        )
        for i, n in enumerate(SHAPES)
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x0", "x4")]
    tensors = [numpy_helper.from_array(value, name) for name, value in torch_arrays().items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph), folder / "onnx.onnx")


SAVERS = (save_torch, save_safetensors, save_flax, save_orbax, save_equinox, save_onnx)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    for save in SAVERS:
        save(folder)
    return scan(folder)


@pytest.fixture(scope="module")
def rows(found, tmp_path_factory):
    """The rows of layers.parquet by model, in depth order."""
    out = tmp_path_factory.mktemp("out")
    found.save(out)
    tables = {}
    for row in pq.read_table(out / "layers.parquet").to_pylist():
        tables.setdefault(row["model"], []).append(row)
    return tables


def test_every_format_is_recognized(rows):
    assert [part[0]["format"] for part in rows.values()] == list(FORMATS)
    assert {len(part) for part in rows.values()} == {len(SHAPES)}


@pytest.mark.parametrize("column", EXACT)
def test_all_models_have_the_same_numbers(rows, column):
    columns = [[row[column] for row in part] for part in rows.values()]
    assert columns == [columns[0]] * len(FORMATS)


def test_the_numbers_are_of_sparse_and_of_zero_kernels_too(rows):
    part = rows["torch.pt"]
    assert [row["n_kernels"] for row in part] == [48, 16, 512, 768]
    assert [row["n_zero"] for row in part] == [0, 0, 0, 7]
    assert [row["n_sparse"] for row in part] == [0, 0, 48, 7]
    assert [row["groups"] for row in part] == list(GROUPS.values())


def test_all_models_have_the_same_histograms_and_none_drifts(found):
    histograms = found.histogram.reshape(len(FORMATS), len(SHAPES), *found.histogram.shape[1:])
    assert (histograms == histograms[0]).all()
    assert histograms.any(axis=(2, 3)).all()
    matrix = model_drift(found)
    np.testing.assert_array_equal(matrix, np.zeros((len(FORMATS), len(FORMATS))))
