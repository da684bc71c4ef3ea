"""Mutations that know a container: framing and checksums hold, and a seed gives one input."""

import contextlib
import io
import json
import pickle
import pickletools
import random
import sys
import zipfile

import h5py
import msgpack
import numpy as np
import pytest
from safetensors.numpy import save

from benchmarks import _fuzzed, _parts, fuzz
from benchmarks import _tensorflow_files as tensorflow_files
from benchmarks._grammars import GRAMMARS, HDF5, JSON, NPY, PICKLE, ZIP, restructured
from benchmarks._grammars import _checksums as checksums
from benchmarks._grammars import _listing as listing
from benchmarks._grammars import _pickle as pickles
from benchmarks._grammars import _tables as tables
from benchmarks._grammars._protobuf import Field, parse, written
from benchmarks._tflite_models import chain

SEEDS = range(300)
WEIGHT = np.arange(90, dtype="float32").reshape(2, 5, 3, 3)


def npz():
    file = io.BytesIO()
    np.savez(file, weight=WEIGHT, bias=WEIGHT[0])
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, WEIGHT)
    return file.getvalue()


def hdf5(**options):
    file = io.BytesIO()
    with h5py.File(file, "w", **options) as content:
        content["conv/kernel"] = WEIGHT
        content["conv"].attrs["name"] = "stem"
    return file.getvalue()


def manifest():
    head = b"\x0c\xdb\x3a\x2a" + (40).to_bytes(8, "little") + b"\x00\x00"
    data = head + bytes(22)
    return data + checksums.crc32c(data).to_bytes(4, "little")


CONTENT = {
    "numpy": npz(),
    "equinox": npy() + npy(),
    "safetensors": save({"conv.weight": WEIGHT, "conv.bias": WEIGHT[0, 0, 0]}),
    "flax": msgpack.packb({"params": {"kernel": msgpack.ExtType(1, msgpack.packb([1, 2]))}}),
    "ncnn": b"7767517\n2 2\nInput in 0 1 in\nConvolution a 1 1 in b 0=2 1=3\n",
    "darknet": b"[net]\nchannels=5\n[convolutional]\nfilters=2\nsize=3\n",
    "caffe": written(Field(100, 2, written(Field(1, 2, b"conv")) + written(Field(3, 0, 7)))),
    "tflite": chain([("CONV_2D", WEIGHT, {})]),
    "tfjs": json.dumps(
        {"weightsManifest": [{"paths": ["a"], "weights": [{"shape": [3]}]}]}
    ).encode(),
    "tensorflow": tensorflow_files.bundle({"a/kernel": WEIGHT, "b": WEIGHT[0]})[0],
    "openvino": b'<?xml version="1.0"?><net name="n"><layers><layer id="0" name="w"/></layers></net>',
    "orbax": manifest(),
    "torch-distributed": pickle.dumps({"a": [1, (2, 3)], "b": "text"}, 4),
    "keras": hdf5(),
}


def changed(reader, data, seeds=SEEDS):
    """The inputs that the grammars of a reader make of some bytes."""
    return [restructured(data, GRAMMARS[reader], random.Random(seed)) for seed in seeds]


def test_every_reader_names_its_grammars():
    assert sorted(GRAMMARS) == sorted(fuzz.READERS)
    assert all(GRAMMARS.values())


@pytest.mark.parametrize("reader", CONTENT)
def test_every_grammar_changes_what_it_knows_and_repeats_itself(reader):
    inputs = changed(reader, CONTENT[reader])
    assert len(set(inputs)) > 60
    assert inputs[:20] == changed(reader, CONTENT[reader], range(20))


def test_bytes_of_no_grammar_are_refused():
    with pytest.raises(ValueError, match="of no grammar"):
        restructured(b"", (JSON, NPY, PICKLE, HDF5), random.Random(0))


def test_a_header_of_safetensors_has_its_length():
    content = CONTENT["safetensors"]
    arrays = content[8 + int.from_bytes(content[:8], "little") :]
    for data in changed("safetensors", content):
        header = data[8 : 8 + int.from_bytes(data[:8], "little")]
        assert header.rstrip()[-1:] in b'}]"0123456789lse'
        assert data[8 + len(header) :] == arrays


def test_members_are_found_and_mostly_whole():
    whole = 0
    for data in changed("numpy", CONTENT["numpy"]):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                whole += archive.testzip() is None
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError):
            continue
    assert len(SEEDS) / 2 < whole < len(SEEDS)


def test_arrays_claim_what_they_do_not_hold():
    shapes = set()
    for data in changed("equinox", CONTENT["equinox"]):
        try:
            shapes.add(np.load(io.BytesIO(data)).shape)
        except Exception as error:
            shapes.add(type(error))
    assert len(shapes) > 4


def test_messages_stay_messages():
    for data in changed("caffe", CONTENT["caffe"]):
        assert parse(data) is not None


