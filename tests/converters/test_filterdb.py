import io
import pickle
import pickletools
import struct

import h5py
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import detect, load, open_checkpoint
from jfilters.converters._hdf5 import _filterdb as _filterdb
from jfilters.converters._hdf5._filterdb import FORMAT, population
from jfilters.converters._hdf5._filterdb_write import write_filterdb
from jfilters.io import _pandas_table as _pandas_table

RNG = np.random.default_rng(0)
LAYERS = [
    RNG.normal(size=shape).astype("float32") for shape in ((4, 3, 3, 3), (5, 3, 3), (1, 3, 3))
]
KERNELS = np.concatenate([layer.reshape(-1, 3, 3) for layer in LAYERS])
IDS = ["0:11", "12:16", "17:17"]
META = pa.table(
    {
        "model": ["r\xe4s", "r\xe4s", "other"],
        "conv_depth": [0, 3, 0],
        "conv_depth_norm": [0.0, 1.0, 0.0],
        "Training-Dataset": ["x", None, "zz"],
        "(3, 3) filters": pa.array([1, None, 3]),
        "Robust": [True, False, True],
    }
)
SHARED_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def with_kernels(path, kernels=KERNELS):
    file = h5py.File(path, "w")
    file["filters"] = kernels
    return file


def write_csv(path, text):
    with with_kernels(path) as file:
        file["meta"] = np.frombuffer(text.encode(), np.uint8)
    return path


def write_objects(file, place, data):
    """As PyTables stores objects: one pickle in an array of variable length."""
    stored = file.create_dataset(place, (1,), h5py.vlen_dtype(np.uint8), maxshape=(None,))
    stored[0] = np.frombuffer(data, np.uint8)


def write_fixed(path, data=None, protocol=pickle.HIGHEST_PROTOCOL):
    """The layout in which pandas wrote the published files: index levels, blocks, pickled text."""
    texts = np.array([["r\xe4s", IDS[0]], ["r\xe4s", IDS[1]], [float("nan"), IDS[2]]], dtype=object)
    with with_kernels(path) as file:
        file["meta/axis0"] = np.array([b"op_set", b"model", b"filter_ids"])
        for number, (name, level) in enumerate({"model_id": [7, 9], "conv_depth": [0, 3]}.items()):
            file[f"meta/axis1_level{number}"] = np.array(level)
            file[f"meta/axis1_level{number}"].attrs["name"] = np.bytes_(name)
            file[f"meta/axis1_label{number}"] = np.array([0, number, 1 - 2 * number], "int8")
        file["meta/block0_items"] = np.array([b"op_set"])
        file["meta/block0_values"] = np.array([[11], [11], [13]])
        file["meta/block1_items"] = np.array([b"model", b"filter_ids"])
        write_objects(file, "meta/block1_values", data or pickle.dumps(texts, protocol))
    return path


