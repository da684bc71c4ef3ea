"""Small files that stand for much more: each is refused within the memory and the time that docs promise.

All are opened, and read where they open, by one process, whose peak of memory is taken after each.
"""

import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import jfilters
from jfilters.errors import CheckpointError

h5py = pytest.importorskip("h5py")

MOST_MEGABYTES, MOST_SECONDS = 320, 30
LISTS = "[" + "[]," * 4_000_000 + "[]]"
ZARR = {
    "zarr_format": 2, "shape": [3, 3, 2, 2], "chunks": [3, 3, 2, 2], "dtype": "<f4",
    "compressor": None, "filters": None, "fill_value": 0.5, "order": "C",
}  # fmt: skip


def keras(path, config):
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["conv/vars/0"] = np.ones((3, 3, 2, 2), np.float32)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights.getvalue(), zipfile.ZIP_STORED)


def keras_lists(folder):
    keras(folder / "lists.keras", f'{{"a":{LISTS}}}')


def keras_names(folder):
    """Every layer repeats the names of all models around it."""
    body = '{"class_name":"A","config":{"z":1}}'
    siblings = ",".join(['{"class_name":"B","config":{}}'] * 2000)
    key = "y" * 100_000
    for _ in range(25):
        body = f'{{"class_name":"A","config":{{"{key}":{body},"l":[{siblings}]}}}}'
    keras(folder / "names.keras", f'{{"config":{{"{key}":{body}}}}}')


def keras_attribute(folder):
    with h5py.File(folder / "config.h5", "w", libver="latest") as file:
        file["conv/kernel:0"] = np.ones((3, 3, 2, 2), np.float32)
        file.attrs["model_config"] = f'{{"a":{LISTS}}}'


def hdf5_names(folder):
    """The same short name of a layer, millions of times."""
    with h5py.File(folder / "layers.h5", "w", libver="latest") as file:
        file["c/c/kernel:0"] = np.ones((3, 3, 2, 2), np.float32)
        file.attrs.create("layer_names", np.full(3_000_000, b"c", "S1"))
        file["c"].attrs.create("weight_names", np.full(4, b"c", "S1"))


def hdf5_deflate(folder):
    chunk = (3, 3, 256, 910)
    packed = zlib.compress(bytes(4 * 3 * 3 * 256 * 910), 9)
    with h5py.File(folder / "deflate.h5", "w") as file:
        shape = (3, 3, 256, 910 * 340)
        kernel = file.create_dataset("c/kernel:0", shape, "f4", chunks=chunk, compression="gzip")
        for index in range(340):
            kernel.id.write_direct_chunk((0, 0, 0, 910 * index), packed)


def orbax(folder, arrays, *, is_zarr3=False, file=".zarray"):
    """A checkpoint in plain folders; `arrays` are the descriptions of arrays by name."""
    tree = {
        f"('{name}',)": {
            "key_metadata": [{"key": name, "key_type": 2}],
            "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False},
        }
        for name in arrays
    }
    metadata = {"tree_metadata": tree, "use_ocdbt": False, "use_zarr3": is_zarr3}
    folder.mkdir()
    (folder / "_METADATA").write_text(json.dumps(metadata))
    for name, description in arrays.items():
        (folder / name).mkdir()
        (folder / name / file).write_text(description)


def orbax_tree(folder):
    orbax(folder / "tree", {})
    (folder / "tree/_METADATA").write_text(f'{{"tree_metadata":{{}},"a":{LISTS}}}')


def orbax_description(folder):
    orbax(folder / "description", {"kernel": json.dumps(ZARR)[:-1] + f',"a":{LISTS}}}'})


def orbax_zarr3(folder):
    text = f'{{"zarr_format":3,"attributes":{{"a":{LISTS}}}}}'
    orbax(folder / "zarr3", {"kernel": text}, is_zarr3=True, file="zarr.json")


def orbax_chunks(folder):
    """An array of 37 million chunks, none of which is there."""
    description = ZARR | {"shape": [3, 3, 2048, 2048], "chunks": [1, 1, 1, 1]}
    orbax(folder / "chunks", {"kernel": json.dumps(description)})


def orbax_fill(folder):
    description = json.dumps(ZARR | {"shape": [3, 3, 1024, 7000], "chunks": [3, 3, 1024, 7000]})
    orbax(folder / "fill", {f"l{index}.kernel": description for index in range(20)})


def repeated():
    import torch

    return torch.zeros(1).expand(900, 2048, 3, 3)


def torch_strides(folder):
    """Each of the tensors has less than what one alone may repeat."""
    torch = pytest.importorskip("torch")
    torch.save({f"l{index}.weight": repeated() for index in range(50)}, folder / "strides.pt")


def torch_storages(folder):
    """Overlapping parts of one storage, moved by one element each."""
    torch = pytest.importorskip("torch")
    base = torch.zeros(250_000)
    views = {
        f"l{shift}.weight": base[shift : shift + 200 * 130 * 9].view(200, 130, 3, 3)
        for shift in range(1000)
    }
    torch.save(views, folder / "storages.pt")


def torch_script(folder):
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for index in range(10):
                self.register_buffer(f"w{index}", repeated())

        def forward(self, x):
            return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Network(), torch.zeros(1)), folder / "script.pt")


