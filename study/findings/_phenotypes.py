"""The phenotypes of the papers: what shape the first two coefficients of each network have."""

from collections import Counter

from jfilters.questions import phenotypes
from jfilters.scans import Scan

from ._axes import Rows
from ._parts import Parts


def shapes(parts: Parts) -> Rows:
    """How many networks of each phenotype, before and after training and in the zoo."""
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
    found = phenotypes(scan).groups
    words = Counter(
        "too few kernels" if row.phenotype is None else row.phenotype.label for row in found
    )
    return [
        {
            "population": population,
            "architecture": architecture,
            "phenotype": word,
            "networks": count,
            "of": len(found),
        }
        for word, count in sorted(words.items())
    ]
