"""torch's zip files: torch.save since 1.6, Lightning, and TorchScript archives.

One folder inside the archive holds data.pkl, and one member for each storage beside it.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from ...errors import CheckpointError
from ...io import ByteSource, Cursor, Location, SourceRange, ZipArchive, unpickle
from .._axes import for_rank
from .._stored import StoredArray
from ._script import Code, ConstantUse, code_of
from ._storage import persistent_storage
from ._walk import MAX_ARRAYS, arrays_of, walk

_PICKLES = ("/data.pkl", "/constants.pkl")
_OLD_SCRIPT = "/model.json"
_EXPORTED = ("/archive_format", "serialized_exported_program.json")
_LOCAL_HEADER = 30
_CONSTANT = "a constant of the TorchScript code that no convolution applies"
_COMPUTED = "a constant from which the TorchScript code may compute the weight of a convolution"
_NOTE = "a constant of frozen code: its name is lost, and its depth is the order in the code"
_PACKED = "packed for oneDNN by optimize_for_inference: the file does not hold its weight"


def is_torch_archive(source: ByteSource, head: bytes) -> bool:
    """Return whether a zip file is torch's, as far as its directory, or its first member, tells."""
    # torch.save writes data.pkl first: a file that was cut off is still known for what it is.
    if any(name.encode() in head[_LOCAL_HEADER:] for name in _PICKLES):
        return True
    try:
        names = ZipArchive(source).members
    except CheckpointError:
        return False
    is_exported = any(name.endswith(_EXPORTED) for name in names)
    return not is_exported and any(name.endswith((*_PICKLES, _OLD_SCRIPT)) for name in names)


def archive_arrays(source: ByteSource) -> list[StoredArray]:
    """The arrays of a torch zip file."""
    archive = ZipArchive(source)
    folder = _pickle_member(archive, source.path).removesuffix("data.pkl")
    arrays = arrays_of(_value(archive, folder, "data"), source.path)
    if f"{folder}constants.pkl" not in archive.members:
        return arrays
    constants = walk(_value(archive, folder, "constants"), source.path)
    if arrays and not constants:
        return arrays
    return [*arrays, *_constants(constants, code_of(archive, folder))]


def archive_value(source: ByteSource) -> object:
    """The value of the one data.pkl of a torch zip file."""
    archive = ZipArchive(source)
    return _value(archive, _pickle_member(archive, source.path).removesuffix("data.pkl"), "data")


def _value(archive: ZipArchive, folder: str, name: str) -> object:
    """The value of the pickle `name`, whose storages lie in the folder of that name."""
    member = f"{folder}{name}.pkl"
    archive.check(member)
    start = archive.start(member)
    cursor = Cursor(archive.source, start, start + archive.size(member))
    return unpickle(cursor, persistent_storage(_Members(archive, folder, name)))


def _constants(constants: list[StoredArray], code: Code) -> Iterator[StoredArray]:
    """The constants of TorchScript's code: those that it convolves with as weights, as they run."""
    by_number = {array.name: array for array in constants}
    weights: dict[str, StoredArray] = {}
    for use in code.uses:
        name = str(use.constant)
        if name in by_number and name not in weights:
            weights[name] = _weight(by_number[name], use)
    yield from weights.values()
    for name, array in by_number.items():
        if name not in weights:
            yield _constant(array, is_open=code.computed > 0)
    for number in range(min(code.packed, MAX_ARRAYS)):
        yield _packed(number)


def _weight(array: StoredArray, use: ConstantUse) -> StoredArray:
    rank = len(array.shape)
    return dataclasses.replace(
        array,
        name=_named(array),
        axes=for_rank("IOHW" if use.transposed else "OIHW", rank) if 3 <= rank <= 5 else None,
        groups=use.groups,
        transposed=use.transposed,
        note=_NOTE,
        unread=array.reason is not None,
    )


def _constant(array: StoredArray, is_open: bool) -> StoredArray:
    """A constant that no convolution applies as it is; `is_open` if one computes its weight from some."""
    unread = is_open and _may_be_weight(array)
    reason = array.reason or (_COMPUTED if unread else _CONSTANT if len(array.shape) > 2 else None)
    return dataclasses.replace(array, name=_named(array), reason=reason, unread=unread)


def _packed(number: int) -> StoredArray:
    def read() -> np.ndarray:
        raise CheckpointError(_PACKED)

    return StoredArray(f"mkldnn_convolution.{number}", (), "", read, reason=_PACKED, unread=True)


def _named(array: StoredArray) -> str:
    return f"CONSTANTS.c{array.name}"


def _may_be_weight(array: StoredArray) -> bool:
    is_float = array.dtype.startswith(("float", "bfloat"))
    return 3 <= len(array.shape) <= 5 and array.shape[0] > 1 and is_float and not array.reason


class _Members:
    """The storages of an archive: members of the folder that is named as their pickle."""

    def __init__(self, archive: ZipArchive, folder: str, name: str):
        # Archives inside one file number their storages alike.
        self.base = archive.source.start if isinstance(archive.source, SourceRange) else 0
        self._archive, self._folder, self._name = archive, folder, name
        self.big_endian = self._byte_order() == b"big"

    def size(self, key: str) -> int:
        """The bytes of a storage."""
        return self._archive.size(f"{self._folder}{self._name}/{key}")

    def read(self, key: str, start: int, stop: int) -> memoryview:
        """The bytes start..stop of a storage."""
        base = self._archive.start(f"{self._folder}{self._name}/{key}")
        return self._archive.source.read(base + start, base + stop)

    def _byte_order(self) -> bytes:
        name = f"{self._folder}byteorder"
        if name not in self._archive.members:
            return b"little"
        start, size = self._archive.start(name), self._archive.size(name)
        return bytes(self._archive.source.read(start, start + min(size, 16))).strip()


def _pickle_member(archive: ZipArchive, path: Location) -> str:
    names = [name for name in archive.members if name.endswith("/data.pkl")]
    if len(names) == 1:
        return names[0]
    if names:
        raise CheckpointError(f"expected one data.pkl, found {len(names)}", path=path)
    if any(name.endswith(_OLD_SCRIPT) for name in archive.members):
        reason = "a TorchScript archive of torch 1.0 to 1.3, with model.json instead of data.pkl"
        remedy = "load it with torch.jit.load and save its state_dict"
        raise CheckpointError(reason, path=path, remedy=remedy)
    raise CheckpointError("the archive has no data.pkl", path=path)
