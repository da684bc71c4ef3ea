"""A scan refuses weights that are not read, by name and once a model, and ignores what are none."""

import gzip
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from benchmarks import _tensorflow_files as files
from jfilters.engine.internal import measure_checkpoints

NOISE = np.random.default_rng(0).standard_normal(500).astype("f4").tobytes()
POINTER = b"version https://git-lfs.github.com/spec/v1\nsize 99\n"
WEIGHT = {"a.weight": np.ones((8, 4, 3, 3), np.float32)}


@pytest.fixture
def folder(tmp_path):
    save_file(WEIGHT, tmp_path / "good.safetensors", {"format": "pt"})
    return tmp_path


def lost(found):
    return {entry.model: entry.reason for entry in found.entries if entry.status == "refused"}


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_files_of_weights_are_refused_with_the_true_reason(folder):
    files = {
        "a.tflite": (b"\x1c\0\0\0TFL3" + bytes(600), "damaged flatbuffer"),
        "b.bin": (POINTER, "Git LFS"),
        "c.pth.gz": (gzip.compress(NOISE), "gunzip"),
        "x/d.gguf": (b"GGUF" + bytes(600), "GGUF"),
    }
    write(folder, {name: data for name, (data, _) in files.items()})
    reasons = lost(found := measure_checkpoints(folder))
    assert reasons.keys() == files.keys()
    assert all(words in reasons[name] for name, (_, words) in files.items())
    assert len(found.statistics) == 1


def test_a_folder_that_is_one_checkpoint_is_refused_once(folder):
    write(
        folder,
        {
            "dcp/.metadata": NOISE,
            "dcp/__0_0.distcp": NOISE,
            "dcp/__1_0.distcp": NOISE,
            "t5x/checkpoint": b"\x81\xa1a\xafPLACEHOLDER://a",
            "t5x/target.a/.zarray": b"{}",
            "zero/zero_pp_rank_0_mp_rank_00_model_states.pt": NOISE,
            "zero/zero_pp_rank_1_mp_rank_00_model_states.pt": NOISE,
            "tf/saved_model.pbtxt": NOISE,
            "tf/variables/variables.data-00000-of-00001": NOISE,
        },
    )
    assert lost(measure_checkpoints(folder)).keys() == {"dcp", "t5x", "zero", "tf"}
    (entry,) = measure_checkpoints(folder / "dcp").entries
    assert "dcp/.metadata: " in entry.reason


def test_a_saved_model_beside_other_weights_hides_none_of_them(folder):
    graph = files.field(2, files.node("v", "VarHandleOp"))
    write(folder, {"saved_model.pb": files.field(1, 1) + files.field(2, graph)})
    found = measure_checkpoints(folder)
    assert [entry.status for entry in found.entries] == ["ok", "refused"]
    assert "variables/variables.index, which is missing" in lost(found)["saved_model.pb"]


def test_all_weights_beside_partitions_of_an_optimizer_are_read(folder):
    torch.save(
        {"module": {"a.weight": torch.ones(8, 4, 3, 3)}}, folder / "mp_rank_00_model_states.pt"
    )
    write(folder, {f"zero_pp_rank_{i}_mp_rank_00_optim_states.pt": NOISE for i in range(2)})
    found = measure_checkpoints(folder)
    assert [entry.model for entry in found.entries if entry.status == "ok"] == [
        "good.safetensors",
        "mp_rank_00_model_states.pt",
    ]
    assert not lost(found)


def test_a_model_of_the_web_is_refused_once(folder):
    paths = ["group1-shard1of2.bin", "group1-shard2of2.bin"]
    model = {"weightsManifest": [{"paths": [*paths, "missing.bin"], "weights": []}]}
    files = {"web/model.json": json.dumps(model).encode(), "web/other.pb": NOISE}
    files |= {f"web/{name}": NOISE for name in paths}
    write(folder, files)
    reasons = lost(measure_checkpoints(folder))
    assert reasons.keys() == {"web/model.json", "web/other.pb"}
    assert "missing.bin" in reasons["web/model.json"]


def test_what_holds_no_weights_is_ignored(folder):
    names = {
        "README.md": b"# A model\n\nIt is good.\n",
        "config.json": b'{"model_type": "resnet"}',
        "image.png": b"\x89PNG\r\n\x1a\n" + bytes(600),
        "labels.csv.gz": gzip.compress(b"a,b\n1,2\n"),
        "logo.png": POINTER,
        "model.ckpt.data-00000-of-00001": NOISE,
        "page.html": b"<!DOCTYPE html>",
    }
    write(folder, names)
    found = measure_checkpoints(folder)
    assert not lost(found)
    assert {path.name for path in found.ignored} == names.keys()
