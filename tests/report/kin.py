"""Checkpoints of known heritage, and forests made by hand."""

import numpy as np
from safetensors.numpy import save_file

from jfilters.engine import Options, scan_into
from jfilters.lineage.internal import threshold
from jfilters.questions import Family, Forest, LineageEdge

SHAPES = {
    "conv1.weight": (16, 3, 3, 3),
    "conv2.weight": (32, 16, 3, 3),
    "conv3.weight": (32, 32, 3, 3),
}
KIN = ("average", "base", "half", "left", "pruned", "right")
"""Names of the kin, without their suffix; the stranger is no kin of theirs."""


def network(seed):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}


def changed(weights, function):
    return {name: function(value) for name, value in weights.items()}


def tuned(weights, seed):
    rng = np.random.default_rng(seed)
    step = {name: rng.standard_normal(x.shape) for name, x in weights.items()}
    return {name: (x + 0.2 * step[name]).astype(np.float32) for name, x in weights.items()}


def pruned(values):
    return np.where(np.abs(values) < np.quantile(np.abs(values), 0.5), 0, values)


def kin_folder(folder):
    """A base, a copy in float16, a pruned copy, two trained onward, their average, and a stranger."""
    folder.mkdir(parents=True)
    base = network(0)
    left, right = tuned(base, 1), tuned(base, 2)
    networks = {
        "base": base,
        "half": changed(base, lambda x: x.astype(np.float16)),
        "pruned": changed(base, pruned),
        "left": left,
        "right": right,
        "average": {name: (left[name] + right[name]) / 2 for name in left},
        "stranger": network(9),
    }
    for name, weights in networks.items():
        save_file(weights, folder / f"{name}.safetensors", {"format": "pt"})
    return folder


def kin_scan(folder):
    """The folder of a scan of `kin_folder`."""
    scan_into(folder / "out", kin_folder(folder / "in"), Options(orthogonality=False))
    return folder / "out"


def edge(
    parent, child, relation="fine-tuned", *, directed=True, evidence="12.0% of the weights differ"
):
    cue = "training steps that BatchNorm counted" if directed else ""
    return LineageEdge(parent, child, relation, directed, cue, evidence, 0.987, 42.0)


def forest(edges=(), strangers=(), *, families=None, incomparable=(), unread=(), notes=()):
    """A forest of these edges; their models are one family unless told otherwise."""
    names = list(dict.fromkeys(name for x in edges for name in (x.parent, x.child)))
    if families is None:
        families = [names] if names else []
    total = sum(map(len, families)) + len(strangers)
    return Forest(
        tuple(Family(tuple(models), 0.95, 33.0) for models in families),
        tuple(strangers),
        tuple(incomparable),
        tuple(edges),
        threshold(total),
        0.12,
        tuple(unread),
        tuple(notes),
    )


def chain(length):
    """A family in which each model was trained onward from the one before."""
    return forest([edge(f"step{i:03}.pt", f"step{i + 1:03}.pt") for i in range(length - 1)])
