"""Do the nulls of drift hold? Rates, power and coverage where the truth is known.

`python -m benchmarks.nulls` draws made populations many times and asks the same functions that answer
`jfilters drift`: how often p is at most 0.05 where nothing differs and where something does, how often the
interval of U holds its expected value, and how often D passes the 95 % quantile of its sampling null. It
writes nulls.json and nulls.md to results/calibration/.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jfilters.scans import Scan, open_scan
from jfilters.scans.internal import units_of
from jfilters.shift import drift, drift_null, population_null, probability, unit_drift

from ._designs import RATIO, Design
from ._kernels import Law, laws
from ._known import effects, nulls, powers
from ._machine import machine

OUT = Path(__file__).parent.parent / "results" / "calibration"
PERMUTATIONS = 199
HIGHEST = 0.06
"""Of a rate where nothing differs, beyond its own error."""
UNITS = ("auto", "model")
SIZES = (
    *((100, 100), (300, 300), (1_000, 1_000), (100, 10_000), (1_000, 30_000), (10_000, 10_000)),
    *((30_000, 30_000), (100_000, 100_000)),
)

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> None:
    """Write nulls.json and nulls.md."""
    parser = argparse.ArgumentParser("python -m benchmarks.nulls", description=__doc__)
    parser.add_argument("--draws", type=int, default=400, help="of every design")
    parser.add_argument("--only", default="", help="designs whose name has this word")
    parser.add_argument(
        "--scan", type=Path, help="of real networks with families, to label at random"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    tables = {
        "null": [rate(*item, options.draws) for item in chosen(nulls(), options.only)],
        "power": [rate(*item, options.draws // 2) for item in chosen(powers(), options.only)],
        "coverage": [covered(*item, options.draws) for item in chosen(effects(), options.only)],
        "sampling": [
            passed(law, sizes, options.draws)
            for law in laws()
            for sizes in SIZES
            if options.only in law.name
        ],
    }
    if options.scan is not None:
        tables["real"] = [dealt(open_scan(options.scan), unit, options.draws) for unit in UNITS]
    record = {
        "draws": options.draws,
        "permutations": PERMUTATIONS,
        "seconds": round(time.perf_counter() - start),
        "machine": machine(("numpy", "scipy")),
        **tables,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "nulls.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "nulls.md").write_text(markdown(record))


def chosen(designs: dict[str, Design], word: str) -> Iterator[tuple[str, Design]]:
    """Yield the designs whose name has a word."""
    return ((name, design) for name, design in designs.items() if word in name)


def rate(name: str, design: Design, draws: int) -> Row:
    """Return the share of draws with p of 0.05 or less."""
    p = []
    for draw in range(draws):
        layers = design(np.random.default_rng([31, draw]))
        null = population_null(
            np.random.default_rng([32, draw]), *layers, RATIO, permutations=PERMUTATIONS
        )
        p.append(1.0 if null.p is None else null.p)
    print(f"{name}: {np.mean(np.array(p) <= 0.05):.3f}", flush=True)
    return {"design": name, "draws": draws, "rate": float(np.mean(np.array(p) <= 0.05))}


def covered(name: str, design: Design, draws: int) -> Row:
    """Return the share of draws whose interval of U holds the mean of U over all draws."""
    answers = [
        unit_drift(*design(np.random.default_rng([33, draw])), RATIO) for draw in range(draws)
    ]
    value, low, high = np.array(answers, float).T
    expected = value.mean()
    print(f"{name}: {np.mean((low <= expected) & (expected <= high)):.3f}", flush=True)
    return {
        "design": name,
        "draws": draws,
        "mean": float(expected),
        "error": float(value.std(ddof=1) / np.sqrt(draws)),
        "coverage": float(np.mean((low <= expected) & (expected <= high))),
        "width": float(np.mean(high - low)),
    }


def passed(law: Law, sizes: tuple[int, int], draws: int) -> Row:
    """Return how often D of two samples of one law passes the quantile of its sampling null."""
    draws = draws if sum(sizes) > 4_000 else 2 * draws
    hits, debiased = [], []
    for draw in range(draws):
        rng = np.random.default_rng([34, draw])
        first, second = (law.histogram(rng, n) for n in sizes)
        p, q = (probability(counts, law.edges) for counts in (first, second))
        null = drift_null(first + second, sizes, law.ratio, law.edges)
        value = float(drift(p, q, law.ratio))
        hits.append(value > null.quantile95)
        debiased.append(value - null.mean)
    print(f"{law.name} {sizes}: {np.mean(hits):.3f}", flush=True)
    return {
        "law": law.name,
        "first": sizes[0],
        "second": sizes[1],
        "draws": draws,
        "passed": float(np.mean(hits)),
        "debiased": float(np.mean(debiased)),
        "error": float(np.std(debiased, ddof=1) / np.sqrt(draws)),
    }


def dealt(scan: Scan, unit: str, draws: int) -> Row:
    """Return how often labels that are dealt to families at random have p of 0.05 or less."""
    families, units = units_of(scan).of_model, units_of(scan, unit)
    layers = scan.histogram, units.of_model[scan.model_of_layer]
    p = []
    for draw in range(draws):
        rng = np.random.default_rng([35, draw])
        label = rng.permutation(np.arange(1 + families.max()) % 2)[families[scan.model_of_layer]]
        null = population_null(
            rng, *layers, label, scan.component_weights, permutations=PERMUTATIONS
        )
        p.append(1.0 if null.p is None else null.p)
    share = float(np.mean(np.array(p) <= 0.05))
    print(f"{unit}: {share:.3f}", flush=True)
    number = len(np.unique(units.of_model))
    return {
        "unit": units.kind,
        "networks": len(scan.model_names),
        "units": number,
        "draws": draws,
        "rate": share,
    }


def markdown(record: Row) -> str:
    """Return the tables, and how to read them."""
    draws = record["draws"]
    error = np.sqrt(0.05 * 0.95 / draws)
    highest = max((row["rate"] for row in record["null"]), default=0.0)
    lines = [
        f"Nulls of drift on made populations, by `python -m benchmarks.nulls` ({record['seconds']} s).",
        "",
        f"P(p <= 0.05) over {draws} draws where nothing differs (standard error {error:.3f}), "
        f"{record['permutations']} permutations. A test is valid where no rate is beyond {HIGHEST} by more "
        f"than its error; the highest is {highest:.3f}:",
        "",
        *_table(record["null"], {"design": "design", "rate": "rate"}),
        "",
        "P(p <= 0.05) where the first group differs:",
        "",
        *_table(record["power"], {"design": "design", "rate": "power"}),
        "",
        "The 95 % interval of U: how often it holds the mean of U over all draws:",
        "",
        *_table(
            record["coverage"],
            {
                "design": "design",
                "mean": "mean U",
                "error": "error",
                "coverage": "coverage",
                "width": "width",
            },
        ),
        "",
        "Sampling null: P(D > its 95 % quantile) for two samples of one law, and the mean of D0:",
        "",
        *_table(
            record["sampling"],
            {
                "law": "law",
                "first": "n",
                "second": "m",
                "draws": "draws",
                "passed": "passed",
                "debiased": "mean D0",
                "error": "error",
            },
        ),
    ]
    if "real" in record:
        heads = {"unit": "a unit is a", "networks": "networks", "units": "units", "rate": "rate"}
        lines += [
            "",
            "Real networks, labels dealt to their families at random, P(p <= 0.05):",
            "",
            *_table(record["real"], heads),
        ]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row], heads: dict[str, str]) -> Iterator[str]:
    yield f"| {' | '.join(heads.values())} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(_cell(row[name]) for name in heads)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) >= 0.02 or not value else f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
