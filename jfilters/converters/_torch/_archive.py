"""torch's zip files: torch.save since 1.6, Lightning, and TorchScript archives.

One folder inside the archive holds data.pkl, and one member for each storage beside it.
"""

from ...errors import CheckpointError
from .._bytes import Archive, ByteSource, Cursor, Location
from .._pickle import unpickle
from .._stored import StoredArray
from ._storage import persistent_storage
from ._walk import walk

_PICKLES = ("/data.pkl", "/constants.pkl")
_OLD_SCRIPT = "/model.json"
_LOCAL_HEADER = 30


def is_torch_archive(source: ByteSource, head: bytes) -> bool:
    """Whether a zip file is torch's, as far as its directory, or its first member, tells."""
    # torch.save writes data.pkl first: a file that was cut off is still known for what it is.
    if any(name.encode() in head[_LOCAL_HEADER:] for name in _PICKLES):
        return True
    try:
        names = Archive(source).members
    except CheckpointError:
        return False
    return any(name.endswith((*_PICKLES, _OLD_SCRIPT)) for name in names)


def archive_arrays(source: ByteSource) -> list[StoredArray]:
    """The arrays of a torch zip file."""
    archive = Archive(source)
    member = _pickle_member(archive, source.path)
    storages = _Members(archive, member.removesuffix("data.pkl"))
    archive.check(member)
    start = archive.start(member)
    cursor = Cursor(source, start, start + archive.size(member))
    return walk(unpickle(cursor, persistent_storage(storages)), source.path)


class _Members:
    """The storages of an archive: members of the folder data/ beside data.pkl."""

    base = 0

    def __init__(self, archive: Archive, folder: str):
        self._archive, self._folder = archive, folder
        self.big_endian = self._byte_order() == b"big"

    def size(self, key: str) -> int:
        """The bytes of a storage."""
        return self._archive.size(f"{self._folder}data/{key}")

    def read(self, key: str, start: int, stop: int) -> memoryview:
        """The bytes start..stop of a storage."""
        base = self._archive.start(f"{self._folder}data/{key}")
        return self._archive.source.read(base + start, base + stop)

    def _byte_order(self) -> bytes:
        name = f"{self._folder}byteorder"
        if name not in self._archive.members:
            return b"little"
        start, size = self._archive.start(name), self._archive.size(name)
        return bytes(self._archive.source.read(start, start + min(size, 16))).strip()


def _pickle_member(archive: Archive, path: Location) -> str:
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