def safetensors(path, names, head=""):
    entries = (
        f'"{name}":{{"dtype":"F32","shape":[1,1,3,3],"data_offsets":[{36 * i},{36 * i + 36}]}}'
        for i, name in enumerate(names)
    )
    text = f"{{{head}{','.join(entries)}}}".encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(36 * len(names)))


def names_of_many_parts(folder):
    safetensors(folder / "parts.safetensors", [f"{'m.' * 60}c{i}.weight" for i in range(20_000)])


def one_wide_character(folder):
    text = f'"__metadata__":{{"a":"{"x" * 60_000_000}\U0001f600"}},'
    safetensors(folder / "wide.safetensors", ["conv.weight"], text)


def varint(number):
    digits = []
    while number >= 128:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def block(entries):
    text = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    return text + struct.pack("<II", 0, 1) + bytes(5)


def tensorflow_handles(folder):
    """60,000 handles of an index that lead to one block of 4 MB."""
    data = block([(b"", bytes(4_000_000))])
    handle = varint(0) + varint(len(data) - 5)
    index = block([(b"%07d" % number, handle) for number in range(60_000)])
    footer = varint(0) * 2 + varint(len(data)) + varint(len(index) - 5)
    table = data + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    (folder / "handles.index").write_bytes(table)
    (folder / "handles.data-00000-of-00001").write_bytes(bytes(100))


BOMBS = {
    "lists.keras": (keras_lists, "elements of JSON"),
    "names.keras": (keras_names, "MB of memory"),
    "config.h5": (keras_attribute, "elements of JSON"),
    "layers.h5": (hdf5_names, "MB of memory"),
    "deflate.h5": (hdf5_deflate, "c/kernel:0: an array of 2,851,430,400 bytes from"),
    "tree": (orbax_tree, "elements of JSON"),
    "description": (orbax_description, "bytes describe the array"),
    "zarr3": (orbax_zarr3, "bytes describe the array"),
    "chunks": (orbax_chunks, "MB of memory"),
    "fill": (orbax_fill, "20 arrays of 5,160,960,000 bytes from"),
    "strides.pt": (torch_strides, "50 arrays of 3,317,760,000 bytes from"),
    "storages.pt": (torch_storages, "1,000 arrays of 936,000,000 bytes from"),
    "script.pt": (torch_script, "10 arrays of 663,552,000 bytes from"),
    "parts.safetensors": (names_of_many_parts, "MB of memory"),
    "wide.safetensors": (one_wide_character, "MB of memory"),
    "handles.index": (tensorflow_handles, "opening it takes more than"),
}
"""What builds each file, and what it is refused for."""

_CHILD = """
import json, resource, sys, time
import jfilters
import jfilters.converters._detect, h5py, tensorstore
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 10)
base = peak()
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        checkpoint = jfilters.open_checkpoint(path)
        for layer in checkpoint.layers: layer.read()
        message = f"{len(checkpoint.layers)} layers"
    except jfilters.CheckpointError as error:
        message = str(error)
    print(json.dumps([peak() - base, time.process_time() - start, message]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Growth of memory in MB, seconds and message, by the name of the file."""
    pytest.importorskip("tensorstore")
    folder = tmp_path_factory.mktemp("bombs")
    for make, _ in BOMBS.values():
        make(folder)
    command = [sys.executable, "-c", _CHILD, *(str(folder / name) for name in BOMBS)]
    root = str(Path(jfilters.__file__).parents[1])
    lines = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    ).stdout.splitlines()
    return dict(zip(BOMBS, map(json.loads, lines), strict=True))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_its_budget(outcomes, name):
    megabytes, seconds, message = outcomes[name]
    assert BOMBS[name][1] in message
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES


def test_time_ends_what_no_other_limit_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("JFILTERS_OPEN_SECONDS", "0.05")
    safetensors(tmp_path / "many.safetensors", [f"conv{i}.weight" for i in range(20_000)])
    with pytest.raises(CheckpointError, match=r"more than 0\.05 s .* set JFILTERS_OPEN_SECONDS"):
        jfilters.open_checkpoint(tmp_path / "many.safetensors", axes="OIHW")


def test_a_large_network_is_read(tmp_path):
    """Ten times the layers of the largest convolutional networks."""
    names = [f"stage{i // 100}.block{i % 100}.conv.weight" for i in range(10_000)]
    safetensors(tmp_path / "large.safetensors", names)
    checkpoint = jfilters.open_checkpoint(tmp_path / "large.safetensors", axes="OIHW")
    assert len(checkpoint.layers) + len(checkpoint.skipped) == 10_000


def test_strides_of_single_elements_do_not_tell_views_apart(tmp_path):
    """They could be chosen so that all views have one hash."""
    torch = pytest.importorskip("torch")
    base = torch.arange(9.0)
    views = {f"a{step}": base.as_strided((1, 1, 3, 3), (step, 1, 3, 1)) for step in (1, 1 << 40)}
    torch.save(views, tmp_path / "views.pt")
    checkpoint = jfilters.open_checkpoint(tmp_path / "views.pt")
    assert [array.reason for array in checkpoint.skipped] == ["the same storage as a1"]
