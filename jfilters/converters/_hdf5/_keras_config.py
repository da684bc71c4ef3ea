"""Layers by a Keras model's own configuration: class, name, groups and order.

Keras 3 saves a layer under its class in snake case and its number among the siblings of that class,
earlier versions under its own name. Both lead back to the configuration.
"""

import dataclasses
import re
from collections.abc import Iterator

from ...errors import CheckpointError
from ...io import Location, budget, parsed_json

MAX_NESTING = 32
"""Models within models, and layers within wrappers."""

LONGEST_NAME = 1024
"""Characters of a name or a class."""

_LAYER_BYTES = 600

_WORDS = re.compile(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])")


@dataclasses.dataclass(frozen=True)
class KerasLayer:
    """One configured layer: its names from the outside in, its class in snake case, its groups."""

    names: tuple[str, ...]
    kind: str
    groups: int | None = None


def snake_case(name: str) -> str:
    """A class name as Keras spells it in paths: Conv2DTranspose is conv2d_transpose."""
    return _WORDS.sub("_", name).lower()


def configured_layers(text: str, path: Location) -> dict[str, KerasLayer]:
    """The layers of a model's JSON configuration in order, by the path Keras 3 saves them under.

    Raises CheckpointError if the text is no JSON object.
    """
    try:
        model = parsed_json(text.encode("utf-8", "replace"), path, is_strict=False)
    except CheckpointError as error:
        if not error.reason.startswith("no valid JSON"):
            raise
        reason = f"expected the configuration of a Keras model in JSON ({error.reason[:100]})"
        raise CheckpointError(reason, path=path) from error
    config = model.get("config") if isinstance(model, dict) else None
    # Keras 1 and early Keras 2 kept the layers of a Sequential model without a name.
    config = {"layers": config} if isinstance(config, list) else config
    return dict(_inside(config, "", (), path)) if isinstance(config, dict) else {}


def by_own_name(layers: dict[str, KerasLayer]) -> dict[str, KerasLayer]:
    """The layers by their own names, without those names that unlike layers share."""
    layers_by_name: dict[str, KerasLayer] = {}
    unlike = set()
    for layer in layers.values():
        first = layers_by_name.setdefault(layer.names[-1], layer)
        if (first.kind, first.groups) != (layer.kind, layer.groups):
            unlike.add(layer.names[-1])
    return {name: layer for name, layer in layers_by_name.items() if name not in unlike}


def _inside(
    config: dict, prefix: str, names: tuple[str, ...], path: Location
) -> Iterator[tuple[str, KerasLayer]]:
    """The layers that a configuration holds under any key, singly or in a list."""
    if len(names) > MAX_NESTING:
        raise CheckpointError(f"more than {MAX_NESTING} models within models", path=path)
    for key, value in config.items():
        if _is_layer(value):
            yield from _layer(value, f"{prefix}{key}", names, path)
        elif isinstance(value, list):
            for place, item in _places([item for item in value if _is_layer(item)]):
                yield from _layer(item, f"{prefix}{key}/{place}", names, path)


def _layer(
    item: dict, place: str, names: tuple[str, ...], path: Location
) -> Iterator[tuple[str, KerasLayer]]:
    config = item["config"]
    config = {"layers": config} if isinstance(config, list) else config
    name = config.get("name") or item.get("name") or place.rpartition("/")[2]
    names, kind = (*names, str(name)[:LONGEST_NAME]), snake_case(item["class_name"][:LONGEST_NAME])
    text = len(place) + len(kind) + sum(map(len, names))
    budget(path).take(memory=_LAYER_BYTES + 4 * text)
    yield place, KerasLayer(names, kind, _groups(config))
    yield from _inside(config, f"{place}/", names, path)


def _groups(config: dict) -> int | None:
    """The groups of a layer; versions without the key had none."""
    groups = config.get("groups", 1)
    return groups if isinstance(groups, int) and groups > 0 else None


def _places(items: list[dict]) -> Iterator[tuple[str, dict]]:
    """Each item under the path component that tells it from its siblings of the same class."""
    counts: dict[str, int] = {}
    for item in items:
        kind = snake_case(item["class_name"])
        count = counts[kind] = counts.get(kind, -1) + 1
        yield f"{kind}_{count}" if count else kind, item


def _is_layer(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), dict | list)
    )
