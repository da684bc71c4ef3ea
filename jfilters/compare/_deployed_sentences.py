"""The sentences on a deployed network: what was done to it, how far it is off, or which layers differ."""

from collections.abc import Sequence

from ._comparison import MatchedLayer
from ._deployment import Off
from ._deviation import MOST
from ._sentences import layer_count

SHOWN = 3
"""Layers that are named."""


def changes_of(layers: Sequence[MatchedLayer]) -> tuple[str, ...]:
    """Return what was done to layers: folded, quantized to some types, rounded to others."""
    deviations = [layer.deviation for layer in layers if layer.deviation]
    storages = {x.storage for x in deviations if x.steps} - {"float32"}
    changes = ["folded"] if any(x.folded for x in deviations) else []
    for verb, names in (("quantized", storages - MOST.keys()), ("rounded", storages & MOST.keys())):
        if names:
            changes.append(f"{verb} to {' and '.join(sorted(names))}")
    return tuple(changes)


def same_text(changes: Sequence[str], worst: Off | None) -> str:
    """Return the sentence on a network that is the other one."""
    text = _with_changes("the same network", changes)
    if worst is None or worst.deviation is None:
        return text
    if worst.deviation.deployed == 0:
        text = text.replace("network, ", "network, the first ")
    steps = f"{worst.deviation.steps:.2g} {worst.deviation.unit}"
    return f"{text}; largest deviation {steps}, in {worst.layer}"


def other_text(
    same: Sequence[MatchedLayer], differing: Sequence[MatchedLayer], unmatched: int
) -> str:
    """Return the sentence on a network that is not, or not only, the other one.

    Args:
        same, differing: layers that storage explains, and those that it does not, the furthest first.
        unmatched: layers of either without a partner.
    """
    parts: list[str] = []
    if differing:
        names = ", ".join(f"{layer.second} ({_distance(layer)})" for layer in differing[:SHOWN])
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        count = len(same) + len(differing)
        parts.append(f"{len(differing)} of {count} layers differ: {names}{more}")
    if unmatched:
        parts.append(f"{layer_count(unmatched)} {'has' if unmatched == 1 else 'have'} no partner")
    changes = changes_of(same)
    if same and (differing or changes):
        parts.append(_with_changes("the others are the same", changes))
    return f"not the same network: {'; '.join(parts) or 'too few values tell'}"


def _with_changes(text: str, changes: Sequence[str]) -> str:
    return f"{text}, {' and '.join(changes)}" if changes else text


def _distance(layer: MatchedLayer) -> str:
    if layer.transform is not None and layer.deviation and layer.deviation.is_same:
        return layer.transform.text
    text = layer.deviation.text if layer.deviation else ""
    return text.removeprefix("off by ") or "not alike"
