import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import _safetensors, detect, load, open_checkpoint
from jfilters.converters._safetensors import FORMAT

TINY = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def contents(path):
    return {array.name: array.read() for array in FORMAT.arrays(path)}


def refusal(path):
    assert detect(path) is FORMAT
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def tiny(tmp_path):
    return tmp_path / "tiny"


dtypes = [np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8]
dtypes += [np.uint64, np.uint32, np.uint16, np.uint8, np.bool_]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1).filter(
            lambda name: name != "__metadata__"
        ),
        st.tuples(st.sampled_from(dtypes), st.lists(st.integers(0, 3), max_size=4)),
        max_size=5,
    )
)
def test_agrees_with_its_own_library(tiny, tensors):
    made = {
        name: np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
        for name, (dtype, shape) in tensors.items()
    }
    safetensors.numpy.save_file(made, tiny)
    found, oracle = contents(tiny), safetensors.numpy.load_file(tiny)
    assert set(found) == set(oracle)
    for name, array in oracle.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (torch.bfloat16, ml_dtypes.bfloat16),
        (torch.float8_e4m3fn, ml_dtypes.float8_e4m3fn),
        (torch.float8_e5m2, ml_dtypes.float8_e5m2),
        (torch.complex64, np.complex64),
    ],
)
def test_extended_dtypes(tiny, stored, expected):
    weight = torch.linspace(-2, 2, 36).reshape(2, 2, 3, 3).to(stored)
    safetensors.torch.save_file({"a.weight": weight}, tiny, metadata={"format": "pt"})
    (array,) = FORMAT.arrays(tiny)
    assert array.read().dtype == expected
    if stored.is_floating_point:
        layer = open_checkpoint(tiny).layers[0]
        np.testing.assert_array_equal(layer.read(), weight.float().numpy(), strict=True)
        assert layer.layer.dtype == np.dtype(expected).name


def test_four_bit_floats_lie_two_a_byte_with_the_first_in_the_low_half(tiny):
    every = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn)
    values = np.random.default_rng(0).permutation(np.tile(every, 9)).reshape(4, 4, 3, 3)
    low, high = values.view(np.uint8).ravel()[::2], values.view(np.uint8).ravel()[1::2]
    entry = {"dtype": "F4", "shape": [4, 4, 3, 3], "data_offsets": [0, 72]}
    write(tiny, {"__metadata__": {"format": "pt"}, "a.weight": entry}, (low | high << 4).tobytes())
    (layer,) = open_checkpoint(tiny).layers
    np.testing.assert_array_equal(layer.read(), values.astype(np.float32))
    assert layer.layer.dtype == "float4_e2m1fn"


@pytest.mark.parametrize(("dtype", "bits"), [("F6_E2M3", 6), ("F8_E8M0", 8)])
def test_values_that_numpy_lacks_are_skipped_by_name(tiny, dtype, bits):
    entry = {"dtype": dtype, "shape": [4, 4, 2, 2], "data_offsets": [0, 8 * bits]}
    write(tiny, {"a.weight": entry}, bytes(8 * bits))
    (skipped,) = open_checkpoint(tiny).skipped
    assert skipped.reason == f"{dtype} weights without a scale"


@pytest.mark.parametrize(
    ("format", "axes"),
    [("pt", "OIHW"), ("flax", "HWIO"), ("tf", "HWIO"), ("mlx", "OHWI"), ("np", None), (None, None)],
)
def test_metadata_tells_the_axes(tiny, format, axes):
    metadata = {"format": format} if format else None
    safetensors.numpy.save_file({"a.weight": np.zeros((3, 3, 3, 3), np.float32)}, tiny, metadata)
    assert FORMAT.arrays(tiny)[0].axes == axes


def test_metadata_may_be_null(tiny):
    write(tiny, TINY | {"__metadata__": None}, bytes(8))
    assert contents(tiny)["a"].tolist() == [0, 0]


def test_depth_follows_the_names(tiny):
    names = ["stem", "blocks.2", "blocks.10", "head"]
    weights = {f"{name}.weight": np.ones((2, 2, 3, 3), np.float32) for name in reversed(names)}
    safetensors.numpy.save_file(weights, tiny, metadata={"format": "pt"})
    assert load(tiny).names == tuple(f"{name}.weight" for name in names)


