"""The table of models from that of their layers, when a question is about some of the layers only."""

import numpy as np
import pyarrow as pa

from ..engine import MODELS, pooled


def pooled_again(models: pa.Table, layers: pa.Table) -> pa.Table:
    """The rows of the models that still have layers, pooled over those as a scan pools them."""
    places: dict[str, list[int]] = {}
    for place, model in enumerate(layers["model"].to_pylist()):
        places.setdefault(model, []).append(place)
    is_left = [model in places for model in models["model"].to_pylist()]
    kept = models.filter(pa.array(is_left, pa.bool_()))
    names = [name for name in MODELS.names if name in layers.column_names]
    columns = {name: np.array(layers[name].to_pylist(), object) for name in names}
    rows = [
        pooled({name: columns[name][places[model]] for name in names})
        for model in kept["model"].to_pylist()
    ]
    for name in rows[0] if rows else ():
        values = pa.array([row[name] for row in rows], kept.schema.field(name).type)
        kept = kept.set_column(kept.column_names.index(name), name, values)
    return kept
