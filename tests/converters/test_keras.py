import contextlib
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import detect, open_checkpoint
from jfilters.converters._hdf5 import _keras as _keras
from jfilters.converters._hdf5._keras import FORMAT
from jfilters.converters._hdf5._keras_config import configured_layers, snake_case
from jfilters.errors import MissingExtraError
from jfilters.io import _hdf5_file as _hdf5
from jfilters.io import _hdf5_read as _hdf5_read

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 3, 4, 8)).astype("float32")
SHARED_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def layer(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, **config}}


def write(path, arrays, names=None, **options):
    """Arrays by path; `names` are the layer names that Keras 3 leaves on the groups of variables."""
    with h5py.File(path, "w", **options) as file:
        for place, values in arrays.items():
            file[place] = values
        for place, name in (names or {}).items():
            file.require_group(place).attrs["name"] = name
    return path


def archive(path, config, arrays, compression=zipfile.ZIP_STORED):
    weights = io.BytesIO()
    write(weights, arrays)
    with zipfile.ZipFile(path, "w", compression) as zipped:
        zipped.writestr("metadata.json", "{}")
        zipped.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        zipped.writestr("model.weights.h5", weights.getvalue())
    return path


def by_name(path):
    return {array.name: array for array in FORMAT.arrays(path)}


def read_all(path):
    return [array.read() for array in FORMAT.arrays(path) if array.reason is None]


def refusal(path):
    assert detect(path).name == "keras"
    with pytest.raises(CheckpointError) as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.h5"


class TestWeightsOfKeras3:
    def test_kernels_are_found_and_the_rest_has_reasons(self, file):
        write(
            file,
            {
                "layers/conv2d/vars/0": KERNEL,
                "layers/conv2d/vars/1": np.zeros(8, "float32"),
                "layers/batch_normalization/vars/0": np.ones(8, "float32"),
                "layers/multi_head_attention/query_dense/vars/0": np.ones((8, 2, 4), "float32"),
                "optimizer/vars/2": KERNEL,
            },
        )
        opened = open_checkpoint(file)
        assert [found.layer.name for found in opened.layers] == ["layers/conv2d/vars/0"]
        np.testing.assert_array_equal(opened.layers[0].read(), KERNEL.transpose(3, 2, 0, 1))
        reasons = {skipped.name: skipped.reason for skipped in opened.skipped}
        assert reasons["layers/conv2d/vars/1"] == "bias"
        assert reasons["layers/batch_normalization/vars/0"] == "normalization"
        assert "attention" in reasons["layers/multi_head_attention/query_dense/vars/0"]
        assert reasons["optimizer/vars/2"] == "optimizer state"

    def test_siblings_are_in_natural_order(self, file):
        names = ["conv2d", "conv2d_1", "conv2d_2", "conv2d_10"]
        write(file, {f"layers/{name}/vars/0": KERNEL for name in reversed(names)})
        assert [found.layer.name.split("/")[1] for found in open_checkpoint(file).layers] == names

    @pytest.mark.parametrize(
        ("place", "shape", "axes", "transposed"),
        [
            ("layers/conv2d_3", (3, 3, 2, 5), "HWIO", False),
            ("layers/conv1d", (3, 2, 5), "WIO", False),
            ("layers/conv3d", (3, 3, 3, 2, 5), "DHWIO", False),
            ("layers/depthwise_conv2d_1", (3, 3, 4, 2), "HWIM", False),
            ("layers/conv2d_transpose_2", (3, 3, 5, 2), "HWOI", True),
            ("layers/separable_conv2d", (3, 3, 4, 1), "HWIM", False),
            ("stem", (3, 3, 2, 5), "HWIO", None),
            ("layers/time_distributed/conv2d", (3, 3, 2, 5), "HWIO", False),
        ],
    )
    def test_the_class_in_the_path_tells_axes(self, file, place, shape, axes, transposed):
        write(file, {f"{place}/vars/0": np.zeros(shape, "float32")})
        (found,) = FORMAT.arrays(file)
        assert (found.axes, found.transposed) == (axes, transposed)

    def test_the_saved_name_tells_axes_where_the_path_does_not(self, file):
        write(file, {"up/vars/0": np.zeros((3, 3, 5, 2))}, {"up/vars": "conv2d_transpose_4"})
        (found,) = FORMAT.arrays(file)
        assert (found.axes, found.transposed) == ("HWOI", True)

    def test_bfloat16_is_stored_as_opaque_bytes(self, file):
        values = KERNEL.astype(ml_dtypes.bfloat16)
        write(file, {"conv2d/vars/0": values.view("V2")})
        assert "not numeric" in str(FORMAT.arrays(file)[0].reason)
        with h5py.File(file, "a") as opened:
            opened["conv2d/vars/0"].attrs["dtype"] = "bfloat16"
        (found,) = FORMAT.arrays(file)
        assert found.dtype == "bfloat16"
        np.testing.assert_array_equal(found.read(), values)

    @pytest.mark.parametrize("dtype", ["float16", ">f4", "float64", "int8"])
    def test_values_come_as_stored(self, file, dtype):
        values = KERNEL.astype(dtype)
        write(file, {"conv2d/vars/0": values})
        (found,) = FORMAT.arrays(file)
        np.testing.assert_array_equal(found.read(), values)
        assert found.dtype == np.dtype(dtype).name

    def test_gzip_shuffle_and_checksum(self, file):
        with h5py.File(file, "w") as opened:
            options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
            opened.create_dataset("c/vars/0", data=KERNEL, chunks=(2, 3, 4, 5), **options)
        np.testing.assert_array_equal(FORMAT.arrays(file)[0].read(), KERNEL)

    def test_user_block(self, file):
        write(file, {"conv2d/vars/0": KERNEL}, userblock_size=1024)
        assert detect(file).name == "keras"
        np.testing.assert_array_equal(FORMAT.arrays(file)[0].read(), KERNEL)


