"""Keras checkpoints: .keras archives, .weights.h5 of Keras 3, and the .h5 of all earlier versions.

Where a configuration is stored it tells the classes, groups and order of the layers; in a file of
weights alone their names do, and the order in which they were written.
"""

import functools
import re
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ...errors import CheckpointError
from ...io import (
    MAX_JSON_BYTES,
    ByteSource,
    Hdf5File,
    Hdf5Node,
    Location,
    MemorySource,
    SourceFile,
    ZipArchive,
    budget,
    hdf5_errors,
    is_hdf5,
    open_source,
    read_hdf5_rows,
)
from .._axes import for_rank
from .._format import Format
from .._shards import with_shards
from .._stored import StoredArray
from ._keras_config import KerasLayer, by_own_name, configured_layers
from ._keras_order import array_order

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = (b"metadata.json", b"config.json", b"model.weights.h5", b"assets/")

CONVOLUTION = re.compile(
    r"(?P<apart>depthwise_|separable_)?conv(olution)?[123]d(?P<transposed>_transpose)?"
)
OTHERS = re.compile(
    r"(?P<normalization>(\w+_)?normalization)"
    r"|(?P<dense>dense|einsum_dense|embedding|(multi_head|group(ed)?_query)_attention)"
)
_COUNT = re.compile(r"_\d+$")
_ROLES = {
    "depthwise_": ("kernel", "bias"),
    "separable_": ("depthwise_kernel", "pointwise_kernel", "bias"),
    None: ("kernel", "bias"),
}
REASONS = {
    "bias": "bias",
    "gamma": "normalization",
    "beta": "normalization",
    "moving_mean": "normalization",
    "moving_variance": "normalization",
}


def _recognizes(path: Location, head: bytes) -> bool:
    if head.startswith(b"PK\x03\x04"):
        return head[30:].startswith(_MEMBERS)
    return is_hdf5(path, head)


def _arrays(path: Location) -> Sequence[StoredArray]:
    source = open_source(path)
    config = None
    if bytes(source.read(0, 2)) == b"PK":
        archive = ZipArchive(source)
        config = archive.text(_CONFIG, MAX_JSON_BYTES)
        source = _member(archive, _WEIGHTS)
    file = Hdf5File(path, source)
    with hdf5_errors(path):
        return _Reader(file, config).arrays()


class _Window:
    """The bytes of an archive's member, where they are."""

    def __init__(self, source: ByteSource, start: int, size: int):
        self.path, self.size = source.path, size
        self._source, self._start = source, start

    def read(self, start: int, stop: int) -> memoryview:
        """The bytes start..stop of the member."""
        return self._source.read(self._start + start, self._start + min(stop, self.size))


def _member(archive: ZipArchive, name: str) -> ByteSource:
    """A member in place, or in memory if it is compressed, which Keras itself never does."""
    member = archive.members.get(name)
    if member is None or member.method == 0:
        return _Window(archive.source, archive.start(name), archive.size(name))
    limits = budget(archive.source.path)
    limits.check_expansion(member.size, member.packed, f"{name}: a member")
    limits.take(memory=member.size)
    try:
        with zipfile.ZipFile(SourceFile(archive.source)) as zipped, zipped.open(name) as stream:
            data = stream.read(member.size)
    except _ZIP_DAMAGE as error:
        raise CheckpointError(str(error), path=archive.source.path, tensor=name) from error
    return MemorySource(archive.source.path, memoryview(data))


_ZIP_DAMAGE = (zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError, zlib.error)


