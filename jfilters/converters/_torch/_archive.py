"""torch's zip files: torch.save since 1.6, Lightning, and TorchScript archives.

One folder inside the archive holds data.pkl, and one member for each storage beside it.
"""

import dataclasses

from ...errors import CheckpointError
from ...io import ByteSource, Cursor, Location, ZipArchive, unpickle
from .._foreign import is_exported_program
from .._stored import StoredArray
from ._storage import persistent_storage
from ._walk import arrays_of, walk

_PICKLES = ("/data.pkl", "/constants.pkl")
_OLD_SCRIPT = "/model.json"
_LOCAL_HEADER = 30
_CONSTANT = "a constant of the TorchScript code, as freezing a module makes of a weight"


def is_torch_archive(source: ByteSource, head: bytes) -> bool:
    """Return whether a zip file is torch's, as far as its directory, or its first member, tells."""
    # torch.save writes data.pkl first: a file that was cut off is still known for what it is.
    if any(name.encode() in head[_LOCAL_HEADER:] for name in _PICKLES):
        return True
    try:
        names = ZipArchive(source).members
    except CheckpointError:
        return False
    return not is_exported_program(names) and any(
        name.endswith((*_PICKLES, _OLD_SCRIPT)) for name in names
    )


def archive_arrays(source: ByteSource) -> list[StoredArray]:
    """The arrays of a torch zip file."""
    archive = ZipArchive(source)
    folder = _pickle_member(archive, source.path).removesuffix("data.pkl")
    arrays = arrays_of(_value(archive, folder, "data"), source.path)
    if f"{folder}constants.pkl" not in archive.members:
        return arrays
    constants = walk(_value(archive, folder, "constants"), source.path)
    _check_not_frozen(arrays, constants, source.path)
    return arrays + [_constant(array) for array in constants]


def _value(archive: ZipArchive, folder: str, name: str) -> object:
    """The value of the pickle `name`, whose storages lie in the folder of that name."""
    member = f"{folder}{name}.pkl"
    archive.check(member)
    start = archive.start(member)
    cursor = Cursor(archive.source, start, start + archive.size(member))
    return unpickle(cursor, persistent_storage(_Members(archive, folder, name)))


def _check_not_frozen(
    arrays: list[StoredArray], constants: list[StoredArray], path: Location
) -> None:
    """Refuse a module that keeps no weights but in its code, where their names and axes are lost."""
    if any(map(_may_be_weight, constants)) and not any(map(_may_be_weight, arrays)):
        reason = "a TorchScript module, frozen or traced, whose weights are nameless constants of its code"
        remedy = "save the module as it was before torch.jit.freeze, or its state_dict"
        raise CheckpointError(reason, path=path, remedy=remedy)


def _may_be_weight(array: StoredArray) -> bool:
    is_float = array.dtype.startswith(("float", "bfloat"))
    return 3 <= len(array.shape) <= 5 and array.shape[0] > 1 and is_float and not array.reason


def _constant(array: StoredArray) -> StoredArray:
    name, unread = f"CONSTANTS.c{array.name}", _may_be_weight(array)
    return dataclasses.replace(array, name=name, reason=array.reason or _CONSTANT, unread=unread)


class _Members:
    """The storages of an archive: members of the folder that is named as their pickle."""

    base = 0

    def __init__(self, archive: ZipArchive, folder: str, name: str):
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
