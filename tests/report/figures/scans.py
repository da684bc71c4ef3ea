"""A scan for figures: two kinds of models with known shifts, and enough sampled kernels for a phenotype."""

import dataclasses

import numpy as np

from jfilters.scans.internal import sketch_arrays
from tests.scans.populations import labeled, population
from tests.scans.scans import D, replaced

KINDS = ("near", "near", "far", "far")


def drawable(folder, *, layers=4, kinds=KINDS):
    """Models of `kinds`, "far" ones shifted by 1, with 300 sampled kernels a layer; two are kin."""
    shifts = [1.0 if kind == "far" else 0.0 for kind in kinds]
    scan = labeled(population(folder, shifts, layers=layers), kind=list(kinds))
    rng = np.random.default_rng(0)
    n = 300 * len(scan.histogram)
    return replaced(
        kin(scan, layers),
        sample=rng.standard_normal((n, D)).astype(np.float32),
        sample_layer=np.repeat(np.arange(len(scan.histogram)), 300),
    )


def kin(scan, layers):
    """The same scan with the sketches of the first model for the second one, too."""
    order = np.arange(len(scan.histogram))
    order[layers : 2 * layers] = order[:layers]
    return replaced(scan, **sketch_arrays(scan.sketches.take(order)))


def renamed(scan, names):
    """The same scan with other names of its models, everywhere."""
    new = dict(zip(scan.model_names, names, strict=True))
    layers, models = (
        table.set_column(
            table.column_names.index("model"),
            "model",
            [[new[name] for name in table["model"].to_pylist()]],
        )
        for table in (scan.layer_table, scan.model_table)
    )
    return dataclasses.replace(scan, layer_table=layers, model_table=models)


def run_of(scan, steps):
    """The models as the steps of one run."""
    return renamed(scan, [f"run/step_{step}.pt" for step in steps])
