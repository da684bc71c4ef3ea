"""Scans of models that differ by a known shift of their kernels."""

import dataclasses

import numpy as np

from jfilters.statistics import Moments

from .scans import D, made_scan, moment_arrays, replaced


def population(folder, shifts, layers=3, kernels=4000, seed=0):
    """Models whose kernels have their histograms around one shift each, the same in every layer."""
    names = [f"{i:02}.pt" for i in range(len(shifts))]
    scan = made_scan(folder, dict.fromkeys(names, layers), seed=seed)
    rng = np.random.default_rng(seed)
    centers = (scan.edges[1:] + scan.edges[:-1]) / 2
    own = np.repeat(np.asarray(shifts, float), layers) + 0.05 * rng.normal(size=len(scan.histogram))
    shares = np.exp(-((centers - own[:, None]) ** 2))[:, None].repeat(D, axis=1)
    counts = rng.multinomial(kernels, shares / shares.sum(axis=-1, keepdims=True))
    half = rng.normal(size=(len(counts), D, D))
    moments = Moments(
        count=np.full(len(counts), float(kernels)),
        mean=0.1 * rng.normal(size=(len(counts), D)),
        scatter=half @ np.swapaxes(half, 1, 2),
    )
    others = dict.fromkeys(moment_arrays({"raw": moments, "clean": moments}))
    return replaced(
        scan,
        histogram=counts.astype(np.int64),
        sparse_histogram=(counts // 4).astype(np.int64),
        **moment_arrays({"normalized": moments}),
        **others,
    )


def labeled(scan, **columns):
    """The scan with a column of labels, one a model or one a layer."""
    layers = scan.layer_table
    for name, labels in columns.items():
        values = np.array(labels, object)
        values = values[scan.model_of_layer] if len(values) < len(scan.histogram) else values
        layers = layers.append_column(name, [values.tolist()])
    return dataclasses.replace(scan, layer_table=layers)
