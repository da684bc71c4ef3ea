"""The sparsity of layers among those of the registry: real networks that ship with jfilters."""

from typing import Any

import numpy as np

from ...errors import CheckpointError
from ...scans import Scan, open_registry
from ._pack import rounded


def standing_section(scan: Scan) -> dict[str, Any] | None:
    """Return for every layer the share of real layers that are less sparse, and how many there are.

    None where the registry is not there, or has kernels of another shape or another test for sparse ones.
    """
    try:
        registry = open_registry()
    except CheckpointError:
        return None
    if not _is_alike(scan, registry):
        return None
    own, others = _sparsity(scan), _sparsity(registry)
    digests = {digest for digest in _digests(scan).values() if digest}
    copies = {name for name, digest in _digests(registry).items() if digest in digests}
    is_other = [name not in copies for name in registry.layer_table["model"].to_pylist()]
    reference = np.sort(others[np.array(is_other) & np.isfinite(others)])
    if not len(reference):
        return None
    shares = np.searchsorted(reference, own, side="left") / len(reference)
    return {
        "above": [rounded(x) for x in np.where(np.isfinite(own), shares, np.nan).tolist()],
        "layers": len(reference),
    }


def _is_alike(scan: Scan, registry: Scan) -> bool:
    limits = [x.record["config"].get("sparse_eps", 0.01) for x in (scan, registry)]
    return scan.spatial == registry.spatial and limits[0] == limits[1]


def _sparsity(scan: Scan) -> np.ndarray:
    values = scan.layer_table["sparsity"].to_pylist()
    return np.array([np.nan if value is None else value for value in values], float)


def _digests(scan: Scan) -> dict[str, Any]:
    """Return the hash of the file of every model."""
    return {entry["model"]: entry.get("sha256") for entry in scan.record["checkpoints"]}