CONFIG = {
    "class_name": "Functional",
    "config": {
        "name": "net",
        "layers": [
            layer("InputLayer", "input"),
            layer("Conv2D", "stem", groups=1),
            layer("Conv2DTranspose", "up"),
            layer(
                "Sequential", "inner", layers=[layer("Conv2D", "a"), layer("Conv2D", "b", groups=2)]
            ),
            layer("TimeDistributed", "timed", layer=layer("Conv2D", "c")),
            layer("SeparableConv2D", "apart"),
        ],
    },
}
SAVED = {
    "layers/conv2d/vars/0": KERNEL,
    "layers/conv2d_transpose/vars/0": KERNEL,
    "layers/sequential/layers/conv2d/vars/0": KERNEL,
    "layers/sequential/layers/conv2d_1/vars/0": KERNEL,
    "layers/time_distributed/layer/vars/0": KERNEL,
    "layers/separable_conv2d/vars/0": KERNEL[..., :1],
    "layers/separable_conv2d/vars/1": np.zeros((1, 1, 4, 7), "float32"),
}
ORDER = ["stem", "up", "inner/a", "inner/b", "timed/c", "apart", "apart"]


class TestArchive:
    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_configuration_gives_names_order_and_groups(self, tmp_path, compression):
        path = archive(tmp_path / "model.keras", CONFIG, SAVED, compression)
        assert detect(path).name == "keras"
        arrays = FORMAT.arrays(path)
        assert [array.name.rpartition("/")[0] for array in arrays] == ORDER
        found = by_name(path)
        assert (found["inner/b/kernel"].groups, found["stem/kernel"].groups) == (2, 1)
        assert found["up/kernel"].axes == "HWOI"
        assert found["timed/c/kernel"].axes == "HWIO"
        assert found["apart/depthwise_kernel"].axes == "HWIM"
        assert found["apart/pointwise_kernel"].axes == "HWIO"
        np.testing.assert_array_equal(found["stem/kernel"].read(), KERNEL)

    def test_names_that_repeat_give_way_to_paths(self, tmp_path):
        config = {"config": {"layers": [layer("Conv2D", "same"), layer("Conv2D", "same")]}}
        saved = {"layers/conv2d/vars/0": KERNEL, "layers/conv2d_1/vars/0": KERNEL}
        path = archive(tmp_path / "model.keras", config, saved)
        assert set(by_name(path)) == set(saved)

    @pytest.mark.parametrize("config", ["", "[" * 100_000, "{nan", "[]", '{"config": 3}'])
    def test_strange_configurations(self, tmp_path, config):
        path = archive(tmp_path / "model.keras", config, {"conv2d/vars/0": KERNEL})
        if config.startswith("[]") or '"config"' in config:
            assert len(FORMAT.arrays(path)) == 1
        else:
            assert "configuration of a Keras model" in refusal(path)

    def test_models_within_models_end(self, tmp_path):
        config = layer("Conv2D", "innermost")
        for depth in range(40):
            config = layer("Sequential", f"model{depth}", layers=[config])
        path = archive(tmp_path / "model.keras", config, {"conv2d/vars/0": KERNEL})
        assert "models within models" in refusal(path)

    def test_an_archive_without_weights(self, tmp_path):
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr("metadata.json", "{}")
            zipped.writestr("config.json", "{}")
        assert "model.weights.h5" in refusal(path)

    def test_a_member_that_unpacks_to_too_much(self, tmp_path, monkeypatch):
        monkeypatch.setenv("JFILTERS_OPEN_MEMORY", "0.002")
        path = archive(tmp_path / "model.keras", {}, SAVED, zipfile.ZIP_DEFLATED)
        assert "set JFILTERS_OPEN_MEMORY to more megabytes" in refusal(path)


