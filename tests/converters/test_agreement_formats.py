"""The network of `agreement` in formats whose files know more, or less, than those of its framework.

Where only a name map leads back to the network, it is spelled here. ONNX knows the groups of every
layer, and so does a kernel file written from it; files of weights alone know only depthwise layers, by
their shape. Equinox files without a module know no transposed layers, but their axes are the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import h5py
import jax
import numpy as np
import onnx
import orbax.checkpoint as ocp
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from jfilters.converters import load, open_checkpoint, save_kernels

from .agreement import (
    CONVOLUTIONS,
    DEPTHS,
    GROUPS,
    GROUPS_OF_WEIGHTS_ALONE,
    TRANSPOSED,
    activations,
    assert_agree,
    expected,
    flax_params,
    images,
    network,
    shaped_tower,
    torch_arrays,
    tower,
)

pytestmark = pytest.mark.filterwarnings(r"ignore:.torch\.jit\.\w+. is:DeprecationWarning")

SAME = {"pads": [1, 1, 1, 1]}
OPERATORS = (
    ("Conv", SAME),
    ("Conv", {**SAME, "group": 2}),
    ("Conv", {**SAME, "group": 8}),
    ("ConvTranspose", {"strides": [2, 2]}),
    ("Conv", {}),
)


def onnx_nodes():
    """The network from "x" to "y"."""
    at = "x"
    for index, (op, attributes) in enumerate(OPERATORS):
        inputs = [at, f"layer{index}.weight", f"layer{index}.bias"]
        yield helper.make_node(op, inputs, [f"conv{index}"], **attributes)
        yield helper.make_node("Relu", [f"conv{index}"], [at := f"relu{index}"])
    yield helper.make_node("Gather", [at, "column"], ["rows"], axis=3)
    yield helper.make_node("Gather", ["rows", "row"], ["point"], axis=2)
    yield helper.make_node("Gemm", ["point", "layer5.weight", "layer5.bias"], ["y"], transB=1)


def onnx_model():
    image, result = (helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "xy")
    stored = {**torch_arrays(), "row": np.array(2), "column": np.array(5)}
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(list(onnx_nodes()), "network", [image], [result], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def write_onnx(folder: Path) -> Path:
    onnx.save(onnx_model(), folder / "network.onnx")
    return folder / "network.onnx"


def write_orbax(folder: Path, tree) -> Path:
    with ocp.StandardCheckpointer() as saver:
        saver.save(folder / "orbax", tree)
    return folder / "orbax"


def write_orbax_of_flax(folder: Path) -> Path:
    return write_orbax(folder, {"params": flax_params()})


def write_orbax_of_torch(folder: Path) -> Path:
    modules = network().named_children()
    return write_orbax(
        folder,
        {n: {p: v.detach().numpy() for p, v in m.named_parameters()} for n, m in modules},
    )


def write_equinox(folder: Path) -> Path:
    eqx.tree_serialise_leaves(folder / "network.eqx", tower())
    return folder / "network.eqx"


def write_keras(folder: Path) -> Path:
    """What Keras 3 saves of a subclassed model: its attributes, with the class names of layers."""
    kinds = ["conv2d", "conv2d_1", "depthwise_conv2d", "conv2d_transpose", "conv2d_2", "dense"]
    with h5py.File(folder / "network.weights.h5", "w") as file:
        for kind, (name, values) in zip(kinds, flax_params().items(), strict=True):
            # HWIO; of depthwise kernels HW, input, multiplier, and of transposed ones HWOI.
            kernel = values["kernel"]
            kernel = kernel.swapaxes(2, 3) if kind.startswith("depthwise") else kernel
            variables = file.create_group(f"{name}/vars")
            variables.attrs["name"] = kind
            variables["0"], variables["1"] = kernel, values["bias"]
    return folder / "network.weights.h5"


def write_npz(folder: Path) -> Path:
    np.savez(folder / "network.npz", **torch_arrays())
    return folder / "network.npz"


def write_torchscript(folder: Path) -> Path:
    torch.jit.trace(network(), torch.from_numpy(images())).save(folder / "network.pt")
    return folder / "network.pt"


def convert(folder: Path, suffix: str) -> Path:
    path = folder / f"converted{suffix}"
    save_kernels(path, open_checkpoint(write_onnx(folder)))
    return path


def write_safetensors_kernels(folder: Path) -> Path:
    return convert(folder, ".safetensors")


def write_npz_kernels(folder: Path) -> Path:
    return convert(folder, ".npz")


class Known(NamedTuple):
    """What a format tells of the network besides its weights."""

    write: Callable[[Path], Path]
    name: str = "{}.weight"
    groups: tuple[int | None, ...] = GROUPS_OF_WEIGHTS_ALONE
    transposed: tuple[bool, ...] = TRANSPOSED
    axes: str | None = None


FORMATS = [
    Known(write_onnx, groups=GROUPS),
    Known(write_orbax_of_flax, "params.{}.kernel"),
    Known(write_orbax_of_torch),
    Known(write_keras, "{}/vars/0"),
    Known(write_npz, axes="OIHW"),
    Known(write_torchscript),
    Known(write_safetensors_kernels, groups=GROUPS),
    Known(write_npz_kernels, groups=GROUPS),
]


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.write.__name__)
def test_every_format_gives_the_same_weights(tmp_path, known):
    kernels = load(known.write(tmp_path), axes=known.axes)
    names = [known.name.format(name) for name in CONVOLUTIONS]
    assert_agree(kernels, names=names, groups=known.groups, transposed=known.transposed)
    assert tuple(layer.relative_depth for layer in kernels.layers) == DEPTHS


def test_equinox_leaves_give_the_same_weights_by_their_place(tmp_path):
    kernels = load(write_equinox(tmp_path))
    names = [f"leaf.{2 * index}" for index in range(4)]
    groups, transposed = GROUPS_OF_WEIGHTS_ALONE, (False,) * 4
    *plain, turned = expected()
    # Leaves without names do not tell that the last one is transposed, and so mirrored.
    references = [*plain, turned[:, :, ::-1, ::-1]]
    assert_agree(kernels, names=names, groups=groups, transposed=transposed, references=references)


def test_equinox_leaves_give_the_same_weights_by_the_module(tmp_path):
    kernels = load(write_equinox(tmp_path), like=shaped_tower())
    assert_agree(kernels, names=[f"layers.{index}.weight" for index in range(4)], groups=GROUPS)


FUNCTIONAL = ("conv2d", "conv2d_1", "depthwise_conv2d", "conv2d_transpose")


def test_keras_weights_of_a_functional_model_are_in_the_order_of_their_writing(tmp_path):
    with h5py.File(write_keras(tmp_path)) as old, h5py.File(tmp_path / "new.h5", "w") as new:
        for name, place in zip(CONVOLUTIONS, FUNCTIONAL, strict=True):
            new[f"layers/{place}/vars/0"] = old[f"{name}/vars/0"][()]
    kernels = load(tmp_path / "new.h5")
    assert kernels.names == tuple(f"layers/{place}/vars/0" for place in FUNCTIONAL)
    found = dict(zip(kernels.names, kernels.weights, strict=True))
    for place, weight in zip(FUNCTIONAL, expected(), strict=True):
        np.testing.assert_array_equal(found[f"layers/{place}/vars/0"], weight, strict=True)


def test_a_url_gives_the_same_weights(tmp_path):
    upath = pytest.importorskip("upath")
    place = upath.UPath("memory://agreement/network.safetensors")
    place.write_bytes(safetensors.torch.save(network().state_dict(), {"format": "pt"}))
    names = [f"{name}.weight" for name in CONVOLUTIONS]
    assert_agree(load(str(place)), names=names, groups=GROUPS_OF_WEIGHTS_ALONE)
    place.unlink()


def test_onnx_computes_the_same(tmp_path):
    model = onnx.load(write_onnx(tmp_path))
    [found] = ReferenceEvaluator(model).run(None, {"x": images()})
    np.testing.assert_allclose(found, activations(), atol=1e-5)


def test_the_equinox_file_computes_the_same(tmp_path):
    module = eqx.tree_deserialise_leaves(write_equinox(tmp_path), shaped_tower())
    np.testing.assert_allclose(module.of_batch(images()), activations(), atol=1e-5)


def test_what_orbax_restores_is_what_was_saved(tmp_path):
    path = write_orbax_of_flax(tmp_path)
    with ocp.StandardCheckpointer() as saver:
        restored = saver.restore(path)
    jax.tree.map(np.testing.assert_array_equal, restored, {"params": flax_params()})


def test_torchscript_computes_the_same(tmp_path):
    path = write_torchscript(tmp_path)
    with torch.no_grad():
        found = torch.jit.load(path)(torch.from_numpy(images()))
    np.testing.assert_allclose(found, activations(), atol=1e-5)
