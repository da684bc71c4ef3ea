"""The files of a checkpoint's folder, changed by a short script: missing, more, renamed, linked, emptied.

The script is an input as the content of a file is: one line an operation, its words separated by tabs.
"""

import contextlib
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

NAMES = (
    *(
        "model",
        "model.json",
        "config.json",
        "model.safetensors.index.json",
        "x",
        ".metadata",
        "0",
        "d",
    ),
    *("model-00001-of-00002.safetensors", "model.bin", "model.index", "a" * 250, "\\", "ckpt"),
)
OPERATIONS = ("drop", "rename", "copy", "link", "folder", "empty", "swap", "deep", "many")
_MANY, _DEEP = 300, 60


def script(files: Sequence[str], rng: random.Random) -> bytes:
    """A few operations on files of these names, below the folder."""
    lines = []
    for _ in range(1 + int(rng.expovariate(0.8))):
        own = rng.choice(files)
        beside = str(Path(own).with_name(rng.choice(NAMES)))
        lines.append("\t".join((rng.choice(OPERATIONS), own, rng.choice((*files, beside, beside)))))
    return "\n".join(lines).encode()


def perform(folder: Path, content: bytes) -> None:
    """Change the folder as a script says; what cannot be done, or leads outside, is left."""
    for line in content.decode("utf-8", "replace").split("\n")[:10]:
        words = line.split("\t")
        with contextlib.suppress(OSError, ValueError):  # a name may hold a zero byte
            if len(words) == 3 and all(_is_inside(folder, word) for word in words[1:]):
                _operate(words[0], folder / words[1], folder / words[2])


def _is_inside(folder: Path, name: str) -> bool:
    # Path.resolve raises for a ring of links, which an operation before may have made.
    place, root = os.path.realpath(folder / name), os.path.realpath(folder)
    return place.startswith(root + os.sep)


def _operate(operation: str, first: Path, second: Path) -> None:
    match operation:
        case "drop":
            first.unlink()
        case "rename":
            first.rename(second)
        case "copy":
            shutil.copyfile(first, second)
        case "link":
            first.unlink()
            first.symlink_to(os.path.relpath(second, first.parent))
        case "folder":
            first.unlink()
            first.mkdir()
        case "empty":
            second.write_bytes(b"")
        case "swap":
            ours, theirs = first.read_bytes(), second.read_bytes()
            first.write_bytes(theirs)
            second.write_bytes(ours)
        case "deep":
            first.parent.joinpath(*["d"] * _DEEP).mkdir(parents=True)
        case "many":
            for number in range(_MANY):
                (first.parent / f"{first.stem}-{number}{first.suffix}").write_bytes(b"{}")
