"""The verdicts as the page explains them: a class, a sign, and what happened in one sentence."""

from typing import Any

from ...scans.internal import BAD, HEALTHY
from ...statistics import VERDICTS

CLASSES = ("good", "look", "bad", "none")
"""Of verdicts: nothing to do, worth a look, wrong, and no statement."""

SIGNS = {"good": "✓", "look": "!", "bad": "✗", "none": "·"}
"""As on the page of docs that explains verdicts."""

_EXPLANATIONS = {
    "healthy": "Many patterns, few of them near zero. Nothing to do.",
    "sparse": "14 % of the kernels or more do next to nothing. They could be pruned.",
    "low-diversity": "Few patterns, used again and again. Normal for depthwise and late layers.",
    "random-like": "The kernels look as they did before training. Is the layer trained, and needed?",
    "collapsed": "Few patterns, and many kernels near zero. Look at learning rate and decay.",
    "all-zero": "Every kernel is zero: the layer is dead.",
    "non-finite": "The layer holds NaN or infinity: the file, or the training, is broken.",
    "too-few-kernels": "The layer has too few kernels for a statement.",
}


def class_of(verdict: str) -> str:
    """Return the class of a verdict: good, look, bad, or none."""
    if verdict in BAD:
        return "bad"
    return {HEALTHY: "good", "too-few-kernels": "none"}.get(verdict, "look")


def verdicts_section() -> list[dict[str, Any]]:
    """Return every verdict, most worrying first, with its class, sign and explanation."""
    return [
        {
            "verdict": verdict,
            "class": class_of(verdict),
            "sign": SIGNS[class_of(verdict)],
            "explanation": _EXPLANATIONS[verdict],
        }
        for verdict in VERDICTS
    ]
