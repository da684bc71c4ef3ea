"""Each group of an axis compared with all other layers, to see which one stands out."""

import dataclasses
from typing import Unpack

import numpy as np

from ...scans import Group, Groups, Scan, group_layers
from ._drift import DEFAULTS, adjusted, check_comparable_groups, drift_between
from ._pair import Pair
from ._question import Question, QuestionOptions

OTHERS = "others"
"""The second label of every pair."""


def drift_from_others(
    scan: Scan, by: str, question: Question = DEFAULTS, **options: Unpack[QuestionOptions]
) -> tuple[Pair, ...]:
    """Compare every group along an axis with the layers of all other groups together.

    Runs on the host and needs no JAX. Arguments and errors are those of `drift_between`; `within` is not
    used.

    Returns:
        One pair a group, whose second label is "others". The adjusted p is corrected for the number of
        groups.
    """
    question = dataclasses.replace(question, **options)
    groups = group_layers(scan, by)
    check_comparable_groups(scan, groups)
    labeled = np.sort(np.concatenate([group.layers for group in groups.groups]))
    pairs = []
    for group in groups.groups:
        complement = Group(OTHERS, None, np.setdiff1d(labeled, group.layers))
        partition = Groups(by, None, (group, complement), len(scan.model_of_layer) - len(labeled))
        pairs += drift_between(scan, partition, question).pairs
    return adjusted(pairs)
