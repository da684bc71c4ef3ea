"""Checkpoints in several files with an index: one network, whatever the format of the files."""

import json
import re

import flax.serialization
import h5py
import numpy as np
import pytest
import safetensors.numpy
import torch

from jfilters import CheckpointError
from jfilters.converters import FORMATS, detect, open_checkpoint
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import UnknownFormatError


def kernels():
    rng = np.random.default_rng(0)
    return {f"conv{i}": rng.standard_normal((8, 4, 3, 3)).astype("f4") for i in range(4)}


def hwio(kernel):
    return kernel.transpose(2, 3, 1, 0)


def write_safetensors(path, part):
    weights = {f"{name}.weight": kernel for name, kernel in part.items()}
    safetensors.numpy.save_file(weights, path, {"format": "pt"})
    return list(weights)


def write_torch(path, part):
    weights = {f"{name}.weight": torch.tensor(kernel) for name, kernel in part.items()}
    torch.save(weights, path)
    return list(weights)


def write_flax(path, part):
    tree = {"params": {name: {"kernel": hwio(kernel)} for name, kernel in part.items()}}
    path.write_bytes(flax.serialization.msgpack_serialize(tree))
    return [f"params/{name}/kernel" for name in part]


def write_keras(path, part):
    with h5py.File(path, "w") as file:
        for name, kernel in part.items():
            file[f"layers/conv2d_{name[4:]}/vars/0"] = hwio(kernel)
    return [f"/layers/conv2d_{name[4:]}/vars" for name in part]


def write_tensorflow(path, part):
    with h5py.File(path, "w") as file:
        for name, kernel in part.items():
            file[f"net/{name}/kernel:0"] = hwio(kernel)
    return [f"net/{name}/kernel:0" for name in part]


WRITERS = {
    "safetensors": (write_safetensors, "model{}.safetensors", "model.safetensors.index.json"),
    "torch": (write_torch, "pytorch_model{}.bin", "pytorch_model.bin.index.json"),
    "flax": (write_flax, "flax_model{}.msgpack", "flax_model.msgpack.index.json"),
    "keras": (write_keras, "m{}.weights.h5", "m.weights.json"),
    "tensorflow": (write_tensorflow, "tf_model{}.h5", "tf_model.h5.index.json"),
}


def save(folder, kind, prefix=""):
    """A network in two shards of a kind; its index."""
    write, shard, index = WRITERS[kind]
    folder.mkdir(exist_ok=True)
    items, weight_map = list(kernels().items()), {}
    for number in (1, 2):
        name = prefix + shard.format(f"-{number:05}-of-00002")
        part = dict(items[2 * number - 2 : 2 * number])
        weight_map |= dict.fromkeys(write(folder / name, part), name)
    if kind == "keras":
        weight_map = {name: [shard] for name, shard in weight_map.items()}
    path = folder / (prefix + index)
    path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return path


def changed(index, **changes):
    content = json.loads(index.read_text())
    content["weight_map"] |= changes
    index.write_text(json.dumps(content))


@pytest.fixture(params=WRITERS)
def index(request, tmp_path):
    return save(tmp_path / "in", request.param)


def name_of(index):
    return next(kind for kind, (*_, name) in WRITERS.items() if name == index.name)


def test_the_index_and_its_folder_are_one_checkpoint(index):
    for path in (index, index.parent):
        checkpoint = open_checkpoint(path)
        assert checkpoint.format == {"tensorflow": "keras"}.get(name_of(index), name_of(index))
        weights = [layer.read() for layer in checkpoint.layers]
        for weight, kernel in zip(weights, kernels().values(), strict=True):
            np.testing.assert_array_equal(weight, kernel)


def test_the_shards_are_companions_of_the_index(index):
    shards = sorted(path.name for path in index.parent.iterdir() if path != index)
    assert [path.name for path in open_checkpoint(index).companions] == shards


def test_a_scan_finds_one_model(index):
    found = measure_checkpoints(index.parent)
    assert [(entry.status, len(entry.layers)) for entry in found.entries] == [("ok", 4)]


