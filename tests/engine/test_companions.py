"""A checkpoint that lies in several files is known by all of them."""

import hashlib
import json
import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from jfilters.converters import open_checkpoint
from jfilters.engine import Options, _local, _opening, scan
from jfilters.engine._digest import digest
from jfilters.engine.internal import measure_checkpoints


def weights():
    rng = np.random.default_rng(0)
    shapes = {"a.weight": (8, 3, 3, 3), "b.weight": (16, 8, 3, 3)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def save_onnx(folder):
    """A model whose weights lie in two files."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xz"]
    nodes = [
        helper.make_node("Conv", ["x", "a.weight"], ["y"]),
        helper.make_node("Conv", ["y", "b.weight"], ["z"]),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights().items()]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], tensors)
    onnx.save(
        helper.make_model(graph),
        folder / "net.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
    )
    return folder / "net.onnx", ["a.weight", "b.weight"]


def save_shards(folder):
    """An index and two shards."""
    names = {name: f"{name[0]}.safetensors" for name in weights()}
    for name, shard in names.items():
        save_file({name: weights()[name]}, folder / shard, metadata={"format": "pt"})
    index = folder / "net.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    return index, list(names.values())


def save_web(folder):
    """A model of TensorFlow.js whose weights lie in two shards."""
    names = ["0.bin", "1.bin"]
    data = b"".join(np.moveaxis(value, (2, 3), (0, 1)).tobytes() for value in weights().values())
    for name, piece in zip(names, (data[:1000], data[1000:]), strict=True):
        (folder / name).write_bytes(piece)
    entries = [
        {"name": f"{name[0]}/kernel", "shape": [3, 3, *value.shape[:2]], "dtype": "float32"}
        for name, value in weights().items()
    ]
    manifest = [{"paths": names, "weights": entries}]
    (folder / "net.json").write_text(json.dumps({"modelTopology": {}, "weightsManifest": manifest}))
    return folder / "net.json", names


@pytest.fixture(params=[save_onnx, save_shards, save_web])
def several(request, tmp_path):
    """A checkpoint of several files, and the names of all but the first."""
    (tmp_path / "in").mkdir()
    return request.param(tmp_path / "in")


@pytest.fixture
def opened(monkeypatch):
    """The checkpoints that are opened to be read."""
    found, original = [], _local.opened

    def counting(entry, options):
        found.append(entry.model)
        return original(entry, options)

    monkeypatch.setattr(_local, "opened", counting)
    return found


def only(found):
    (entry,) = found.entries
    return entry


def change(path):
    """Change the last byte; size and time stay."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_all_files_are_told_of(several):
    path, names = several
    assert open_checkpoint(path).companions == tuple(path.parent / name for name in names)
    record = scan(path).record["checkpoints"][0]
    assert record["companions"] == names
    assert record["bytes"] == sum(file.stat().st_size for file in path.parent.iterdir())
    lines = [f"\0{digest(path)}\n", *(f"{x}\0{digest(path.parent / x)}\n" for x in names)]
    assert record["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_what_lies_in_one_file_or_one_folder_has_no_companions(tmp_path):
    save_file(weights(), path := tmp_path / "net.safetensors", metadata={"format": "pt"})
    assert open_checkpoint(path).companions == ()
    assert only(measure_checkpoints(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    (folder := tmp_path / "shards").mkdir()
    save_shards(folder)
    assert open_checkpoint(folder).companions == ()


def test_what_is_as_it_was_is_not_read_again(several, tmp_path, opened):
    first = measure_checkpoints(several[0], cache=tmp_path / "kept")
    opened.clear()
    assert only(measure_checkpoints(several[0], cache=tmp_path / "kept")) == only(first)
    assert not opened


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_companion_is_read_again(several, tmp_path, opened, which):
    path, names = several
    first = measure_checkpoints(path, cache=tmp_path / "kept")
    opened.clear()
    change(path.parent / names[which])
    again = measure_checkpoints(path, cache=tmp_path / "kept")
    assert opened
    assert only(again).sha256 != only(first).sha256
    assert again.statistics.max_abs[which] == measure_checkpoints(path).statistics.max_abs[which]


def test_a_first_file_beside_other_companions_is_read(several, tmp_path, opened):
    path, names = several
    measure_checkpoints(path, cache=tmp_path / "kept")
    shutil.copytree(path.parent, tmp_path / "other")
    change(tmp_path / "other" / names[0])
    opened.clear()
    measure_checkpoints(tmp_path / "other" / path.name, cache=tmp_path / "kept")
    assert opened


def test_a_moved_folder_is_known_by_its_hash(several, tmp_path, opened):
    path, _ = several
    first = measure_checkpoints(path, cache=tmp_path / "kept")
    opened.clear()
    moved = path.parent.rename(tmp_path / "moved") / path.name
    found = measure_checkpoints(moved, cache=tmp_path / "kept")
    assert not opened
    assert (only(found).sha256, only(found).path) == (only(first).sha256, moved)
    np.testing.assert_array_equal(found.statistics.histogram, first.statistics.histogram)


def test_a_touched_companion_is_known_by_its_hash_once(several, tmp_path, opened, monkeypatch):
    path, names = several
    measure_checkpoints(path, cache=tmp_path / "kept")
    os.utime(path.parent / names[0])
    opened.clear()
    measure_checkpoints(path, cache=tmp_path / "kept")
    monkeypatch.setattr("jfilters.engine._cache.digest", lambda *_: pytest.fail("hashed again"))
    measure_checkpoints(path, cache=tmp_path / "kept")
    assert not opened


def test_a_companion_that_has_gone_is_the_error_of_a_fresh_scan(several, tmp_path):
    path, names = several
    measure_checkpoints(path, cache=tmp_path / "kept")
    (path.parent / names[1]).unlink()
    entry = only(measure_checkpoints(path, cache=tmp_path / "kept"))
    assert entry.status in ("refused", "failed")
    assert names[1] in entry.reason
    assert entry.reason == only(measure_checkpoints(path)).reason


def test_what_changes_before_it_is_looked_at_is_not_taken_for_what_was(tmp_path, monkeypatch):
    path, names = save_shards(tmp_path)
    original, changes = _opening.open_checkpoint, iter(names[:1])

    def changing(*arguments, **options):
        found = original(*arguments, **options)
        for name in changes:
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(data.replace(b'"F32"', b'"I32"'))
        return found

    monkeypatch.setattr(_opening, "open_checkpoint", changing)
    for _ in range(2):
        found = measure_checkpoints(path, cache=tmp_path / "kept")
        assert [planned.layer.name for planned in only(found).layers] == ["b.weight"]


def test_the_allowed_size_is_that_of_all_files(several, tmp_path):
    path, _ = several
    total = sum(file.stat().st_size for file in path.parent.iterdir())
    measure_checkpoints(path, cache=tmp_path / "kept")
    for cache in (None, tmp_path / "kept"):
        assert only(measure_checkpoints(path, Options(max_bytes=total), cache=cache)).status == "ok"
        entry = only(measure_checkpoints(path, Options(max_bytes=total - 1), cache=cache))
        assert f"{total} bytes, more than the {total - 1} that were allowed" in entry.reason
