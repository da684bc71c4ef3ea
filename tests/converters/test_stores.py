"""Google Cloud Storage and a hub of models, read through their own packages from servers here."""

import contextlib
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from jfilters.converters import load, location
from jfilters.converters.internal import identity
from jfilters.engine.internal import measure_checkpoints
from jfilters.errors import UnreadableError
from jfilters.io import _request as _request

from .servers import CloudStorage, Hub, serving, weights

if missing := [x for x in ("upath", "gcsfs", "huggingface_hub") if not find_spec(x)]:
    pytest.skip(f"the extra [cloud] is not installed: {missing}", allow_module_level=True)


@pytest.fixture(scope="module")
def body():
    return save(weights(), metadata={"format": "pt"})


@contextlib.contextmanager
def bucket(patch):
    from fsspec.config import conf

    with serving(CloudStorage) as server:
        patch.setitem(conf, "gs", {"token": "anon", "endpoint_url": server.url})
        yield server, "gs://bucket"


@contextlib.contextmanager
def hub(patch):
    from huggingface_hub import constants

    with serving(Hub) as server:
        template = "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", server.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + template)
        yield server, "hf://some/net"


@pytest.fixture(params=[bucket, hub])
def store(request, monkeypatch):
    """A server, and the URL of what it serves."""
    monkeypatch.setenv("JFILTERS_TIMEOUT", "20")
    with request.param(monkeypatch) as (server, url):
        yield server, url


def test_of_a_checkpoint_with_few_kernels_few_bytes_travel(store, body):
    server, root = store
    server.files["zoo/a.safetensors"] = body
    found = load(f"{root}/zoo/a.safetensors")
    expected = [value for value in weights().values() if value.ndim == 4]
    assert len(found) == 12
    for a, b in zip(found.weights, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = sum(weight.nbytes for weight in found.weights)
    assert kernels == pytest.approx(0.05 * len(body), rel=0.02)
    assert kernels <= server.sent <= 0.15 * len(body)


def test_a_scan_finds_what_a_local_one_finds(store, body, tmp_path):
    server, root = store
    names = ("a.safetensors", "deep/b.safetensors")
    (tmp_path / "deep").mkdir()
    for seed, name in enumerate(names):
        save_file(weights(seed), tmp_path / name, metadata={"format": "pt"})
        server.files[f"zoo/{name}"] = (tmp_path / name).read_bytes()
    server.files |= {"zoo/broken.safetensors": b"\1", "zoo/readme.txt": b"no checkpoint"}
    here, there = measure_checkpoints(tmp_path), measure_checkpoints(f"{root}/zoo")
    assert [(x.model, x.status, x.bytes) for x in there.entries] == [
        (names[0], "ok", len(body)),
        ("broken.safetensors", "refused", 1),
        (names[1], "ok", len(body)),
    ]
    assert list(map(str, there.ignored)) == [f"{root}/zoo/readme.txt"]
    np.testing.assert_array_equal(there.statistics.histogram, here.statistics.histogram)
    np.testing.assert_array_equal(there.statistics.n_sparse, here.statistics.n_sparse)
    assert server.sent <= 0.15 * 2 * len(body)


def test_what_is_missing_or_denied_is_told_in_one_line(store, body):
    server, root = store
    server.files["zoo/a.safetensors"] = body
    for url in (f"{root}/zoo/b.safetensors", f"{root}x/a.safetensors"):
        with pytest.raises(UnreadableError, match=f"^{url}: no such file or folder$"):
            load(url)
    server.denied = 403
    with pytest.raises(UnreadableError, match=r"a.safetensors: access was denied; check its name"):
        load(f"{root}/zoo/a.safetensors")


def test_an_identity_changes_with_the_content_alone(store, body):
    server, root = store
    server.files = {"zoo/a.safetensors": body, "zoo/deep/b.safetensors": body}
    paths = [f"{root}/zoo/a.safetensors", f"{root}/zoo", f"{root}/zoo/deep"]
    first = [identity(location(path)) for path in paths]
    assert None not in first
    measure_checkpoints(f"{root}/zoo")
    assert [identity(location(path)) for path in paths] == first
    assert server.sent <= 0.15 * 2 * len(body)
    server.files["zoo/a.safetensors"] = bytes([*body[:-1], body[-1] ^ 1])
    then = [identity(location(path)) for path in paths]
    assert [a == b for a, b in zip(first, then, strict=True)] == [False, False, True]


def test_commands_take_urls_and_tell_errors_in_one_line(store, body, tmp_path):
    server, root = store
    server.files["zoo/a.safetensors"] = body
    to = tmp_path / "kernels.safetensors"
    done = command(server, "convert", f"{root}/zoo/a.safetensors", "-o", to)
    assert done.stderr == f"wrote {to} (layers: 12, skipped arrays: 12)\n"
    np.testing.assert_array_equal(load(to).weights[0], weights()["00.conv.weight"])
    assert server.sent <= 0.15 * len(body)
    server.denied = 401
    done = command(server, "inspect", f"{root}/zoo/a.safetensors")
    assert done.stderr.startswith(f"error: {root}/zoo/a.safetensors: access was denied; check")
    assert (done.stdout, done.stderr.count("\n"), done.returncode) == ("", 1, 2)


def command(server, *words):
    """Run jfilters, in a process that knows of the server by the usual variables alone."""
    gs = json.dumps({"token": "anon", "endpoint_url": server.url})
    known = os.environ | {"FSSPEC_GS": gs, "HF_ENDPOINT": server.url}
    line = [sys.executable, "-m", "jfilters_cli", *map(str, words)]
    return subprocess.run(line, env=known, capture_output=True, text=True)
