"""What `save_kernels` writes reads back as the same layers, and damaged records are refused."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.numpy import save_file

from jfilters import CheckpointError, Layer
from jfilters.converters import open_checkpoint, save_kernels
from jfilters.converters._layer_records import RECORDS
from jfilters.engine import inspect

SUFFIXES = (".safetensors", ".npz")
# What a table says about the file itself.
OF_THE_FILE = ["model", "format"]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Plain, grouped, depthwise, transposed, 1-D, 3-D and 1x1 convolutions, one of them in bfloat16."""
    torch.manual_seed(0)
    modules = torch.nn.ModuleDict(
        {
            "stem": torch.nn.Conv2d(3, 8, 3),
            "grouped": torch.nn.Conv2d(8, 12, 3, groups=4),
            "pointwise": torch.nn.Conv2d(12, 16, 1),
            "depthwise": torch.nn.Conv2d(16, 16, 3, groups=16),
            "up_conv": torch.nn.ConvTranspose2d(16, 6, 3, groups=2),
            "line": torch.nn.Conv1d(6, 4, 5),
            "volume": torch.nn.Conv3d(4, 2, (1, 3, 3)),
            "head": torch.nn.Conv2d(6, 9, 3),
            "fc": torch.nn.Linear(9, 2),
        }
    )
    state = dict(modules.state_dict())
    state["stem.weight"] = state["stem.weight"].bfloat16()
    # Transposed strides, as channels-last training leaves them.
    state["head.weight"] = state["head.weight"].permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1)
    state["head.weight"][0, 0, 0] = torch.tensor([float("nan"), float("inf"), -0.0])
    path = tmp_path_factory.mktemp("network") / "network.pt"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module", params=SUFFIXES)
def converted(request, network):
    path = network.with_name(f"kernels{request.param}")
    save_kernels(path, open_checkpoint(network))
    return path


def records(checkpoint):
    return [layer.layer for layer in checkpoint.layers]


def test_layers_and_weights_come_back_bit_for_bit(network, converted):
    original, again = open_checkpoint(network), open_checkpoint(converted)
    assert records(again) == records(original)
    assert [layer.name for layer in records(again)][2:4] == ["depthwise.weight", "up_conv.weight"]
    # The 1x1 convolution is no layer but counts as one step of depth.
    assert [layer.depth for layer in records(again)] == [0, 1, 3, 4, 5, 6, 7]
    assert {layer.dtype for layer in records(again)} == {"bfloat16", "float32"}
    assert again.skipped == ()
    for found, layer in zip(again.layers, original.layers, strict=True):
        assert found.shape == layer.shape
        assert found.read().tobytes() == layer.read().tobytes()


def test_what_it_says_about_groups_and_axes_comes_back(converted):
    known = {layer.name: layer for layer in records(open_checkpoint(converted))}
    assert known["grouped.weight"].groups is None  # a state dict leaves it open
    assert known["depthwise.weight"].groups == 16
    assert (known["up_conv.weight"].transposed, known["up_conv.weight"].groups) == (True, 2)
    assert known["up_conv.weight"].axes == "IOHW"
    assert (known["line.weight"].axes, known["volume.weight"].axes) == ("OIW", "OIDHW")


@pytest.fixture(scope="module")
def expected(network):
    return inspect(network).layers


def test_the_tables_are_those_of_the_original(expected, converted):
    found = inspect(converted).layers
    assert found.drop_columns(OF_THE_FILE).equals(expected.drop_columns(OF_THE_FILE))


def test_told_axes_change_nothing(network, converted):
    assert records(open_checkpoint(converted, axes="HWIO")) == records(open_checkpoint(network))


def test_other_tools_open_it(network, converted):
    if converted.suffix == ".npz":
        with np.load(converted) as archive:
            loaded = dict(archive)
        assert json.loads(loaded.pop(RECORDS).tobytes())[0]["name"] == "stem.weight"
    else:
        loaded = safetensors.numpy.load_file(converted)
    layers = open_checkpoint(network).layers
    assert loaded.keys() == {layer.layer.name for layer in layers}
    for layer in layers:
        np.testing.assert_array_equal(loaded[layer.layer.name], layer.read())


def test_a_converted_file_converts_to_the_same_bytes(converted):
    again = converted.with_name(f"again{converted.suffix}")
    save_kernels(again, open_checkpoint(converted))
    assert again.read_bytes() == converted.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "names",
    [("__metadata__", "b"), (RECORDS, "b"), ("a\nb", "a\\nb"), ("é/../x", "b")],
    ids=["reserved by safetensors", "reserved here", "alike", "a path"],
)
def test_any_names_of_layers_survive(tmp_path, suffix, names):
    weights = (torch.ones(4, 2, 3, 3), torch.zeros(4, 2, 3, 3))
    torch.save(dict(zip(names, weights, strict=True)), tmp_path / "in.pt")
    original, path = open_checkpoint(tmp_path / "in.pt"), tmp_path / f"out{suffix}"
    assert tuple(layer.name for layer in records(original)) == names
    save_kernels(path, original)
    again = open_checkpoint(path)
    assert records(again) == records(original)
    assert [layer.read().max() for layer in again.layers] == [1, 0]


