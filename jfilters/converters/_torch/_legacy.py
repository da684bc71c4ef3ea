"""torch's files before 1.6: five pickles in a row, then the storages, each behind its length.

torch still writes them inside pickles that torch.save did not make, one for each storage. All
numbers are little-endian whatever machine wrote them.
"""

from ...errors import CheckpointError
from ...io import MAX_OPCODES, ByteSource, Cursor, PickledBytes, unpickle
from ._storage import Storage, dtype_of, persistent_storage

MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The first pickle of a file, without the two bytes of its protocol."""

_PROTOCOL = 1001
_COUNT_BYTES = 8
_NESTED_OPCODES = 200


class LegacyStorages:
    """The storages of one file, by key; each is known by the pickle that refers to it."""

    big_endian = False

    def __init__(self, source: ByteSource, start: int):
        self.base = start
        self._source = source
        self._widths: dict[str, int] = {}
        self._ranges: dict[str, tuple[int, int]] = {}
        self._storage = persistent_storage(self)

    def size(self, key: str) -> int:
        """The bytes of a storage."""
        return self._range(key)[1]

    def read(self, key: str, start: int, stop: int) -> memoryview:
        """The bytes start..stop of a storage."""
        base = self._range(key)[0]
        return self._source.read(base + start, base + stop)

    def persistent(self, identity: object) -> object:
        """The value of a persistent id; the width of a storage's elements is told nowhere else."""
        value = self._storage(identity)
        if isinstance(value, Storage):
            dtype = dtype_of(value.kind)
            if dtype is None:
                raise CheckpointError(f"storage {value.key} is of an unknown class")
            self._widths[value.key] = dtype.itemsize
        return value

    def locate(self, cursor: Cursor, keys: object) -> None:
        """Pass over the storages that follow the pickles, in the order of `keys`."""
        for key in keys if isinstance(keys, list) else [keys]:
            if not isinstance(key, str) or key not in self._widths:
                raise cursor.refusal("expected a list of the storages that the pickle refers to")
            count = self._source.read(start := cursor.skip(_COUNT_BYTES), start + _COUNT_BYTES)
            size = int.from_bytes(count, "little") * self._widths[key]
            self._ranges[key] = (cursor.skip(size), size)

    def _range(self, key: str) -> tuple[int, int]:
        if key not in self._ranges:
            raise CheckpointError(f"the file has no storage {key}", path=self._source.path)
        return self._ranges[key]


def read_legacy(
    source: ByteSource, start: int = 0, stop: int | None = None, most_opcodes: int = MAX_OPCODES
) -> object:
    """The value that the bytes start..stop of `source` hold, its storages located."""
    cursor, storages = Cursor(source, start, stop), LegacyStorages(source, start)

    def value() -> object:
        return unpickle(cursor, storages.persistent, most_opcodes)

    magic, protocol = value(), value()
    if magic != int.from_bytes(MAGIC[2:-1], "little") or protocol != _PROTOCOL:
        raise cursor.refusal(f"expected a torch file of protocol {_PROTOCOL}")
    value()  # The writer's byte order and type sizes, which the storages do not follow.
    saved, keys = value(), value()
    storages.locate(cursor, keys)
    return saved


def nested_storage(data: PickledBytes) -> Storage:
    """The storage that a pickle holds as a torch file of its own."""
    storage = read_legacy(data.source, data.start, data.stop, _NESTED_OPCODES)
    if not isinstance(storage, Storage):
        raise CheckpointError("expected a storage inside the pickle", path=data.source.path)
    return storage
