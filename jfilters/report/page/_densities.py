"""Divergences between learned densities, if `jfilters density divergence` wrote some beside the scan."""

import json
import re
from typing import Any

from ..._files import file_bytes
from ...errors import CheckpointError
from ...io import base_name, children, is_folder
from ._pack import rounded
from ._view import View

_NUMBERS = ("forward", "forward_error", "backward", "backward_error", "jeffreys", "jeffreys_error")

_NAME = re.compile(r"density-.*\.json")


def densities_section(view: View) -> list[dict[str, Any]] | None:
    """The records of every file density-AXIS.json in the scan's folder; None if there is none.

    Raises CheckpointError for a file that holds something else.
    """
    folder = view.scan.folder
    if folder is None or not is_folder(folder):
        return None
    files = [file for file in children(folder) if _NAME.fullmatch(base_name(file))]
    return [_read(file) for file in files] or None


def _read(file) -> dict[str, Any]:
    try:
        record = json.loads(file_bytes(file))
        return {
            "by": str(record["by"]),
            "groups": [
                [str(group["label"]), int(group["models"]), int(group["kernels"])]
                for group in record["groups"]
            ],
            "pairs": [_pair(pair) for pair in record["pairs"]],
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"expected divergences between densities, got {type(error).__name__}: {error}"
        remedy = "write it again with `jfilters density divergence`, or remove it"
        raise CheckpointError(reason, path=file, remedy=remedy) from error


def _pair(pair: dict[str, Any]) -> dict[str, Any]:
    return {
        "first": str(pair["first"]),
        "second": str(pair["second"]),
        "distinguishable": bool(pair["distinguishable"]),
        **{name: rounded(None if pair[name] is None else float(pair[name])) for name in _NUMBERS},
    }