@pytest.mark.parametrize(
    "head", [b"\x78\x9c", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x80\x02", b"\x80\x04"]
)
def test_a_length_that_imitates_other_formats(tiny, head):
    length = int.from_bytes(head, "little")
    if length <= 1 << 20:
        write(tiny, json.dumps(TINY).encode().ljust(length), bytes(8))
        assert contents(tiny)["a"].tolist() == [0, 0]
    else:
        write(tiny, TINY, bytes(8), length=length)
        assert "expected a header of at most" in refusal(tiny)


def entry(**changes):
    return {"a": TINY["a"] | changes}


def pair(first, second):
    return {
        "a": {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": list(first)},
        "b": {"dtype": "U8", "shape": [second[1] - second[0]], "data_offsets": list(second)},
    }


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b'{"a": \xff\xff}', "no valid JSON"),
        (b'{"a" 1}', "no valid JSON"),
        (b'{"a": ' + b"[" * 100_000, "no valid JSON"),
        (b'{"a": ' + b"[" * 2_000_001, "2000000 elements"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no valid JSON"),
        (b'{"a": {}, "a": {}}', "duplicate key 'a'"),
        (b'{"a": {"dtype": "F32", "dtype": "F32"}}', "duplicate key 'dtype'"),
        ({"a": [1]}, "tiny: a: expected dtype, shape and data_offsets"),
        ({"a": {}}, "expected one of the dtypes"),
        (TINY | {"__metadata__": {"a": 1}}, "map strings to strings"),
        (entry(dtype="F128"), "tiny: a: expected one of the dtypes F64, .* found 'F128'"),
        (entry(dtype=["F32"]), "expected one of the dtypes"),
        (entry(shape=[2.0]), "whole numbers"),
        (entry(shape=[True, 2]), "whole numbers"),
        (entry(shape=[-2]), "whole numbers"),
        (entry(shape=[2**64]), "whole numbers"),
        (entry(shape="2"), "whole numbers"),
        (entry(shape=[2**63] * 65), "at most 64 whole numbers"),
        (entry(shape=[2**62, 2**62, 4]), "expected .* bits"),
        (entry(shape=[3]), "expected 96 bits for F32 .3., found data_offsets 0 to 8"),
        (entry(data_offsets=[0.0, 8.0]), "whole numbers"),
        (entry(data_offsets=[8, 0]), "expected 64 bits"),
        (entry(data_offsets=[-8, 0]), "whole numbers"),
        (entry(data_offsets=[0, 8, 16]), "whole numbers"),
        (entry(data_offsets=[4, 12]), "tiny: a: its data leaves a hole before byte 0"),
        (pair((0, 6), (4, 8)), "tiny: b: its data overlaps byte 6"),
        (pair((0, 2), (4, 8)), "leaves a hole before byte 2"),
        (pair((0, 4), (4, 16)), "expected 16 bytes of data, found 8"),
        (pair((0, 2), (2, 4)), "expected 4 bytes of data, found 8"),
        ({}, "expected 0 bytes of data, found 8"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_refused(tiny, header, reason):
    write(tiny, header, bytes(8))
    with pytest.raises(CheckpointError, match=reason):
        _safetensors.FORMAT.arrays(tiny)
    with pytest.raises(CheckpointError, match=reason):
        open_checkpoint(tiny)


@pytest.mark.parametrize("length", [100_000_001, 2**63, 2**64 - 1, 5000])
def test_a_header_beyond_the_file_is_refused(tiny, length):
    write(tiny, TINY, bytes(8), length=length)
    assert f"found {length}" in refusal(tiny)


def test_an_empty_header_is_refused(tiny):
    write(tiny, TINY, bytes(8), length=0)
    assert "expected JSON that starts with \"{\", found b''" in refusal(tiny)


@pytest.fixture(scope="module")
def weights():
    key = np.random.default_rng(0)
    shapes = {"a.weight": (16, 8, 3, 3), "b.weight": (16, 16, 3, 3), "b.bias": (16,)}
    return {name: key.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def survives(path):
    """Whether a damaged file reads; anything but success or `CheckpointError` fails the test."""
    try:
        load(path)
    except CheckpointError:
        return False
    return True


def test_truncation_at_every_page_is_noticed(tmp_path, weights):
    whole = safetensors.numpy.save(weights, {"format": "pt"})
    path = tmp_path / "cut"
    for size in [*range(0, len(whole), 4096), *range(0, 300, 7), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert not survives(path), size


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_never_does_worse_than_refuse(tmp_path, weights, data):
    whole = bytearray(safetensors.numpy.save(weights, {"format": "pt"}))
    bit = data.draw(st.integers(0, 8 * 400))
    whole[bit // 8] ^= 1 << bit % 8
    path = tmp_path / "flipped"
    path.write_bytes(whole)
    survives(path)


class TestShards:
    @pytest.fixture
    def folder(self, tmp_path, weights):
        folder = tmp_path / "model"
        folder.mkdir()
        names = list(weights)
        for shard, held in {"1": names[:1], "2": names[1:]}.items():
            safetensors.numpy.save_file(
                {name: weights[name] for name in held}, folder / f"m-{shard}.safetensors"
            )
        self.index(folder, {n: f"m-{1 + (n != names[0])}.safetensors" for n in names})
        return folder

    def index(self, folder, weight_map, **metadata):
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}))
        return path

    def weight_map(self, folder):
        return json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]

    def test_a_folder_and_its_index_are_one_checkpoint(self, folder, weights):
        for path in (folder, folder / "model.safetensors.index.json"):
            assert detect(path) is FORMAT
            found = contents(path)
            assert set(found) == set(weights)
            np.testing.assert_array_equal(found["b.weight"], weights["b.weight"])
        assert len(open_checkpoint(folder).layers) == 2

    def test_the_true_total_size_is_accepted(self, folder, weights):
        total = sum(array.nbytes for array in weights.values())
        self.index(folder, self.weight_map(folder), total_size=total)
        assert len(load(folder)) == 2

    def test_a_lying_total_size_is_refused(self, folder):
        index = self.index(folder, self.weight_map(folder), total_size=7)
        with pytest.raises(CheckpointError, match="total_size says 7 bytes, the shards hold"):
            open_checkpoint(index)

    @pytest.mark.parametrize(
        "shard",
        [
            "../m-2.safetensors",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a/b",
            "a\\b",
            "C:x",
            "https://x.org/m",
        ],
    )
    def test_a_shard_elsewhere_is_refused(self, folder, shard):
        index = self.index(folder, self.weight_map(folder) | {"b.bias": shard})
        with pytest.raises(CheckpointError, match="expected the name of a file beside the index"):
            open_checkpoint(index)

    def test_a_missing_shard_is_named(self, folder):
        (folder / "m-2.safetensors").unlink()
        with pytest.raises(CheckpointError, match=r"the shard m-2.safetensors is missing"):
            open_checkpoint(folder)

    def test_a_tensor_in_two_shards_is_refused(self, folder, weights):
        safetensors.numpy.save_file(weights, folder / "m-1.safetensors")
        with pytest.raises(CheckpointError, match="stored in two shards"):
            open_checkpoint(folder)

    def test_a_tensor_missing_from_its_shard_is_refused(self, folder):
        index = self.index(folder, self.weight_map(folder) | {"c.weight": "m-1.safetensors"})
        with pytest.raises(
            CheckpointError, match=r"c.weight: expected it in m-1.*found it in no shard"
        ):
            open_checkpoint(index)

    @pytest.mark.parametrize("weight_map", [None, [], {"a": 1}, {"a": None}])
    def test_an_index_of_other_things_is_refused(self, folder, weight_map):
        index = self.index(folder, weight_map)
        with pytest.raises(CheckpointError, match="expected a weight_map"):
            open_checkpoint(index)

    def test_two_indexes_need_a_choice(self, folder):
        (folder / "model.fp16.safetensors.index.json").write_text("{}")
        with pytest.raises(CheckpointError, match=r"several indexes: .*; name one of them"):
            open_checkpoint(folder)
