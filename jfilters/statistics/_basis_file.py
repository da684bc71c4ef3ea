"""A basis on disk: three float64 arrays in a safetensors file.

The keys are those of a scan's arrays.safetensors, so that a scan can be handed over wherever a
basis is asked for.
"""

import os
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from .._bounds import check_header
from .._files import Location, is_there, open_tensors, readable, written_whole
from .._traced import on_host
from ..errors import CheckpointError, UnreadableError, system_reason
from ._basis import Basis

MOST_TAPS = 4096
"""No kernel has more taps; bounds what reading a basis allocates."""

_WITHIN = 1e-3  # of orthonormal rows, of a sum of 1


@on_host("save the returned basis outside of the program")
def save_basis(path: Location | str | os.PathLike[str], basis: Basis) -> None:
    """Write `basis` to `path` as a safetensors file, which appears whole or not at all.

    The file holds the float64 arrays of `basis_arrays`; `load_basis` gives them back bit for bit.
    Runs on the host.

    **Arguments:**

    - `path`: the file to write, also at a URL; an existing one is replaced.

    >>> import pathlib, tempfile
    >>> import jfilters as jf
    >>> from jfilters.training import cosine_basis
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     jf.save_basis(pathlib.Path(folder, "basis.safetensors"), cosine_basis((3, 3)))
    ...     [file.name for file in pathlib.Path(folder).iterdir()]
    ['basis.safetensors']
    """
    with written_whole(path) as partial:
        save_file(basis_arrays(basis), partial)


def load_basis(path: Location | str | os.PathLike[str]) -> Basis:
    """Return the basis that `save_basis`, or a scan, wrote to `path`, as float64 NumPy arrays.

    Runs on the host and imports no compiler. The arrays are checked: orthonormal components, and
    variance ratios that sum to 1.

    **Arguments:**

    - `path`: a safetensors file with a basis, such as a scan's arrays.safetensors.

    Raises UnreadableError where there is no file, and CheckpointError, naming the file, the key and
    the expected content, for a file without a basis.

    >>> import pathlib, tempfile
    >>> import jfilters as jf
    >>> from jfilters.training import cosine_basis
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "basis.safetensors")
    ...     jf.save_basis(path, cosine_basis((3, 3)))
    ...     jf.load_basis(path).mean.shape
    (9,)
    """
    path = readable(path)
    if not is_there(path):
        raise UnreadableError("expected a safetensors file with a basis, found no file", path=path)
    check_header(path)
    try:
        with open_tensors(path) as file:
            d = _taps(file, path)
            basis = Basis(
                mean=_read(file, path, "basis.mean", (d,)),
                components=_read(file, path, "basis.components", (d, d)),
                variance_ratio=_read(file, path, "basis.variance_ratio", (d,)),
            )
    except OSError as error:
        reason = system_reason(error)
        raise UnreadableError(f"expected a readable file, got: {reason}", path=path) from error
    except SafetensorError as error:
        raise CheckpointError(f"expected a safetensors file, got: {error}", path=path) from error
    _check_values(path, basis)
    return basis


def basis_arrays(basis: Basis) -> dict[str, np.ndarray]:
    """Return the stored form of `basis`: float64 arrays by their key, for a file that holds more.

    The keys are "basis.mean", "basis.components" and "basis.variance_ratio", as in a scan's
    arrays.safetensors; `load_basis` reads them there. Runs on the host.
    """
    return {
        f"basis.{name}": np.ascontiguousarray(getattr(basis, name), np.float64)
        for name in ("mean", "components", "variance_ratio")
    }


def _taps(file: Any, path: Location) -> int:
    shape = _stored(file, path, "basis.mean").get_shape()
    if len(shape) != 1 or not 1 <= shape[0] <= MOST_TAPS:
        reason = f"expected shape (d,) with d from 1 to {MOST_TAPS}, found {tuple(shape)}"
        raise _wrong(path, "basis.mean", reason)
    return shape[0]


def _read(file: Any, path: Location, key: str, shape: tuple[int, ...]) -> np.ndarray:
    stored = _stored(file, path, key)
    dtype, stored_shape = stored.get_dtype(), tuple(stored.get_shape())
    if (dtype, stored_shape) != ("F64", shape):
        raise _wrong(path, key, f"expected F64 of shape {shape}, found {dtype} of {stored_shape}")
    array = file.get_tensor(key)
    if not np.isfinite(array).all():
        raise _wrong(path, key, "expected finite numbers, found NaN or infinity")
    return array


def _stored(file: Any, path: Location, key: str) -> Any:
    if key not in set(file.keys()):
        raise _wrong(path, key, "expected the arrays of a basis, found no such key")
    return file.get_slice(key)


def _check_values(path: Location, basis: Basis) -> None:
    components, ratio = np.asarray(basis.components), np.asarray(basis.variance_ratio)
    with np.errstate(all="ignore"):
        error = np.max(np.abs(components @ components.T - np.eye(len(components))))
        total = np.sum(ratio)
    if not error <= _WITHIN:
        reason = f"expected orthonormal rows, found products off by {error:.3g}"
        raise _wrong(path, "basis.components", reason)
    if np.min(ratio) < 0 or not abs(total - 1) <= _WITHIN:
        reason = f"expected ratios of at least 0 that sum to 1, found a sum of {total:.6g}"
        raise _wrong(path, "basis.variance_ratio", reason)


def _wrong(path: Location, key: str, reason: str) -> CheckpointError:
    remedy = "write the file with save_basis, or take a scan's arrays.safetensors"
    return CheckpointError(reason, path=path, tensor=key, remedy=remedy)
