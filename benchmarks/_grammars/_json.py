"""JSON, and the header of safetensors: parsed, changed as a tree, and written with its length."""

import json
import random
from typing import Any

from ._tree import Pairs, mutate_tree

_LENGTH = 8


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """The text of another tree. A text inside it that is JSON itself may be the one that changes."""
    root = json.loads(data, object_pairs_hook=lambda pairs: Pairs([list(pair) for pair in pairs]))
    inner = [place for place in _texts(root) if rng.random() < 0.7]
    if inner and rng.random() < 0.7:
        holder, key = rng.choice(inner)
        holder[key] = mutate_json(holder[key].encode(), rng).decode(errors="replace")
    else:
        root = mutate_tree(root, rng)
    return _written(root).encode("utf-8", "surrogatepass")


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Another header, whose length is right, before the same arrays."""
    stop = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    header = mutate_json(data[_LENGTH:stop], rng)
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(_LENGTH, "little") + header + data[stop:]


def is_json(data: bytes) -> bool:
    """Whether this looks like an object or a list of JSON."""
    return data.lstrip()[:1] in (b"{", b"[")


def is_safetensors(data: bytes) -> bool:
    """Whether JSON begins where the header of safetensors does."""
    return data[_LENGTH : _LENGTH + 1] == b"{"


def _texts(root: Any) -> list[tuple[list, int]]:
    """The lists and places of texts that hold JSON, such as the options of a Keras layer."""
    places, rest = [], [root]
    while rest:
        holder = rest.pop()
        for index, value in enumerate(holder if isinstance(holder, list) else ()):
            if isinstance(value, list):
                rest.append(value)
            elif isinstance(value, str) and len(value) > 2 and is_json(value.encode()):
                places.append((holder, index))
    return places


def _written(value: Any) -> str:
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(str(k))}:{_written(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)
