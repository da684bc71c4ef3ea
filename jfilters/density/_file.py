"""Fitted densities in one safetensors file, whose header says what they are of and how they were fitted.

A file that is read gives the same log-densities, bit for bit.
"""

import json
import os
from importlib.metadata import version
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from .._bounds import check_header, file_allowance
from .._files import Location, is_there, open_tensors, readable, written_whole
from .._traced import on_host
from ..errors import CheckpointError, UnreadableError, did_you_mean, system_reason
from ._density import KernelDensity, like, one_of, shapes_like

KEY = "jfilters.density"
"""Of the metadata in the file's header."""

VERSION = 2

_PACKAGES = ("jfilters", "jax", "equinox", "flowjax")
_MOST = {"d": 1_000, "layers": 1_000, "width": 10_000}


class SavedDensities(NamedTuple):
    """Densities with a first axis of m on every array, a label for each, and the header of their file."""

    densities: KernelDensity
    labels: tuple[str, ...]
    header: dict[str, Any]

    def density(self, label: str | None = None) -> KernelDensity:
        """Return the density with this label, or the only one if no label is given.

        Raises ValueError, naming the labels, if there is none, or several to choose from.
        """
        if label is None and len(self.labels) == 1:
            (label,) = self.labels
        if label not in self.labels:
            hint = did_you_mean(label, self.labels) if label is not None else ""
            choice = "none given" if label is None else f"got {label!r}{hint}"
            raise ValueError(f"expected one of the labels {', '.join(self.labels)}; {choice}")
        return one_of(self.densities, self.labels.index(label))


@on_host("save the returned densities outside of the program")
def save_densities(
    path: Location | str | os.PathLike[str],
    densities: KernelDensity,
    labels: tuple[str, ...],
    *,
    layers: int,
    width: int,
    details: dict[str, Any] | None = None,
) -> None:
    """Write densities, with a first axis of m on every array, to `path`; it appears whole or not at all.

    `details` goes into the header beside the sizes, the labels and the versions: the source of the kernels,
    the seed, the likelihoods. It has to be fit for JSON.
    """
    header = {
        "version": VERSION,
        "versions": {name: version(name) for name in _PACKAGES},
        "d": densities.d,
        "layers": layers,
        "width": width,
        "labels": list(labels),
        **(details or {}),
    }
    leaves = _named(eqx.filter(densities, eqx.is_array))
    arrays = {name: np.ascontiguousarray(leaf) for name, leaf in leaves}
    with written_whole(path) as partial:
        save_file(arrays, partial, metadata={KEY: json.dumps(header)})


def load_densities(path: Location | str | os.PathLike[str]) -> SavedDensities:
    """Return the densities, labels and header that `save_densities` wrote to `path`.

    The densities are JAX arrays on the default device, bit for bit those that were written. Raises
    UnreadableError where there is no file, and CheckpointError, with the path and what was expected,
    for another file than one of densities.
    """
    path = readable(path)
    if not is_there(path):
        raise UnreadableError(
            "expected a file of densities, found none",
            path=path,
            remedy="write one with `jfilters density fit`",
        )
    check_header(path)
    try:
        with open_tensors(path) as file:
            header = _header(path, (file.metadata() or {}).get(KEY))
            _check_sizes(path, header)
            arrays, static = eqx.partition(like(*(header[name] for name in _MOST)), eqx.is_array)
            leaves = [_leaf(path, file, name, leaf, header) for name, leaf in _named(arrays)]
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a readable file, got: {reason}", path=path) from error
    except SafetensorError as error:
        raise CheckpointError(f"expected a safetensors file, got: {error}", path=path) from error
    read = jax.tree.unflatten(jax.tree.structure(arrays), leaves)
    return SavedDensities(eqx.combine(read, static), tuple(header["labels"]), header)


def _named(densities: KernelDensity) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(densities)
    return [(jax.tree_util.keystr(keys).lstrip("."), leaf) for keys, leaf in leaves]


def _header(path: Location, text: str | None) -> dict[str, Any]:
    if text is None:
        raise CheckpointError(
            f"expected densities, found a safetensors file without {KEY} in its header",
            path=path,
            remedy="write one with `jfilters density fit`",
        )
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"expected JSON in the header, got: {error}", path=path) from error
    if not isinstance(header, dict) or header.get("version") != VERSION:
        version_read = header.get("version") if isinstance(header, dict) else header
        reason = f"expected densities of version {VERSION}, got {version_read!r}"
        raise CheckpointError(reason, path=path, remedy="fit them again with this version")
    for name, most in _MOST.items():
        size = header.get(name)
        if type(size) is not int or not 1 <= size <= most:
            raise CheckpointError(f"expected {name} of 1 to {most}, got {size!r}", path=path)
    labels = header.get("labels")
    if not isinstance(labels, list) or not labels or not all(isinstance(x, str) for x in labels):
        raise CheckpointError(f"expected labels, a list of texts, got {labels!r}", path=path)
    if header["d"] < 2:
        raise CheckpointError(f"expected kernels of 2 taps or more, got {header['d']}", path=path)
    return header


def _check_sizes(path: Location, header: dict[str, Any]) -> None:
    """Check the arrays that the header asks for against the file, before any of them is made."""
    sizes = [header[name] for name in _MOST]
    leaves = jax.tree.leaves(shapes_like(*sizes))
    shapes = [leaf for leaf in leaves if isinstance(leaf, jax.ShapeDtypeStruct)]
    claimed = len(header["labels"]) * sum(leaf.size * leaf.dtype.itemsize for leaf in shapes)
    stored = file_allowance(path).stored
    if claimed > stored:
        reason = f"expected {claimed:,} bytes of densities, found a file of {stored:,}"
        raise CheckpointError(reason, path=path, remedy="fit them again with this version")


def _leaf(path: Location, file: Any, name: str, leaf: Any, header: dict[str, Any]) -> jax.Array:
    expected = (len(header["labels"]), *leaf.shape)
    if name not in file.keys():  # noqa: SIM118 (safe_open is no mapping)
        raise CheckpointError("expected this array, found none", path=path, tensor=name)
    shape = tuple(file.get_slice(name).get_shape())
    if shape != expected:
        reason = f"expected the shape {expected}, got {shape}"
        raise CheckpointError(reason, path=path, tensor=name)
    array = file.get_tensor(name)
    if array.dtype != leaf.dtype or not np.isfinite(array).all():
        reason = f"expected finite numbers of {leaf.dtype}, got {array.dtype}"
        raise CheckpointError(reason, path=path, tensor=name)
    return jnp.asarray(array)
