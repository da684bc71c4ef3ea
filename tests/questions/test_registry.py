"""A checkpoint among the networks that ship: bundle, standing of layers, labels of neighbors, kin."""

import dataclasses
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jfilters import CheckpointError, zoo
from jfilters.engine import Options, scan_into
from jfilters.lineage import find_families
from jfilters.questions import layer_standings, lineage_of, nearest, neighbor_labels
from jfilters.questions.internal import FEWEST_ALIKE
from jfilters.questions.lineage._population import Population
from jfilters.report import nearest_text, standings_text
from jfilters.report.page._overview import findings
from jfilters.report.page._view import View
from jfilters.scans import (
    _registry,
    merge_scans,
    open_registry,
    open_scan,
    read_metadata,
    registry_file,
    save_bundle,
)

from ..cli.commands import fail, run
from ..report.kin import KIN, kin_scan, network, tuned
from ..report.pages import shown
from ..scans.scans import made_scan, replaced

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def registry():
    return open_registry()


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with a layer of which most kernels are nearly zero."""
    rng = np.random.default_rng(3)
    sparse = rng.standard_normal((32, 16, 3, 3)).astype(np.float32)
    sparse[:20] *= 1e-5
    weights = {
        "conv1.weight": rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "conv2.weight": sparse,
    }
    save_file(weights, tmp_path / "mine.safetensors", {"format": "pt"})
    return tmp_path / "mine.safetensors"


@pytest.fixture
def own_registry(tmp_path, monkeypatch):
    """A registry of made networks of known heritage, in place of the one that ships."""
    bundle = tmp_path / "own.bundle"
    save_bundle(open_scan(kin_scan(tmp_path / "kin")), bundle)
    monkeypatch.setattr(_registry, "registry_file", lambda: bundle)
    return bundle


class TestBundle:
    def test_it_holds_every_network_of_the_zoo_that_has_3x3_kernels(self, registry):
        read = {entry["model"] for entry in registry.record["checkpoints"]}
        assert read == {entry.name for entry in zoo.entries()}
        assert {entry["status"] for entry in registry.record["checkpoints"]} == {"ok", "empty"}
        assert len(registry.model_names) == 153

    def test_it_takes_kilobytes_a_network_and_holds_no_weights(self, registry):
        assert registry_file().stat().st_size < 25_000 * len(registry.model_names)
        assert registry.sample is None
        assert set(registry.moments) == {"normalized"}
        # The mean of the kernels of a layer is none of them.
        assert min(registry.layer_table["n_kernels"].to_pylist()) > 1

    def test_no_path_of_a_machine_is_in_it(self):
        text = lzma.decompress(load_file(registry_file())["tables"].tobytes()).decode()
        assert len(text) > 10**6
        assert not [word for word in ('"/home', '"/root', '"/tmp', "/work/") if word in text]
        with safe_open(registry_file(), framework="numpy") as file:
            assert set(file.metadata()) == {"jfilters.bundle"}

    def test_what_the_questions_need_is_there(self, registry):
        columns = registry.layer_table.column_names
        assert {"task", "dataset", "visual_category", "license", "source"} <= set(columns)
        assert None not in registry.layer_table["license"].to_pylist()
        assert registry.sketches is not None
        assert registry.record["families"]["pairs"] == 153 * 152 // 2

    def test_without_it_the_remedy_is_said(self, monkeypatch, tmp_path):
        monkeypatch.setattr(_registry, "_IN_SOURCES", tmp_path / "nowhere")
        monkeypatch.setattr(_registry, "_INSTALLED", tmp_path / "nowhere")
        with pytest.raises(CheckpointError, match=r"found none; .*make zoo"):
            registry_file()


class TestStandings:
    def test_shares_are_those_of_a_count(self, registry, checkpoint):
        answer = nearest(registry, checkpoint, layers=True)
        own = {layer.layer: layer.numbers for layer in answer.standings.layers}
        assert list(own) == ["conv1.weight", "conv2.weight"]
        table = registry.layer_table.to_pylist()
        sparse = own["conv2.weight"]["sparsity"]
        assert sparse.value == 20 / 32
        values = [row["sparsity"] for row in table if row["sparsity"] is not None]
        assert (sparse.above, sparse.layers) == (np.mean(np.array(values) < 20 / 32), len(values))
        entropy = own["conv1.weight"]["variance_entropy"]
        alike = [
            row["variance_entropy"]
            for row in table
            if row["variance_entropy"] is not None
            and row["n_kernels"] > row["out_channels"]
            and 12 <= row["n_kernels"] <= 192
        ]
        assert (entropy.above, entropy.layers) == (
            np.mean(np.array(alike) < entropy.value),
            len(alike),
        )
        angle = own["conv2.weight"]["orthogonality"]
        alike = [
            row["orthogonality"]
            for row in table
            if row["orthogonality"] is not None
            and row["n_kernels"] > row["out_channels"]
            and 4 <= row["n_kernels"] / row["out_channels"] <= 64
        ]
        assert (angle.above, angle.layers) == (np.mean(np.array(alike) < angle.value), len(alike))

    def test_layers_of_one_input_are_compared_with_such_layers(self, registry, tmp_path):
        weight = np.random.default_rng(0).standard_normal((64, 1, 3, 3)).astype(np.float32)
        save_file({"conv.weight": weight}, tmp_path / "x.safetensors", {"format": "pt"})
        (layer,) = nearest(registry, tmp_path / "x.safetensors", layers=True).standings.layers
        table = registry.layer_table.to_pylist()
        single = [row for row in table if row["n_kernels"] <= row["out_channels"]]
        with_angle = [row for row in single if row["orthogonality"] is not None]
        assert layer.numbers["orthogonality"].layers == len(with_angle) > 1000
        assert "one input a channel" in layer.numbers["orthogonality"].among

    def test_few_layers_alike_are_replaced_by_all_of_the_kind(self, tmp_path):
        scan = made_scan(tmp_path / "a", {"a": 3, "b": 2})
        other = made_scan(tmp_path / "b", {"q": 1})
        (layer,) = layer_standings(scan, other, {"q": ()}).layers
        assert layer.numbers["variance_entropy"].layers == 5 < FEWEST_ALIKE
        assert layer.numbers["variance_entropy"].among == "layers of several inputs a channel"

    def test_layers_of_kin_do_not_count(self, tmp_path):
        scan = made_scan(tmp_path / "a", {"a": 3, "b": 2})
        other = made_scan(tmp_path / "b", {"q": 3})
        whole = layer_standings(scan, other, {"q": ()}).layers[-1].numbers["sparsity"]
        part = layer_standings(scan, other, {"q": {"a"}}).layers[-1].numbers["sparsity"]
        # Sparsities are 0, 1, 2 of 40 in a, and 0, 1 in b; that of the layer is 2.
        assert (whole.above, whole.layers) == (4 / 5, 5)
        assert (part.above, part.layers) == (1.0, 2)

    def test_nothing_to_compare_with_is_no_share(self, tmp_path):
        scan, other = made_scan(tmp_path / "a", {"a": 2}), made_scan(tmp_path / "b", {"q": 1})
        answer = layer_standings(scan, other, {"q": {"a"}})
        assert [x.above for x in answer.layers[0].numbers.values()] == [None] * 3
        assert "no layer has numbers to compare" in shown(standings_text(answer), 80)

    def test_a_number_that_is_not_defined_has_no_share(self, registry, tmp_path):
        weight = np.random.default_rng(0).standard_normal((1, 8, 3, 3)).astype(np.float32)
        save_file({"conv.weight": weight}, tmp_path / "x.safetensors", {"format": "pt"})
        (layer,) = nearest(registry, tmp_path / "x.safetensors", layers=True).standings.layers
        angle = layer.numbers["orthogonality"]
        assert (angle.value, angle.above) == (None, None)
        assert json.loads(json.dumps(layer.record()))["orthogonality_above"] is None

    def test_the_most_extreme_layers_are_shown(self, registry, checkpoint):
        answer = nearest(registry, checkpoint, layers=True).standings
        page = shown(standings_text(answer, most=1), 80)
        assert "conv2.weight is sparser than 9" in page
        # The layer of the table, since the sentence names the sparsest one.
        assert page.count("\nconv") == 1


class TestLabels:
    def scan(self, tmp_path, tasks, families, kernels):
        scan = made_scan(tmp_path, {f"m{i:02}": 1 for i in range(len(tasks))})
        models = scan.model_table
        for name, values in (("family", families), ("n_kernels", kernels)):
            place = models.column_names.index(name)
            models = models.set_column(
                place, name, pa.array(values, models.schema.field(name).type)
            )
        layers = scan.layer_table.append_column("task", pa.array(tasks, pa.string()))
        return dataclasses.replace(scan, model_table=models, layer_table=layers)

    def test_shares_of_planted_neighbors(self, tmp_path):
        """Networks lie on a line, tasks in two halves; sizes alternate, so that size tells nothing."""
        n = 24
        tasks = ["a"] * 12 + ["b"] * 12
        scan = self.scan(tmp_path, tasks, [None] * n, [100 * 10 ** (i % 12) for i in range(n)])
        place = np.arange(n) + np.arange(n) / 1000
        drifts = np.abs(place[:, None] - place)
        (labels,) = neighbor_labels(scan, drifts)
        assert (labels.axis, labels.models, labels.families) == ("task", 24, 24)
        assert (labels.by_size, labels.by_chance) == (0, 0.5)
        assert labels.by_drift == pytest.approx(1)

    def test_kin_are_left_out_and_a_family_counts_once(self, tmp_path):
        tasks = ["a", "a", "a", *["b", "c"] * 10]
        families = ["m00"] * 3 + [None] * 20
        scan = self.scan(tmp_path, tasks, families, [100] * 23)
        drifts = np.ones((23, 23))
        drifts[:3, :3] = 0
        (labels,) = neighbor_labels(scan, drifts)
        # Their only neighbors of the same task are kin: the family is wrong; a stranger has 9 of 22.
        assert labels.families == 21
        assert labels.by_drift == pytest.approx(20 / 21 * 9 / 22)
        assert labels.by_chance == pytest.approx(10 / 21)

    def test_unknown_distances_are_no_neighbors(self, tmp_path):
        scan = self.scan(tmp_path, ["a"] * 20, [None] * 20, [100] * 20)
        (labels,) = neighbor_labels(scan, np.full((20, 20), np.nan))
        assert (labels.by_drift, labels.by_size) == (0, 1)

    @pytest.mark.parametrize(
        ("tasks", "families"),
        [(["a"] * 19, [None] * 19), (["a"] * 20, ["m00"] * 20), ([None] * 20, [None] * 20)],
        ids=["few", "one-family", "unlabeled"],
    )
    def test_nothing_is_told_of_too_little(self, tmp_path, tasks, families):
        n = len(tasks)
        scan = self.scan(tmp_path, tasks, families, [100] * n)
        assert neighbor_labels(scan, np.ones((n, n))) == ()

    def test_the_text_warns_with_the_figures_of_the_scan(self, registry, checkpoint):
        answer = nearest(registry, checkpoint)
        labels = {x.axis: x for x in answer.labels}
        page = " ".join(shown(nearest_text(answer, most=3, map=False), 80).split())
        data = labels["visual_category"]
        assert data.by_drift <= data.by_size
        assert f"data: {data.by_drift:.2f} by D, {data.by_size:.2f} by size alone" in page
        assert "take no label from a neighbor" in page

    # Of more than 60 models the page shows the drift of 60 alone.
    @pytest.mark.parametrize("n", [20, 70])
    def test_the_page_says_so_where_models_are_labeled(self, tmp_path, n):
        scan = self.scan(tmp_path, ["a", "b"] * (n // 2), [None] * n, [100] * n)
        told = {x["title"]: str(x["why"]) for x in findings(View(scan))}
        (labels,) = neighbor_labels(scan)
        shares = f"{labels.by_drift:.0%} are right by D, {labels.by_size:.0%} by size"
        assert shares in told["Nearest models"]
        bare = {x["title"] for x in findings(View(made_scan(tmp_path / "x", {"a": 1, "b": 1})))}
        assert "Nearest models" not in bare

    def test_drifts_are_those_of_the_question(self, registry, checkpoint):
        assert nearest(registry, checkpoint).labels == neighbor_labels(registry)


class TestKin:
    def test_pairs_of_new_networks_are_those_of_all_pairs(self, tmp_path):
        folder = kin_scan(tmp_path / "kin")
        save_file(tuned(network(0), 7), tmp_path / "child.safetensors", {"format": "pt"})
        scan_into(tmp_path / "child", tmp_path / "child.safetensors")
        population = Population.of(open_scan(folder)) + Population.of(open_scan(tmp_path / "child"))
        networks, new = population.networks, len(population) - 1
        whole, part = find_families(networks), find_families(networks, new=new)
        for name in ("kin", "partly", "permuted", "contained"):
            np.testing.assert_array_equal(getattr(part, name)[new], getattr(whole, name)[new])
        np.testing.assert_array_equal(part.kinship.cosine[new], whole.kinship.cosine[new])
        assert whole.kin[new].sum() == len(KIN)
        assert part.alarm == whole.alarm

    @pytest.mark.usefixtures("own_registry")
    def test_one_checkpoint_is_placed_among_the_registry(self, tmp_path):
        file = tmp_path / "child.safetensors"
        save_file(tuned(network(0), 7), file, {"format": "pt"})
        forest, _ = lineage_of([file])
        (family,) = forest.families
        assert set(family.models) == {*(f"{name}.safetensors" for name in KIN), "child.safetensors"}
        assert "placed among the 7 real networks" in forest.notes[0]
        alone, _ = lineage_of([file], registry=False)
        assert (alone.families, alone.strangers) == ((), ("child.safetensors",))

    @pytest.mark.usefixtures("own_registry")
    def test_several_are_only_if_asked_for(self, tmp_path):
        for seed in (7, 8):
            save_file(tuned(network(0), seed), tmp_path / f"x{seed}.safetensors", {"format": "pt"})
        files = [tmp_path / f"x{seed}.safetensors" for seed in (7, 8)]
        assert len(lineage_of(files)[0].families[0].models) == 2
        assert len(lineage_of(files, registry=True)[0].families[0].models) == len(KIN) + 2

    def test_kernels_of_another_size(self, tmp_path, monkeypatch, capsys):
        weight = np.random.default_rng(0).standard_normal((8, 8, 5, 5)).astype(np.float32)
        save_file({"conv.weight": weight}, tmp_path / "x.safetensors", {"format": "pt"})
        forest, _ = lineage_of([tmp_path / "x.safetensors"], options={"spatial": (5, 5)})
        assert forest.strangers == ("x.safetensors",)
        words = ("lineage", tmp_path / "x.safetensors", "--spatial", "5x5", "--registry")
        said = fail(monkeypatch, capsys, *words)
        assert "the registry holds kernels of 3x3, got 5x5" in said

    def test_a_scan_and_the_registry_are_too_much(
        self, monkeypatch, capsys, checkpoint, own_registry
    ):
        said = fail(
            monkeypatch, capsys, "lineage", checkpoint, "--registry", "--against", own_registry
        )
        assert "or the registry; got both" in said


class TestCommand:
    def test_a_file_alone(self, checkpoint):
        done = run("nearest", checkpoint, "--most", 3)
        assert done.exit_code == 0
        assert "closest to mine.safetensors" in done.stdout
        assert "D0" in done.stdout
        assert "conv2.weight is sparser than 9" in done.stdout
        assert "of 4,102 real layers" in " ".join(done.stdout.split())
        assert "among the 153 real networks" in done.stderr
        assert max(map(len, done.stdout.splitlines())) <= 80

    def test_layers_in_all_forms(self, checkpoint):
        rows = json.loads(run("nearest", checkpoint, "--layers", "--format", "json").stdout)
        lines = run("nearest", checkpoint, "--layers", "--format", "csv").stdout.splitlines()
        assert [row["layer"] for row in rows] == ["conv1.weight", "conv2.weight"]
        assert lines[0].startswith("query,layer,n_kernels,sparsity,sparsity_above,sparsity_layers")
        assert len(lines) == 3
        whole = json.loads(run("nearest", checkpoint, "--format", "json").stdout)
        assert whole["layers"] == rows
        near = whole["nearest"]["mine.safetensors"][0]
        assert near["d0"] == near["drift"] - near["null_mean"]

    def test_a_condition_narrows_the_registry(self, checkpoint):
        done = run("nearest", checkpoint, "--where", "task == 'face detection'", "--format", "json")
        names = {near["model"] for near in json.loads(done.stdout)["nearest"]["mine.safetensors"]}
        tasks = {entry.name: entry.task for entry in zoo.entries()}
        assert {tasks[name] for name in names} == {"face detection"}

    def test_three_paths_are_too_many(self, checkpoint):
        done = run("nearest", "a", "b", checkpoint)
        assert done.exit_code == 2
        assert "SCAN and FILE; got 3 paths" in " ".join(done.output.split())

    def test_it_needs_no_compiler_and_little_time(self, checkpoint):
        code = (
            "import json, resource, sys; sys.argv[1:] = ['nearest', *sys.argv[1:]]\n"
            "from jfilters_cli._app import app\n"
            "try: app()\n"
            "except SystemExit: pass\n"
            "used = resource.getrusage(resource.RUSAGE_SELF)\n"
            "print(json.dumps([used.ru_utime + used.ru_stime, 'jax' in sys.modules]))"
        )
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])}
        command = [sys.executable, "-c", code, str(checkpoint)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds, with_jax = json.loads(done.stdout.splitlines()[-1])
        assert not with_jax
        # 1.4 s here, and twice that on a slower core; of all pairs of the registry it was a second more.
        assert seconds < 4


class TestMerge:
    @pytest.fixture
    def addition(self, tmp_path, checkpoint, registry):
        """The bundle of a pull request: scanned in the basis of the registry, with metadata."""
        (tmp_path / "meta.csv").write_text("model,task,license\nmine.safetensors,denoising,MIT\n")
        metadata = read_metadata(tmp_path / "meta.csv")
        scan_into(tmp_path / "scan", checkpoint, Options(), basis=registry.basis, metadata=metadata)
        save_bundle(open_scan(tmp_path / "scan"), tmp_path / "mine.bundle")
        return tmp_path / "mine.bundle"

    def test_a_network_is_added_and_found(self, addition, checkpoint, tmp_path):
        out = tmp_path / "merged.bundle"
        done = run("merge", registry_file(), addition, "-o", out, "--whole")
        assert done.exit_code == 0, done.output
        merged = open_scan(out)
        assert len(merged.model_names) == 154
        assert merged.layer_table["task"].to_pylist()[-1] == "denoising"
        near = nearest(merged, checkpoint).near["mine.safetensors"][0]
        assert (near.model, near.drift) == ("mine.safetensors", 0)

    def test_the_registry_itself_adds_nothing(self, registry):
        merged, missing = merge_scans([registry, registry])
        assert merged.model_names == registry.model_names
        assert missing == []

    def test_one_without_sketches_is_refused_whole(self, addition, tmp_path, monkeypatch, capsys):
        scan = open_scan(addition)
        names = [name for name in scan.arrays if name.startswith(("sketch", "kernel_hash"))]
        save_bundle(replaced(scan, **dict.fromkeys(names)), tmp_path / "bare.bundle")
        words = ("merge", registry_file(), tmp_path / "bare.bundle", "-o", tmp_path / "out.bundle")
        said = fail(monkeypatch, capsys, *words, "--whole")
        assert "not all of the scans have sketches" in said
        assert not (tmp_path / "out.bundle").exists()
        done = run(*words)
        assert "left out, since not all have the same: sketches" in done.stderr

    def test_another_basis_and_a_damaged_file_are_refused(
        self, addition, checkpoint, tmp_path, monkeypatch, capsys
    ):
        scan_into(tmp_path / "own", checkpoint)
        words = (
            "merge",
            registry_file(),
            tmp_path / "own",
            "-o",
            tmp_path / "out.bundle",
            "--whole",
        )
        said = fail(monkeypatch, capsys, *words)
        assert "their bases differ" in said
        assert "--basis" in said
        addition.write_bytes(addition.read_bytes()[:-9])
        words = ("merge", registry_file(), addition, "-o", tmp_path / "out.bundle", "--whole")
        assert "expected a bundle" in fail(monkeypatch, capsys, *words)
