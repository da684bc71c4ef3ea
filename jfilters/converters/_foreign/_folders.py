"""Folders that are one checkpoint of a format that is not read, by the names of their files."""

import re
from collections.abc import Iterable

from ...errors import CheckpointError
from ...io import Location, base_name, children, is_file, is_folder, open_source
from ._kind import Kind

_PEEK = 1 << 20
_PLACEHOLDER, _FLAX_PLACEHOLDER = "PLACEHOLDER://", "//GDAPlaceholder:"
_ZERO = re.compile(r"(\w+_)?zero_pp_rank_\d+_mp_rank_\d+(_\d+)*_(model|optim)_states\.pt")
_RANK = re.compile(r"mp_rank_\d+(_\d+)*(_model_states\.pt)?")
_SHARD = re.compile(r"shard-(\d{5})-model-\d{5}-of-\d{5}\.safetensors")
_STAGE = re.compile(r"layer_\d+-model_.*model_states\.pt")
_WHOLE = "mp_rank_00_model_states.pt"

_TO_FP32 = "join its partitions with DeepSpeed's zero_to_fp32.py and give the file that it writes"
_MODEL_BEHIND = "give the model that it was converted from"

DISTRIBUTED = Kind("a distributed checkpoint of torch (DCP)", "give its folder", stands_for=True)
DISTRIBUTED_SHARDS = Kind(
    "a distributed checkpoint of torch in shards of safetensors, with parts of its tensors",
    "join them with torch.distributed.checkpoint's consolidate_safetensors_files",
)
PARTITIONS = Kind("a DeepSpeed ZeRO checkpoint in partitions", "give its folder", stands_for=True)
_WITH_WHOLE = Kind(
    "a DeepSpeed ZeRO checkpoint with partitions of its optimizer",
    f"give {_WHOLE}, which holds the weights of 16 bits, or {_TO_FP32}",
    weights=False,
)
_UNIVERSAL = Kind("a universal checkpoint of DeepSpeed, with a folder a parameter", _TO_FP32)
_RANKS = Kind(
    "a checkpoint in shards of several model-parallel ranks, as Megatron and DeepSpeed write",
    "merge the ranks into one with the tools of its framework",
)
_T5X = Kind(
    "a T5X checkpoint, whose msgpack file has placeholders for the arrays beside it",
    "restore it with t5x and save its parameters with Orbax",
)
_FLAX_SHARDED = Kind(
    "a Flax checkpoint of several processes, whose arrays lie in the folder beside it",
    "restore it with flax.training.checkpoints and save its parameters with Orbax",
)
SAVED_MODEL = Kind(
    "a TensorFlow SavedModel as text",
    "load it with TensorFlow and save it again, which writes saved_model.pb",
)
_CORE_ML = Kind(
    "a Core ML package",
    "numpy.savez('net.npz', **{k: v.val for k, v in coremltools.optimize.coreml.get_weights_metadata("
    "coremltools.models.MLModel('net.mlpackage'), weight_threshold=1).items()})",
)
_COMPILED = Kind("a compiled Core ML model", _MODEL_BEHIND)


def by_files(folder: Location) -> Kind | None:
    """The kind of one checkpoint that a folder is; None if it is no such folder or cannot be listed."""
    try:
        names = {base_name(path) for path in children(folder)}
        return _by_names(names) or _by_content(folder, names)
    except (OSError, CheckpointError):
        return None


def superfluous(names: Iterable[str]) -> set[str]:
    """The partitions in a DeepSpeed folder that also has a file of all weights."""
    names = set(names)
    return {name for name in names if _ZERO.fullmatch(name)} if _is_whole(names) else set()


def part_of(path: Location) -> Kind | None:
    """The kind of a file that is part of a folder, and by itself looks like another format."""
    name = base_name(path)
    if name != ".metadata" and not name.endswith(".distcp") and not _SHARD.fullmatch(name):
        return None
    kind = by_files(path.parent)
    is_part = kind in (DISTRIBUTED, DISTRIBUTED_SHARDS)
    return kind._replace(name=f"a part of {kind.name}") if kind and is_part else None


def by_placeholder(text: str) -> Kind | None:
    """The kind of a msgpack file in which such a text stands for an array."""
    if text.startswith(_PLACEHOLDER):
        return _T5X
    return _FLAX_SHARDED if text.startswith(_FLAX_PLACEHOLDER) else None


def _by_names(names: set[str]) -> Kind | None:
    if any(name.endswith(".distcp") for name in names):
        return DISTRIBUTED
    if len({match[1] for match in map(_SHARD.fullmatch, names) if match}) > 1:
        return DISTRIBUTED_SHARDS
    if any(_ZERO.fullmatch(name) for name in names):
        return _WITH_WHOLE if _is_whole(names) else PARTITIONS
    ranks = [name for name in names if _RANK.fullmatch(name)]
    if len(ranks) > 1 or any(_STAGE.fullmatch(name) for name in names):
        return _RANKS
    if "saved_model.pbtxt" in names and "saved_model.pb" not in names:
        return SAVED_MODEL
    if "coremldata.bin" in names:
        return _COMPILED
    return _CORE_ML if {"Manifest.json", "Data"} <= names else None


def _is_whole(names: set[str]) -> bool:
    states = {name for name in names if name.endswith("_model_states.pt")}
    return states == {_WHOLE}


def _by_content(folder: Location, names: set[str]) -> Kind | None:
    if "zero" in names and is_folder(folder / "zero"):
        parts = children(folder / "zero")[:1]
        return _UNIVERSAL if any(is_file(part / "fp32.pt") for part in parts) else None
    if "checkpoint" in names and is_file(folder / "checkpoint"):
        beginning = bytes(open_source(folder / "checkpoint").read(0, _PEEK))
        return _T5X if _PLACEHOLDER.encode() in beginning else None
    return None
