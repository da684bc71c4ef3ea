"""The divergences of learned densities beside the drift of the same models.

`python -m benchmarks.joint_shapes SCAN` reads what `jfilters scan` and `jfilters density divergence SCAN
--by model` wrote, and keeps the matrix with its errors, the ranking of the pairs by either, and a figure.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

OUT = Path(__file__).parent.parent / "results" / "density"


def main(arguments: list[str] | None = None) -> None:
    """Write divergence.json, pairs.csv, matrix.md and joint_shapes.png."""
    parser = argparse.ArgumentParser("python -m benchmarks.joint_shapes", description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    record = json.loads((chosen.scan / "density-model.json").read_text())
    pairs = with_drift(record["pairs"], chosen.scan / "drift-model.csv")
    versions = json.loads((chosen.scan / "scan.json").read_text())["versions"]
    chosen.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"versions": versions, **record}, indent=1)
    (chosen.out / "divergence.json").write_text(text + "\n")
    write_pairs(pairs, chosen.out / "pairs.csv")
    (chosen.out / "matrix.md").write_text(markdown(record, pairs))
    figure(pairs, chosen.out / "joint_shapes.png")


def with_drift(pairs: list[dict], path: Path) -> list[dict]:
    """The pairs with their drift D, and the ranks of both, 1 for the most different."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    drift = {
        (row[0], name): float(value)
        for row in rows
        for name, value in zip(head[1:], row[1:], strict=True)
    }
    found = [{**pair, "drift": drift[pair["first"], pair["second"]]} for pair in pairs]
    for name in ("jeffreys", "drift"):
        for rank, pair in enumerate(sorted(found, key=lambda pair: -pair[name]), 1):
            pair[f"{name}_rank"] = rank
    return found


def write_pairs(pairs: list[dict], path: Path) -> None:
    """One row a pair."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(pairs[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {
                name: f"{value:.6g}" if isinstance(value, float) else value
                for name, value in pair.items()
            }
            for pair in pairs
        )


def markdown(record: dict, pairs: list[dict]) -> str:
    """J with its errors as a matrix, and what drift says otherwise."""
    labels = [group["label"] for group in record["groups"]]
    found = {(pair["first"], pair["second"]): pair for pair in pairs}
    lines = [
        f"J in nats +- one standard error, {record['kernels']:,} kernels of each model, seed "
        f"{record['seed']}; *italic*: not distinguishable.",
        "",
        f"| | {' | '.join(str(i) for i in range(1, len(labels) + 1))} |",
        f"| --- |{' ---: |' * len(labels)}",
    ]
    for i, label in enumerate(labels):
        cells = [_cell(found.get((label, other)) or found.get((other, label))) for other in labels]
        lines.append(f"| {i + 1} {label} | {' | '.join(cells)} |")
    rank = spearmanr([p["jeffreys"] for p in pairs], [p["drift"] for p in pairs])
    same = [pair for pair in pairs if not pair["distinguishable"]]
    apart = sorted(pairs, key=lambda p: -abs(p["jeffreys_rank"] - p["drift_rank"]))[:8]
    lines += [
        "",
        f"Spearman's rank correlation of J and drift D over {len(pairs)} pairs: {rank.statistic:.2f}. "
        f"Not distinguishable: {len(same)}. The pairs that they rank most differently:",
        "",
        "| pair | J | rank | D | rank | accuracy |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for p in apart:
        numbers = f"{p['jeffreys']:.2f} +- {p['jeffreys_error']:.2f} | {p['jeffreys_rank']}"
        numbers += f" | {p['drift']:.3f} | {p['drift_rank']} | {p['accuracy']:.2f}"
        lines.append(f"| {p['first']}, {p['second']} | {numbers} |")
    left_out = ", ".join(f"{group['label']} ({group['kernels']:,})" for group in record["left_out"])
    return "\n".join([*lines, "", f"Left out, too few kernels: {left_out}."]) + "\n"


def _cell(pair: dict | None) -> str:
    if pair is None:
        return ""
    text = f"{pair['jeffreys']:.2f} +- {pair['jeffreys_error']:.2f}"
    return text if pair["distinguishable"] else f"*{text}*"


def figure(pairs: list[dict], path: Path) -> None:
    """J against D, a point a pair."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(4.5, 3.6), layout="constrained")
    axes = drawing.subplots()
    drift, jeffreys, error = (
        np.array([pair[name] for pair in pairs]) for name in ("drift", "jeffreys", "jeffreys_error")
    )
    axes.errorbar(drift, jeffreys, error, fmt=".", markersize=4, elinewidth=0.6)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="drift D, nats",
        ylabel="J of learned densities, nats",
        title=f"{len(pairs)} pairs of networks",
    )
    drawing.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