def test_pickles_stay_programs_with_their_frame():
    whole = 0
    for data in changed("torch-distributed", CONTENT["torch-distributed"]):
        with contextlib.suppress(ValueError):
            whole += len(list(pickletools.genops(data))) > 0
    assert whole > len(SEEDS) / 2
    codes, stop = pickles._programs(CONTENT["torch-distributed"])
    assert b"".join(codes[0]) == CONTENT["torch-distributed"]
    assert stop == len(CONTENT["torch-distributed"])


def test_blocks_of_tables_have_their_checksum():
    for data in changed("tensorflow", CONTENT["tensorflow"]):
        assert tables.is_table(data)
        size = tables._varint(data, len(data) - 48 + 2)[0]
        stored = int.from_bytes(data[size - 4 : size], "little")
        assert stored == checksums.masked_crc32c(data[: size - 4])


def test_files_of_ocdbt_have_their_length_and_checksum():
    for data in changed("orbax", CONTENT["orbax"]):
        assert int.from_bytes(data[4:12], "little") == len(data)
        assert int.from_bytes(data[-4:], "little") == checksums.crc32c(data[:-4])


def test_superblocks_have_their_checksum():
    content = hdf5(libver="latest")
    assert int.from_bytes(content[44:48], "little") == checksums.lookup3(content[:44])
    for data in changed("keras", content):
        if data[8] in (2, 3):
            assert int.from_bytes(data[44:48], "little") == checksums.lookup3(data[:44])


def test_checksums_are_those_of_their_sources():
    assert checksums.crc32c(b"123456789") == 0xE3069283
    assert checksums.lookup3(b"Four score and seven years ago") == 0x17770551
    assert checksums.lookup3(b"") == 0xDEADBEEF


def test_members_of_archives_are_changed_by_their_own_grammar():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", CONTENT["torch-distributed"])
    programs = set()
    for seed in SEEDS:
        data = restructured(file.getvalue(), (ZIP,), random.Random(seed))
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                programs.add(archive.read("a/data.pkl"))
        except (KeyError, zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError):
            continue
    assert len(programs) > 60


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "seed"
    folder.mkdir()
    for name in ("model.json", "shard1"):
        (folder / name).write_bytes(b"{}")
    (tmp_path / "outside").write_bytes(b"outside")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        b"rename\tshard1\t../gone",
        b"copy\t../outside\tx",
        b"drop\t../outside\tx",
        b"link\tmodel.json\tmodel.json\nlink\tshard1\tmodel.json\ncopy\tmodel.json\tx",
        b"drop\tno such\tx\nnonsense\nswap\tshard1",
        b"drop\tshard1\0\tx",
        b"drop\t\t",
    ],
)
def test_a_script_stays_inside_its_folder(folder, line):
    listing.perform(folder, line)
    assert (folder.parent / "outside").read_bytes() == b"outside"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["outside", "seed"]


def test_a_folder_is_whole_again_after_its_script(folder, tmp_path):
    copy = tmp_path / "copy" / "seed"
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    part = _parts.Listing(copy, ("model.json", "shard1"), copy / "model.json", folder)
    for seed in range(40):
        with part.damaged(listing.script(part.names, random.Random(seed))):
            assert _parts.script_of(copy).exists()
    assert sorted(path.name for path in copy.iterdir()) == ["model.json", "shard1"]
    assert not _parts.script_of(copy).exists()


def test_a_run_that_is_through_starts_no_process(tmp_path, monkeypatch):
    outcomes = np.memmap(tmp_path / "numpy.outcomes", _fuzzed.OUTCOME, "w+", shape=(3,))
    outcomes["status"], outcomes["peak"] = _fuzzed.READ, 2048
    outcomes.flush()
    monkeypatch.setattr(fuzz, "_finished", None)
    row = fuzz.row(tmp_path / "numpy", 3, "0:numpy")
    assert (row.inputs, row.read, row.peak_mb) == (3, 3, 2)
    assert fuzz.opened(tmp_path / "numpy.outcomes", 4)["status"].tolist() == [0, 0, 0, 0]


def test_a_process_that_is_slow_to_start_is_no_hang(monkeypatch):
    monkeypatch.setattr(fuzz, "PATIENCE", 0.1)
    outcomes = np.zeros(3, _fuzzed.OUTCOME)
    command = [sys.executable, "-c", "import time; time.sleep(1)"]
    assert fuzz._finished(command, outcomes)[0] == 0
    monkeypatch.setattr(fuzz, "PATIENCE_AT_START", 0.3)
    assert fuzz._finished(command, outcomes)[0] != 0


def test_a_process_that_ended_before_it_began_leaves_nothing_behind(folder):
    with pytest.raises(LookupError, match="no file in"):
        _parts.left_behind(folder.parent)
