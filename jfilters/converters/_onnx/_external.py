"""External data of ONNX models: files in the model's folder that hold tensors, and nothing outside.

Readers that followed `location` blindly were led out of the folder by "../", absolute paths,
symbolic and hard links: CVE-2022-25882, CVE-2024-27318, CVE-2026-27489, -34446 and -34447.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath

from ...errors import CheckpointError, UnreadableError
from ...io import Location, open_source


class ExternalFiles:
    """The data files of one model. None stays open: a model may have a file for every tensor."""

    def __init__(self, model: Location):
        self._model = model
        self._known: dict[str, tuple[Location, int]] = {}

    def reader(
        self, entries: Mapping[str, str], nbytes: int, tensor: str
    ) -> Callable[[], memoryview]:
        """Return the reader of the `nbytes` bytes that a tensor's external_data entries point at.

        Raises CheckpointError if they lie outside the folder or the file, or are of another length.
        """
        location = entries.get("location", "")
        path, size = self._file(location, tensor)
        offset = self._number(entries.get("offset", "0"), "offset", tensor)
        length = self._number(entries.get("length", str(nbytes)), "length", tensor)
        if length != nbytes:
            raise self._error(f"expected {nbytes} bytes, found a length of {length}", tensor)
        if offset + length > size:
            expected = f"expected bytes {offset}..{offset + length} of {location!r}"
            raise self._error(f"{expected}, found only {size}", tensor)
        return lambda: open_source(path).read(offset, offset + length)

    def _file(self, location: str, tensor: str) -> tuple[Location, int]:
        """The file at a location, and its size in bytes."""
        if location not in self._known:
            path = self._checked(location, tensor)
            try:
                self._known[location] = path, open_source(path).size
            except UnreadableError as error:
                reason = f"external data: {error.reason}"
                raise UnreadableError(reason, path=path, tensor=tensor) from error
        return self._known[location]

    def _checked(self, location: str, tensor: str) -> Location:
        # PureWindowsPath splits at both kinds of slashes and knows drives.
        entry = PureWindowsPath(location)
        if not location or "\0" in location or entry.anchor or ".." in entry.parts:
            raise self._outside("a path inside the model's folder", location, tensor)
        if not isinstance(self._model, Path):
            return self._beside(self._model, location, tensor)
        folder = os.path.realpath(self._model.parent)
        path = os.path.realpath(os.path.join(folder, location))
        if os.path.commonpath([folder, path]) != folder:
            raise self._outside("no link out of the model's folder", location, tensor)
        if os.path.isfile(path) and os.stat(path).st_nlink > 1:
            raise self._outside("a file without other hard links", location, tensor)
        return Path(path)

    def _beside(self, model: Location, location: str, tensor: str) -> Location:
        # What a URL gives a meaning of its own would lead to another host, protocol or folder.
        if set(location) & set(":?#%"):
            raise self._outside("a path of plain names", location, tensor)
        return model.parent / location

    def _number(self, text: str, entry: str, tensor: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise self._error(f"expected a number of bytes as {entry}, found {text!r}", tensor)
        return int(text)

    def _outside(self, expected: str, location: str, tensor: str) -> CheckpointError:
        remedy = "copy the data file into the folder of the model"
        return self._error(f"expected {expected}, found {location!r}", tensor, remedy)

    def _error(self, reason: str, tensor: str, remedy: str | None = None) -> CheckpointError:
        reason = f"external data: {reason}"
        return CheckpointError(reason, path=self._model, tensor=tensor, remedy=remedy)
