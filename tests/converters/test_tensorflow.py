"""TensorFlow's checkpoints, SavedModels and graphs, as its own writers leave them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _tensorflow_files as files
from jfilters.converters import load, open_checkpoint
from jfilters.converters.internal import folded
from jfilters.engine import scan
from jfilters.errors import CheckpointError

from .agreement import GROUPS, TRANSPOSED

FIXTURES = Path(__file__).parent / "tensorflow"
TRUTH = dict(np.load(FIXTURES / "truth.npz"))
RNG = np.random.default_rng(0)
HWIO = (3, 3, 4, 6)


def expected(*indices):
    weights = {index: TRUTH[f"layer{index}.weight"] for index in range(4)}
    weights[3] = weights[3].swapaxes(0, 1)
    return [weights[index] for index in indices]


def assert_equal(kernels, references):
    for weight, reference in zip(kernels.weights, references, strict=True):
        np.testing.assert_array_equal(weight, reference, strict=True)


def values(shape=HWIO):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "name", ["saved_model", "saved_model/saved_model.pb", "frozen.pb", "checkpoint/model.index"]
)
def test_a_network_of_keras_is_that_of_torch(name):
    kernels = load(FIXTURES / name)
    assert_equal(kernels, expected(0, 1, 2, 3))
    assert tuple(layer.transposed for layer in kernels.layers) == TRANSPOSED
    assert [layer.depth for layer in kernels.layers] == [0, 1, 2, 3]
    has_graph = not name.startswith("checkpoint")
    # Groups that are not depthwise are told by a graph alone.
    groups = GROUPS if has_graph else (1, None, 8, 1)
    assert tuple(layer.groups for layer in kernels.layers) == groups
    sources = {layer.depth_source for layer in kernels.layers}
    assert sources == {"graph" if has_graph else "name-order"}


@pytest.mark.parametrize("name", ["v1/model.ckpt.index", "frozen_v1.pb"])
def test_a_graph_of_the_first_version(name):
    kernels = load(FIXTURES / name)
    assert_equal(kernels, expected(0, 2, 3))
    assert [layer.groups for layer in kernels.layers] == [1, 8, 1]
    assert [layer.transposed for layer in kernels.layers] == [False, False, True]


def test_names_are_those_of_the_model_and_short():
    names = [
        layer.layer.name for layer in open_checkpoint(FIXTURES / "checkpoint/model.index").layers
    ]
    # The optimizer comes first in the file, and lends them its keys.
    assert names[0] == "model/_operations/1/_kernel"
    names = [layer.layer.name for layer in open_checkpoint(FIXTURES / "saved_model").layers]
    assert names[0] == "layer0/kernel"


def reasons(path):
    return {array.name: array.reason for array in open_checkpoint(path).skipped}


def test_states_of_optimizers_are_no_weights():
    found = reasons(FIXTURES / "checkpoint" / "model.index")
    assert found["adam/layer0_kernel_momentum"] == "optimizer state"
    assert found["optimizer/_learning_rate"] == "optimizer state"
    assert sum(reason == "optimizer state" for reason in found.values()) == 26


@pytest.mark.parametrize("with_graph", [True, False])
def test_slots_and_averages_of_the_first_version_are_copies(tmp_path, with_graph):
    shutil.copytree(FIXTURES / "v1", tmp_path / "v1")
    if not with_graph:
        (tmp_path / "v1" / "model.ckpt.meta").unlink()
    found = reasons(tmp_path / "v1" / "model.ckpt.index")
    for name in ("layer3/weights/Momentum", "layer3/weights/ExponentialMovingAverage"):
        assert found[f"net/{name}"].startswith("derived in training")
    assert len(open_checkpoint(tmp_path / "v1" / "model.ckpt.index").layers) == 3


def test_a_weight_in_parts_is_one():
    checkpoint = open_checkpoint(FIXTURES / "v1" / "model.ckpt.index")
    assert checkpoint.layers[0].layer.name == "net/layer0/weights"
    assert checkpoint.layers[0].shape == (8, 3, 3, 3)


def test_one_dimension_is_as_stored():
    truth = dict(np.load(FIXTURES / "volumes.npz"))
    kernels = load(FIXTURES / "line")
    np.testing.assert_array_equal(kernels.weights[0], truth["line"].transpose(2, 1, 0))
    assert kernels.layers[0].axes == "WIO"


def test_variables_that_keras_lists_twice_come_once():
    checkpoint = open_checkpoint(FIXTURES / "saved_model" / "variables" / "variables.index")
    names = [layer.layer.name for layer in checkpoint.layers]
    assert names == [f"layer{index}/kernel" for index in range(4)]
    assert reasons(checkpoint.path)["layer0/kernel#2"] == "equal to variables/0"


def test_whether_it_has_batchnorm_is_told():
    assert open_checkpoint(FIXTURES / "saved_model").has_batchnorm is True
    assert open_checkpoint(FIXTURES / "frozen_v1.pb").has_batchnorm is False


def test_operations_of_keras_are_no_chain():
    """Their numbers run over all branches: the next one need not read what a layer gives."""
    folding = folded(open_checkpoint(FIXTURES / "checkpoint" / "model.index"))
    assert not folding.norms
    assert set(folding.untied.values()) == {"no BatchNorm of its name"}


def test_companions():
    path = FIXTURES / "v1" / "model.ckpt.index"
    names = [file.name for file in open_checkpoint(path).companions]
    assert names == ["model.ckpt.data-00000-of-00001", "model.ckpt.meta"]
    names = open_checkpoint(FIXTURES / "saved_model" / "saved_model.pb").companions
    assert [file.name for file in names] == ["variables.data-00000-of-00001", "variables.index"]
    assert open_checkpoint(FIXTURES / "saved_model").companions == ()


def test_a_scan_takes_every_checkpoint_once(tmp_path):
    for name in ("saved_model", "v1", "checkpoint"):
        shutil.copytree(FIXTURES / name, tmp_path / "zoo" / name)
    record = scan(tmp_path / "zoo").record
    models = {entry["model"]: entry["status"] for entry in record["checkpoints"]}
    assert models == dict.fromkeys(
        ["checkpoint/model.index", "saved_model", "v1/model.ckpt.index"], "ok"
    )
    assert not record["ignored"]


def test_a_saved_model_beside_other_weights_is_taken_by_its_file(tmp_path):
    shutil.copytree(FIXTURES / "saved_model", tmp_path / "zoo")
    shutil.copy(FIXTURES / "float32.tflite", tmp_path / "zoo")
    models = [entry["model"] for entry in scan(tmp_path / "zoo").record["checkpoints"]]
    assert models == ["float32.tflite", "saved_model.pb"]


@pytest.mark.parametrize(
    ("folder", "missing", "opened"),
    [
        ("v1", "model.ckpt.data-00000-of-00001", "model.ckpt.index"),
        ("saved_model", "variables/variables.index", "saved_model.pb"),
        ("saved_model", "variables/variables.data-00000-of-00001", "."),
    ],
)
def test_a_missing_file_is_named(tmp_path, folder, missing, opened):
    shutil.copytree(FIXTURES / folder, tmp_path / folder)
    (tmp_path / folder / missing).unlink()
    with pytest.raises(CheckpointError, match=rf"{Path(missing).name}, which is missing; fetch"):
        open_checkpoint(tmp_path / folder / opened)


@pytest.fixture
def save(tmp_path):
    def write(arrays, more=None):
        index, data = files.bundle(arrays, more)
        (tmp_path / "net.index").write_bytes(index)
        (tmp_path / "net.data-00000-of-00001").write_bytes(data)
        return tmp_path / "net.index"

    return write


BY_NAMES = [
    ("conv/kernel", (3, 3, 4, 6), None, "HWIO"),
    ("conv/depthwise_kernel", (3, 3, 4, 2), None, "HWIM"),
    ("separable_conv/pointwise_kernel", (3, 3, 4, 6), None, "HWIO"),
    ("conv2d_transpose/kernel", (3, 3, 4, 6), None, "HWOI"),
    ("a/weights", (3, 3, 4, 6), 4, "HWOI"),
    ("a/weights", (3, 3, 4, 6), 6, "HWIO"),
    ("a/weights", (3, 3, 4, 2), 8, "HWIM"),
    ("a/weights", (3, 3, 4, 1), 1, "HWIO"),
    ("a/weights", (3, 3, 4, 1), None, "HWIM"),
    ("a/kernel", (3, 4, 6), None, "WIO"),
    ("a/kernel", (3, 3, 3, 4, 6), None, "DHWIO"),
]


@pytest.mark.parametrize(("name", "shape", "bias", "axes"), BY_NAMES)
def test_names_and_biases_tell_the_axes(save, name, shape, bias, axes):
    arrays = {name: values(shape)}
    if bias:
        arrays[f"{name.rpartition('/')[0]}/bias"] = values((bias,))
    (layer,) = open_checkpoint(save(arrays)).layers
    assert layer.layer.axes == axes
    assert ("assumed depthwise" in layer.layer.note) == (bias is None and shape == (3, 3, 4, 1))


def test_one_input_channel_makes_no_depthwise_layer(save):
    shapes = {"a/kernel": (3, 3, 3, 8), "b/kernel": (3, 3, 1, 8)}
    layers = open_checkpoint(save({name: values(shape) for name, shape in shapes.items()})).layers
    assert {layer.layer.groups for layer in layers} == {1}


def test_one_input_channel_of_unknown_origin_makes_no_depthwise_layer(tmp_path):
    """As in a network that squeezes and expands its axes between two convolutions."""
    shape = files.field(7, files.shape_of((1, 8, 8, 4)))
    path = tmp_path / "net.pb"
    path.write_bytes(
        graph(
            files.node("image", "Placeholder", shape=shape),
            files.constant("a", values((3, 3, 4, 8))),
            files.constant("b", values((3, 3, 1, 8))),
            files.node("conv", "Conv2D", "image", "a"),
            files.node("odd", "Unfold", "conv"),
            files.node("last", "Conv2D", "odd", "b"),
        )
    )
    assert [layer.layer.groups for layer in open_checkpoint(path).layers] == [1, 1]


def test_attention_of_three_axes_is_no_convolution(save):
    path = save({"multi_head_attention/attention_output/kernel": values((4, 8, 32))})
    assert not open_checkpoint(path).layers


def graph(*nodes):
    return b"".join(nodes)


def test_a_weight_in_a_function_behind_a_transpose(tmp_path):
    weight, order = values((6, 4, 3, 3)), np.array([2, 3, 1, 0], np.int32)
    call = files.field(10, files.field(1, "f"))
    library = files.function(
        "f", ["x", "w"], {"y": "conv:output:0"}, files.node("conv", "Conv2D", "x", "w")
    )
    path = tmp_path / "net.pb"
    path.write_bytes(
        graph(
            files.node("image", "Placeholder", shape=files.field(7, files.shape_of((1, 8, 8, 8)))),
            files.constant("weight", weight),
            files.constant("order", order),
            files.node("turned", "Transpose", "weight", "order"),
            files.node("call", "PartitionedCall", "image", "turned", f=call),
            library,
        )
    )
    (layer,) = open_checkpoint(path).layers
    assert layer.layer.groups == 2
    np.testing.assert_array_equal(layer.read(), weight)


def test_a_pruned_and_standardized_weight_is_computed(tmp_path):
    """As pruning masks it and weight standardization scales it, in the graph."""
    weight, mask = values(), (RNG.random(HWIO) < 0.5).astype(np.float32)
    keep = files.field(5, 1)
    path = tmp_path / "net.pb"
    path.write_bytes(
        graph(
            files.node("image", "Placeholder"),
            files.constant("weight", weight),
            files.constant("mask", mask),
            files.constant("axes", np.array([0, 1, 2], np.int32)),
            files.node("masked", "Mul", "weight", "mask"),
            files.node("mean", "Mean", "masked", "axes", keep_dims=keep),
            files.node("centered", "Sub", "masked", "mean"),
            files.node("square", "Square", "centered"),
            files.node("variance", "Mean", "square", "axes", keep_dims=keep),
            files.node("scale", "Rsqrt", "variance"),
            files.node("standard", "Mul", "centered", "scale"),
            files.node("conv", "Conv2D", "image", "standard"),
        )
    )
    (layer,) = open_checkpoint(path).layers
    masked = (weight * mask).astype(np.float64)
    centered = masked - masked.mean((0, 1, 2))
    expected = centered / centered.std((0, 1, 2))
    assert (layer.layer.name, layer.layer.applied) == ("weight", "computed")
    np.testing.assert_allclose(layer.read(), expected.transpose(3, 2, 0, 1), rtol=2e-5, atol=1e-6)


def test_a_weight_that_is_doubled_without_end_is_refused(tmp_path):
    """Its cost doubles with every operator."""
    nodes = [files.node("image", "Placeholder"), files.constant("w0", values())]
    nodes += [files.node(f"w{i + 1}", "Add", f"w{i}", f"w{i}") for i in range(50)]
    nodes.append(files.node("conv", "Conv2D", "image", "w50"))
    (tmp_path / "net.pb").write_bytes(graph(*nodes))
    assert "computed by Add" in open_checkpoint(tmp_path / "net.pb").shortfall


def test_a_weight_that_the_graph_computes_from_its_input_makes_it_partial(tmp_path):
    (tmp_path / "net.pb").write_bytes(
        graph(
            files.node("image", "Placeholder"),
            files.constant("weight", values()),
            files.node("scaled", "Mul", "weight", "image"),
            files.node("conv", "Conv2D", "image", "scaled"),
        )
    )
    assert "computed by Mul" in open_checkpoint(tmp_path / "net.pb").shortfall


def test_a_loop_is_no_cycle(tmp_path):
    (tmp_path / "net.pb").write_bytes(
        graph(
            files.node("image", "Placeholder"),
            files.constant("weight", values()),
            files.node("enter", "Enter", "weight"),
            files.node("merge", "Merge", "image", "next"),
            files.node("conv", "Conv2D", "merge", "enter"),
            files.node("next", "NextIteration", "conv"),
        )
    )
    (layer,) = open_checkpoint(tmp_path / "net.pb").layers
    assert layer.layer.depth_source == "graph"
