"""Servers on this machine that stand for others: the web, Google Cloud Storage, a hub of models.

Each serves the dict `files` by ranges, and counts in `sent` the bytes of content that it sends. They answer
the requests that fsspec, gcsfs and huggingface_hub were seen to make.
"""

import contextlib
import hashlib
import http.server
import json
import threading
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

FOUND, PARTIAL, MOVED, MISSING = 200, 206, 302, 404


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Twelve layers of kernels, 5 % of all bytes, each in front of a far larger dense one."""
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(12):
        found[f"{i:02}.conv.weight"] = rng.standard_normal((32, 32, 3, 3), np.float32)
        found[f"{i:02}.fc.weight"] = rng.standard_normal((1000, 176), np.float32)
    return found


class Web(http.server.BaseHTTPRequestHandler):
    """Files at their names, and one page that links to all of them for whatever ends in a slash."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.begin(body=False)

    def do_GET(self):
        self.begin(body=True)

    def begin(self, *, body):
        self.body = body
        if self.server.stalls.is_set() and body:
            self.server.over.wait()
        if self.server.failures:
            return self.reply(self.server.failures.pop(), b"")
        if self.server.denied:
            return self.reply(self.server.denied, b"")
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.answer(url.path, query)

    def answer(self, path, query):
        if not path.endswith("/"):
            return self.content(path[1:])
        page = "".join(f'<a href="{name}">{name}</a>' for name in self.server.files).encode()
        self.reply(FOUND, page, ("Content-Type", "text/html"))

    def content(self, name):
        """A file, or the range of it that is asked for."""
        if name not in self.server.files:
            return self.reply(MISSING, b"")
        data = self.server.files[name]
        asked = self.headers.get("Range") if self.server.ranges else None
        headers = [("Content-Type", "application/octet-stream"), ("ETag", f'"{version(data)}"')]
        status, part = FOUND, data
        if asked is not None:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            status, part = PARTIAL, data[first : last + 1]
            span = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            headers.append(("Content-Range", span))
        self.server.sent += len(part) * self.body
        self.reply(status, part, *headers)

    def json(self, record, status=FOUND, *headers):
        data = json.dumps(record).encode()
        self.reply(status, data, ("Content-Type", "application/json"), *headers)

    def reply(self, status, data, *headers):
        self.send_response(status)
        for name, value in (("Content-Length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        if self.body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


class CloudStorage(Web):
    """The JSON API of Google Cloud Storage for one bucket, "bucket"."""

    def answer(self, path, query):
        media, path = path.startswith("/download/"), path.removeprefix("/download")
        bucket, _, name = path.removeprefix("/storage/v1/b/").partition("/o/")
        if bucket.removesuffix("/o") != "bucket":
            return self.json({"error": {"code": MISSING, "message": "no bucket"}}, MISSING)
        if media:
            return self.content(unquote(name))
        if not name:
            return self.json(self.listing(query.get("prefix", ""), query.get("delimiter")))
        if unquote(name) not in self.server.files:
            return self.json({"error": {"code": MISSING, "message": "no object"}}, MISSING)
        self.json(self.record(unquote(name)))

    def listing(self, prefix, delimiter):
        names = sorted(name for name in self.server.files if name.startswith(prefix))
        inside = [name for name in names if not delimiter or delimiter not in name[len(prefix) :]]
        folders = [prefix + name[len(prefix) :].partition("/")[0] + "/" for name in names]
        deeper = [x for x, name in zip(folders, names, strict=True) if name not in inside]
        return {"items": [*map(self.record, inside)], "prefixes": list(dict.fromkeys(deeper))}

    def record(self, name):
        data = self.server.files[name]
        kind = {"kind": "storage#object", "bucket": "bucket", "name": name}
        times = dict.fromkeys(("timeCreated", "updated"), "2026-01-02T03:04:05.678Z")
        generation = str(int(version(data), 16) % 10**16)
        return kind | times | {"size": str(len(data)), "generation": generation, "etag": "CL8="}


class Hub(Web):
    """A hub with one repository of models, "some/net", whose files lie behind a redirection."""

    def answer(self, path, query):
        if path.startswith("/cdn/"):
            return self.content(unquote(path.removeprefix("/cdn/")))
        if path.startswith(prefix := "/some/net/resolve/main/"):
            to = f"{self.server.url}/cdn/{path.removeprefix(prefix)}"
            return self.reply(MOVED, b"", ("Location", to))
        if path == "/api/models/some/net":
            return self.json({"id": "some/net", "sha": "0" * 40, "siblings": []})
        below = path.removeprefix("/api/models/some/net/tree/main")
        entries = self.listing(unquote(below).strip("/"), query.get("recursive") == "true")
        if below == path or not entries:
            code = "RepoNotFound" if below == path else "EntryNotFound"
            return self.json({"error": "none"}, MISSING, ("X-Error-Code", code))
        self.json(entries)

    def listing(self, folder, recursive):
        entries, start = {}, f"{folder}/" if folder else ""
        for name, data in sorted(self.server.files.items()):
            parts = name.removeprefix(start).split("/") if name.startswith(start) else []
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                path = start + "/".join(parts[:depth])
                entries[path] = {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
            if parts and (recursive or len(parts) == 1):
                known = {"type": "file", "path": name, "size": len(data)}
                entries[name] = known | {"oid": version(data)}
        return list(entries.values())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.files, self.failures, self.sent = {}, [], 0
        self.ranges, self.denied = True, None
        self.stalls, self.over = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """A client may hang up."""


@contextlib.contextmanager
def serving(handler=Web):
    """A server that runs meanwhile."""
    with Server(handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def version(data: bytes) -> str:
    """What changes with the content, 40 hexadecimal digits."""
    return hashlib.sha1(data).hexdigest()
