"""The arrays of one item of an Orbax checkpoint as tensorstores, opened side by side.

Tensorstore parses what describes an array without a bound of its own: its length is looked at before.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ..errors import CheckpointError, UnreadableError
from ..io import Location, budget
from ._orbax_layout import DATABASE

LONGEST_METADATA = 1 << 18
"""Bytes of the description of one array, which tensorstore parses to 40 times as many."""

CACHE = 1 << 24
"""Bytes of database nodes kept while a checkpoint is open."""

TIMEOUT = 600.0
"""Seconds after which one array is given up."""

_STORE_BYTES = 5_000
"""Memory of an open array."""

_TENSORSTORE_ERRORS = (ValueError, TypeError, RuntimeError, LookupError, OSError, MemoryError)


def open_stores(item: Location, names: list[str], metadata: dict[str, Any]) -> list[Any]:
    """The tensorstores of all arrays, opened side by side."""
    import tensorstore as ts

    context = ts.Context({"cache_pool": {"total_bytes_limit": CACHE}})
    _check_descriptions(item, names, metadata, context)
    pending, stores = [], []
    for name in names:
        with tensorstore_errors(item, name):
            spec = ts.Spec(_spec(item, name, metadata))
            pending.append(ts.open(spec, open=True, read=True, context=context))
    for name, future in zip(names, pending, strict=True):
        with tensorstore_errors(item, name):
            stores.append(future.result(timeout=TIMEOUT))
    return stores


def _check_descriptions(
    item: Location, names: list[str], metadata: dict[str, Any], context: Any
) -> None:
    """Refuse long descriptions of arrays before tensorstore parses them, and draw for the others."""
    import tensorstore as ts

    file = "zarr.json" if metadata.get("use_zarr3") else ".zarray"
    pending = []
    for name in names:
        with tensorstore_errors(item, name):
            store = _spec(item, name, metadata)["kvstore"]
            if store["driver"] == "file":
                path = item / name / file
                size = path.stat().st_size if path.is_file() else 0
                _draw(item, name, size)
            else:
                pending.append((name, ts.KvStore.open(store, context=context).result().read(file)))
    for name, future in pending:
        with tensorstore_errors(item, name):
            _draw(item, name, len(future.result(timeout=TIMEOUT).value))


def _draw(item: Location, name: str, size: int) -> None:
    if size > LONGEST_METADATA:
        reason = f"{size:,} bytes describe the array; expected at most {LONGEST_METADATA:,}"
        raise CheckpointError(reason, path=item, tensor=name)
    budget(item).take(memory=_STORE_BYTES + size)


def _spec(item: Location, name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the spec by which tensorstore opens an array; the checkpoint gives only the name in it."""
    kvstore = _folder(item)
    if (item / DATABASE).is_file():
        kvstore = {"driver": "ocdbt", "base": kvstore, "path": f"{name}/"}
    elif metadata.get("use_ocdbt") or (item / "d").is_dir():
        raise CheckpointError(f"expected the file {DATABASE}, found none", path=item, tensor=name)
    elif {"", ".", ".."} & set(re.split(r"[/\\]", name)):
        raise CheckpointError("a name that leaves the folder", path=item, tensor=name)
    else:
        kvstore = _folder(item / name)
    # A missing chunk would be read as zeros. Older versions did leave out those that are all zero.
    zeros_left_out = not metadata.get("store_array_data_equal_to_fill_value", False)
    driver = "zarr3" if metadata.get("use_zarr3") else "zarr"
    return {"driver": driver, "kvstore": kvstore, "fill_missing_data_reads": zeros_left_out}


def _folder(path: Location) -> dict[str, Any]:
    # Tensorstore takes no ".." in a path, and only the file system knows where a link's ".." leads.
    return {"driver": "file", "path": f"{path.resolve()}/"}


@contextlib.contextmanager
def tensorstore_errors(item: Location, name: str) -> Iterator[None]:
    """Tensorstore's errors, of many types, as one that names the folder and the array."""
    try:
        yield
    except CheckpointError:
        raise
    except TimeoutError as error:
        raise UnreadableError(f"no answer in {TIMEOUT:g} s", path=item, tensor=name) from error
    except _TENSORSTORE_ERRORS as error:
        message = str(error).partition(" [")[0][:300]
        reason = f"its data is missing or damaged ({message})"
        raise CheckpointError(reason, path=item, tensor=name) from error