class _Reader:
    """One file with the configuration of its model, if there is one."""

    def __init__(self, file: Hdf5File, config: str | None):
        self.file = file
        nodes = list(file.nodes())
        self.legacy = not any("vars" in node.name.split("/") for node in nodes)
        text = file.text(file.file, "model_config") if config is None else config
        self.layers = {} if text is None else configured_layers(text, file.path)
        self.own_names = by_own_name(self.layers)
        self.kinds = {node.name: self._kind(node) for node in nodes}
        weights = [node for node in nodes if len(_shape(node)) > 2 and not self._reason(node)]
        self.order = array_order(nodes, weights, self._ranks(nodes))
        self.nodes = self.order.nodes

    def arrays(self) -> list[StoredArray]:
        names = [self._name(node) for node in self.nodes]
        if len(set(names)) < len(names):
            names = [node.name for node in self.nodes]
        return [self._array(node, name) for node, name in zip(self.nodes, names, strict=True)]

    def _listed(self, nodes: list[Hdf5Node]) -> dict[str, int]:
        """The ranks of arrays that Keras 2 lists in attributes; Keras 3 has the configuration."""
        root, prefix = self.file.file, ""
        if any(node.name.startswith("model_weights/") for node in nodes):
            root, prefix = root["model_weights"], "model_weights/"
        groups = {
            node.name.removeprefix(prefix).partition("/")[0] for node in nodes if node.dataset
        }
        names = dict.fromkeys(self.file.texts(root, "layer_names"))
        listed = [name for name in names if name in groups]
        paths = [
            f"{prefix}{layer}/{weight}"
            for layer in listed
            for weight in self.file.texts(root[layer], "weight_names")
        ]
        return {path: rank for rank, path in enumerate(paths)}

    def _ranks(self, nodes: list[Hdf5Node]) -> dict[str, int | None]:
        """The ranks of arrays by what is listed or configured, None where neither tells."""
        listed = self._listed(nodes)
        configured = {layer: rank for rank, layer in enumerate(self.layers.values())}
        layers = {node.name: self._layer(node) for node in nodes}
        return {
            name: listed.get(name, configured[layer] if layer else None)
            for name, layer in layers.items()
        }

    def _place(self, node: Hdf5Node) -> str:
        """The path under which the owner of an array is saved."""
        outer = node.name.split("/")[:-1]
        return "/".join(outer[:-1] if outer[-1:] == ["vars"] else outer)

    def _layer(self, node: Hdf5Node) -> KerasLayer | None:
        place = self._place(node)
        if self.legacy:
            return self.own_names.get(place.rpartition("/")[2])
        return self.layers.get(place)

    def _name(self, node: Hdf5Node) -> str:
        layer = self._layer(node)
        if layer is not None and not self.legacy:
            return "/".join((*layer.names, self._role(node)))
        parts = node.name.removeprefix("model_weights/").split("/")
        # Keras repeats the name of a layer for the scope of its weights.
        parts = parts[1:] if parts[:1] == parts[1:2] else parts
        return "/".join((*parts[:-1], parts[-1].removesuffix(":0")))

    def _kind(self, node: Hdf5Node) -> str:
        """The class of the layer that owns an array; '' if neither configuration nor names tell."""
        layer, place = self._layer(node), self._place(node)
        inner, *outer = reversed(place.split("/"))
        words = [layer.kind if layer else "", inner, self._saved_name(node), *outer]
        kinds = (_COUNT.sub("", word) for word in words)
        return next((k for k in kinds if CONVOLUTION.fullmatch(k) or OTHERS.fullmatch(k)), "")

    def _saved_name(self, node: Hdf5Node) -> str:
        if node.dataset is None or len(node.dataset.shape or ()) < 3 or self.legacy:
            return ""
        return self.file.text(node.dataset.parent, "name") or ""

    def _role(self, node: Hdf5Node) -> str:
        """Return the role of an array in its layer: kernel, bias, ...; its number where that is unknown."""
        leaf = node.name.rpartition("/")[2].partition(":")[0]
        convolution = CONVOLUTION.fullmatch(self.kinds[node.name])
        if convolution is None or not leaf.isdecimal():
            return leaf
        roles = _ROLES[convolution["apart"]]
        return dict(enumerate(roles)).get(int(leaf), leaf)

    def _array(self, node: Hdf5Node, name: str) -> StoredArray:
        dataset: Any = node.dataset
        if dataset is None or node.reason:
            return StoredArray(name, _shape(node), "", self._refuse(node), reason=node.reason)
        dtype, reason = self._dtype(node)
        if reason is None:
            self.file.check_claim(node)
        facts = {} if reason else self._known(node)
        return StoredArray(
            name,
            _shape(node),
            dtype,
            self._refuse(node) if reason else functools.partial(_read, self.file, node, dtype),
            reason=reason or self._reason(node),
            order=self.order.source,
            sort_name=self.order.names[node.name],
            **facts,
        )

    def _known(self, node: Hdf5Node) -> dict[str, Any]:
        """The axes, groups and direction that Keras gives a kernel."""
        rank, role = len(_shape(node)), self._role(node)
        convolution = CONVOLUTION.fullmatch(self.kinds[node.name])
        unknown = convolution is None and role == "0" and rank > 3
        if rank not in (3, 4, 5) or not (role.endswith("kernel") or unknown):
            return {}
        apart = convolution["apart"] if convolution else None
        if role == "depthwise_kernel" or apart == "depthwise_":
            return {"axes": for_rank("HWIM", rank), "transposed": False}
        if convolution is None:
            return {"axes": for_rank("HWIO", rank)} if rank > 3 else {}
        layer, transposed = self._layer(node), convolution["transposed"] is not None
        groups = layer.groups if layer and role == "kernel" else None
        axes = for_rank("HWOI" if transposed else "HWIO", rank)
        return {"axes": axes, "groups": groups, "transposed": transposed}

    def _reason(self, node: Hdf5Node) -> str | None:
        if node.name.startswith(("optimizer/", "optimizer_weights/")):
            return "optimizer state"
        match = OTHERS.fullmatch(self.kinds[node.name])
        if match and match["normalization"]:
            return "normalization"
        if match:
            return f"{match['dense']}: no convolution"
        return REASONS.get(self._role(node))

    def _dtype(self, node: Hdf5Node) -> tuple[str, str | None]:
        """The dtype of an array by name, and the reason if it holds no numbers."""
        dataset: Any = node.dataset
        dtype = dataset.dtype
        if dtype.kind in "fiubc":
            return dtype.name, None
        if dtype == "V2" and self.file.text(dataset, "dtype") == "bfloat16":
            return "bfloat16", None
        return str(dtype), f"values of type {dtype}, not numeric"

    def _refuse(self, node: Hdf5Node) -> Any:
        return functools.partial(_refuse, self.file, node)


def _shape(node: Hdf5Node) -> tuple[int, ...]:
    return tuple(getattr(node.dataset, "shape", None) or ())


def _read(file: Hdf5File, node: Hdf5Node, dtype: str) -> np.ndarray:
    values = read_hdf5_rows(file, node)
    return values.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else values


def _refuse(file: Hdf5File, node: Hdf5Node) -> np.ndarray:
    raise file.error(node.reason or "values that are not numeric", node.name)


FORMAT = with_shards(
    Format(
        name="keras",
        reads="Keras models and weights: .keras, .weights.h5, .h5",
        suffixes=(".keras", ".h5", ".hdf5"),
        recognizes=_recognizes,
        arrays=_arrays,
        order="registration-order",
        extra="keras",
    )
)
