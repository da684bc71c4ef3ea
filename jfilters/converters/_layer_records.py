"""Layer records as JSON: what a kernel file says about its weights, so that it reads back exactly.

A record is a `Layer` and the name of the array that it belongs to. Records are matched by that name and
checked field by field; the text that holds them is bounded before it is parsed.
"""

import dataclasses
import json
import typing
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import CheckpointError
from ..io import Location, parsed_json
from ..layers import Applied, DepthSource, Layer
from ._axes import LARGEST_EXTENT
from ._names import LONGEST_NAME
from ._stored import StoredArray

KERNEL_FILE = "jfilters"
"""The "format" in the metadata of a safetensors file that holds kernels."""

RECORDS = "jfilters.layers.json"
"""The array of a .npz file that holds the records, as bytes."""

MAX_TEXT = 1 << 26
"""Bytes of all records."""

_TYPES = {
    "name": str, "depth": int, "relative_depth": float, "depth_source": str,
    "groups": int, "transposed": bool, "axes": str, "dtype": str,
    "applied": str, "network": str, "note": str,
}  # fmt: skip
_LATER = {"applied": "as stored", "network": "", "note": ""}
"""Fields that files of earlier versions lack, and their values there."""

_LARGEST_DEPTH = 2**31
_LONGEST_DTYPE = 64


def dump_records(layers: Sequence[Layer], names: Sequence[str]) -> str:
    """The records of layers whose arrays have these names."""
    pairs = zip(layers, names, strict=True)
    return json.dumps([{"tensor": name} | dataclasses.asdict(layer) for layer, name in pairs])


def with_records(arrays: Sequence[StoredArray], text: str, path: Location) -> list[StoredArray]:
    """The arrays with their layers, in the order of the records in `text`.

    Raises CheckpointError unless every array has one record, and a shape and dtype that fit it.
    """
    records = _parsed(text, path)
    stored = {array.name: array for array in arrays}
    names = [name for name, _ in records]
    if sorted(names) != sorted(stored):
        wrong = min({*names} ^ {*stored}, default=None)
        _refuse("expected one layer record for every array, and no other", path, wrong)
    return [
        dataclasses.replace(stored[name], layer=_layer(stored[name], record, path))
        for name, record in records
    ]


def _parsed(text: str, path: Location) -> list[tuple[str, dict[str, Any]]]:
    """The name of an array and the fields of its layer, for every record."""
    if len(text) > MAX_TEXT:
        _refuse(f"more than {MAX_TEXT} bytes of layer records", path)
    try:
        content = parsed_json(text.encode("utf-8", "replace"), path, is_strict=False)
        records = [(record.pop("tensor"), record) for record in content]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = getattr(error, "reason", f"{type(error).__name__}: {error!s:.80}")
        if not isinstance(error, CheckpointError) or reason.startswith("no valid JSON"):
            reason = f"expected a JSON list of layer records ({reason:.100})"
        raise CheckpointError(reason, path=path) from error
    if not all(isinstance(name, str) for name, _ in records):
        _refuse("expected layer records that name their arrays", path)
    return records


def _layer(array: StoredArray, record: dict[str, Any], path: Location) -> Layer:
    if not _is_weight(array):
        actual = f"{array.dtype} {array.shape!s:.80}"
        _refuse(f"expected float32 (out, in, *spatial), found {actual}", path, array.name)
    record = _LATER | record
    if not _fits(record, array.shape):
        _refuse(f"expected the record of a layer, found {record!s:.200}", path, array.name)
    try:
        return Layer(**record)
    except ValueError as error:
        raise CheckpointError(str(error), path=path, tensor=array.name) from error


def _is_weight(array: StoredArray) -> bool:
    shape, spatial = array.shape, array.shape[2:]
    if array.dtype != "float32" or not 3 <= len(shape) <= 5 or 0 in shape:
        return False
    return 1 < max(spatial) <= LARGEST_EXTENT


def _fits(record: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Return whether a record has the fields of a layer, each of its type and in its bounds."""
    if record.keys() != _TYPES.keys():
        return False
    axes, groups = record["axes"], 1 if record["groups"] is None else record["groups"]
    if any(
        type(value) is not _TYPES[name] for name, value in (record | {"groups": groups}).items()
    ):
        return False
    return (
        all(len(record[name]) <= LONGEST_NAME for name in ("name", "network", "note"))
        and record["applied"] in typing.get_args(Applied)
        and record["depth"] < _LARGEST_DEPTH
        and record["depth_source"] in typing.get_args(DepthSource)
        and 0 < groups <= shape[0]
        and shape[0] % groups == 0
        and len(axes) == len(shape)
        and set(axes) <= set("DHWIOM")
        and len(record["dtype"]) <= _LONGEST_DTYPE
    )


def _refuse(reason: str, path: Location, tensor: str | None = None) -> NoReturn:
    raise CheckpointError(reason, path=path, tensor=tensor, remedy="convert the checkpoint again")
