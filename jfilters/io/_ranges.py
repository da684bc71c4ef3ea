"""Ranges of remote files, each of the version that was seen first, whatever store they lie in.

Web servers, S3 and Google Cloud Storage are asked for that version alone. Of other stores the version is
looked up again after each range.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._changed import changed
from ._request import WEB, details, is_of_another_version, timeout, version
from ._web import Version, web_reader

if TYPE_CHECKING:
    import upath

Fetch = Callable[[int, int], Any]

_S3, _CLOUD_STORAGE, _HUB = ("s3", "s3a"), ("gs", "gcs"), ("hf",)
_ADDITIONAL_SECONDS = 5


def reader(path: "upath.UPath", size: int) -> Fetch:
    """Return the function that fetches a range of a file, and no byte more.

    It raises UnreadableError if the file is no longer the one that `details` tells of.
    """
    facts = details(path)
    known = Version(path, size, facts)
    if path.protocol in WEB:
        return _looked_up(path, facts, _of_web(path.fs, path.path, known, {}))
    if path.protocol in _HUB:
        return _looked_up(path, facts, _of_hub(path, size))
    if path.protocol in _S3 and facts.get("ETag"):
        return _refusing(known, _of_s3(path, known, facts))
    if path.protocol in _CLOUD_STORAGE and facts.get("generation"):
        generation = str(facts["generation"])
        return _refusing(known, _of_cloud_storage(path, known, generation))
    fetch = _of_any(path)
    return _looked_up(path, facts, lambda start, stop: (fetch(start, stop), False))


def _looked_up(
    path: "upath.UPath", facts: dict[str, Any], fetch: Callable[[int, int], tuple[Any, bool]]
) -> Fetch:
    """A reader that looks the version up again where an answer does not tell it."""
    former = version(facts)

    def checked(start: int, stop: int) -> Any:
        data, is_known = fetch(start, stop)
        if not is_known and former and version(details(path, fresh=True)) != former:
            raise changed(path)
        return data

    return checked


def _refusing(known: Version, fetch: Fetch) -> Fetch:
    """A reader that names the refusal of a store to give another version."""

    def checked(start: int, stop: int) -> Any:
        try:
            return fetch(start, stop)
        except Exception as error:
            if is_of_another_version(error):
                raise known.changed() from error
            raise

    return checked


def _of_web(
    system: Any, url: str, known: Version, headers: dict[str, str]
) -> Callable[[int, int], tuple[Any, bool]]:
    # The thread that waits for it gives up first, and says so.
    return web_reader(system, url, known, headers, timeout() + _ADDITIONAL_SECONDS)


def _of_hub(path: "upath.UPath", size: int) -> Callable[[int, int], tuple[Any, bool]]:
    """A reader of the address that a hub gives, since its own file objects do not tell the version."""
    import fsspec
    from huggingface_hub.utils import build_hf_headers

    system: Any = path.fs
    with system.open(path.path, "rb", cache_type="none") as file:
        url = file.url()
    # Where the file lies has a version of its own, which its first answer tells.
    known = Version(path, size, {})
    return _of_web(fsspec.filesystem("http"), url, known, build_hf_headers(token=system.token))


def _of_s3(path: "upath.UPath", known: Version, facts: dict[str, Any]) -> Fetch:
    system: Any = path.fs
    bucket, key, asked = system.split_path(path.path)
    exact = {"VersionId": asked} if asked else {"IfMatch": facts["ETag"]}

    async def get(start: int, stop: int) -> bytes:
        span = f"bytes={start}-{stop - 1}"
        answer = await system._call_s3("get_object", Bucket=bucket, Key=key, Range=span, **exact)
        body = answer["Body"]
        try:
            known.check({"ETag": answer["ETag"]} if answer.get("ETag") else {})
            known.check_range(answer.get("ContentRange"), start, stop)
            return await body.read()
        finally:
            body.close()

    return functools.partial(_waited, system, get)


def _of_cloud_storage(path: "upath.UPath", known: Version, generation: str) -> Fetch:
    system: Any = path.fs

    async def get(start: int, stop: int) -> bytes:
        url = system.url(path.path)
        span = {"Range": f"bytes={start}-{stop - 1}"}
        facts, body = await system._call("GET", url, headers=span, ifGenerationMatch=generation)
        if facts.get("X-Goog-Generation", generation) != generation:
            raise known.changed()
        known.check(facts)
        known.check_range(facts.get("Content-Range"), start, stop)
        return body

    return functools.partial(_waited, system, get)


def _waited(system: Any, get: Callable[[int, int], Any], start: int, stop: int) -> Any:
    from fsspec.asyn import sync

    return sync(system.loop, get, start, stop)


def _of_any(path: "upath.UPath") -> Fetch:
    from fsspec.spec import AbstractFileSystem

    system, name = path.fs, path.path

    def fetch(start: int, stop: int) -> Any:
        with system.open(name, "rb", cache_type="none") as file:
            file.seek(start)
            return file.read(stop - start)

    if not system.async_impl and type(system).cat_file is AbstractFileSystem.cat_file:
        return fetch
    return lambda start, stop: system.cat_file(name, start=start, end=stop)
