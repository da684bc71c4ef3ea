"""A writer of ncnn models, independent of the reader."""

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

HALF, INT8, FLOATS, TABLE = 0x01306B47, 0x000D4B38, 0x0002C056, 0x01020304
KINDS = {"BatchNorm": 2, "Convolution": 6, "Input": 16, "ReLU": 26, "Split": 33}


def raw(*values: npt.ArrayLike) -> bytes:
    """Arrays of float32 without a tag."""
    return b"".join(np.asarray(value, "<f4").tobytes() for value in values)


def tagged(values: np.ndarray, tag: int = 0) -> bytes:
    """An array behind its tag, padded to words."""
    dtype = {HALF: "<f2", INT8: "i1"}.get(tag, "<f4")
    data = np.asarray(values).astype(dtype).tobytes()
    return struct.pack("<I", tag) + data + bytes(-len(data) % 4)


def table(indices: np.ndarray, values: np.ndarray) -> bytes:
    """An array as indices into 256 values."""
    data = indices.astype("u1").tobytes()
    return struct.pack("<I", TABLE) + raw(values) + data + bytes(-len(data) % 4)


@dataclasses.dataclass
class Model:
    """A network in the making."""

    lines: list[str] = dataclasses.field(default_factory=list)
    binary: list[bytes] = dataclasses.field(default_factory=list)
    weights: list[bytes] = dataclasses.field(default_factory=list)
    blobs: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(
        self,
        kind: str,
        reads: Sequence[str],
        makes: Sequence[str],
        numbers: Mapping[int, int | float] | None = None,
        *weights: bytes,
    ) -> "Model":
        """Append a layer, named after the first blob that it makes."""
        numbers = numbers or {}
        pairs = " ".join(f"{key}={value}" for key, value in numbers.items())
        name = makes[0] if makes else kind.lower()
        blobs = " ".join((*reads, *makes))
        self.lines.append(f"{kind:24} {name:16} {len(reads)} {len(makes)} {blobs} {pairs}")
        places = [self.blobs.setdefault(blob, len(self.blobs)) for blob in (*reads, *makes)]
        counts = (KINDS.get(kind, 0), len(reads), len(makes))
        self.binary.append(struct.pack(f"<{3 + len(places)}i", *counts, *places))
        for key, value in numbers.items():
            layout = "<if" if isinstance(value, float) else "<ii"
            self.binary.append(struct.pack(layout, key, value))
        self.binary.append(struct.pack("<i", -233))
        self.weights += weights
        return self

    def conv(
        self, reads: str, makes: str, stored: bytes, weight: np.ndarray, **more: int
    ) -> "Model":
        """Append a convolution of 2 axes without a bias, whose weight has this shape."""
        numbers = {0: weight.shape[0], 1: weight.shape[3], 11: weight.shape[2], 6: weight.size}
        numbers |= {int(key[1:]): value for key, value in more.items()}
        return self.add("Convolution", [reads], [makes], numbers, stored)

    def save(self, folder: Path, name: str = "model", *, binary: bool = False) -> Path:
        """Write both files; returns the path of the description."""
        (folder / f"{name}.bin").write_bytes(b"".join(self.weights))
        if binary:
            path = folder / f"{name}.param.bin"
            head = struct.pack("<3i", 7767517, len(self.lines), len(self.blobs))
            path.write_bytes(head + b"".join(self.binary))
        else:
            path = folder / f"{name}.param"
            head = f"7767517\n{len(self.lines)} {len(self.blobs)}\n"
            path.write_text(head + "\n".join(self.lines) + "\n")
        return path


def network() -> Model:
    """An empty network with its input, the blob "in"."""
    return Model().add("Input", [], ["in"])
