"""Web servers that answer wrongly, and files that change while they are read: one sentence, no mixture."""

import contextlib
import io
import time

import numpy as np
import pytest
from safetensors.numpy import save

from jfilters.converters import load, location, open_checkpoint
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import MissingExtraError, UnreadableError
from jfilters.io import _remote as _remote
from jfilters.io import _request as _request
from jfilters.io import open_source

from .servers import FOUND, MOVED, PARTIAL, CloudStorage, Hub, Web, serving, weights

pytest.importorskip("upath")

CHANGED = "it changed while it was read"


def network(seed=0):
    """A checkpoint of which reading ahead does not fetch the second layer with the first."""
    return save(weights(seed), metadata={"format": "pt"})


class Faulty(Web):
    """A server with one fault, by its name in `fault`."""

    def content(self, name):
        fault = getattr(self.server, "fault", None)
        if fault is None or name not in self.server.files:
            return super().content(name)
        return getattr(self, fault)(self.server.files[name])

    def span(self, data):
        if "Range" not in self.headers:
            return None
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        return first, min(last, len(data) - 1)

    def tagged(self, data, tag, *headers):
        """An answer by range, with headers of its own."""
        span = self.span(data)
        sent = [("ETag", tag), *headers] if tag else list(headers)
        if span is None:
            return self.reply(FOUND, data, *sent)
        first, last = span
        sent.append(("Content-Range", f"bytes {first}-{last}/{len(data)}"))
        self.reply(PARTIAL, data[first : last + 1], *sent)

    def version_tag(self, data):
        return f'"{hash(bytes(data)) & 0xFFFFFFFF:x}"'

    def ignores_conditions(self, data):
        self.tagged(data, self.version_tag(data))

    def weak_tags(self, data):
        assert "If-Match" not in self.headers
        self.tagged(data, "W/" + self.version_tag(data))

    def dates(self, data):
        self.tagged(data, None, ("Last-Modified", self.server.date))

    def honors_conditions(self, data):
        tag = self.version_tag(data)
        if self.headers.get("If-Match", tag) != tag:
            return self.reply(412, b"")
        self.tagged(data, None if self.span(data) else tag)

    def tag_of_head_alone(self, data):
        self.tagged(data, None if self.span(data) else self.version_tag(data))

    def tag_of_ranges_alone(self, data):
        self.tagged(data, self.version_tag(data) if self.span(data) else None)

    def another_start(self, data):
        if span := self.span(data):
            part = data[span[0] + 1 : span[1] + 2]
            place = f"bytes {span[0] + 1}-{span[1] + 1}/{len(data)}"
            return self.reply(PARTIAL, part, ("Content-Range", place))
        self.reply(FOUND, data)

    def another_total(self, data):
        if span := self.span(data):
            place = f"bytes {span[0]}-{span[1]}/{len(data) + 1}"
            return self.reply(PARTIAL, data[span[0] : span[1] + 1], ("Content-Range", place))
        self.reply(FOUND, data)

    def no_content_range(self, data):
        span = self.span(data) or (0, len(data) - 1)
        self.reply(PARTIAL if self.span(data) else FOUND, data[span[0] : span[1] + 1])

    def words_for_a_range(self, data):
        if span := self.span(data):
            part = data[span[0] : span[1] + 1]
            return self.reply(PARTIAL, part, ("Content-Range", "bytes one-two/three"))
        self.reply(FOUND, data)

    def compressed(self, data):
        self.tagged(data, None, *([("Content-Encoding", "gzip")] if self.span(data) else []))

    def short(self, data):
        if span := self.span(data):
            place = f"bytes {span[0]}-{span[1]}/{len(data)}"
            return self.reply(PARTIAL, data[span[0] : span[1]], ("Content-Range", place))
        self.reply(FOUND, data)

    def endless(self, data):
        if not (span := self.span(data)):
            return self.reply(FOUND, data)
        self.send_response(PARTIAL)
        self.send_header("Content-Range", f"bytes {span[0]}-{span[1]}/{len(data)}")
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x" * 65536)

    def nothing(self, data):
        self.reply(204 if self.span(data) else FOUND, b"" if self.span(data) else data)

    def circle(self, data):
        self.reply(MOVED, b"", ("Location", self.path))

    def to_a_file(self, data):
        self.reply(MOVED, b"", ("Location", "file:///etc/passwd"))

    def page(self, data):
        self.reply(FOUND, b"<!DOCTYPE html><title>Log in</title>", ("Content-Type", "text/html"))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(_request, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("JFILTERS_TIMEOUT", "20")
    with serving(Faulty) as server:
        server.files["a.safetensors"] = network()
        server.date = "Mon, 05 Jan 2026 10:00:00 GMT"
        yield server


@pytest.fixture(autouse=True)
def strangers():
    """No source of another server, which may have had the same file at the same address."""
    _remote._shared.cache_clear()
    yield
    _remote._shared.cache_clear()


VERSIONS = ["ignores_conditions", "weak_tags", "dates", "honors_conditions", "tag_of_head_alone"]


@pytest.mark.parametrize("fault", [*VERSIONS, "tag_of_ranges_alone"])
def test_a_file_that_changes_in_mid_read_is_no_mixture(server, fault):
    server.fault = fault
    checkpoint = open_checkpoint(f"{server.url}/a.safetensors")
    first = checkpoint.layers[0].read()
    np.testing.assert_array_equal(first, weights()["00.conv.weight"])
    server.files["a.safetensors"] = network(1)
    server.date = "Mon, 05 Jan 2026 10:00:01 GMT"
    with pytest.raises(UnreadableError, match=CHANGED):
        checkpoint.layers[5].read()
    again = load(f"{server.url}/a.safetensors")
    np.testing.assert_array_equal(again.weights[5], weights(1)["05.conv.weight"])


@pytest.mark.parametrize("fault", [*VERSIONS, "tag_of_ranges_alone"])
def test_a_file_that_stays_is_read(server, fault):
    server.fault = fault
    assert len(load(f"{server.url}/a.safetensors")) == 12


def test_a_file_that_grows_or_shrinks_in_mid_read(server):
    checkpoint = open_checkpoint(f"{server.url}/a.safetensors")
    server.files["a.safetensors"] = network()[:1000]
    with pytest.raises(UnreadableError, match=CHANGED):
        checkpoint.layers[5].read()


WRONG = {
    "another_start": "asked for the range of bytes 0 to .*, received 'bytes 1-",
    "another_total": CHANGED,
    "no_content_range": "asked for the range of bytes .*, received no Content-Range; copy the file here",
    "words_for_a_range": "received 'bytes one-two/three'",
    "compressed": r"its server compresses ranges of it \(gzip\); copy the file here first",
    "short": "expected bytes 0 to 4608, received 4607 bytes|Payload",
    "endless": "asked for 4608 bytes, received more",
    "nothing": "received an answer 204 without one",
    "circle": "its server redirects in a circle",
    "to_a_file": "its server redirects to an address outside of the web",
    "page": "its server answers with a web page; give the address of the file itself",
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_answer_is_named_in_one_sentence(server, fault):
    server.fault = fault
    url = f"{server.url}/a.safetensors"
    with pytest.raises(UnreadableError, match=rf"^{url}: .*(?:{WRONG[fault]})") as error:
        load(url)
    assert "\n" not in str(error.value)
    if fault in ("circle", "to_a_file"):  # nothing is known of the root of the scan
        return
    (entry,) = measure_checkpoints(url, engine="host").entries
    assert (entry.status, CHANGED in (entry.reason or "")) == ("failed", WRONG[fault] == CHANGED)


def test_a_whole_small_file_is_taken_from_a_server_without_ranges(server):
    file = io.BytesIO()
    np.save(file, np.ones((1, 1, 3, 3), np.float32))
    server.ranges, server.files["a.npy"] = False, file.getvalue()
    source = open_source(location(f"{server.url}/a.npy"))
    assert bytes(source.read(0, source.size)) == server.files["a.npy"]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "access was denied; check its name and your credentials"),
        (403, "access was denied; check its name and your credentials"),
        (404, "no such file or folder"),
        (410, "no such file or folder|410"),
        (418, "its server answers 418"),
        (429, "its server answers 429 .*; it is overloaded: try again later"),
        (503, "its server answers 503 .*; it is overloaded: try again later"),
    ],
)
def test_a_refusal_says_which(server, status, text):
    server.denied = status
    with pytest.raises(UnreadableError, match=text):
        load(f"{server.url}/a.safetensors")


