"""A Darknet configuration: its sections, the channels that they pass to each other, and their arrays."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ...errors import CheckpointError
from ...io import ByteSource

MAX_BYTES = 1 << 20
"""Bytes of a configuration; one of 160 layers has 14 kB."""

LARGEST = 1 << 31
"""Channels, height or width of what layers pass to each other."""

_SECTION = re.compile(r"\[(\w+)\]")
_INTEGER = re.compile(r"[+-]?\d{1,9}")
_SAME = {
    *("dropout", "softmax", "shortcut", "yolo", "region", "detection", "cost", "activation"),
    *("logistic", "l2norm", "scale_channels", "sam", "gaussian_yolo", "empty", "silence", "lrn"),
    *("normalization", "iseg", "batchnorm"),
}
"""Types of layers that give as many channels of one extent as they take."""


class Size(NamedTuple):
    """The channels, height and width between two layers."""

    channels: int
    height: int
    width: int


class Part(NamedTuple):
    """One array of a layer: its name and shape."""

    name: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Section:
    """One section: its type and its numbers by their keys."""

    kind: str
    values: Mapping[str, str]

    def number(self, key: str, default: int, least: int = 0) -> int:
        """The integer of a key. Raises CheckpointError for another value, or a smaller one."""
        text = self.values.get(key, str(default))
        if not _INTEGER.fullmatch(text) or int(text) < least:
            raise CheckpointError(f"[{self.kind}] {key}={text!r:.40}: expected {least} or more")
        return int(text)

    def numbers(self, key: str) -> list[int]:
        """The integers of a list."""
        texts = [text.strip() for text in self.values.get(key, "").split(",")]
        if not all(_INTEGER.fullmatch(text) for text in texts):
            raise CheckpointError(f"[{self.kind}] {key}: expected numbers of layers")
        return list(map(int, texts))


@dataclasses.dataclass(frozen=True)
class Step:
    """A layer with the layers before it that it reads, what it takes, and what it gives."""

    section: Section
    feeds: Sequence[int]
    takes: Size
    gives: Size

    @property
    def groups(self) -> int:
        """The groups of a convolution."""
        return self.section.number("groups", 1, 1)

    def parts(self) -> list[Part]:
        """The arrays of the layer, in the order in which they are stored."""
        section, normalizes = self.section, self.section.number("batch_normalize", 0) > 0
        if "share_index" in section.values:
            return []
        if section.kind in ("convolutional", "conv"):
            outputs, size = self.gives.channels, section.number("size", 1, 1)
            if self.takes.channels % self.groups or outputs % self.groups:
                raise CheckpointError(f"{self.groups} groups of {self.takes.channels} channels")
            weight = Part("conv.weight", (outputs, self.takes.channels // self.groups, size, size))
            bias = "bn.bias" if normalizes else "conv.bias"
            return [Part(bias, (outputs,)), *_norm(outputs) * normalizes, weight]
        if section.kind in ("connected", "conn"):
            outputs = self.gives.channels
            dense = [Part("bias", (outputs,)), Part("weight", (outputs, math.prod(self.takes)))]
            return [*dense, *_norm(outputs) * normalizes]
        if section.kind == "batchnorm":
            return _norm(self.takes.channels)
        return self._factors() if section.kind == "shortcut" else []

    def _factors(self) -> list[Part]:
        """The weights of the layers that a shortcut adds, in networks that learn them."""
        kind, layers = self.section.values.get("weights_type", "none"), len(self.feeds)
        if kind == "none":
            return []
        channels = self.takes.channels if kind == "per_channel" else 1
        return [Part("weights", (layers * channels,))]


def _norm(channels: int) -> list[Part]:
    names = ("weight", "running_mean", "running_var")
    return [Part(f"bn.{name}", (channels,)) for name in names]


def read_steps(source: ByteSource) -> list[Step]:
    """The layers of a configuration. Raises CheckpointError if it is damaged or too large."""
    if source.size > MAX_BYTES:
        raise CheckpointError(f"more than {MAX_BYTES} bytes of configuration", path=source.path)
    text = bytes(source.read(0, MAX_BYTES)).decode("utf-8", "replace")
    first, *sections = list(_sections(text)) or [Section("", {})]
    if first.kind not in ("net", "network"):
        raise CheckpointError("expected a configuration that starts with [net]", path=source.path)
    size = Size(
        *(first.number(key, n) for key, n in (("channels", 3), ("height", 0), ("width", 0)))
    )
    steps: list[Step] = []
    for index, section in enumerate(sections):
        feeds = _feeds(section, index)
        takes = _joined(section, [steps[i].gives for i in feeds]) if feeds else size
        gives = _gives(section, takes)
        if max(*takes, *gives) > LARGEST:
            raise CheckpointError(f"[{section.kind}] of more than {LARGEST} channels or pixels")
        steps.append(Step(section, feeds, takes, gives))
    return steps


def _sections(text: str) -> Iterator[Section]:
    kind, values = "", dict[str, str]()
    for line in (line.strip() for line in text.split("\n")):
        if match := _SECTION.match(line):
            if kind:
                yield Section(kind, values)
            kind, values = match[1].lower(), {}
        elif "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            values[key.strip()] = value.partition("#")[0].strip()
    if kind:
        yield Section(kind, values)


def _feeds(section: Section, index: int) -> list[int]:
    """The layers that a layer reads; none for the first."""
    before = [index - 1] if index else []
    if section.kind == "route":
        before = []
    if section.kind not in ("route", "shortcut", "scale_channels", "sam"):
        return before
    numbers = section.numbers("layers" if section.kind == "route" else "from")
    feeds = before + [index + number if number < 0 else number for number in numbers]
    if not all(0 <= feed < index for feed in feeds):
        raise CheckpointError(f"[{section.kind}] {numbers}: expected layers before number {index}")
    return feeds


def _joined(section: Section, sizes: Sequence[Size]) -> Size:
    if section.kind != "route":
        return sizes[0]
    groups = section.number("groups", 1, 1)
    channels = sum(size.channels // groups for size in sizes)
    return sizes[0]._replace(channels=channels)


def _gives(section: Section, takes: Size) -> Size:
    """What a layer gives. Raises CheckpointError for a type of layer that is not known."""
    stride = section.number("stride", 1, 1)
    match section.kind:
        case "route":
            return takes
        case "convolutional" | "conv":
            size = section.number("size", 1, 1)
            padding = size // 2 if section.number("pad", 0) else section.number("padding", 0)
            return _moved(takes, size, stride, 2 * padding, section.number("filters", 1, 1))
        case "maxpool" | "max" | "local_avgpool":
            size = section.number("size", stride, 1)
            return _moved(takes, size, stride, section.number("padding", size - 1), takes.channels)
        case "upsample":
            return Size(takes.channels, takes.height * stride, takes.width * stride)
        case "reorg" | "reorg3d":
            channels = takes.channels * stride * stride
            return Size(channels, takes.height // stride, takes.width // stride)
        case "avgpool" | "avg":
            return Size(takes.channels, 1, 1)
        case "connected" | "conn":
            return Size(section.number("output", 1, 1), 1, 1)
        case kind if kind in _SAME:
            return takes
        case kind:
            raise CheckpointError(f"a layer of type [{kind}], whose weights are not known")


def _moved(takes: Size, size: int, stride: int, padding: int, channels: int) -> Size:
    extents = ((extent + padding - size) // stride + 1 for extent in takes[1:])
    return Size(channels, *(max(extent, 0) for extent in extents))
