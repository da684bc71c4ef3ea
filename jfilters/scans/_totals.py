"""The totals of a scan, for scan.json: of one that was run, and of several that were merged."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ._status import STATUSES

_SUMS = {"kernels": "n_kernels", "zero_kernels": "n_zero", "nonfinite_kernels": "n_nonfinite"}


def totals(
    checkpoints: Sequence[Mapping[str, Any]], layers: Sequence[pa.Table], outside: int
) -> dict[str, int]:
    """Count checkpoints by status, their bytes, layers and kernels.

    Args:
        checkpoints: the entries of the record.
        layers: tables of layers, which are counted together.
        outside: coefficients that lay outside the range of the histograms.
    """
    statuses = [checkpoint.get("status") for checkpoint in checkpoints]
    return {
        "checkpoints": len(checkpoints),
        **{status: statuses.count(status) for status in STATUSES},
        "bytes": sum(checkpoint.get("bytes") or 0 for checkpoint in checkpoints),
        "layers": sum(table.num_rows for table in layers),
        **{total: sum(_sum(table, name) for table in layers) for total, name in _SUMS.items()},
        "coefficients_outside_range": outside,
    }


def _sum(table: pa.Table, name: str) -> int:
    return sum(table[name].to_pylist())
