"""Programs of torch.export (.pt2): the weights that the graph convolves with, as it computes them.

The graph says groups, kind and depth of every convolution, and which stored arrays its weight comes from:
one as it is, or several through weight norm, masks or the scales of a quantization.
"""

import re
from collections.abc import Iterator

from ...errors import CheckpointError, ForeignFormatError
from ...io import Location, ZipArchive, json_object, open_source
from .._format import Format
from .._stored import StoredArray
from ._listing import Program, listed
from ._payload import Arrays, payload, pickled
from ._program import convolutions
from ._saved import member_source
from ._walk import MAX_ARRAYS

_ZIP = b"PK\x03\x04"
_FORMAT, _COMPILED = "archive_format", "data/aotinductor/"
_OLD, _OLD_WEIGHTS, _OLD_CONSTANTS = (
    "serialized_exported_program.json", "serialized_state_dict.pt", "serialized_constants.pt",
)  # fmt: skip
_MODEL = re.compile(r"models/([^/]+)\.json")


def _recognizes(path: Location, head: bytes) -> bool:
    if not head.startswith(_ZIP):
        return False
    try:
        names = ZipArchive(open_source(path)).members
    except CheckpointError:
        return False
    return _OLD in names or any(name.endswith(f"/{_FORMAT}") for name in names)


def _arrays(path: Location) -> list[StoredArray]:
    archive = ZipArchive(open_source(path))
    try:
        programs = list(_programs(archive))
        arrays = [array for program in programs for array in listed(program, path)]
    except CheckpointError as error:
        if error.path:
            raise
        raise CheckpointError(error.reason, path=path, remedy=error.remedy) from error
    if len(arrays) > MAX_ARRAYS:
        raise CheckpointError(f"more than {MAX_ARRAYS:,} arrays", path=path)
    return arrays


def _programs(archive: ZipArchive) -> Iterator[Program]:
    if _OLD in archive.members:
        yield _program(archive, _OLD, "", pickled(archive, _OLD_WEIGHTS), _old_constants(archive))
        return
    root = next(name for name in archive.members if name.endswith(f"/{_FORMAT}"))[: -len(_FORMAT)]
    below = [name[len(root) :] for name in archive.members if name.startswith(root)]
    models = [match[1] for name in below if (match := _MODEL.fullmatch(name))]
    if not models:
        raise _without_program(archive, any(name.startswith(_COMPILED) for name in below))
    for model in models:
        weights, constants = (
            payload(archive, root, kind, model) for kind in ("weights", "constants")
        )
        network = "" if len(models) == 1 else model
        yield _program(archive, f"{root}models/{model}.json", network, weights, constants)


def _old_constants(archive: ZipArchive) -> Arrays:
    return pickled(archive, _OLD_CONSTANTS) if _OLD_CONSTANTS in archive.members else {}


def _without_program(archive: ZipArchive, is_compiled: bool) -> CheckpointError:
    if is_compiled:
        reason = (
            "a package of AOTInductor, whose weights lie inside compiled code, which is not read"
        )
        remedy = "give the program that it was compiled from: torch.export.save(program, FILE)"
        return ForeignFormatError(reason, path=archive.source.path, remedy=remedy)
    reason = "an archive of torch.export without a program"
    return CheckpointError(
        reason, path=archive.source.path, remedy="save it with torch.export.save"
    )


def _program(
    archive: ZipArchive, member: str, network: str, arrays: Arrays, constants: Arrays
) -> Program:
    archive.check(member)
    graph = json_object(member_source(archive, member))
    return Program(network, convolutions(graph), arrays, constants)


FORMAT = Format(
    name="torch-export",
    reads="programs of torch.export (.pt2): the weights that the graph applies, with its depth and groups",
    suffixes=(".pt2",),
    recognizes=_recognizes,
    arrays=_arrays,
    order="registration-order",
)
