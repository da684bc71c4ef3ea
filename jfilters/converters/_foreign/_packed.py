"""Compressed files and archives: what packs them and, as far as a bounded look tells, what is inside."""

import re
import zlib
from collections.abc import Iterator

from ...errors import CheckpointError
from ...io import ByteSource, Location, MemorySource, ZipArchive, base_name, is_file
from ._kind import Kind
from ._magic import PACKED, by_magic
from ._names import promises_weights

MAX_MEMBERS = 1000
"""Members of a tar archive that are looked at."""

_PEEK = 1 << 16
_BLOCK = 512
_OWN = (b"PK\x03\x04", b"\x89HDF\r\n", b"\x93NUMPY", *(bytes((0x80, n)) for n in range(2, 6)))
_INSIDE = (
    ("MAR-INF/MANIFEST.json", "a TorchServe archive (.mar)"),
    ("coefficients.bin", "a model of Deeplearning4j"),
    ("dlc.metadata", "a model of SNPE (.dlc)"),
    (".data/extern_modules", "an archive of torch.package"),
    ("saved_model.pb", "a zipped TensorFlow SavedModel"),
    (".mlpackage/Manifest.json", "a zipped Core ML package"),
)


def by_packing(source: ByteSource, head: bytes) -> Kind | None:
    """The kind of a compressed file or of an archive."""
    if head.startswith(b"PK\x03\x04"):
        return _zip(source)
    if head[257:262] == b"ustar":
        return _archive("tar", list(_tar_members(source)), "tar xf")
    packed = next((row for row in PACKED if head.startswith(row[0])), None)
    return _compressed(source, *packed[1:]) if packed else None


def _zip(source: ByteSource) -> Kind:
    try:
        names = list(ZipArchive(source).members)
    except CheckpointError as error:
        return Kind(f"a zip archive that cannot be read ({error.reason})", error.remedy)
    inside = next((text for end, text in _INSIDE if any(n.endswith(end) for n in names)), None)
    if inside:
        return Kind(inside, "save the state_dict or the arrays of the model in it")
    if _is_pnnx(source.path):
        return Kind(
            "the weights of a PNNX model", "give the .ncnn.param or the torch file beside it"
        )
    return _archive("zip", names, "unzip")


def _is_pnnx(path: Location) -> bool:
    """Return whether the description of a PNNX model lies beside an archive."""
    stem, dot, ending = base_name(path).rpartition(".")
    return dot + ending == ".bin" and is_file(path.parent / f"{stem}.param")


def _archive(packer: str, names: list[str], command: str) -> Kind:
    weights = [name for name in names if promises_weights(name)]
    shown = ", ".join((weights or names)[:3]) + (", ..." if len(weights or names) > 3 else "")
    what = f"a {packer} archive with {shown or 'no members'}"
    return Kind(what, f"unpack it first: {command}", bool(weights), stands_for=True)


def _tar_members(source: ByteSource) -> Iterator[str]:
    """The names in a tar archive, by its headers alone."""
    position = 0
    for _ in range(MAX_MEMBERS):
        header = bytes(source.read(position, position + _BLOCK))
        size = re.fullmatch(rb"\s*([0-7]+)[\s\0]*", header[124:136])
        if header[257:262] != b"ustar" or size is None:
            return
        if header[156:157] in (b"0", b"\0"):
            yield header[:100].rstrip(b"\0").decode("utf-8", "backslashreplace")
        position += _BLOCK + -(-int(size[1], 8) // _BLOCK) * _BLOCK


def _compressed(source: ByteSource, packer: str, command: str) -> Kind | None:
    inner = _beginning(source) if packer in ("gzip", "zlib") else b""
    if inner[257:262] == b"ustar":
        names = list(_tar_members(MemorySource(source.path, memoryview(inner))))
        return _archive(f"{packer}-compressed tar", names, "tar xf")
    if packer == "zlib" and not inner:
        return None
    kind = by_magic(inner)
    if kind is not None and kind.weights:
        return kind
    what = "zlib-compressed, as joblib writes" if packer == "zlib" else f"compressed with {packer}"
    weights = inner.startswith(_OWN) or promises_weights(base_name(source.path))
    return Kind(f"a file {what}", f"unpack it first: {command}", weights, stands_for=True)


def _beginning(source: ByteSource) -> bytes:
    """The first bytes that a gzip or zlib stream unpacks to; none if it is damaged."""
    try:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        return stream.decompress(bytes(source.read(0, _PEEK)), _PEEK)
    except zlib.error:
        return b""