def test_a_missing_shard_is_refused_by_name(index):
    shard = next(path for path in sorted(index.parent.iterdir()) if "00002-of" in path.name)
    shard.unlink()
    for path in (index, index.parent):
        with pytest.raises(CheckpointError, match=rf"the shard {shard.name} is missing; fetch all"):
            open_checkpoint(path)
    (entry,) = measure_checkpoints(index.parent).entries
    assert entry.status == "refused"


@pytest.mark.parametrize(
    "shard", ["../m", "/etc/passwd", "..", "", "a/b", "C:x", "https://x.org/m"]
)
def test_a_shard_elsewhere_is_refused(index, shard):
    changed(index, extra=shard)
    with pytest.raises(CheckpointError, match="expected the name of a file beside the index"):
        open_checkpoint(index)


def test_an_array_missing_from_its_shard_is_refused(index):
    shard = next(path.name for path in sorted(index.parent.iterdir()) if "00001-of" in path.name)
    changed(index, **{"conv9/kernel": shard})
    words = rf"conv9/kernel: expected it in {shard}, found it in no shard"
    with pytest.raises(CheckpointError, match=re.escape(words)):
        open_checkpoint(index)


def test_an_array_in_two_shards_is_refused(index):
    first, second = sorted(path for path in index.parent.iterdir() if path != index)
    second.write_bytes(first.read_bytes())
    with pytest.raises(CheckpointError, match="stored in two shards"):
        open_checkpoint(index)


def test_shards_that_are_pointers_say_so(index):
    for path in index.parent.iterdir():
        if path != index:
            path.write_text("version https://git-lfs.github.com/spec/v1\nsize 99\n")
    with pytest.raises(CheckpointError, match=r"00001-of-00002.*: a Git LFS pointer to 99 bytes"):
        open_checkpoint(index.parent)


@pytest.mark.parametrize("text", ['{"metadata": {}, "weight_map": {"a": ', '{"weight_map": [NaN]}'])
def test_a_damaged_index_is_refused(index, text):
    index.write_text(text)
    with pytest.raises(CheckpointError, match="no valid JSON"):
        open_checkpoint(index)


def test_an_index_of_no_format_that_is_read(tmp_path):
    path = tmp_path / "x.json"
    (tmp_path / "a.xyz").write_bytes(bytes(600))
    path.write_text('{"weight_map": {"a": "a.xyz"}}')
    with pytest.raises(UnknownFormatError, match="an index of shards"):
        detect(path)


def test_one_network_in_two_formats_is_read_once_and_says_so(tmp_path):
    save(tmp_path / "in", "torch")
    index = save(tmp_path / "in", "safetensors")
    for path in (tmp_path / "in", index):
        checkpoint = open_checkpoint(path)
        assert checkpoint.format == "safetensors"
        (copy,) = checkpoint.skipped
        assert copy.name == "pytorch_model.bin.index.json"
        assert copy.reason == "the same network in another format, not read"
    (entry,) = measure_checkpoints(tmp_path / "in").entries
    assert len(entry.layers) == 4


def test_indexes_of_several_networks_need_a_choice(tmp_path):
    save(tmp_path / "in", "keras", "a_")
    save(tmp_path / "in", "keras", "b_")
    with pytest.raises(CheckpointError, match=r"several indexes: a_m\.weights\.json, b_m\."):
        open_checkpoint(tmp_path / "in")
    models = [entry.model for entry in measure_checkpoints(tmp_path / "in").entries]
    assert models == ["a_m.weights.json", "b_m.weights.json"]


def test_a_file_beside_an_index_does_not_vanish(index):
    write_safetensors(index.parent / "other.safetensors", kernels())
    (left_out,) = open_checkpoint(index.parent).skipped
    assert left_out.name == "other.safetensors"
    assert "give it by itself" in left_out.reason
    models = [entry.model for entry in measure_checkpoints(index.parent).entries]
    assert sorted(models) == sorted([index.name, "other.safetensors"])


def test_other_json_is_no_index(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text('{"version": "1.0", "metadata": {}}')
    assert not any(format.recognizes(path, path.read_bytes()) for format in FORMATS.values())
