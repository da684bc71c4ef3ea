"""Every format that is not read is refused by its name and with a remedy, from bytes alone."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
import zlib

import h5py
import joblib
import msgpack
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jfilters import CheckpointError
from jfilters.converters import FORMATS, detect, open_checkpoint
from jfilters.converters.internal import promises_weights
from jfilters.errors import ForeignFormatError, UnknownFormatError

NOISE = np.random.default_rng(0).standard_normal(500).astype("f4").tobytes()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d4d\nsize 1234567\n"


def field(number, data):
    """A protobuf field of bytes."""
    out = b""
    for value in (number << 3 | 2, len(data)):
        while value > 0x7F:
            out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
        out += bytes([value])
    return out + data


def archive(kind, **members):
    """A zip or tar archive of members, a dot in whose names is written as two underscores."""
    stream = io.BytesIO()
    files = {name.replace("__", ".").replace("_in_", "/"): data for name, data in members.items()}
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as zipped:
            for name, data in files.items():
                zipped.writestr(name, data)
    else:
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, data in files.items():
                header = tarfile.TarInfo(name)
                header.size = len(data)
                tar.addfile(header, io.BytesIO(data))
    return stream.getvalue()


WEIGHTS = [
    ("m", b"\x38\0\0\0ET12" + bytes(600), "ExecuTorch", "state_dict"),
    ("m", b"\x38\0\0\0ET13" + bytes(600), "ExecuTorch", "state_dict"),
    ("m", b"\x2c\0\0\0PTMF" + bytes(600), "PyTorch Mobile", "state_dict"),
    ("m", b"\x30\0\0\0ORTM" + bytes(600), "ONNX Runtime", "ONNX file"),
    ("m", b"GGUF\3\0\0\0" + bytes(600), "GGUF", "gguf.dequantize"),
    ("m", b"lmgg" + bytes(600), "GGML", "converted from"),
    ("m", b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + bytes(600), "MATLAB", "savez"),
    ("m", b"ftrt" + bytes(600), "TensorRT", "ONNX"),
    ("m", b"RKNN" + bytes(600), "RKNN", "ONNX"),
    ("m", b"\x12\1" + bytes(600), "MXNet", "mxnet.nd.load"),
    ("m", b"\4\0\0\0\1\0\0\0\3\0\0\0V 1\r\0\0\0nn.Sequential", "Torch7", "torchfile"),
    ("m", b"\x08\5" + field(2, b"\n\5input") + field(500, bytes(999)), "Core ML", "converted from"),
    ("m", (field(1, b"VGG16") + field(100, field(1, b"conv1") + bytes(9))) * 2, "Caffe", "upgrade"),
    ("m", field(1, b"n") + field(2, field(2, b"w") + field(4, b"GivenTensorFill")), "Caffe2", "ONNX"),
    ("m", field(1, field(1, b"w") + field(2, b"\x08\3" + field(2, b"Float32"))), "MindSpore", "npz"),
    ("m", b"\x08\1" + field(2, field(1, b"root_uid") + field(2, b"x")), "CNTK", "ONNX"),
    ("m.json", json.dumps({"layers": {"conv2d_tf": {"weights": [0.5]}}}).encode(), "WebSR", "converted"),
    ("m.bin", POINTER, "Git LFS pointer to 1,234,567 bytes", "git lfs pull"),
    ("m.tflite", POINTER, "Git LFS pointer", "git lfs pull"),
    ("m.pth", b"\n<!DOCTYPE html><html><body>Sign in", "web page", "fetch it again"),
    ("m.pth", b"<html><body>not found", "web page", "fetch it again"),
    ("m.pt", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "says AccessDenied", "again"),
    ("m.bin", b'{"error": "Entry not found"}', 'says "Entry not found"', "fetch it again"),
    ("m", gzip.compress(b"\x80\2}q\0." + NOISE, mtime=0), "gzip", "gunzip"),
    ("m.pth.bz2", bz2.compress(NOISE), "bzip2", "bunzip2"),
    ("m.pth.xz", lzma.compress(NOISE), "xz", "unxz"),
    ("m.pth.zst", b"\x28\xb5\x2f\xfd" + NOISE, "zstd", "unzstd"),
    ("m.pth.lz4", b"\x04\x22\x4d\x18" + NOISE, "lz4", "unlz4"),
    ("m.pth.7z", b"7z\xbc\xaf\x27\x1c" + NOISE, "7z", "7z x"),
    ("m.pth.rar", b"Rar!\x1a\7" + NOISE, "rar", "unrar"),
    ("m", zlib.compress(b"\x80\2}q\0." + NOISE), "zlib-compressed, as joblib", "joblib.load"),
    ("m", archive("tar", a__pth=NOISE, notes__txt=b""), "tar archive with a.pth", "tar xf"),
    ("m", gzip.compress(archive("tar", a__pth=b"abc"), mtime=0), "gzip-compressed tar .* a.pth", "tar xf"),
    ("m", archive("zip", a__pth=NOISE, b__onnx=b""), "zip archive with a.pth, b.onnx", "unzip"),
    ("m", archive("zip", **{"MAR-INF_in_MANIFEST__json": b"{}"}), "TorchServe", "state_dict"),
    ("m.weights", NOISE, "probably weights of Darknet", "put its .cfg"),
    ("m.mlmodel", NOISE, "probably a Core ML", "converted from"),
    ("m.t7", NOISE, "probably a file of Torch7", "npz"),
]  # fmt: skip


# Bytes make unreadable names, and different ones in every process.
@pytest.mark.parametrize(
    ("name", "data", "words", "remedy"), WEIGHTS, ids=[f"{row[0]}-{row[2]}" for row in WEIGHTS]
)
def test_weights_in_a_format_that_is_not_read_are_refused_by_name(
    tmp_path, name, data, words, remedy
):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ForeignFormatError, match=rf"{words}.*; .*{remedy}") as caught:
        open_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.status == "refused"


OTHERS = [
    ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(600), "a PNG image"),
    ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(600), "a JPEG image"),
    ("a.pdf", b"%PDF-1.7" + bytes(600), "a PDF document"),
    ("a.so", b"\x7fELF" + bytes(600), "ELF"),
    ("a.exe", b"MZ\x90\0" + bytes(600), "PE"),
    ("a.parquet", b"PAR1" + bytes(600), "Parquet"),
    ("a.db", b"SQLite format 3\0" + bytes(600), "SQLite"),
    ("a.rds", gzip.compress(b"X\n\0\0\0\3" + bytes(600), mtime=0), "gzip"),
    ("a.py", b"import torch\n\nprint(torch)\n", "Python source"),
    ("a.csv", b"name,loss,epoch\na,1,2\nb,3,4\n", "a table as text"),
    ("a.md", b"# A model\n\nIt is good.\n", "a text that starts with '# A model"),
    ("a.json", b'{"model_type": "resnet", "depths": [2, 2]}', "a JSON document"),
    ("a.json", b'{"class_name": "Functional", "config": {}}', "the configuration of a Keras model"),
    ("a.param", b"7767517\n3 3\npnnx.Input data 0 1 0\n", "the description of a PNNX model"),
    ("a.xml", b'<?xml version="1.0"?>\n<settings name="x" version="11">\n', "an XML document"),
    ("a.cfg", b"[net]\nbatch=1\n[convolutional]\n", "Darknet network, without weights"),
    ("a.prototxt", b'name: "VGG16"\nlayer { name: "a" }\n', "a Caffe network as text"),
    ("checkpoint", b'model_checkpoint_path: "model.ckpt-10"\n', "a list of TensorFlow checkpoints"),
    ("m.data-00000-of-00001", NOISE, "probably the data of a TensorFlow checkpoint"),
    ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0), "gzip"),
    ("a.tar", archive("tar", notes__txt=b"abc"), "a tar archive with notes.txt"),
    ("a.zip", archive("zip", notes__txt=b"abc"), "a zip archive with notes.txt"),
    ("a.png", POINTER, "a Git LFS pointer"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "words"), OTHERS, ids=[row[0] for row in OTHERS])
def test_files_without_weights_are_named_and_ignored(tmp_path, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UnknownFormatError, match=words):
        detect(path)


def test_sentencepiece_is_no_graph(tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(50 * field(1, field(1, b"<unk>") + b"\x15\0\0\0\0\x18\x02"))
    with pytest.raises(UnknownFormatError, match="no known format"):
        detect(path)


@pytest.mark.parametrize(
    ("beside", "words"), [("n.param", "an ncnn model"), ("n.xml", "an OpenVINO model")]
)
def test_what_lies_beside_tells_of_bytes_without_magic(tmp_path, beside, words):
    (tmp_path / "n.bin").write_bytes(NOISE)
    with pytest.raises(UnknownFormatError, match="2000 bytes of no known format"):
        detect(tmp_path / "n.bin")
    (tmp_path / beside).touch()
    with pytest.raises(ForeignFormatError, match=f"probably the weights of {words}"):
        detect(tmp_path / "n.bin")


@pytest.mark.parametrize("version", ["4", "5"])
def test_files_of_matlab(tmp_path, version):
    path = tmp_path / "m.mat"
    scipy.io.savemat(
        path, {"w": np.zeros((3, 3, 4, 8)) if version == "5" else np.eye(3)}, format=version
    )
    with pytest.raises(ForeignFormatError, match=rf"MATLAB {version}.*; .*npz|savez"):
        detect(path)


def test_the_line_that_converts_a_network_of_matconvnet_does_so(tmp_path, monkeypatch):
    kernel = np.random.default_rng(0).standard_normal((3, 3, 4, 8)).astype("f4")
    bias = np.zeros((8, 1), "f4")
    layers = [
        {"name": "conv1", "type": "conv", "weights": np.array([kernel, bias], dtype=object)},
        {"name": "relu1", "type": "relu"},
    ]
    scipy.io.savemat(tmp_path / "net.mat", {"layers": np.array(layers, dtype=object)})
    with pytest.raises(ForeignFormatError) as caught:
        detect(tmp_path / "net.mat")
    _, _, line = str(caught.value.remedy).partition("MatConvNet: ")
    monkeypatch.chdir(tmp_path)
    program = f"import numpy, scipy.io\n{line}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    (layer,) = open_checkpoint(tmp_path / "net.npz").layers
    np.testing.assert_array_equal(layer.read(), kernel.transpose(3, 2, 0, 1))


def test_matlab_7_3_is_hdf5_with_reversed_axes(tmp_path):
    path = tmp_path / "m.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["w"] = np.zeros((8, 4, 3, 3), "f4")
    data = path.read_bytes()
    block = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
    path.write_bytes(block.ljust(512, b"\0") + data[512:])
    with pytest.raises(ForeignFormatError, match=r"MATLAB 7\.3"):
        open_checkpoint(path)


@pytest.mark.parametrize("compress", [0, 3])
def test_files_of_joblib(tmp_path, compress):
    joblib.dump({"w": np.ones((8, 3, 3, 3), "f4")}, tmp_path / "m", compress=compress)
    with pytest.raises(CheckpointError, match=r"joblib.*; .*joblib.*numpy.savez"):
        open_checkpoint(tmp_path / "m")


def distributed(folder):
    """A folder of torch.distributed.checkpoint."""
    (folder / ".metadata").write_bytes(b"\x80\2}q\0.")
    (folder / "__0_0.distcp").write_bytes(NOISE)


def universal(folder):
    (folder / "zero" / "conv.weight").mkdir(parents=True)
    (folder / "zero" / "conv.weight" / "fp32.pt").write_bytes(NOISE)


def megatron(folder):
    for rank in range(2):
        (folder / f"mp_rank_{rank:02}").mkdir()


def t5x(folder):
    tree = {"version": 3, "optimizer": {"target": {"w": "PLACEHOLDER://target.w"}}}
    (folder / "checkpoint").write_bytes(msgpack.packb(tree))


def saved_model(folder):
    (folder / "saved_model.pbtxt").write_text("saved_model_schema_version: 1")
    (folder / "variables").mkdir()


def core_ml(folder):
    (folder / "Data").mkdir()
    (folder / "Manifest.json").write_text("{}")


def shards(folder):
    for rank in (1, 2):
        (folder / f"shard-{rank:05}-model-00001-of-00001.safetensors").write_bytes(NOISE)


FOLDERS = [
    (shards, "distributed checkpoint .* safetensors", "consolidate_safetensors_files"),
    (universal, "universal checkpoint of DeepSpeed", r"zero_to_fp32\.py"),
    (megatron, "model-parallel ranks, as Megatron", "merge"),
    (t5x, "T5X", "Orbax"),
    (saved_model, "SavedModel as text", "save it again"),
    (core_ml, "Core ML", "get_weights_metadata"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "words", "remedy"), FOLDERS)
def test_folders_that_are_one_checkpoint_are_refused_by_name(tmp_path, build, words, remedy):
    build(tmp_path)
    with pytest.raises(ForeignFormatError, match=rf"{words}.*; .*{remedy}"):
        detect(tmp_path)


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp"])
def test_a_part_of_a_folder_is_refused_as_such(tmp_path, name):
    distributed(tmp_path)
    words = r"a part of a distributed checkpoint of torch \(DCP\); give its folder"
    with pytest.raises(ForeignFormatError, match=words):
        open_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "words"),
    [("PLACEHOLDER://w", "T5X"), ("//GDAPlaceholder:w", "Flax checkpoint of several processes")],
)
def test_a_msgpack_file_whose_arrays_lie_elsewhere(tmp_path, text, words):
    path = tmp_path / "checkpoint"
    path.write_bytes(msgpack.packb({"a": {"b": [1, text]}}))
    with pytest.raises(ForeignFormatError, match=words):
        open_checkpoint(path)


def test_a_zero_folder_with_a_file_of_all_weights_among_others_names_it(tmp_path):
    for name in (
        "mp_rank_00_model_states.pt",
        "zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "b.pth",
    ):
        (tmp_path / name).write_bytes(NOISE)
    with pytest.raises(UnknownFormatError, match=r"give mp_rank_00_model_states\.pt, which holds"):
        detect(tmp_path)


def test_a_folder_of_flax_steps_says_which_paths_to_give(tmp_path):
    for step in (10, 9):
        (tmp_path / f"checkpoint_{step}").write_bytes(msgpack.packb({"params": {}}))
    words = (
        r"a folder of 2 steps, checkpoint_9, checkpoint_10; give checkpoint_10 in it, or scan it"
    )
    with pytest.raises(UnknownFormatError, match=words):
        detect(tmp_path)


def test_a_folder_names_the_checkpoints_that_it_holds(tmp_path):
    np.save(tmp_path / "w.npy", np.zeros((4, 2, 3, 3), "f4"))
    (tmp_path / "README.md").write_text("# A model\n\nIt is good.\n")
    with pytest.raises(UnknownFormatError, match=r"a folder that holds w\.npy; give w\.npy in it"):
        detect(tmp_path)


def test_a_folder_of_foreign_files_names_the_first(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(600))
    with pytest.raises(UnknownFormatError, match=r"a folder with x\.gguf, a GGUF file"):
        detect(tmp_path)


def test_a_zarr_array_alone_is_named(tmp_path):
    (tmp_path / ".zarray").write_text("{}")
    with pytest.raises(UnknownFormatError, match="a zarr array or group"):
        detect(tmp_path)


def test_all_formats_promise_weights_by_their_suffixes():
    suffixes = {suffix for format in FORMATS.values() for suffix in format.suffixes}
    descriptions = {suffix for suffix in suffixes if "json" in suffix} | {".param", ".xml", ".cfg"}
    assert all(promises_weights(f"x{suffix}") for suffix in suffixes - descriptions)
    assert promises_weights("X.PTH.gz")
    assert not promises_weights("README.md")


MAGICS = [data[:16] for _, data, *_ in [*WEIGHTS, *OTHERS]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MAGICS), st.binary(max_size=600))
def test_hostile_bytes_behind_any_magic_are_an_error(tmp_path, magic, data):
    path = tmp_path / "hostile"
    path.write_bytes(magic + data)
    with pytest.raises(CheckpointError, match="hostile"):
        open_checkpoint(path)


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a": ' + b"9" * 100_000 + b"}", b'{"a' * 99])
def test_hostile_json_is_a_json_document(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(UnknownFormatError, match="a JSON document"):
        detect(tmp_path / "x")


def test_a_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "x.pth.gz").write_bytes(gzip.compress(bytes(1 << 26)))
    with pytest.raises(ForeignFormatError, match="gzip"):
        detect(tmp_path / "x.pth.gz")


@pytest.mark.parametrize("size", range(16))
def test_a_few_bytes_are_of_no_format(tmp_path, size):
    (tmp_path / "x.safetensors").write_bytes(bytes(size))
    with pytest.raises(UnknownFormatError, match=r"byte|empty"):
        open_checkpoint(tmp_path / "x.safetensors")
