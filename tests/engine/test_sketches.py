"""Sketches of a scan: the same bytes from every engine and from the cache, whatever the order; the columns
of models that rest on them."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from jfilters.engine import Options, inspect, scan, scan_into
from jfilters.engine.internal import measure_checkpoints
from jfilters.lineage.internal import Sketcher, Sketches
from jfilters.scans import merge_scans, open_scan, save_bundle
from jfilters.scans.internal import sketch_arrays
from jfilters.statistics import load_basis

from ..scans.scans import same_sketches

SHAPES = ((16, 3, 3, 3), (24, 16, 3, 3), (40, 24, 3, 3))


def network(seed, near=None):
    """Random weights, or those of another network and a little of them."""
    rng = np.random.default_rng(seed)
    own = [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]
    return (
        own if near is None else [a + np.float32(0.3) * b for a, b in zip(near, own, strict=True)]
    )


NETWORKS = {"base": network(0), "child": network(1, network(0)), "stranger": network(2)}


def save(folder, name, weights):
    arrays = {f"conv{i}.weight": weight for i, weight in enumerate(weights)}
    save_file(arrays, folder / f"{name}.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for name, weights in NETWORKS.items():
        save(folder, name, weights)
    return folder


@pytest.fixture(scope="module")
def scanned(folder, tmp_path_factory):
    return scan_into(tmp_path_factory.mktemp("out") / "scan", folder, progress=False)


def sketches_of(networks):
    parts = []
    for weights in networks:
        sketcher = Sketcher([len(weights)])
        assert len(list(sketcher.watch(weights))) == len(weights)
        parts.append(sketcher.sketches())
    return Sketches.concatenate(parts)


def column(scan, name):
    return dict(zip(scan.model_names, scan.model_table[name].to_pylist(), strict=True))


class TestSketches:
    def test_they_are_those_of_the_weights(self, scanned):
        assert same_sketches(scanned.sketches, sketches_of(NETWORKS.values()))

    def test_every_engine_writes_the_same_bytes(self, folder, scanned, tmp_path):
        scan(folder, engine="host", progress=False).save(tmp_path / "host")
        arrays = [load_file(x / "arrays.safetensors") for x in (scanned.folder, tmp_path / "host")]
        for name in sketch_arrays(scanned.sketches):
            assert arrays[0][name].tobytes() == arrays[1][name].tobytes()

    def test_a_cached_checkpoint_has_the_same(self, folder, tmp_path, monkeypatch):
        big = tmp_path / "in"
        shutil.copytree(folder, big)
        first = scan_into(tmp_path / "out", big, progress=False)

        def unread(*arguments):
            raise AssertionError("a weight was sketched again")

        monkeypatch.setattr("jfilters.engine._local.Sketcher", unread)
        assert same_sketches(
            scan_into(tmp_path / "out", big, progress=False).sketches, first.sketches
        )

    def test_the_order_of_completion_leaves_no_trace(self, tmp_path):
        """Small files complete after large ones that follow them, and come back to their places."""
        rng = np.random.default_rng(0)
        sizes = [4, 300, 5, 200, 6]
        networks = [[rng.standard_normal((n, 64, 3, 3)).astype(np.float32)] for n in sizes]
        for i, weights in enumerate(networks):
            save(tmp_path, f"{i}", weights)
        assert same_sketches(measure_checkpoints(tmp_path).sketches, sketches_of(networks))

    def test_a_checkpoint_that_fails_has_none(self, folder, tmp_path):
        shutil.copytree(folder, tmp_path / "in")
        path = tmp_path / "in/base.safetensors"
        path.write_bytes(path.read_bytes()[:-1000])
        sketches = scan(tmp_path / "in", progress=False).sketches
        assert same_sketches(sketches, sketches_of([NETWORKS["child"], NETWORKS["stranger"]]))

    def test_without_a_sample_and_without_quality_they_stay(self, folder, scanned):
        bare = scan(folder, Options(sample=0, quality=False), progress=False)
        assert same_sketches(bare.sketches, scanned.sketches)

    def test_one_checkpoint_is_inspected(self, folder):
        assert len(list(inspect(folder / "base.safetensors").rows())) == 3


class TestFamilies:
    def test_kin_have_the_name_of_the_first(self, scanned):
        base, child, stranger = scanned.model_names
        assert column(scanned, "family") == {base: base, child: base, stranger: stranger}

    def test_the_record_has_the_alarm_beside_the_totals(self, scanned):
        record = json.loads((scanned.folder / "scan.json").read_text("utf-8"))
        keys = list(record)
        assert keys[keys.index("totals") + 1] == "families"
        assert record["families"] == pytest.approx(
            {"pairs": 3, "z": 2.713, "chance": 0.01}, abs=1e-3
        )
        assert record["left_out"] == []

    def test_too_many_models_have_none_and_the_record_says_so(self, folder, monkeypatch):
        monkeypatch.setattr("jfilters.scans._families.MOST_COMPARED", 2)
        many = scan(folder, progress=False)
        assert set(column(many, "family").values()) == {None}
        assert "families" not in many.record
        assert many.record["left_out"] == [
            "family: 3 models, and families are found among at most 2"
        ]

    def test_parts_that_are_merged_are_the_whole(self, folder, scanned, tmp_path):
        basis = load_basis(scanned.folder / "arrays.safetensors")
        parts = []
        for i, names in enumerate([("base", "stranger"), ("child",)]):
            part = tmp_path / f"{i}"
            part.mkdir()
            for name in names:
                shutil.copy(folder / f"{name}.safetensors", part)
            parts.append(scan(part, basis=basis, progress=False))
        assert column(parts[1], "family") == {"child.safetensors": "child.safetensors"}
        merged, _ = merge_scans(parts)
        assert column(merged, "family") == column(scanned, "family")
        assert merged.record["families"] == scanned.record["families"]

    def test_a_bundle_has_them(self, scanned, tmp_path):
        save_bundle(scanned, tmp_path / "x.bundle")
        opened = open_scan(tmp_path / "x.bundle")
        assert opened.model_table.equals(scanned.model_table)
        assert same_sketches(opened.sketches, scanned.sketches)

    def test_layers_that_are_chosen_leave_them(self, scanned):
        part = scanned.where("model != 'base.safetensors' and depth > 0")
        assert column(part, "family")["child.safetensors"] == "base.safetensors"


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counted")
    for name, steps in (("epoch_1", 10), ("epoch_2", 20)):
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16))
        module[1].num_batches_tracked += steps
        torch.save(module.state_dict(), folder / f"{name}.pt")
    save(folder, "plain", network(5))
    return scan_into(tmp_path_factory.mktemp("out") / "scan", folder, progress=False)


class TestCounters:
    def test_what_the_files_tell(self, counted):
        assert list(column(counted, "updates").values()) == [10, 20, None]
        assert list(column(counted, "batchnorm").values()) == [True, True, False]

    def test_a_cached_scan_tells_the_same(self, counted):
        again = scan_into(counted.folder, counted.record["config"]["checkpoints"], progress=False)
        assert again.model_table.equals(counted.model_table)

    def test_names_that_count_are_a_run(self, counted):
        assert list(column(counted, "run").values()) == ["epoch_*.pt", "epoch_*.pt", None]
