"""Comparability of the histograms of two scans: kernels of one size, in one basis, between equal edges."""

import numpy as np

from .._files import is_there
from ._scan import Scan

_BASIS = ("mean", "components", "variance_ratio")
_SPARSE = {"sparse_eps": 0.01, "sparse_strict": True}


def check_comparable(a: Scan, b: Scan) -> None:
    """Raise ValueError unless the two can be compared and merged; it says what differs and what to do."""
    if a.spatial != b.spatial:
        sizes = [f"{'x'.join(map(str, scan.spatial))} in {scan.name}" for scan in (a, b)]
        raise ValueError(
            f"expected kernels of one size, got {' and '.join(sizes)}; {_SCAN} --spatial"
        )
    for name in _BASIS:
        first, second = (np.asarray(getattr(scan.basis, name)) for scan in (a, b))
        if not np.array_equal(first, second):
            remedy = f"{_SCAN} --basis {_basis_file(a)}"
            largest = float(np.max(np.abs(first - second)))
            reason = f"their bases differ in {name} by up to {largest:.3g}"
            raise ValueError(f"{_pair(a, b)}: {reason}; {remedy}")
    _check_weights(a, b)
    _check_edges(a, b)


def check_same_sparse(a: Scan, b: Scan) -> None:
    """Raise ValueError unless both have the same test for sparse kernels."""
    for name, default in _SPARSE.items():
        first, second = (scan.record["config"].get(name, default) for scan in (a, b))
        if first != second:
            reason = f"{name} is {first} in one and {second} in the other"
            raise ValueError(f"{_pair(a, b)}: {reason}; {_SCAN} the same configuration")


def _check_weights(a: Scan, b: Scan) -> None:
    if not np.array_equal(a.component_weights, b.component_weights):
        raise ValueError(f"{_pair(a, b)}: their components weigh differently; {_SCAN} --weights")


def _check_edges(a: Scan, b: Scan) -> None:
    if len(a.edges) != len(b.edges):
        reason = f"{len(a.edges) - 1} bins against {len(b.edges) - 1}"
    elif not np.array_equal(a.edges, b.edges):
        reason = f"their edges differ by up to {float(np.max(np.abs(a.edges - b.edges))):.3g}"
    else:
        return
    raise ValueError(f"{_pair(a, b)}: {reason}; {_SCAN} --range fixed")


def _basis_file(scan: Scan) -> str:
    if scan.folder is None:
        return "FILE, after save_basis(FILE, scan.basis)"
    return str(scan.folder if is_there(scan.folder) else scan.folder / "arrays.safetensors")


def _pair(a: Scan, b: Scan) -> str:
    return f"{a.name} and {b.name} do not belong together"


_SCAN = "scan one of them again with"