@pytest.mark.parametrize(("asked", "waits"), [("0.4", 0.4), ("-5", 0), ("soon", 0), ("", 0)])
def test_a_server_is_given_the_time_that_it_asks_for(monkeypatch, asked, waits):
    class Busy(Web):
        def reply(self, status, data, *headers):
            super().reply(status, data, *headers, ("Retry-After", asked))

    monkeypatch.setattr(_request, "PAUSES", (0.0, 0.0))
    with serving(Busy) as server:
        server.files["a.safetensors"] = network()
        server.failures = [429, 429]
        start = time.monotonic()
        assert len(load(f"{server.url}/a.safetensors")) == 12
        assert waits <= time.monotonic() - start < waits + 5


@pytest.mark.parametrize("asked", ["86400", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_the_time_that_a_server_asks_for_is_bounded(asked):
    error = OSError()
    error.headers = {"Retry-After": asked}
    assert _request._asked_pause(error) == _request.LONGEST_PAUSE


class TestOtherAddresses:
    """URLs that are refused before anything is opened."""

    @pytest.mark.parametrize(
        "url",
        [
            *("simplecache::s3://b/a.pth", "filecache::https://x/a.pth", "blockcache::gs://b/a"),
            *("zip://a.pth::s3://b/a.zip", "tar://a.pth::https://x/a.tar", "zip:///tmp/a.zip"),
            *("reference://", "reference::https://x/a.json", "simplecache::/tmp/a.pth"),
            *("dir::gs://b/a", "ZIP://a.pth::S3://b/a.zip", "x::y://z"),
        ],
    )
    def test_a_file_inside_another(self, url):
        with pytest.raises(UnreadableError, match="a URL of one file inside another") as error:
            load(url)
        assert "\n" not in str(error.value)

    def test_addresses_and_paths_with_colons_are_none(self, server, tmp_path):
        server.files["a::b.safetensors"] = network()
        assert len(load(f"{server.url}/a::b.safetensors")) == 12
        assert location("a::b.pth").name == "a::b.pth"

    @pytest.mark.parametrize(
        ("url", "package"),
        [
            ("ssh://h/a", "paramiko"),
            ("sftp://h/a", "paramiko"),
            ("az://b/a", "adlfs"),
            ("smb://h/a", "smbprotocol"),
        ],
    )
    def test_the_package_of_a_protocol_is_named(self, url, package):
        with contextlib.suppress(ImportError):
            __import__(package)
            pytest.skip(f"{package} is installed")
        match = rf"{url.partition('/')[0]}// needs the package {package}; .*pip install {package}$"
        with pytest.raises(UnreadableError, match=match):
            load(url)

    def test_the_extra_is_named_where_it_brings_the_package(self, monkeypatch):
        import fsspec
        import upath

        def missing(*_, **__):
            raise ImportError("Install s3fs to access S3", name="s3fs")

        monkeypatch.setattr(upath.UPath, "fs", property(missing))
        assert fsspec
        with pytest.raises(MissingExtraError, match=r"s3fs; .*\.\[cloud\]"):
            location("s3://bucket/a.pth")


class TestStores:
    """Google Cloud Storage and a hub, whose files change in mid-read."""

    def test_a_generation_is_asked_for(self, monkeypatch):
        pytest.importorskip("gcsfs")
        from fsspec.config import conf

        class Guarded(CloudStorage):
            def answer(self, path, query):
                name = path.rpartition("/o/")[2].replace("%2F", "/")
                asked = query.get("ifGenerationMatch")
                if asked and self.record(name)["generation"] != asked:
                    return self.json({"error": {"code": 412, "message": "conditionNotMet"}}, 412)
                super().answer(path, query)

        for handler in (Guarded, CloudStorage):
            with serving(handler) as server:
                monkeypatch.setitem(conf, "gs", {"token": "anon", "endpoint_url": server.url})
                self.check(server, "zoo/a.safetensors", "gs://bucket/zoo/a.safetensors")

    def test_the_files_of_a_hub(self, monkeypatch):
        constants = pytest.importorskip("huggingface_hub.constants")
        with serving(Hub) as server:
            template = "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(constants, "ENDPOINT", server.url)
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + template)
            self.check(server, "a.safetensors", "hf://some/net/a.safetensors")

    def test_a_store_of_any_other_kind(self):
        root = location("memory://changing")
        root.mkdir(parents=True, exist_ok=True)
        (root / "a.safetensors").write_bytes(network())
        checkpoint = open_checkpoint("memory://changing/a.safetensors")
        checkpoint.layers[0].read()
        time.sleep(0.01)
        (root / "a.safetensors").write_bytes(network(1))
        with pytest.raises(UnreadableError, match=CHANGED):
            checkpoint.layers[5].read()
        root.fs.rm("/changing", recursive=True)

    def check(self, server, name, url):
        _remote._shared.cache_clear()
        server.files[name] = network()
        checkpoint = open_checkpoint(url)
        checkpoint.layers[0].read()
        server.files[name] = network(1)
        with pytest.raises(UnreadableError, match=CHANGED):
            checkpoint.layers[5].read()


class TestLocalFiles:
    """Files on this machine that are written while they are read."""

    def test_written_in_place(self, tmp_path):
        path = tmp_path / "a.safetensors"
        path.write_bytes(network())
        checkpoint = open_checkpoint(path)
        checkpoint.layers[0].read()
        time.sleep(0.02)  # clocks of file systems tick every 4 ms
        with open(path, "r+b") as file:
            file.write(network(1))
        with pytest.raises(UnreadableError, match=f"^{path}: {CHANGED}; read it again when"):
            checkpoint.layers[5].read()

    def test_appended_to(self, tmp_path):
        path = tmp_path / "a.safetensors"
        path.write_bytes(network())
        checkpoint = open_checkpoint(path)
        with open(path, "ab") as file:
            file.write(b"x")
        with pytest.raises(UnreadableError, match=CHANGED):
            checkpoint.layers[5].read()

    def test_replaced_as_a_whole_the_old_file_is_read(self, tmp_path):
        path = tmp_path / "a.safetensors"
        path.write_bytes(network())
        checkpoint = open_checkpoint(path)
        (tmp_path / "new").write_bytes(network(1))
        (tmp_path / "new").replace(path)
        np.testing.assert_array_equal(checkpoint.layers[5].read(), weights()["05.conv.weight"])

    def test_a_scan_in_which_a_file_is_replaced(self, tmp_path):
        path = tmp_path / "a.safetensors"
        path.write_bytes(network())

        def replace(stage, done, total):
            if stage == "moments" and 0 < done < total:
                (tmp_path / ".new").write_bytes(network(1))
                (tmp_path / ".new").replace(path)

        (entry,) = measure_checkpoints(tmp_path, engine="host", progress=replace).entries
        assert (entry.status, "changed while it was" in entry.reason) == ("failed", True)
