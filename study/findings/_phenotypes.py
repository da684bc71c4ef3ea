"""The phenotypes of the papers: the shape of the first two coefficients of each network."""

from collections import Counter

from jfilters.questions import phenotypes
from jfilters.scans import Scan

from ._axes import Rows
from ._parts import Parts


def shapes(parts: Parts) -> Rows:
    """Return the number of networks of each phenotype, before and after training and in the zoo."""
    scans = {"initial": parts.initial, "trained": parts.trained, "zoo": parts.zoo}
    rows = []
    for name, scan in scans.items():
        rows += _counted(name, "all", scan)
    for architecture in sorted(
        {row["architecture"] for row in parts.trained.layer_table.to_pylist()}
    ):
        rows += _counted(
            "trained", architecture, parts.trained.where(f"architecture == '{architecture}'")
        )
    return rows


def _counted(population: str, architecture: str, scan: Scan) -> Rows:
    groups = phenotypes(scan).groups
    counts = Counter(
        "too few kernels" if row.phenotype is None else row.phenotype.label for row in groups
    )
    return [
        {
            "population": population,
            "architecture": architecture,
            "phenotype": label,
            "networks": count,
            "of": len(groups),
        }
        for label, count in sorted(counts.items())
    ]