class TestEarlierKeras:
    @pytest.fixture
    def weights(self, file):
        listed = {"b": "kernel:0", "a": "depthwise_kernel:0"}
        with h5py.File(file, "w") as opened:
            opened.attrs["layer_names"] = np.array([b"b", b"a", b"gone"])
            for name, own in listed.items():
                group = opened.create_group(name)
                group.attrs["weight_names"] = np.array([f"{name}/{own}", f"{name}/bias:0"], "S")
                group[f"{name}/{own}"] = KERNEL
                group[f"{name}/bias:0"] = np.zeros(8)
        return file

    def test_order_is_that_of_the_listed_names(self, weights):
        arrays = FORMAT.arrays(weights)
        assert [a.name for a in arrays] == ["b/kernel", "b/bias", "a/depthwise_kernel", "a/bias"]
        assert [a.axes for a in arrays] == ["HWIO", None, "HWIM", None]
        assert arrays[1].reason == "bias"

    def test_a_whole_model_has_its_configuration(self, file):
        with h5py.File(file, "w") as opened:
            opened.attrs["model_config"] = json.dumps(CONFIG)
            for name in ("up", "stem"):
                opened[f"model_weights/{name}/{name}/kernel:0"] = KERNEL
            opened["model_weights/inner/b/kernel:0"] = KERNEL
            opened["optimizer_weights/adam/stem/kernel/m:0"] = KERNEL
        arrays = FORMAT.arrays(file)
        names = [
            "stem/kernel",
            "up/kernel",
            "inner/b/kernel",
            "optimizer_weights/adam/stem/kernel/m",
        ]
        assert [array.name for array in arrays] == names
        assert [array.axes for array in arrays[:3]] == ["HWIO", "HWOI", "HWIO"]
        assert arrays[2].groups == 2
        assert arrays[3].reason == "optimizer state"

    def test_a_sequential_model_as_a_bare_list(self):
        text = json.dumps({"class_name": "Sequential", "config": [layer("Conv2D", "a")]})
        assert list(configured_layers(text, Path())) == ["layers/conv2d"]

    @pytest.mark.parametrize(
        ("name", "snake"),
        [
            ("Conv2DTranspose", "conv2d_transpose"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("MultiHeadAttention", "multi_head_attention"),
            ("ConvLSTM2D", "conv_lstm2d"),
            ("Dense", "dense"),
        ],
    )
    def test_classes_as_keras_spells_them(self, name, snake):
        assert snake_case(name) == snake


class TestOrder:
    """The order of weights alone, and what is said about it."""

    @staticmethod
    def written(file, places, **options):
        """The layers that are read, and what their order is said to come from."""
        write(file, dict.fromkeys((f"{place}/vars/0" for place in places), KERNEL), **options)
        layers = [stored.layer for stored in open_checkpoint(file).layers]
        return [layer.name.removesuffix("/vars/0") for layer in layers], {
            layer.depth_source for layer in layers
        }

    def test_layers_of_nested_models_lie_as_they_were_written(self, file):
        places = [
            "layers/functional/layers/conv2d",
            "layers/functional/layers/depthwise_conv2d",
            "layers/functional/layers/conv2d_1",
            "layers/conv2d",
            "layers/conv2d_transpose",
            "layers/conv2d_1",
        ]
        assert self.written(file, places) == (places, {"registration-order"})

    def test_values_of_any_size_are_in_the_order_of_their_headers(self, file):
        # HDF5 fills the gaps between large values with small ones.
        sizes = {"layers/b": 40, "layers/a": 2, "layers/b_1": 40, "layers/a_1": 2, "layers/c": 3}
        arrays = {f"{place}/vars/0": np.ones((3, 3, n, n)) for place, n in sizes.items()}
        write(file, arrays, {f"{place}/vars": "conv2d" for place in sizes})
        names = [stored.layer.name for stored in open_checkpoint(file).layers]
        assert names == list(arrays)

    def test_attributes_were_written_by_name(self, file):
        places = ["aa_head", *(f"blocks/conv2d_{i}" for i in range(1, 12)), "zz_stem"]
        found, source = self.written(file, places)
        assert source == {"name-order"}
        assert found == ["zz_stem", *places[1:-1], "aa_head"]

    def test_layers_of_ones_own_keep_their_place_among_others(self, file):
        places = [
            "layers/conv2d_1",
            "layers/my_block/conv_a",
            "layers/my_block/conv_b",
            "layers/conv2d_2",
        ]
        found, source = self.written(file, places)
        assert (found, source) == (places, {"name-order"})

    @pytest.mark.parametrize("part", ["layer", "cell/inner"])
    def test_a_wrapper_of_one_layer_hides_no_order(self, file, part):
        places = [
            f"layers/time_distributed/{part}",
            "layers/conv2d",
            f"layers/time_distributed_1/{part}",
        ]
        assert self.written(file, places) == (places, {"registration-order"})

    def test_a_copy_by_name_has_no_order_but_that_of_one_class(self, file):
        places = ["layers/conv2d", "layers/conv2d_1", "layers/conv2d_10", "layers/conv2d_2"]
        found = [places[0], places[1], places[3], places[2]]
        assert self.written(file, places) == (found, {"registration-order"})
        file.unlink()
        places = ["layers/conv2d", "layers/conv2d_1", "layers/depthwise_conv2d"]
        assert self.written(file, places)[1] == {"name-order"}

    def test_numbers_that_were_written_backwards_are_not_of_keras(self, file):
        places = ["layers/conv2d_1", "layers/depthwise_conv2d", "layers/conv2d"]
        assert self.written(file, places)[1] == {"name-order"}

    def test_chunked_and_tracked_files(self, file):
        places = ["layers/conv2d_transpose", "layers/conv2d", "layers/conv2d_transpose_1"]
        with h5py.File(file, "w", track_order=True) as opened:
            for place in places:
                opened.create_dataset(f"{place}/vars/0", data=KERNEL, chunks=(3, 3, 2, 4))
        layers = [stored.layer for stored in open_checkpoint(file).layers]
        assert [layer.name.removesuffix("/vars/0") for layer in layers] == places
        assert {layer.depth_source for layer in layers} == {"registration-order"}

    def test_plain_arrays_are_sorted_by_name(self, file):
        write(file, {"b/w": KERNEL, "a/w": KERNEL})
        opened = open_checkpoint(file)
        assert [(x.layer.name, x.layer.depth_source) for x in opened.layers] == [
            ("a/w", "name-order"), ("b/w", "name-order"),
        ]  # fmt: skip


class TestHostileFiles:
    @pytest.fixture
    def with_text(self, file):
        write(file, {"conv2d/vars/0": KERNEL})
        with h5py.File(file, "a") as opened:
            opened.attrs["model_config"] = json.dumps(CONFIG)
        return file

    def test_a_petabyte_that_is_not_there(self, file):
        with h5py.File(file, "w") as opened:
            opened.create_dataset("conv2d/vars/0", (3, 3, 10**7, 10**7), "float32")
        assert file.stat().st_size < 10_000
        assert "conv2d/vars/0: expected the 3,600,000,000,000,000 bytes" in refusal(file)

    @pytest.mark.parametrize("chunks", [True, (3, 3, 64, 64)])
    def test_a_petabyte_in_chunks(self, file, chunks):
        with h5py.File(file, "w") as opened:
            shape, options = (3, 3, 10**7, 10**7), {"chunks": chunks, "compression": "gzip"}
            opened.create_dataset("conv2d/vars/0", shape, "float32", **options)
        assert "0 stored" in refusal(file)

    def test_a_chunk_that_unpacks_to_more(self, file):
        with h5py.File(file, "w") as opened:
            stored = opened.create_dataset("c", (8, 8), "f4", chunks=(8, 8), compression="gzip")
            stored.id.write_direct_chunk((0, 0), zlib.compress(bytes(10**5), 9)[:700])
        assert "expected a chunk of 256 bytes" in refusal(file)

    # HDF5 would read as much into a buffer of one chunk.
    @pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"fletcher32": True}])
    @pytest.mark.parametrize("more", [1, 8000])
    def test_a_chunk_that_claims_more_than_a_chunk(self, file, options, more):
        with h5py.File(file, "w") as opened:
            stored = opened.create_dataset("c", data=KERNEL, chunks=KERNEL.shape, **options)
            size = stored.id.get_chunk_info(0).size
            opened["behind"] = np.zeros(10_000, np.uint8)
        assert read_all(file)
        data = file.read_bytes()
        key = struct.pack("<II", size, 0) + bytes(40)
        assert data.count(key) == 1
        file.write_bytes(data.replace(key, struct.pack("<I", size + more) + key[4:]))
        assert f"expected chunks of {size:,} bytes" in refusal(file)

    def test_chunks_beyond_any_bound(self, file, monkeypatch):
        monkeypatch.setattr(_hdf5_read, "MAX_CHUNKS", 5)
        with h5py.File(file, "w") as opened:
            opened.create_dataset("c", data=np.zeros((6, 2)), chunks=(1, 2))
        assert "chunks (1, 2)" in refusal(file)

    def test_an_array_beyond_any_bound(self, file, monkeypatch):
        monkeypatch.setattr(_hdf5_read, "MAX_ARRAY", 5)
        assert "to read at once" in refusal(write(file, {"c": np.zeros((3, 3))}))

    def test_nothing_outside_the_file_is_read(self, file, tmp_path):
        secret = write(tmp_path / "secret.h5", {"conv2d/vars/0": KERNEL})
        with h5py.File(file, "w") as opened:
            opened["external"] = h5py.ExternalLink(str(secret), "conv2d/vars/0")
            opened["soft"] = h5py.SoftLink("/loop")
            opened["loop"] = h5py.SoftLink("/soft")
            opened.create_dataset("raw", (64,), "u1", external=[(str(secret), 0, 64)])
            layout = h5py.VirtualLayout(KERNEL.shape, "float32")
            layout[...] = h5py.VirtualSource(str(secret), "conv2d/vars/0", KERNEL.shape)
            opened.create_virtual_dataset("virtual", layout)
        arrays = by_name(file)
        assert set(arrays) == {"external", "soft", "loop", "raw", "virtual"}
        for array in arrays.values():
            assert array.reason
            assert "not followed" in array.reason
            with pytest.raises(CheckpointError, match="not followed"):
                array.read()

    def test_hard_links_are_followed_once(self, file):
        with h5py.File(file, "w") as opened:
            opened["a/conv2d/vars/0"] = KERNEL
            opened["a/self"] = opened["a"]
            opened["b"] = opened["a"]
            opened["c"] = opened["a/conv2d/vars/0"]
        reasons = [array.reason for array in FORMAT.arrays(file)]
        assert reasons.count(None) == 1
        assert sum("the same object as" in str(reason) for reason in reasons) == 3

    def test_nesting_and_number_of_groups_are_bounded(self, file, monkeypatch):
        write(file, {"/".join(["g"] * 100): KERNEL})
        assert "nested groups" in refusal(file)
        monkeypatch.setattr(_hdf5, "MAX_OBJECTS", 10)
        write(file, {f"conv2d_{number}/vars/0": KERNEL for number in range(10)})
        assert "more than 10 objects" in refusal(file)

    def test_values_that_are_no_numbers(self, file):
        with h5py.File(file, "w") as opened:
            opened["text"] = "hello"
            opened["record"] = np.zeros(3, [("a", "i4"), ("b", "S3")])
            opened.create_dataset("ragged", (2,), h5py.vlen_dtype(np.uint8))
            opened["nothing"] = h5py.Empty("f4")
            opened["pointer"] = np.array([opened["text"].ref], h5py.ref_dtype)
        for array in FORMAT.arrays(file):
            assert array.reason
            assert "not numeric" in array.reason or array.reason == "no values"

    @pytest.mark.parametrize("options", [{"compression": "lzf"}, {"scaleoffset": 4}])
    def test_other_filters_are_named_not_run(self, file, options):
        with h5py.File(file, "w") as opened:
            opened.create_dataset("c", data=KERNEL, chunks=KERNEL.shape, **options)
        assert "filter" in str(FORMAT.arrays(file)[0].reason)

    def test_attributes_are_bounded(self, file, monkeypatch):
        monkeypatch.setattr(_hdf5, "MAX_TEXT", 1000)
        write(file, {"conv2d/vars/0": KERNEL})
        with h5py.File(file, "a") as opened:
            opened.attrs["model_config"] = "x" * 2000
        assert "1,000 bytes of attributes" in refusal(file)

    @pytest.mark.parametrize(("offset", "value", "reason"), [(16, 136, "ring"), (5, 17, "levels")])
    def test_an_index_that_does_not_end(self, tmp_path, offset, value, reason):
        path = tmp_path / "old.h5"
        with h5py.File(path, "w", libver="earliest") as file:
            file["layers/conv/vars/0"] = np.ones((3, 3, 2, 4), np.float32)
        damaged = bytearray(path.read_bytes())
        node = damaged.index(b"TREE")
        assert node == 136
        damaged[node + offset] = value
        if offset == 16:
            damaged[node + 17 : node + 24] = bytes(7)
        path.write_bytes(damaged)
        assert reason in refusal(path)

    @pytest.mark.parametrize(("entry", "size"), [(-1, 0), (-1, 8), (-1, 1 << 40), (0, 2**64 - 1)])
    def test_a_heap_of_text_that_does_not_end(self, with_text, entry, size):
        data = bytearray(with_text.read_bytes())
        entries = [data.index(b"GCOL") + 16]
        while struct.unpack_from("<H", data, entries[-1])[0]:
            length = struct.unpack_from("<8xQ", data, entries[-1])[0]
            entries.append(entries[-1] + 16 + (length + 7) // 8 * 8)
        struct.pack_into("<8xQ", data, entries[entry], size)
        with_text.write_bytes(data)
        assert "heap that does not end" in refusal(with_text)

    @pytest.mark.parametrize("libver", ["earliest", "latest"])
    def test_text_that_claims_gigabytes(self, with_text, libver):
        text = json.dumps(CONFIG)
        with h5py.File(with_text, "w", libver=libver) as opened:
            opened["stem/kernel"] = KERNEL
            opened.attrs["model_config"] = text
        assert FORMAT.arrays(with_text)[0].groups == 1
        data = with_text.read_bytes()
        claim = struct.pack("<IQ", len(text), data.index(b"GCOL"))
        assert data.count(claim) == 1
        with_text.write_bytes(data.replace(claim, b"\xff\xff\xff\xff" + claim[4:]))
        # The newest layout has a checksum over it.
        expected = "bytes of attributes" if libver == "earliest" else "checksum"
        assert expected in refusal(with_text)

    def test_lengths_of_another_size(self, file):
        data = bytearray(write(file, {"conv2d/vars/0": KERNEL}).read_bytes())
        data[14] = 4
        file.write_bytes(data)
        assert "lengths of 8 bytes" in refusal(file)

    def test_without_h5py_the_extra_is_named(self, file, monkeypatch):
        write(file, {"conv2d/vars/0": KERNEL})
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(MissingExtraError, match=r"'\.\[keras\]'"):
            FORMAT.arrays(file)

    def test_a_program_may_end_with_a_file_open(self, file):
        write(file, {"conv2d/vars/0": KERNEL})
        program = (
            "import sys, pathlib; from jfilters.converters._hdf5._keras import FORMAT\n"
            "arrays = FORMAT.arrays(pathlib.Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", program, str(file)], check=True)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "healthy.h5"
    with h5py.File(path, "w") as opened:
        opened.attrs["model_config"] = json.dumps(CONFIG)
        for number in range(3):
            options = {"chunks": (3, 3, 4, 4), "compression": "gzip"} if number else {}
            place = f"conv2d_{number}/vars/0"
            opened.create_dataset(place, data=KERNEL, **options)
            opened[f"conv2d_{number}/vars"].attrs["name"] = f"block{number}"
    return path.read_bytes()


def survives(path, data):
    """Damage is a `CheckpointError` or goes unnoticed; nothing else."""
    path.write_bytes(data)
    assert FORMAT.recognizes(path, data[:512]) in (True, False)
    with contextlib.suppress(CheckpointError):
        read_all(path)


def test_truncation_at_every_boundary(file, healthy):
    assert len(healthy) > 8192
    for stop in [*range(0, len(healthy), 4096), 1, 7, 8, 100, len(healthy) - 1]:
        file.write_bytes(healthy[:stop])
        with pytest.raises(CheckpointError):
            FORMAT.arrays(file)


@SHARED_FIXTURE
@given(st.data())
def test_flipped_bits(tmp_path, healthy, data):
    damaged = bytearray(healthy)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    survives(tmp_path / "damaged.h5", bytes(damaged))


@SHARED_FIXTURE
@given(st.binary(max_size=600))
def test_any_bytes_behind_the_signature(tmp_path, data):
    survives(tmp_path / "any.h5", b"\x89HDF\r\n\x1a\n" + data)
