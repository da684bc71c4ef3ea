"""Ranges of files of the web: every answer is checked to be the range that was asked for, of one version.

A file that changes in mid-read would be a mix of two versions. Servers are asked for the version that was
seen first, and as many ignore that, what they tell of the version is compared in every answer.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UnreadableError
from ._changed import changed

if TYPE_CHECKING:
    import upath

COPY_IT = "copy the file here first"

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_FOUND, _PARTIAL, _MISSING, _OTHER_VERSION, _BEYOND = 200, 206, 404, 412, 416
_PIECE = 1 << 20


class Version:
    """The version of a remote file, as far as its server tells one."""

    def __init__(self, path: "upath.UPath", size: int, facts: Mapping[str, Any]):
        self.path, self.size = path, size
        self.tag, self.date = facts.get("ETag"), facts.get("Last-Modified")

    def conditions(self) -> dict[str, str]:
        """The headers that ask for this version alone."""
        # A weak tag never matches: that is how HTTP compares here.
        if self.tag and not self.tag.startswith("W/"):
            return {"If-Match": self.tag}
        return {"If-Unmodified-Since": self.date} if self.date and not self.tag else {}

    def check(self, facts: Mapping[str, str]) -> bool:
        """Raise UnreadableError for another version; return whether the answer tells one at all.

        A version that was not known is that of the first answer.
        """
        tag, date = facts.get("ETag"), facts.get("Last-Modified")
        if self.tag and tag:
            same = _strong(self.tag) == _strong(tag)
        elif self.date and date:
            same = self.date == date
        else:
            is_first = not self.tag and not self.date
            self.tag, self.date = self.tag or tag, self.date or date
            return is_first
        if not same:
            raise self.changed()
        return True

    def changed(self) -> UnreadableError:
        """The error for a file of which another version came."""
        return changed(self.path)

    def check_range(self, text: str | None, start: int, stop: int) -> None:
        """Raise UnreadableError unless a Content-Range is that of the bytes start..stop."""
        match = _RANGE.fullmatch(text or "")
        total = match[3] if match else "*"
        if total not in ("*", str(self.size)):
            raise self.changed()
        if match is None or (int(match[1]), int(match[2])) != (start, stop - 1):
            sent = f"{text[:80]!r}" if text else "no Content-Range"
            reason = f"asked for the range of bytes {start} to {stop - 1}, received {sent}"
            raise UnreadableError(reason, path=self.path, remedy=COPY_IT)


def web_reader(
    system: Any, url: str, version: Version, headers: Mapping[str, str], seconds: float
) -> Callable[[int, int], tuple[bytes, bool]]:
    """Return the function that fetches a range of a web address, and tells whether its version was seen.

    `system` is fsspec's file system for the web, with its session; a request takes at most `seconds`.
    """
    from fsspec.asyn import sync

    async def get(start: int, stop: int) -> tuple[bytes, bool]:
        session, options = await system.set_session(), dict(system.kwargs)
        own = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        sent = {**options.pop("headers", {}), **headers, **own, **version.conditions()}
        async with asyncio.timeout(seconds):
            async with session.get(system.encode_url(url), headers=sent, **options) as response:
                _check_answer(response, version, start, stop)
                body = await _body(response, stop - start, version)
                return body, version.check(response.headers)

    def fetch(start: int, stop: int) -> Any:
        return sync(system.loop, get, start, stop)

    return fetch


def _check_answer(response: Any, version: Version, start: int, stop: int) -> None:
    status, facts = response.status, response.headers
    if status == _MISSING:
        raise FileNotFoundError(str(response.url))
    if status in (_OTHER_VERSION, _BEYOND):
        raise version.changed()
    response.raise_for_status()
    version.check(facts)
    encoding = facts.get("Content-Encoding", "identity")
    if encoding not in ("", "identity"):
        reason = f"its server compresses ranges of it ({encoding[:40]})"
        raise UnreadableError(reason, path=version.path, remedy=COPY_IT)
    if status == _PARTIAL:
        version.check_range(facts.get("Content-Range"), start, stop)
    elif status != _FOUND or (start, stop) != (0, version.size):
        reason = f"asked for a range of bytes, received an answer {status} without one"
        remedy = f"its server does not serve ranges: {COPY_IT}"
        raise UnreadableError(reason, path=version.path, remedy=remedy)


async def _body(response: Any, length: int, version: Version) -> bytes:
    """The body of an answer, of which no more than expected is taken."""
    body = bytearray()
    while piece := await response.content.read(_PIECE):
        body += piece
        if len(body) > length:
            reason = f"asked for {length} bytes, received more"
            raise UnreadableError(reason, path=version.path, remedy=COPY_IT)
    return bytes(body)


def _strong(tag: str) -> str:
    return tag.removeprefix("W/")
