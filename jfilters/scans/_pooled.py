"""The rows of models, pooled from those of their layers as the schema says."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from ._pool import VERDICT_COLUMNS
from .schema import LAYERS, MODEL_COLUMNS


def pooled(columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the numbers of one model from the columns of its layers: every pooled column of the schema."""
    return {
        column.name: column.pool(columns, column.name) for column in MODEL_COLUMNS if column.pool
    }


def object_columns(layers: pa.Table) -> dict[str, np.ndarray]:
    """Return the columns of the schema as object arrays, None where a value is unknown."""
    return {name: np.array(layers[name].to_pylist(), object) for name in LAYERS.names}


def pooled_again(models: pa.Table, layers: pa.Table) -> pa.Table:
    """Return the rows of the models that have layers in `layers`, pooled over those."""
    places: dict[str, list[int]] = {}
    for place, model in enumerate(layers["model"].to_pylist()):
        places.setdefault(model, []).append(place)
    if "verdict" in models.column_names:  # of an earlier version, and of all layers
        models = models.drop_columns(["verdict"])
    has_layers = [model in places for model in models["model"].to_pylist()]
    models = models.filter(pa.array(has_layers, pa.bool_()))
    columns = object_columns(layers)
    rows = [
        pooled({name: values[places[model]] for name, values in columns.items()})
        for model in models["model"].to_pylist()
    ]
    for name in rows[0] if rows else ():
        values = pa.array([row[name] for row in rows], models.schema.field(name).type)
        models = models.set_column(models.column_names.index(name), name, values)
    return models


def with_verdicts_counted(models: pa.Table, layers: pa.Table) -> pa.Table:
    """Return the models with the layers of each verdict counted.

    An earlier version wrote the most worrying verdict in their place.
    """
    if "verdict" not in models.column_names:
        return models
    pairs = zip(layers["model"].to_pylist(), layers["verdict"].to_pylist(), strict=True)
    counts, names = Counter(pairs), models["model"].to_pylist()
    for name, label in VERDICT_COLUMNS.items():
        values = pa.array([counts[model, label] for model in names], pa.int64())
        models = models.set_column(models.column_names.index(name), name, values)
    return models
