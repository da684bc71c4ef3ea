"""How far apart are two networks, by what is known of them? D0 between pairs of known kind.

`python -m benchmarks.ruler REAL STUDY` reads the scan of a population of real networks, whose checkpoints
are at hand, and that of the study. Copies are made of the real ones: rounded to float16, and with the
smaller half of the weights of every layer set to zero. Fine-tunes are pairs of one family of equal layers;
strangers are pairs of two families. Other seed, data and task are pairs of the study that differ in that
alone. It writes ruler.json and ruler.md to results/calibration/, from which
jfilters/questions/drift/_ruler.py has its numbers.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from jfilters.converters import open_checkpoint
from jfilters.scans import Scan, axis_values, open_scan
from jfilters.scans.internal import model_counts
from jfilters.shift import drift, drift_null, probability
from jfilters.statistics.internal import host_counts, host_normalize

from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "calibration"
FEWEST = 1_000
"""Kernels of a network; fewer tell little beyond sampling."""

MOST = 3_000
"""Pairs of a kind, drawn evenly, so that large kinds take no longer than small ones."""

QUANTILES = (0.1, 0.5, 0.9)
DESIGN = ("visual_category", "task", "architecture", "seed")


def main(arguments: list[str] | None = None) -> None:
    """Write ruler.json and ruler.md."""
    parser = argparse.ArgumentParser("python -m benchmarks.ruler", description=__doc__)
    parser.add_argument("real", type=Path, help="a scan of real networks with families")
    parser.add_argument("study", type=Path, nargs="?", help="the scan of `make study`")
    parser.add_argument("--axes", help="axis order of the real checkpoints, if they do not say")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    real = open_scan(options.real)
    study = {} if options.study is None else {x: open_scan(options.study) for x in KINDS}
    values = {
        "copy in float16": list(copies(real, as_float16, options.axes)),
        "smaller half of weights set to zero": list(copies(real, half_pruned, options.axes)),
        "fine-tuned from each other": list(kin(real)),
        **{KINDS[axis]: list(differing(scan, axis)) for axis, scan in study.items()},
        "strangers": list(strangers(real)),
    }
    rows = sorted(
        (row(kind, numbers) for kind, numbers in values.items()), key=lambda x: x["median"]
    )
    record = {"fewest_kernels": FEWEST, "machine": machine(("numpy",)), "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "ruler.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "ruler.md").write_text(markdown(rows))


KINDS = {"seed": "other seed", "visual_category": "other data", "task": "other task"}


def row(kind: str, values: list[float]) -> dict[str, float | str | int]:
    """Return the quantiles of one kind."""
    low, median, high = np.quantile(values, QUANTILES)
    return {
        "kind": kind,
        "pairs": len(values),
        "median": float(median),
        "low": float(low),
        "high": float(high),
    }


def debiased(scan: Scan, first: np.ndarray, second: np.ndarray) -> float:
    """Return D less the mean of its sampling null."""
    ratio, edges = scan.component_weights, scan.edges
    sizes = int(first[0].sum()), int(second[0].sum())
    value = drift(probability(first, edges), probability(second, edges), ratio)
    return float(value) - drift_null(first + second, sizes, ratio, edges).mean


def copies(
    scan: Scan, change: Callable[[np.ndarray], np.ndarray], axes: str | None
) -> Iterator[float]:
    """Yield D0 between each network and a changed copy of it.

    A copy has the kernels of its network, so that nothing is sampled twice: its D has no sampling in it.
    """
    ratio, edges = scan.component_weights, scan.edges
    for entry in scan.record["checkpoints"]:
        checkpoint = open_checkpoint(entry["path"], axes=axes)
        counts = np.zeros((2, scan.d, len(edges) - 1), np.int64)
        for layer in checkpoint.layers:
            if tuple(layer.shape[2:]) != tuple(scan.spatial):
                continue
            weight = layer.read().astype(np.float32)
            for total, copy in zip(counts, (weight, change(weight)), strict=True):
                total += host_counts(host_normalize(copy.reshape(-1, scan.d)), scan.basis, edges)
        if counts[0, 0].sum() >= FEWEST:
            p, q = (probability(x, edges) for x in counts)
            yield float(drift(p, q, ratio))


def as_float16(weight: np.ndarray) -> np.ndarray:
    """Round to float16."""
    return weight.astype(np.float16).astype(np.float32)


def half_pruned(weight: np.ndarray) -> np.ndarray:
    """Set the smaller half of the weights to zero."""
    return np.where(np.abs(weight) > np.median(np.abs(weight)), weight, np.float32(0))


def kin(scan: Scan) -> Iterator[float]:
    """Yield D0 of pairs of one family with equal layers."""
    return _pairs(scan, lambda a, b: a["family"] == b["family"] and a["layers"] == b["layers"])


def strangers(scan: Scan) -> Iterator[float]:
    """Yield D0 of pairs of two families."""
    return _pairs(scan, lambda a, b: a["family"] != b["family"])


def differing(scan: Scan, axis: str) -> Iterator[float]:
    """Yield D0 of pairs of trained networks of the study that differ in one axis alone."""
    others = [name for name in DESIGN if name != axis]
    if axis != "seed":
        others.remove("seed")
    trained = scan.where("series == 'design' and stage == 'trained'")
    return _pairs(
        trained,
        lambda a, b: a[axis] != b[axis] and all(a[name] == b[name] for name in others),
    )


def _pairs(scan: Scan, is_kind: Callable[[dict, dict], bool]) -> Iterator[float]:
    counts, models = model_counts(scan), _about(scan)
    large = [i for i in range(len(models)) if counts[i, 0].sum() >= FEWEST]
    places = [x for x in itertools.combinations(large, 2) if is_kind(models[x[0]], models[x[1]])]
    for i, j in places[:: max(1, len(places) // MOST)]:
        yield debiased(scan, counts[i], counts[j])


def _about(scan: Scan) -> list[dict]:
    """Return family, layers and labels of each model, in their order."""
    table = {row["model"]: row for row in scan.model_table.to_pylist()}
    names = scan.layer_table["layer"].to_pylist()
    layers: list[list[str]] = [[] for _ in scan.model_names]
    for name, place in zip(names, scan.model_of_layer.tolist(), strict=True):
        layers[place].append(name)
    about = [dict(table[model]) | {"layers": layers[i]} for i, model in enumerate(scan.model_names)]
    for axis in DESIGN:
        if axis in scan.layer_table.column_names:
            values = axis_values(scan, axis)
            for place, value in zip(scan.model_of_layer.tolist(), values, strict=True):
                about[place][axis] = value
    return about


def markdown(rows: list[dict]) -> str:
    """Return the table."""
    lines = [
        "D0 between two networks of known kind, in nats, by `python -m benchmarks.ruler`: networks of at "
        f"least {FEWEST:,} 3x3 kernels.",
        "",
        "| pair | pairs | 10 % | median | 90 % |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {x['kind']} | {x['pairs']:,} | {x['low']:.2g} | {x['median']:.2g} | {x['high']:.2g} |"
            for x in rows
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
