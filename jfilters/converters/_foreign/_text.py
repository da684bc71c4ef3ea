"""Text in place of a checkpoint: pointers, pages of a failed download, descriptions of networks, source."""

import json
import re

from ._kind import Kind, other

LONGEST = 1 << 20
"""Bytes of JSON that are looked into."""

_SHORTEST = 16
_POINTER = re.compile(r"version https://(git-lfs|hawser)\.github\.com/spec/")
_SIZE = re.compile(r"^size (\d{1,20})$", re.MULTILINE)
_PYTHON = re.compile(
    r"(#!.*python|\"\"\"|from [\w.]+ import |import \w|def \w+\(|class \w+[(:])", re.ASCII
)
_MODEL_BEHIND = "give the model that it was converted from"
_AGAIN = "fetch it again by the link to the file itself"
_PNNX = "give the .ncnn.param or the torch file beside it"

_CHECKPOINTS = Kind("a list of TensorFlow checkpoints", "give one of their .index files", False)

_STARTS = (
    (re.compile(r"7767517\s+\d+\s+\d+\s+pnnx"), Kind("the description of a PNNX model", _PNNX, False)),
    (re.compile(r"(all_)?model_checkpoint_paths?:"), _CHECKPOINTS),
    (re.compile(r"([#;][^\n]*\n\s*)*\[net(work)?\]"), other("a Darknet network, without weights")),
    (re.compile(r"node \{"), other("a TensorFlow graph as text")),
    (re.compile(r"name: \"|layers? \{|input: \""), other("a Caffe network as text, without weights")),
    (re.compile(r"solver|net: \""), other("the settings of a Caffe solver")),
    (re.compile(r"#IMG|%YAML|---\s"), other("a YAML document")),
    (_PYTHON, other("Python source")),
)  # fmt: skip


def is_text(head: bytes) -> bool:
    """Tell whether bytes are printable UTF-8, as far as a character was not cut off at their end."""
    text = head.decode("utf-8", "replace").removesuffix("\ufffd").lstrip("\ufeff")
    return bool(text) and all(c.isprintable() or c in "\t\n\r\f" for c in text)


def by_text(head: bytes, content: bytes) -> Kind | None:
    """The kind of a text, None for a few characters; `content` is as much of it as may be looked into."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    lower = text.lower()
    if _POINTER.match(text):
        return _pointer(text)
    if lower.startswith(("<!doctype html", "<html", "<head")):
        return _misplaced("a web page (HTML)")
    if lower.startswith("<"):
        return _xml(content.decode("utf-8", "replace"))
    if kind := next((kind for pattern, kind in _STARTS if pattern.match(text)), None):
        return kind
    if lower.startswith(("{", "[")):
        return _json(content)
    return _plain(text) if len(text) >= _SHORTEST else None


def _pointer(text: str) -> Kind:
    size = _SIZE.search(text)
    of = f" to {int(size[1]):,} bytes" if size else ""
    return _misplaced(f"a Git LFS pointer{of}", "fetch it with `git lfs pull`")


def _misplaced(name: str, remedy: str = _AGAIN) -> Kind:
    return Kind(f"{name} in place of the file", remedy, weights=False, stands_for=True)


def _xml(text: str) -> Kind:
    code = re.search(r"<Code>(\w{1,40})</Code>", text)
    if code or "<Error>" in text:
        said = f" that says {code[1]}" if code else ""
        return _misplaced(f"an XML error document{said}")
    return other("an XML document")


def _json(data: bytes) -> Kind:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return other("a JSON document, or the beginning of one")
    if not isinstance(content, dict):
        return other("a JSON document")
    error = content.get("error", content.get("errors", content.get("message")))
    if error and len(content) < 6:
        said = json.dumps(error)[:80]
        return _misplaced(f"a JSON error document that says {said}")
    if "weight_map" in content:
        return other("an index of shards, none of which is of a format that is read")
    if _is_websr(content):
        return Kind("a WebSR network, its weights in the order of GPU textures", _MODEL_BEHIND)
    if "class_name" in content and "config" in content:
        return other("the configuration of a Keras model, without weights")
    return other("a JSON document")


def _is_websr(content: dict) -> bool:
    """Return whether layers have lists of weights, whose order and channels nothing in the file tells."""
    layers = content.get("layers")
    layers = list(layers.values()) if isinstance(layers, dict) else []
    return any(isinstance(x, dict) and isinstance(x.get("weights"), list) for x in layers)


def _plain(text: str) -> Kind:
    lines = text.splitlines()[:3]
    counts = {line.count(",") for line in lines[:2]}
    if len(lines) > 1 and len(counts) == 1 and counts != {0}:
        return other("a table as text (CSV)")
    return other(f"a text that starts with {text[:24]!r}")
