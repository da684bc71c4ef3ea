"""The layers of the shown models: their numbers, beside those of random weights."""

from typing import Any

from ...questions import quality
from ...scans.schema import LAYER_COLUMNS
from ...statistics import VERDICTS
from ._pack import rounded
from ._standing import standing_section
from ._view import View, worst_first

_NUMBERS = ("relative_depth", "sparsity", "variance_entropy", "variance_entropy_ratio")
_OPTIONAL = tuple(column.name for column in LAYER_COLUMNS if column.optional)
_WHOLE = ("out_channels", "in_channels", "groups", "depth", "n_kernels", "n_zero", "n_sparse")


def layers_section(view: View) -> dict[str, Any]:
    """Columns of the layers, models by their place in `models`; quality is None if it was not measured."""
    scan = view.shown
    table = scan.layer_table
    columns: dict[str, list] = {
        "model": scan.model_of_layer.tolist(),
        **{
            name: table[name].to_pylist()
            for name in ("layer", "dtype", "depth_source", *_OPTIONAL, *_WHOLE)
        },
        **{name: [rounded(x) for x in table[name].to_pylist()] for name in (*_NUMBERS, "max_abs")},
        "orthogonality": [rounded(x) for x in table["orthogonality"].to_pylist()],
    }
    return {
        "models": scan.model_names,
        "total_models": len(view.scan.model_names),
        "columns": columns | (_judged(view) if view.has_quality else {}),
        "total_layers": view.scan.layer_table.num_rows,
        "worst": int(worst_first(scan)[0]) if view.has_quality else 0,
        "has_quality": view.has_quality,
        "standing": standing_section(scan) if view.has_quality else None,
    }


def quality_section(view: View) -> dict[str, Any] | None:
    """Verdicts of all layers, along depth and for every epsilon; None if it was not measured."""
    if not view.has_quality:
        return None
    answer = quality(view.scan)
    return {
        "verdicts": answer.verdicts,
        "order": list(VERDICTS),
        "shares": [[share.label, share.layers, share.degenerate] for share in answer.shares],
        "strip": answer.strip and [[eps, words] for eps, words in answer.strip.items()],
    }


def _judged(view: View) -> dict[str, list]:
    layers = quality(view.shown).layers
    random = ("random_variance_entropy", "random_orthogonality")
    return {
        **{name: [rounded(row[name]) for row in layers] for name in random},
        **{name: [row[name] for row in layers] for name in ("verdict", "reason")},
    }
