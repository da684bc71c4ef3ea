"""Kernel files: the layers of any checkpoint as uniform float32 weights, with their records.

They are plain safetensors or NumPy files, which other tools open, and every reader of checkpoints gives
back the same layers. One weight at a time is in memory.
"""

import io
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from .._files import Location, place, written_whole
from ..errors import CheckpointError, printable
from ._checkpoint import Checkpoint, StoredLayer
from ._layer_records import KERNEL_FILE, RECORDS, dump_records


def save_kernels(path: str | Location, source: Checkpoint) -> None:
    """Write the layers of a checkpoint as a kernel file, which appears whole or not at all.

    A kernel file is plain safetensors or NumPy, which other tools open. Weights are written as float32
    (out, in, *spatial), under the names of their layers; the records keep axes and dtype as originally
    stored. One weight at a time is in memory.

    **Arguments:**

    - `path`: ends in .safetensors or .npz, which says how to write; replaced if it exists.
    - `source`: any open checkpoint.

    **Raises:** ValueError for another suffix, CheckpointError if there is no layer or one cannot be read.

    >>> import tempfile
    >>> import numpy as np
    >>> from jfilters.converters import open_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/kernels.npy", np.ones((3, 3, 8, 16)))
    ...     checkpoint = open_checkpoint(f"{folder}/kernels.npy", axes="HWIO")
    ...     save_kernels(f"{folder}/net.npz", checkpoint)
    ...     open_checkpoint(f"{folder}/net.npz").layers[0].shape
    (16, 8, 3, 3)
    """
    path = place(path)
    write = _WRITERS.get(path.suffix)
    if write is None:
        raise ValueError(f"{path}: expected a name that ends in {' or '.join(_WRITERS)}")
    if not source.layers:
        remedy = "`jfilters inspect` says what it holds"
        raise CheckpointError("no convolution layer to write", path=source.path, remedy=remedy)
    with written_whole(path) as partial, open(partial, "wb") as file:
        write(file, source.layers)


def _write_safetensors(file: io.BufferedWriter, layers: Sequence[StoredLayer]) -> None:
    names = _array_names(layers)
    records = dump_records([layer.qualified for layer in layers], names)
    metadata = {"format": KERNEL_FILE, "jfilters": version("jfilters"), "layers": records}
    header: dict[str, object] = {"__metadata__": metadata}
    start = 0
    for name, layer in zip(names, layers, strict=True):
        stop = start + 4 * math.prod(layer.shape)
        header[name] = {"dtype": "F32", "shape": layer.shape, "data_offsets": (start, stop)}
        start = stop
    text = json.dumps(header).encode()
    # The format wants the data to start at a multiple of 8 bytes.
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for layer in layers:
        file.write(np.asarray(layer.read(), "<f4").data)


def _write_npz(file: io.BufferedWriter, layers: Sequence[StoredLayer]) -> None:
    names = _array_names(layers)
    records = dump_records([layer.qualified for layer in layers], names)
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, RECORDS, np.frombuffer(records.encode(), np.uint8))
        for name, layer in zip(names, layers, strict=True):
            _add(archive, name, layer.read())


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    # The size of a member is not known before it is written, and may exceed 2 GiB.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _array_names(layers: Sequence[StoredLayer]) -> list[str]:
    """The names of the layers, numbered where they would not do as names of arrays."""
    names = [printable(layer.qualified.name) for layer in layers]
    if len({*names, RECORDS, "__metadata__"}) == len(names) + 2:
        return names
    return [f"{index}.{name}" for index, name in enumerate(names)]


_WRITERS: dict[str, Callable[[io.BufferedWriter, Sequence[StoredLayer]], None]] = {
    ".safetensors": _write_safetensors,
    ".npz": _write_npz,
}
