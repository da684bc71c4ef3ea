"""Does `compare` find every deployed twin of a real network, and no twin among strangers?

`python -m benchmarks.compare_twins --networks FILE` reads a table with a row a file: file, family, twin
(the file with the same network, empty without one), and axes. Three kinds of pairs are compared: twins as
they were published, each network with deployments of it made here, and networks of different families, as
they are and deployed. twins.json and twins.md go to results/compare/.
"""

import argparse
import csv
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np

from jfilters.compare import Comparison
from jfilters.compare.internal import compare_layers, side_of
from jfilters.converters import open_checkpoint

from ._machine import machine
from .compare_alarms import OUT, HeldLayer, MadeLayer, Network, network, upper

PACKAGES = ("numpy",)
LARGEST = 150_000
"""Weights of a network that is deployed here and compared with strangers: larger ones take long."""

Change = Callable[[np.random.Generator, np.ndarray], np.ndarray]
Row = dict[str, str]


def main(arguments: list[str] | None = None) -> None:
    """Compare all pairs, and write the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.compare_twins", description=__doc__)
    parser.add_argument("--networks", type=Path, required=True, help="file, family, twin, axes")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    with options.networks.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    networks = [_network(row) for row in rows if _size(row) <= LARGEST]
    record = {
        "published": published(rows),
        "made": {name: made(name, networks) for name in FORMS},
        "strangers": strangers(networks),
        "networks": len(networks),
        "families": len({x.family for x in networks}),
        "seconds": round(time.perf_counter() - start),
        "machine": machine(PACKAGES),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "twins.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "twins.md").write_text(markdown(record))


def published(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Return how many twins there are of every pair of formats, and how many are told."""
    by_file = {row["file"]: row for row in rows}
    counts: dict[str, list[int]] = {}
    for row in rows:
        if row["twin"]:
            pair = [_opened(by_file[file]) for file in (row["twin"], row["file"])]
            sides = side_of(pair[0]), side_of(pair[1])
            result = compare_layers(pair[0].layers, pair[1].layers, sides, reshaped=True)
            count = counts.setdefault(" and ".join(sorted({x.format for x in sides})), [0, 0])
            _count(count, result, row["file"], is_twin=True)
    return counts


def made(form: str, networks: Sequence[Network]) -> list[int]:
    """Return how many networks there are, and of how many the deployment in this form is told."""
    count = [0, 0]
    for index, item in enumerate(networks):
        other = _deployed(item, form, index)
        _count(count, _compared(item, other), f"{item.name} {form}", is_twin=True)
    return count


def strangers(networks: Sequence[Network]) -> dict[str, list[int]]:
    """Return how many pairs of strangers have a layer to compare, and how many are called twins.

    As they are, and with the second network folded and quantized.
    """
    counts = {"as they are": [0, 0], "folded, int8": [0, 0]}
    deployed = [_deployed(x, "folded, int8", i) for i, x in enumerate(networks)]
    for (_, a), (j, b) in itertools.combinations(enumerate(networks), 2):
        if a.family != b.family and {x.shape for x in a.layers} & {x.shape for x in b.layers}:
            name = f"{a.name} {b.name}"
            _count(counts["as they are"], _compared(a, b), name, is_twin=False)
            _count(counts["folded, int8"], _compared(a, deployed[j]), name, is_twin=False)
    return counts


def markdown(record: dict) -> str:
    """Return the table of twins and strangers."""
    lines = [
        "# Is a deployed network told to be the trained one?",
        "",
        "*published*: networks that packages hold twice, by their formats. *made*: deployments made here "
        "of each network. *strangers*: networks of different families that have a layer to compare. The "
        "last column is how many are called the same network.",
        "",
        "| pairs | kind | number | the same network |",
        "|---|---|---:|---:|",
    ]
    for kind in ("published", "made", "strangers"):
        lines += [f"| {kind} | {name} | {n:,} | {k:,} |" for name, (n, k) in record[kind].items()]
    n, k = (sum(x[i] for x in record["strangers"].values()) for i in (0, 1))
    lines += [
        "",
        f"{record['networks']} networks of {record['families']} families, with up to {LARGEST:,} weights, "
        f"are deployed here and compared with strangers, {record['seconds']} s. False twins: {k} of {n:,}, "
        "below "
        f"{upper(k, n):.2%} (95 %, if pairs were independent).",
        "",
    ]
    return "\n".join(lines)


def _count(count: list[int], result: Comparison, name: str, *, is_twin: bool) -> None:
    count[0] += 1
    count[1] += result.deployment.is_same
    if result.deployment.is_same != is_twin:
        print(name, result.relation.label, result.deployment.text, sep="; ", flush=True)


def _compared(a: Network, b: Network) -> Comparison:
    return compare_layers(a.layers, b.layers, (a.side, b.side), reshaped=True)


def _opened(row: Row):
    return open_checkpoint(row["file"], axes=row.get("axes") or None)


def _size(row: Row) -> int:
    return sum(math.prod(layer.shape) for layer in _opened(row).layers)


def _network(row: Row) -> Network:
    layers = [HeldLayer(layer) for layer in _opened(row).layers]
    return network(Path(row["file"]).name, row["family"], layers)


def _deployed(item: Network, form: str, seed: int) -> Network:
    """The network in another form, with names that say nothing."""
    rng = np.random.default_rng(seed)
    layers = [
        MadeLayer(f"op{i}", FORMS[form](rng, layer.read()).astype(np.float32))
        for i, layer in enumerate(item.layers)
    ]
    return network(f"{item.name} {form}", item.family, layers)


def _folded(rng: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    numbers = np.exp(rng.normal(0, 0.7, len(weight))) * rng.choice((-1, 1), len(weight))
    return weight * numbers.reshape(-1, *[1] * (weight.ndim - 1))


def _int8(weight: np.ndarray, *, per_channel: bool = True) -> np.ndarray:
    axes = tuple(range(1, weight.ndim)) if per_channel else None
    step = np.abs(weight).max(axis=axes, keepdims=True) / 127
    step = np.where(step > 0, step, 1)
    return np.round(weight / step) * step


FORMS: dict[str, Change] = {
    "float16": lambda rng, w: w.astype(np.float16),
    "bfloat16": lambda rng, w: w.astype(ml_dtypes.bfloat16),
    "folded": _folded,
    "folded, float16": lambda rng, w: _folded(rng, w).astype(np.float16),
    "folded, bfloat16": lambda rng, w: _folded(rng, w).astype(ml_dtypes.bfloat16),
    "int8": lambda rng, w: _int8(w),
    "int8 a tensor": lambda rng, w: _int8(w, per_channel=False),
    "folded, int8": lambda rng, w: _int8(_folded(rng, w)),
    "folded, int8 a tensor": lambda rng, w: _int8(_folded(rng, w), per_channel=False),
}


if __name__ == "__main__":
    main()
