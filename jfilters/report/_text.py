"""The text of any answer: the one door to what this room shows in a terminal."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..answers import Answer

if TYPE_CHECKING:
    from rich.console import RenderableType

_WRITERS = {
    "AxisTable": ("_axes", "axes_text"),
    "ComparedFamilies": ("_compared", "compared_text"),
    "Comparisons": ("_comparison", "comparison_text"),
    "DensityTable": ("_densities", "divergence_text"),
    "DriftTable": ("_drift", "drift_text"),
    "FittedDensities": ("_densities", "densities_text"),
    "Forest": ("_lineage", "lineage_text"),
    "FoldedScan": ("_folding", "folded_text"),
    "Formats": ("_formats", "formats_text"),
    "Inspection": ("_inspection", "inspection_text"),
    "LayerChanges": ("_lineage", "changes_text"),
    "LayerScores": ("_densities", "scores_text"),
    "LayerStandings": ("_standing", "standings_text"),
    "Neighborhood": ("_nearest", "nearest_text"),
    "Outcomes": ("_check", "check_text"),
    "PlannedScan": ("_shares", "planned_text"),
    "Phenotypes": ("_phenotypes", "phenotypes_text"),
    "Quality": ("_quality", "quality_text"),
    "Summary": ("_summary", "summary_text"),
    "Trajectories": ("_trajectory", "trajectory_text"),
    "Zoo": ("_zoo", "zoo_text"),
}
"""For the name of each class of answers the module and the function that write it.

By name, so that an answer does not import the rooms of all others.
"""


def text(answer: Answer, **options: Any) -> "RenderableType":
    """Return an answer as text for a terminal, which rich prints.

    Args:
        answer: what a question returned.
        options: those of the function for its class, such as `layers` of a comparison.

    Raises:
        TypeError: no text is known for the class of the answer.
    """
    for kind in type(answer).__mro__:
        if kind.__name__ in _WRITERS:
            module, function = _WRITERS[kind.__name__]
            writer = getattr(import_module(f".{module}", __package__), function)
            return writer(answer, **options)
    raise TypeError(f"expected the answer to a question, got {type(answer).__name__}")
