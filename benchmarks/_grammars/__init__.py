"""Mutations that know how a container is built, so that an input gets past its framing and checksums.

A grammar belongs to a container and not to a reader: it takes the bytes apart, changes one part, and
writes them back with every length and checksum right. Each reader names the grammars of its files.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from .._mutations import damaged
from ._flatbuffer import is_flatbuffer, mutate_flatbuffer
from ._hdf5 import is_hdf5, mutate_hdf5
from ._json import is_json, is_safetensors, mutate_json, mutate_safetensors
from ._msgpack import mutate_msgpack
from ._npy import is_npy, mutate_npy
from ._pickle import is_pickle, mutate_pickle
from ._protobuf import is_protobuf, mutate_protobuf
from ._tables import is_ocdbt, is_table, mutate_ocdbt, mutate_table
from ._text import is_xml, mutate_lines, mutate_words, mutate_xml
from ._zip import is_zip, mutate_zip


@dataclass(frozen=True)
class Grammar:
    """How a container is recognized and changed."""

    name: str
    recognizes: Callable[[bytes], bool]
    mutate: Callable[[bytes, random.Random], bytes]


def _within_zip(data: bytes, rng: random.Random) -> bytes:
    return mutate_zip(data, rng, lambda content: _member(content, rng))


def _member(content: bytes, rng: random.Random) -> bytes:
    """A changed member: by its grammar, or blindly where it has none, such as code of TorchScript."""
    try:
        return restructured(content, MEMBERS, rng)
    except Exception:
        return damaged(content, content, rng)


def _is_text(data: bytes) -> bool:
    return bool(data) and all(byte >= 32 or byte in b"\t\r\n" for byte in data[:200])


NPY = Grammar("npy", is_npy, mutate_npy)
JSON = Grammar("json", is_json, mutate_json)
PICKLE = Grammar("pickle", is_pickle, mutate_pickle)
HDF5 = Grammar("hdf5", is_hdf5, mutate_hdf5)
LINES = Grammar("lines", _is_text, mutate_lines)
WORDS = Grammar("words", lambda data: len(data) >= 4, mutate_words)
PROTOBUF = Grammar("protobuf", is_protobuf, mutate_protobuf)
MSGPACK = Grammar("msgpack", lambda data: data[:1] >= b"\x80", mutate_msgpack)
SAFETENSORS = Grammar("safetensors", is_safetensors, mutate_safetensors)
ZIP = Grammar("zip", is_zip, _within_zip)
XML = Grammar("xml", is_xml, mutate_xml)
FLATBUFFER = Grammar("flatbuffer", is_flatbuffer, mutate_flatbuffer)
TABLE = Grammar("table", is_table, mutate_table)
OCDBT = Grammar("ocdbt", is_ocdbt, mutate_ocdbt)

MOST_FRAMES = 30_000

MEMBERS = (NPY, HDF5, PICKLE, ZIP, JSON, WORDS)
"""Grammars of what lies in zip files."""

GRAMMARS: dict[str, tuple[Grammar, ...]] = {
    "numpy": (ZIP, NPY),
    "safetensors": (JSON, SAFETENSORS),
    "flax": (MSGPACK,),
    "equinox": (NPY,),
    "ncnn": (LINES, WORDS),
    "caffe": (PROTOBUF,),
    "tflite": (FLATBUFFER,),
    "tfjs": (JSON, WORDS),
    "tensorflow": (TABLE, PROTOBUF, WORDS),
    "darknet": (LINES, WORDS),
    "openvino": (XML, WORDS),
    "onnx": (PROTOBUF, WORDS),
    "torch": (ZIP, PICKLE),
    "torch-export": (ZIP,),
    "torch-distributed": (PICKLE, ZIP),
    "deepspeed": (ZIP,),
    "orbax": (JSON, OCDBT, WORDS),
    "keras": (ZIP, HDF5),
    "filterdb": (HDF5,),
}
"""The grammars of each reader's files, the first that recognizes one."""


def restructured(data: bytes, grammars: tuple[Grammar, ...], rng: random.Random) -> bytes:
    """The bytes changed by the first grammar that recognizes them.

    Raises ValueError where none does, and whatever a grammar raises for bytes damaged before.
    """
    grammar = next((grammar for grammar in grammars if grammar.recognizes(data)), None)
    if grammar is None:
        raise ValueError("of no grammar")
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(MOST_FRAMES)  # a tree may be nested deeper than a reader may follow
        return grammar.mutate(data, rng)
    finally:
        sys.setrecursionlimit(limit)
