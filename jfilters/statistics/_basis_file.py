"""A basis on disk: three float64 arrays in a safetensors file.

The keys are those of a scan's arrays.safetensors, so that a scan can be handed over wherever a
basis is asked for.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .._files import written_whole
from ..errors import CheckpointError, UnreadableError
from ._basis import Basis

MOST_TAPS = 4096
"""No kernel has more taps; bounds what reading a basis allocates."""

_WITHIN = 1e-3  # of orthonormal rows, of a sum of 1


def save_basis(path: str | os.PathLike[str], basis: Basis) -> None:
    """Write `basis` to `path`, which appears whole or not at all."""
    with written_whole(Path(path)) as partial:
        save_file(basis_arrays(basis), partial)


def load_basis(path: str | os.PathLike[str]) -> Basis:
    """The basis that `save_basis`, or a scan, wrote to `path`.

    Raises CheckpointError, naming the file, the key and what was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise UnreadableError("expected a safetensors file with a basis, found no file", path=path)
    try:
        with safe_open(path, framework="numpy") as file:
            d = _taps(file, path)
            basis = Basis(
                mean=_read(file, path, "basis.mean", (d,)),
                components=_read(file, path, "basis.components", (d, d)),
                variance_ratio=_read(file, path, "basis.variance_ratio", (d,)),
            )
    except OSError as error:
        raise UnreadableError(f"expected a readable file, got: {error}", path=path) from error
    except SafetensorError as error:
        raise CheckpointError(f"expected a safetensors file, got: {error}", path=path) from error
    _check_values(path, basis)
    return basis


def basis_arrays(basis: Basis) -> dict[str, np.ndarray]:
    """The stored form of `basis`, for a file that holds more than a basis."""
    return {
        f"basis.{name}": np.ascontiguousarray(getattr(basis, name), np.float64)
        for name in ("mean", "components", "variance_ratio")
    }


def _taps(file: Any, path: Path) -> int:
    shape = _stored(file, path, "basis.mean").get_shape()
    if len(shape) != 1 or not 1 <= shape[0] <= MOST_TAPS:
        reason = f"expected shape (d,) with d from 1 to {MOST_TAPS}, found {tuple(shape)}"
        raise _wrong(path, "basis.mean", reason)
    return shape[0]


def _read(file: Any, path: Path, key: str, shape: tuple[int, ...]) -> np.ndarray:
    stored = _stored(file, path, key)
    found = stored.get_dtype(), tuple(stored.get_shape())
    if found != ("F64", shape):
        raise _wrong(path, key, f"expected F64 of shape {shape}, found {found[0]} of {found[1]}")
    array = file.get_tensor(key)
    if not np.isfinite(array).all():
        raise _wrong(path, key, "expected finite numbers, found NaN or infinity")
    return array


def _stored(file: Any, path: Path, key: str) -> Any:
    if key not in set(file.keys()):
        raise _wrong(path, key, "expected the arrays of a basis, found no such key")
    return file.get_slice(key)


def _check_values(path: Path, basis: Basis) -> None:
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


def _wrong(path: Path, key: str, reason: str) -> CheckpointError:
    remedy = "write the file with save_basis, or take a scan's arrays.safetensors"
    return CheckpointError(reason, path=path, tensor=key, remedy=remedy)
