"""TensorFlow.js: models of its own converter bit by bit, what quantization means, and damaged manifests."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jfilters.converters import load, open_checkpoint
from jfilters.engine import scan
from jfilters.errors import CheckpointError

FIXTURES = Path(__file__).parent / "tensorflow"
TRUTH = dict(np.load(FIXTURES / "truth.npz"))
RNG = np.random.default_rng(0)


def expected():
    """The layers 0, 2 and 3 of the network: TensorFlow.js has no convolution in groups."""
    weights = [TRUTH[f"layer{index}.weight"] for index in (0, 2, 3)]
    return [*weights[:2], weights[2].swapaxes(0, 1)]


@pytest.mark.parametrize("name", ["web", "web_layers"])
@pytest.mark.parametrize("place", ["", "model.json"])
def test_a_model_of_the_converter_is_that_of_torch(name, place):
    kernels = load(FIXTURES / name / place)
    for weight, reference in zip(kernels.weights, expected(), strict=True):
        np.testing.assert_array_equal(weight, reference, strict=True)
    assert [layer.groups for layer in kernels.layers] == [1, 8, 1]
    assert [layer.transposed for layer in kernels.layers] == [False, False, True]
    assert [layer.depth for layer in kernels.layers] == [0, 1, 2]
    assert kernels.layers[0].depth_source == ("graph" if name == "web" else "registration-order")


def test_halves():
    kernels = load(FIXTURES / "web_float16")
    for weight, reference in zip(kernels.weights, expected(), strict=True):
        np.testing.assert_array_equal(weight, reference.astype(np.float16).astype(np.float32))


def test_integers_are_within_half_a_step():
    checkpoint = open_checkpoint(FIXTURES / "web_integers")
    assert [layer.layer.dtype for layer in checkpoint.layers] == ["uint8", "float32", "uint16"]
    applied = [layer.layer.applied for layer in checkpoint.layers]
    assert applied == ["dequantized", "as stored", "dequantized"]
    for layer, reference, steps in zip(checkpoint.layers, expected(), (255, 1, 65535), strict=True):
        step = (reference.max() - reference.min()) / steps
        assert np.abs(layer.read() - reference).max() <= step


def test_a_manifest_says_scale_and_minimum(tmp_path):
    stored = RNG.integers(0, 255, (3, 3, 4, 5)).astype(np.uint8)
    path = keras_model(tmp_path, stored, {"dtype": "uint8", "scale": 0.037, "min": -4.7})
    (weight,) = load(path).weights
    values = (stored * 0.037 - 4.7).astype(np.float32)
    np.testing.assert_array_equal(weight, values.transpose(3, 2, 0, 1))


def keras_model(folder, stored, quantization=None, layer="Conv2D", leaf="kernel", shards=1):
    """A layers model of one convolution, its weight cut into shards."""
    config = {"class_name": layer, "config": {"name": "conv"}}
    topology = {"class_name": "Sequential", "config": {"layers": [config]}}
    weight = {"name": f"conv/{leaf}", "shape": stored.shape, "dtype": "float32"}
    weight |= {"quantization": quantization} if quantization else {}
    data, names = stored.tobytes(), [f"part{i}.bin" for i in range(shards)]
    for name, piece in zip(
        names, np.array_split(np.frombuffer(data, np.uint8), shards), strict=True
    ):
        (folder / name).write_bytes(piece.tobytes())
    manifest = [{"paths": names, "weights": [weight]}]
    content = {"modelTopology": {"model_config": topology}, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(content))
    return folder / "model.json"


def test_a_weight_may_lie_in_several_shards(tmp_path):
    stored = RNG.normal(size=(3, 3, 4, 5)).astype(np.float32)
    path = keras_model(tmp_path, stored, shards=5)
    checkpoint = open_checkpoint(path)
    assert [file.name for file in checkpoint.companions] == [f"part{i}.bin" for i in range(5)]
    np.testing.assert_array_equal(checkpoint.layers[0].read(), stored.transpose(3, 2, 0, 1))


@pytest.mark.parametrize(
    ("layer", "leaf", "shape", "axes"),
    [
        ("Conv2D", "kernel", (3, 3, 4, 5), "HWIO"),
        ("Conv1D", "kernel", (3, 4, 5), "WIO"),
        ("Conv3D", "kernel", (3, 3, 3, 4, 5), "DHWIO"),
        ("DepthwiseConv2D", "depthwise_kernel", (3, 3, 4, 2), "HWIM"),
        ("SeparableConv2D", "depthwise_kernel", (3, 3, 4, 2), "HWIM"),
        ("Conv2DTranspose", "kernel", (3, 3, 4, 5), "HWOI"),
    ],
)
def test_the_class_of_a_layer_says_its_axes(tmp_path, layer, leaf, shape, axes):
    stored = RNG.normal(size=shape).astype(np.float32)
    (found,) = open_checkpoint(keras_model(tmp_path, stored, None, layer, leaf)).layers
    assert found.layer.axes == axes


def test_fused_convolutions_and_depthwise_ones_are_read(tmp_path):
    kernel, thin = (RNG.normal(size=(3, 3, 4, n)).astype(np.float32) for n in (6, 1))
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "k", "op": "Const"},
        {"name": "t", "op": "Const"},
        {"name": "b", "op": "Const"},
        {"name": "d", "op": "FusedDepthwiseConv2dNative", "input": ["x", "t", "b"]},
        {"name": "y", "op": "_FusedConv2D", "input": ["d", "k:0", "b", "^x"]},
    ]
    path = graph_model(tmp_path, nodes, {"k": kernel, "t": thin, "b": np.zeros(6, np.float32)})
    checkpoint = open_checkpoint(path)
    assert [layer.layer.name for layer in checkpoint.layers] == ["t", "k"]
    assert [layer.layer.groups for layer in checkpoint.layers] == [4, 1]
    np.testing.assert_array_equal(checkpoint.layers[1].read(), kernel.transpose(3, 2, 0, 1))


def graph_model(folder, nodes, arrays, **more):
    weights = [
        {"name": name, "shape": value.shape, "dtype": value.dtype.name}
        for name, value in arrays.items()
    ]
    (folder / "w.bin").write_bytes(b"".join(value.tobytes() for value in arrays.values()))
    manifest = [{"paths": ["w.bin"], "weights": weights}]
    content = {"format": "graph-model", "modelTopology": {"node": nodes} | more}
    (folder / "net.json").write_text(json.dumps(content | {"weightsManifest": manifest}))
    return folder / "net.json"


def test_a_convolution_in_a_function_is_found(tmp_path):
    kernel = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "k", "op": "Const"},
        {"name": "y", "op": "PartitionedCall", "input": ["x", "k"], "attr": {"f": {"func": {"name": "f"}}}},
    ]  # fmt: skip
    signature = {
        "name": "f",
        "inputArg": [{"name": "a"}, {"name": "w"}],
        "outputArg": [{"name": "o"}],
    }
    body = [{"name": "c", "op": "Conv2D", "input": ["a", "w"]}]
    function = {"signature": signature, "nodeDef": body, "ret": {"o": "c:output:0"}}
    path = graph_model(tmp_path, nodes, {"k": kernel}, library={"function": [function]})
    (layer,) = open_checkpoint(path).layers
    np.testing.assert_array_equal(layer.read(), kernel.transpose(3, 2, 0, 1))


def test_a_computed_weight_makes_the_checkpoint_partial(tmp_path):
    kernel = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "k", "op": "Const"},
        {"name": "m", "op": "Mul", "input": ["k", "x"]},
        {"name": "y", "op": "Conv2D", "input": ["x", "m"]},
    ]
    checkpoint = open_checkpoint(graph_model(tmp_path, nodes, {"k": kernel}))
    assert (
        checkpoint.shortfall
        == "0 of 1 layers read; not read: weight of Conv2D y: computed by Mul (1)"
    )


def test_a_graph_says_whether_it_has_batchnorm(tmp_path):
    kernel, ones = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32), np.ones(6, np.float32)
    nodes = [{"name": "x", "op": "Placeholder"}, {"name": "k", "op": "Const"}]
    nodes += [{"name": name, "op": "Const"} for name in "gbmv"]
    nodes.append({"name": "c", "op": "Conv2D", "input": ["x", "k"]})
    arrays = {"k": kernel} | dict.fromkeys("gbmv", ones)
    assert open_checkpoint(graph_model(tmp_path, nodes, arrays)).has_batchnorm is False
    nodes.append({"name": "n", "op": "FusedBatchNormV3", "input": ["c", *"gbmv"]})
    assert open_checkpoint(graph_model(tmp_path, nodes, arrays)).has_batchnorm is True


def test_a_missing_shard_is_named(tmp_path):
    shutil.copytree(FIXTURES / "web", tmp_path / "web")
    (tmp_path / "web" / "group1-shard2of2.bin").unlink()
    words = r"its weights lie in group1-shard2of2\.bin, which is missing; fetch all shards"
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(tmp_path / "web" / "model.json")


def test_a_scan_takes_a_model_and_its_shards_as_one(tmp_path):
    for name in ("web", "web_layers"):
        shutil.copytree(FIXTURES / name, tmp_path / "zoo" / name)
    # Two models in one folder are two, each with its shards.
    for path in (tmp_path / "zoo" / "web_layers").iterdir():
        content = path.read_bytes().replace(b"group1-shard1of1", b"second")
        target = tmp_path / "zoo" / "web" / path.name.replace("group1-shard1of1", "second")
        target.with_stem("second").write_bytes(content)
    shutil.rmtree(tmp_path / "zoo" / "web_layers")
    record = scan(tmp_path / "zoo").record
    models = [(entry["model"], entry["status"]) for entry in record["checkpoints"]]
    assert models == [("web/model.json", "ok"), ("web/second.json", "ok")]
    assert record["checkpoints"][0]["companions"] == [
        "group1-shard1of2.bin",
        "group1-shard2of2.bin",
    ]
    assert not record["ignored"]


def test_a_folder_of_one_model_is_that_model(tmp_path):
    shutil.copytree(FIXTURES / "web", tmp_path / "zoo" / "web")
    record = scan(tmp_path / "zoo").record
    assert [entry["model"] for entry in record["checkpoints"]] == ["web"]


def manifest(paths=("w.bin",), weights=()):
    return {"weightsManifest": [{"paths": paths, "weights": weights}]}


def one(shape, dtype="float32", **more):
    return manifest(weights=[{"name": "a", "shape": shape, "dtype": dtype} | more])


UINT8 = {"dtype": "uint8"}
BROKEN = {
    "no list": ({"weightsManifest": {}}, "a list of groups"),
    "no paths": (manifest(paths=None), "a list of paths"),
    "no weights": (manifest(weights=None), "a list of weights"),
    "elsewhere": (manifest(["../w.bin"]), "the name of a file beside"),
    "absolute": (manifest(["/etc/passwd"]), "the name of a file beside"),
    "url": (manifest(["http://a/b"]), "the name of a file beside"),
    "too long": (one([99]), r"expected bytes 0\.\.396"),
    "too short": (manifest(), "expected 0 bytes"),
    "negative": (one([-1]), "a name and a shape"),
    "overflow": (one([1 << 62] * 16), "expected bytes"),
    "object": (one([1], "O"), "a type of numbers"),
    "no scale": (one([1], quantization=UINT8), "a scale and a minimum"),
    "no number": (one([1], quantization=UINT8 | {"scale": "1", "min": 0}), "a scale and a minimum"),
    "long texts": (one([1 << 40], "string"), "texts within its shards"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_manifest_is_refused_by_name(tmp_path, content, words):
    (tmp_path / "w.bin").write_bytes(bytes(8))
    (tmp_path / "model.json").write_text(json.dumps({"modelTopology": {}} | content))
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(tmp_path / "model.json")


def test_functions_that_run_each_other_without_end_are_refused(tmp_path):
    call = {"name": "y", "op": "f", "input": ["x"]}
    signature = {"name": "f", "inputArg": [{"name": "x"}], "outputArg": [{"name": "o"}]}
    function = {
        "signature": signature,
        "nodeDef": [call, call | {"name": "z"}],
        "ret": {"o": "y:o:0"},
    }
    nodes = [{"name": "x", "op": "Placeholder"}, call]
    path = graph_model(tmp_path, nodes, {}, library={"function": [function]})
    with pytest.raises(CheckpointError, match=r"functions that run each other|nodes with all"):
        open_checkpoint(path)


def test_a_weight_that_is_joined_of_itself_ends(tmp_path):
    kernel = RNG.normal(size=(3, 3, 4, 6)).astype(np.float32)
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "c0", "op": "Const"},
        {"name": "axis", "op": "Const"},
    ]
    nodes += [
        {"name": f"c{i + 1}", "op": "ConcatV2", "input": [f"c{i}", f"c{i}", "axis"]}
        for i in range(60)
    ]
    nodes.append({"name": "y", "op": "Conv2D", "input": ["x", "c60"]})
    path = graph_model(tmp_path, nodes, {"c0": kernel, "axis": np.array([3], np.int32)})
    assert "too many parts" in open_checkpoint(path).shortfall
