"""torch checkpoints without torch: of torch.save in any version, TorchScript, pickles of arrays.

Nothing in a file is imported or run, and so files can be read that torch.load(weights_only=True)
refuses: whole pickled modules, Lightning checkpoints, objects of frameworks that are not installed.
"""

import struct

from ...errors import CheckpointError
from ...io import ByteSource, Cursor, Location, open_source, unpickle
from .._format import Format
from .._shards import with_shards
from .._stored import StoredArray
from ._archive import archive_arrays, is_torch_archive
from ._legacy import MAGIC, read_legacy
from ._walk import arrays_of

_ZIP = b"PK\x03\x04"
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_TAR = b"ustar"
_TAR_MEMBERS = (b"sys_info\0", b"pickle\0", b"storages\0", b"tensors\0")
_JOBLIB, _PEEK = b"joblib.numpy_pickle", 1 << 16
_LARGEST_HEADER = 100_000_000


def _recognizes(path: Location, head: bytes) -> bool:
    if head.startswith(_ZIP):
        try:
            return is_torch_archive(open_source(path), head)
        except CheckpointError:
            return False
    return _is_tar(head) or (head.startswith(_PICKLES) and not _is_safetensors(head))


def _arrays(path: Location) -> list[StoredArray]:
    source = open_source(path)
    try:
        return _read(source, bytes(source.read(0, 512)))
    except CheckpointError as error:
        if error.path:
            raise
        raise CheckpointError(error.reason, path=path, remedy=error.remedy) from error


def _read(source: ByteSource, head: bytes) -> list[StoredArray]:
    if head.startswith(_ZIP):
        return archive_arrays(source)
    if _is_tar(head):
        remedy = "load it with torch 0.4 to 2.x and save it again"
        raise CheckpointError("a tar file of torch 0.1", path=source.path, remedy=remedy)
    if head[2:].startswith(MAGIC):
        return arrays_of(read_legacy(source), source.path)
    try:
        return arrays_of(unpickle(Cursor(source), _no_storage), source.path)
    except CheckpointError as error:
        if _JOBLIB not in bytes(source.read(0, _PEEK)):
            raise
        reason = "a file of joblib, which keeps arrays between the opcodes of its pickle"
        remedy = "load it with joblib and save its arrays with numpy.savez"
        raise CheckpointError(reason, path=source.path, remedy=remedy) from error


def _no_storage(identity: object) -> object:
    raise CheckpointError("a bare pickle that refers to a storage, which only torch files have")


def _is_tar(head: bytes) -> bool:
    return head[257:262] == _TAR and head.startswith(_TAR_MEMBERS)


def _is_safetensors(head: bytes) -> bool:
    """Return whether this is the length of a safetensors header, which can look like a pickle."""
    return head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= _LARGEST_HEADER


FORMAT = with_shards(
    Format(
        name="torch",
        reads="torch.save since 0.2, TorchScript, pickles of tensors and of NumPy arrays",
        suffixes=(
            ".pt",
            ".pth",
            ".bin",
            ".ckpt",
            ".pth.tar",
            ".jit",
            ".torchscript",
            ".pkl",
            ".pickle",
        ),
        recognizes=_recognizes,
        arrays=_arrays,
        order="registration-order",
    )
)