class TestWriting:
    @pytest.fixture
    def source(self, tmp_path):
        weights = {"conv.weight": np.ones((4, 2, 3, 3), np.float32)}
        save_file(weights, tmp_path / "in.safetensors", metadata={"format": "pt"})
        return open_checkpoint(tmp_path / "in.safetensors")

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_failure_leaves_what_was_there(self, tmp_path, source, suffix):
        path = tmp_path / f"out{suffix}"
        path.write_bytes(b"before")
        os.truncate(source.path, 200)
        with pytest.raises(CheckpointError, match=r"in\.safetensors"):
            save_kernels(path, source)
        assert path.read_bytes() == b"before"
        assert sorted(tmp_path.iterdir()) == [source.path, path]

    def test_it_may_replace_its_own_source(self, source):
        before = source.layers[0].read()
        save_kernels(source.path, source)
        np.testing.assert_array_equal(open_checkpoint(source.path).layers[0].read(), before)

    @pytest.mark.parametrize("name", ["kernels", "kernels.pt", "kernels.safetensors.tmp"])
    def test_another_suffix_is_named(self, tmp_path, source, name):
        with pytest.raises(ValueError, match=r"expected a name that ends in .safetensors or .npz"):
            save_kernels(tmp_path / name, source)

    def test_no_layer_is_nothing_to_write(self, tmp_path):
        np.savez(tmp_path / "in.npz", fc=np.ones((3, 4), np.float32))
        with pytest.raises(
            CheckpointError, match="no convolution layer to write; `jfilters inspect`"
        ):
            save_kernels(tmp_path / "out.npz", open_checkpoint(tmp_path / "in.npz"))
        assert not (tmp_path / "out.npz").exists()


RECORD = {
    "tensor": "a", "name": "a", "depth": 0, "relative_depth": 0.0, "depth_source": "graph",
    "groups": 1, "transposed": False, "axes": "HWIO", "dtype": "float16",
}  # fmt: skip


def with_record(path, text, weight=None):
    """A kernel file of one weight, "a", with `text` as its records."""
    weight = np.ones((4, 2, 3, 3), np.float32) if weight is None else weight
    if path.suffix == ".npz":
        np.savez(path, **{RECORDS: np.frombuffer(text.encode(), np.uint8), "a": weight})
    else:
        save_file({"a": weight}, path, metadata={"format": "jfilters", "layers": text})
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestRecords:
    def test_a_sound_record_is_taken(self, tmp_path, suffix):
        path = with_record(tmp_path / f"k{suffix}", json.dumps([RECORD]))
        layer = Layer("a", depth_source="graph", axes="HWIO", dtype="float16")
        assert records(open_checkpoint(path)) == [layer]

    @pytest.mark.parametrize(
        "change",
        [
            {"depth": -1}, {"depth": 2**63}, {"depth": 1.0}, {"depth": True}, {"depth": None},
            {"relative_depth": float("nan")}, {"relative_depth": 1.5}, {"relative_depth": 0},
            {"depth_source": "guess"}, {"groups": 0}, {"groups": 3}, {"groups": 8},
            {"transposed": 1}, {"axes": "OI"}, {"axes": "ABCD"}, {"dtype": "f" * 65},
            {"name": 5}, {"name": "n" * 2000}, {"extra": 1},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_field_out_of_bounds_is_refused(self, tmp_path, suffix, change):
        path = with_record(tmp_path / f"k{suffix}", json.dumps([RECORD | change]))
        with pytest.raises(CheckpointError, match=f"k{suffix}: a: "):
            open_checkpoint(path)

    @pytest.mark.parametrize("name", sorted(RECORD.keys() - {"tensor"}))
    def test_a_missing_field_is_refused(self, tmp_path, suffix, name):
        fields = {key: value for key, value in RECORD.items() if key != name}
        path = with_record(tmp_path / f"k{suffix}", json.dumps([fields]))
        with pytest.raises(CheckpointError, match="expected the record of a layer"):
            open_checkpoint(path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected a JSON list of layer records"),
            ("{", "expected a JSON list of layer records"),
            ("5", "expected a JSON list of layer records"),
            ('{"a": 1}', "expected a JSON list of layer records"),
            ("[[]]", "expected a JSON list of layer records"),
            ("[{}]", "expected a JSON list of layer records"),
            ("[" * 100_000, "expected a JSON list of layer records"),
            ("[" + "[]," * 1_000_001, "more than"),
            ('[{"tensor": 5}]', "records that name their arrays"),
            ("[]", "a: expected one layer record for every array"),
            (json.dumps([RECORD, RECORD]), "expected one layer record for every array"),
            (json.dumps([RECORD, RECORD | {"tensor": "b"}]), "b: expected one layer record"),
        ],
        ids=range(12),
    )
    def test_what_is_no_list_of_records_is_refused(self, tmp_path, suffix, text, message):
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(with_record(tmp_path / f"k{suffix}", text))

    @pytest.mark.parametrize(
        ("shape", "dtype"),
        [
            ((4, 2, 3, 3), "float16"),
            ((4, 2), "float32"),
            ((4, 0, 3, 3), "float32"),
            ((4, 2, 1, 1), "float32"),
            ((4, 2, 3, 300), "float32"),
            ((1, 1, 3, 3, 3, 3), "float32"),
        ],
    )
    def test_a_weight_that_is_none_is_refused(self, tmp_path, suffix, shape, dtype):
        path = with_record(tmp_path / f"k{suffix}", json.dumps([RECORD]), np.zeros(shape, dtype))
        with pytest.raises(CheckpointError, match=r"a: expected float32 \(out, in, \*spatial\)"):
            open_checkpoint(path)


def test_records_that_are_no_bytes_are_refused(tmp_path):
    np.savez(tmp_path / "k.npz", **{RECORDS: np.ones(3), "a": np.ones((4, 2, 3, 3))})
    with pytest.raises(CheckpointError, match=f"{RECORDS}: expected at most"):
        open_checkpoint(tmp_path / "k.npz")