def write_blocks(path):
    """The "table" layout without data columns: fields of several columns each."""
    records = np.zeros(3, [("index", "i8"), ("values_block_0", "S6", (2,)), ("odd", "f8", (2,))])
    records["values_block_0"] = [["m", ids] for ids in IDS]
    with with_kernels(path) as file:
        table = file.create_dataset("meta/table", data=records, chunks=(10,), maxshape=(None,))
        kind = pickle.dumps(["model", "filter_ids"], protocol=0)
        table.attrs["values_block_0_kind"] = np.bytes_(kind)
    return path


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        FORMAT.arrays(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dataset.h5"


class TestWritten:
    @pytest.fixture
    def written(self, path):
        write_filterdb(path, iter(LAYERS), META)
        return path

    def test_kernels_and_table_come_back(self, written):
        kernels = population(written)
        assert (kernels.count, kernels.dtype) == (18, "float32")
        np.testing.assert_array_equal(kernels.slice(0, 18), KERNELS)
        np.testing.assert_array_equal(kernels.slice(11, 13), KERNELS[11:13])
        assert kernels.meta["filter_ids"].to_pylist() == IDS
        for name in ("model", "conv_depth", "conv_depth_norm", "Training-Dataset"):
            assert kernels.meta[name].to_pylist() == META[name].to_pylist()
        assert kernels.meta["Robust"].to_pylist() == [1, 0, 1]

    def test_it_reads_as_many_networks(self, written):
        assert detect(written).name == "filterdb"
        opened = open_checkpoint(written)
        assert [found.stored.member for found in opened.layers] == ["r\xe4s", "r\xe4s", "other"]
        assert [found.layer.name for found in opened.layers] == ["layer0", "layer1", "layer2"]
        assert load(written).names == ("r\xe4s/layer0", "r\xe4s/layer1", "other/layer2")
        assert [found.layer.depth for found in opened.layers] == [0, 3, 0]
        assert [found.layer.relative_depth for found in opened.layers] == [0.0, 1.0, 0.0]
        assert {found.layer.depth_source for found in opened.layers} == {"graph"}
        for found, layer in zip(opened.layers, LAYERS, strict=True):
            np.testing.assert_array_equal(found.read()[0], layer.reshape(-1, 3, 3))

    def test_the_table_has_what_pandas_looks_for(self, written):
        with h5py.File(written) as file:
            group, table = file["meta"], file["meta/table"]
            assert group.attrs["pandas_type"] == b"frame_table"
            # PyTables takes text for bytes unless its type says UTF-8.
            kind = h5py.check_string_dtype(group.attrs.get_id("pandas_type").dtype)
            assert kind.encoding == "utf-8"
            names = [*META.column_names, "filter_ids"]
            opcodes = pickletools.genops(bytes(group.attrs["values_cols"]))
            assert [name for code, name, _ in opcodes if code.name == "UNICODE"] == names
            assert table.dtype.names == ("index", *names)
            assert table.attrs["Robust_dtype"] == b"bool"
            assert table["Training-Dataset"].tolist() == [b"x", b"nan", b"zz"]
            assert np.isnan(table["(3, 3) filters"][1])

    def test_it_appears_whole_or_not_at_all(self, written):
        before = written.read_bytes()

        def broken():
            yield LAYERS[0]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_filterdb(written, broken(), META)
        assert written.read_bytes() == before
        assert list(written.parent.iterdir()) == [written]

    @pytest.mark.parametrize(
        ("layers", "meta", "message"),
        [
            ([np.zeros((2, 5, 5))], META, "layer 0: expected at least one kernel"),
            ([np.zeros((0, 3, 3))], META, "layer 0: expected at least one kernel"),
            (LAYERS[:2], META, "expected one row of meta a layer, got 3 for 2"),
            (LAYERS, META.append_column("index", [[1, 2, 3]]), "none called index"),
            (LAYERS, META.append_column("a/b", [[1, 2, 3]]), "with a slash"),
            (LAYERS, META.append_column("l", [[[1], [2], [3]]]), "column 'l': expected text"),
        ],
    )
    def test_what_does_not_fit_is_named(self, path, layers, meta, message):
        with pytest.raises(ValueError, match=message.replace("(", r"\(")):
            write_filterdb(path, layers, meta)
        assert not path.exists()


class TestPublishedLayouts:
    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_fixed_with_pickled_text(self, path, protocol):
        write_fixed(path, protocol=protocol)
        meta = population(path).meta
        assert meta.column_names == ["model_id", "conv_depth", "op_set", "model", "filter_ids"]
        assert meta["model_id"].to_pylist() == [7, 7, 9]
        assert meta["conv_depth"].to_pylist() == [0, 3, None]
        assert meta["op_set"].to_pylist() == [11, 11, 13]
        assert meta["model"].to_pylist() == ["r\xe4s", "r\xe4s", None]
        arrays = FORMAT.arrays(path)
        assert [array.member for array in arrays] == ["r\xe4s", "r\xe4s", "9"]
        assert [array.layer.depth for array in arrays] == [0, 3, 0]
        sources = [array.layer.depth_source for array in arrays]
        assert sources == ["graph", "graph", "registration-order"]
        assert [array.metadata for array in arrays] == [
            {"model_id": 7, "op_set": 11},
            {"model_id": 7, "op_set": 11},
            {"model_id": 9, "op_set": 13},
        ]

    def test_table_of_blocks(self, path):
        meta = population(write_blocks(path)).meta
        assert meta["filter_ids"].to_pylist() == IDS
        assert meta.column_names == ["model", "filter_ids", "odd.0", "odd.1"]

    def test_csv_text(self, path):
        write_csv(path, "model,conv_depth,filter_ids\n" + "".join(f"m,0,{ids}\n" for ids in IDS))
        arrays = FORMAT.arrays(path)
        assert [(array.member, array.shape[1]) for array in arrays] == [
            ("m", 12),
            ("m", 5),
            ("m", 1),
        ]

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
    def test_kernels_as_rows_of_nine(self, path, dtype):
        write_csv(path, "filter_ids\n12:16\n")
        with h5py.File(path, "a") as file:
            del file["filters"]
            file["filters"] = KERNELS.reshape(-1, 9).astype(dtype)
        (found,) = FORMAT.arrays(path)
        assert (found.dtype, found.member) == (dtype, "")
        np.testing.assert_array_equal(found.read()[0], KERNELS[12:17].astype(dtype))


class TestRefused:
    @pytest.mark.parametrize("shape", [(4, 5, 5), (4, 8), (9,)])
    def test_other_shapes_are_no_filter_db(self, path, shape):
        with with_kernels(path, np.zeros(shape)) as file:
            file["meta"] = np.zeros(3, np.uint8)
        assert detect(path).name == "keras"
        assert "expected kernels of shape" in refusal(path)

    @pytest.mark.parametrize(
        "ids", ["0:18", "5:4", "-1:3", "1", "1:2:3", "x", "9" * 30 + ":1", "1.5"]
    )
    def test_ids_of_kernels_that_are_not_there(self, path, ids):
        write_csv(path, f"filter_ids\n0:1\n{ids}\n")
        assert "row 1: expected filter_ids within 0:17" in refusal(path)

    @pytest.mark.parametrize("text", ["", "a,b\n1\n", "model\nx\n", "\xff\xfe\n,,,\n"])
    def test_text_that_is_no_table(self, path, text):
        refusal(write_csv(path, text or " "))

    def test_a_missing_table(self, path):
        with with_kernels(path) as file:
            file["meta/other"] = np.zeros(3)
        assert "expected a pandas table or CSV text" in refusal(path)

    def test_a_table_elsewhere_is_not_followed(self, path, tmp_path):
        other = write_csv(tmp_path / "other.h5", "filter_ids\n0:1\n")
        with with_kernels(path) as file:
            file["meta"] = h5py.ExternalLink(str(other), "meta")
        assert "not followed" in refusal(path)

    def test_tables_are_bounded(self, path, monkeypatch):
        monkeypatch.setattr(_pandas_table, "MAX_META", 5)
        assert "more than 5 bytes" in refusal(write_csv(path, "filter_ids\n0:1\n"))

    def test_tables_are_bounded_in_cells(self, path, monkeypatch):
        monkeypatch.setattr(_filterdb, "MAX_CELLS", 3)
        assert "more than 3 cells" in refusal(write_csv(path, "a,filter_ids\n1,0:1\n1,2:3\n"))

    def test_index_labels_beyond_their_level(self, path):
        write_fixed(path)
        with h5py.File(path, "a") as file:
            file["meta/axis1_label0"][...] = 5
        assert "index labels beyond" in refusal(path)

    def test_fields_that_grow_into_each_other(self, path):
        # 8 bytes in the file, 16 in memory: HDF5 would write past the end of its buffer.
        wide = h5py.h5t.IEEE_F64LE.copy()
        wide.set_fields(63, 56, 7, 0, 56)
        record = h5py.h5t.create(h5py.h5t.COMPOUND, 16)
        record.insert(b"norm", 0, wide)
        record.insert(b"filter_ids", 8, h5py.h5t.py_create(np.dtype("S8")))
        with with_kernels(path) as file:
            group = file.create_group("meta")
            h5py.h5d.create(group.id, b"table", record, h5py.h5s.create_simple((3,)))
        assert "no common type" in refusal(path)


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class TestPickledText:
    def test_nothing_is_run(self, path, tmp_path):
        victim = tmp_path / "victim"
        texts = np.array(
            [["m", IDS[0]], [Evil(open, str(victim), "w"), IDS[1]], ["m", IDS[2]]], object
        )
        write_fixed(path, pickle.dumps(texts))
        assert population(path).meta["model"].to_pylist() == ["m", None, "m"]
        assert not victim.exists()

    @pytest.mark.parametrize(
        "data",
        [
            b".",
            b"junk",
            pickle.dumps(Evil(print, "run")),
            pickle.dumps(["a"] * 6),
            pickle.dumps(np.zeros((3, 2))),
            pickle.dumps(np.array(["a"] * 5, object)),
            pickle.dumps(np.array(["a"] * 6, object).reshape(3, 2, 1)),
        ],
    )
    def test_what_is_no_array_of_text(self, path, data, capsys):
        refusal(write_fixed(path, data))
        assert capsys.readouterr().out == ""

    def test_a_chunk_that_claims_more_than_a_pickle(self, path):
        # Found by fuzzing: HDF5 read 272 bytes into a buffer of 16.
        write_fixed(path)
        with h5py.File(path) as file:
            place = file["meta/block1_values"].id.get_chunk_info(0).byte_offset
        data = path.read_bytes()
        key = struct.pack("<IIQQQ", 16, 0, 0, 0, place)
        assert data.count(key) == 1
        path.write_bytes(data.replace(key, struct.pack("<I", 272) + key[4:]))
        assert "meta/block1_values: expected chunks of 16 bytes" in refusal(path)

    def test_a_variable_length_of_no_known_kind(self, path):
        # Found by fuzzing: HDF5 calls a function that is not there.
        write_fixed(path)
        data = path.read_bytes()
        kind = b"\x19\0\0\0" + struct.pack("<II", 16, 16)
        assert data.count(kind) == 1
        path.write_bytes(data.replace(kind, b"\x19\x02" + kind[2:]))
        assert "meta/block1_values: expected one value of variable length" in refusal(path)

    def test_a_pickle_that_claims_gigabytes(self, path):
        write_fixed(path, b"x" * 1234)
        data = path.read_bytes()
        claim = struct.pack("<IQ", 1234, data.index(b"GCOL"))
        assert data.count(claim) == 1
        path.write_bytes(data.replace(claim, b"\xff\xff\xff\xff" + claim[4:]))
        assert "4,294,967,295 bytes claimed" in refusal(path)

    @settings(SHARED_FIXTURE, max_examples=20)
    @given(st.data())
    def test_any_damage(self, tmp_path, data):
        texts = np.array([["m", ids] for ids in IDS], object)
        damaged = bytearray(pickle.dumps(texts))
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        survives(write_fixed(tmp_path / "damaged.h5", bytes(damaged)))


def survives(path):
    try:
        arrays = FORMAT.arrays(path)
    except CheckpointError:
        return
    assert all(len(array.shape) == 4 for array in arrays)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    path = tmp_path_factory.mktemp("filterdb") / "healthy.h5"
    write_filterdb(path, LAYERS, META.select(["model", "conv_depth"]))
    return path.read_bytes()


def test_truncation_at_every_boundary(path, healthy):
    for stop in [*range(0, len(healthy), 4096), 1, 7, len(healthy) - 1]:
        path.write_bytes(healthy[:stop])
        refusal(path)


@SHARED_FIXTURE
@given(st.data())
def test_flipped_bits(tmp_path, healthy, data):
    # The kernels make up most of the file: look at everything else.
    places = [index for index, byte in enumerate(healthy) if byte]
    damaged = bytearray(healthy)
    damaged[data.draw(st.sampled_from(places))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged)
    assert FORMAT.recognizes(path, bytes(damaged[:512])) in (True, False)
    survives(path)


def test_recognition_never_raises(path):
    for content in (b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" * 100, bytes(600)):
        path.write_bytes(content)
        assert not FORMAT.recognizes(path, content[:512])
    in_memory = io.BytesIO()
    with h5py.File(in_memory, "w") as file:
        file["filters"] = h5py.SoftLink("/meta")
        file["meta"] = h5py.SoftLink("/filters")
    path.write_bytes(in_memory.getvalue())
    assert not FORMAT.recognizes(path, in_memory.getvalue()[:512])
