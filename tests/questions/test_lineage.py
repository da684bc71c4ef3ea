"""Lineage of made checkpoints: families, relations, directions, and what is said where nothing tells."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

import jfilters as jf
from jfilters.questions import find_lineage, lineage_of
from jfilters.scans import merge_scans, open_scan, save_bundle

from .lineages import (
    as_half,
    averaged,
    cut,
    fresh,
    permuted,
    pruned,
    quantized,
    scaled,
    tuned,
    with_norms,
    write,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def forest_of(tmp_path):
    """A function that scans networks and returns their forest."""

    def forest_of(networks, **options):
        scan = jf.scan(write(tmp_path / "nets", networks), progress=False)
        return scan.lineage(**options)

    return forest_of


def stem(name):
    return name.removesuffix(".safetensors")


def arrows(forest):
    """The edges: parent, relation, child; without direction the ends in the order of their names."""
    return {
        (stem(e.parent), e.relation, stem(e.child))
        if e.directed
        else (*sorted((stem(e.parent), stem(e.child))), e.relation)
        for e in forest.edges
    }


def families(forest):
    return {frozenset(map(stem, family.models)) for family in forest.families}


def test_deployed_copies_hang_on_their_source(forest_of, rng):
    base = fresh(rng)
    networks = {
        "base": with_norms(base),
        "half": as_half(base),
        "int8": with_norms(quantized(base)),
        "pruned": with_norms(pruned(base)),
        "folded": scaled(rng, base),
        "stranger": fresh(rng),
    }
    forest = forest_of(networks)
    assert arrows(forest) == {
        ("base", "re-saved", "half"),
        ("base", "quantized", "int8"),
        ("base", "pruned", "pruned"),
        ("base", "rescaled", "folded"),
    }
    assert forest.strangers == ("stranger.safetensors",)


def test_negated_kernels_are_rescaled_ones(forest_of, rng):
    base = fresh(rng)
    forest = forest_of({"base": base, "negated": {name: -w for name, w in base.items()}})
    assert arrows(forest) == {("base", "negated", "rescaled")}


def test_an_average_has_an_edge_from_each_part(forest_of, rng):
    base = fresh(rng)
    parts = [tuned(rng, base) for _ in range(3)]
    networks = {"base": base, "a": parts[0], "b": parts[1], "c": parts[2]}
    networks["two"] = averaged(parts[:2], [0.5, 0.5])
    networks["three"] = averaged(parts, [0.2, 0.3, 0.5])
    soups = {arrow for arrow in arrows(forest_of(networks)) if arrow[1] == "soup"}
    assert soups == {("a", "soup", "two"), ("b", "soup", "two")} | {
        (part, "soup", "three") for part in "abc"
    }


@pytest.mark.parametrize("step", [0.05, 0.14, 0.3])
def test_a_child_of_an_average_hangs_on_it(forest_of, rng, step):
    base = fresh(rng)
    parts = [tuned(rng, base) for _ in range(3)]
    soup = averaged(parts[:2], [0.5, 0.5])
    networks = {"base": base, "a": parts[0], "b": parts[1], "c": parts[2], "soup": soup}
    # At 0.14 it sees both parts under a right angle, as the base does.
    networks["child"] = tuned(rng, soup, step)
    edges = arrows(forest_of(networks))
    assert ("soup", "fine-tuned", "child") in edges
    assert not {edge for edge in edges if edge[0] == "soup" and edge[2] == "base"}
    assert {("a", "base", "fine-tuned"), ("b", "base", "fine-tuned")} <= edges


def test_a_child_of_the_pruned_network_hangs_on_it(forest_of, rng):
    base = fresh(rng)
    sparse = pruned(base)
    forest = forest_of({"base": base, "sparse": sparse, "child": tuned(rng, sparse, -0.1)})
    assert ("sparse", "fine-tuned", "child") in arrows(forest)


def test_a_child_of_the_quantized_network_hangs_on_it(forest_of, rng):
    base = fresh(rng)
    coarse = quantized(base, 7)
    networks = {"base": base, "coarse": coarse, "child": tuned(rng, coarse, 0.05)}
    assert ("coarse", "fine-tuned", "child") in arrows(forest_of(networks))


def test_without_any_cue_an_edge_has_no_direction(forest_of, rng):
    base = fresh(rng)
    forest = forest_of({"base": base, "tuned": tuned(rng, base)})
    assert arrows(forest) == {("base", "tuned", "fine-tuned")}
    assert forest.edges[0].cue == ""


def test_counters_give_directions_and_are_named(forest_of, rng):
    weights, networks = fresh(rng), {}
    for steps in (300, 100, 200):
        networks[f"n{steps}"] = with_norms(weights, steps)
        weights = tuned(rng, weights)
    # By the weights a chain n300 - n100 - n200; the counters say who was first.
    forest = forest_of(networks)
    assert arrows(forest) == {("n100", "fine-tuned", "n300"), ("n100", "fine-tuned", "n200")}
    assert all("BatchNorm counted" in edge.cue for edge in forest.edges)
    assert "100 < 300" in " ".join(edge.evidence for edge in forest.edges)


def test_networks_that_count_the_same_have_a_common_ancestor(forest_of, rng):
    base = fresh(rng)
    networks = {name: with_norms(tuned(rng, base), 100) for name in ("a", "b")}
    assert arrows(forest_of(networks)) == {("a", "b", "common ancestor")}


def test_of_equal_files_the_one_that_counts_more_is_later(forest_of, rng):
    base = fresh(rng)
    networks = {"a": with_norms(base, 30), "b": with_norms(base, 20)}
    assert arrows(forest_of(networks)) == {("b", "identical", "a")}


def test_channels_in_another_order_and_trained_onward_are_found(forest_of, rng):
    base = fresh(rng)
    networks = {"base": base, "tuned": tuned(rng, base), "other": fresh(rng)}
    networks["permuted"] = tuned(rng, permuted(rng, base), 0.1)
    forest = forest_of(networks)
    assert families(forest) == {frozenset(("base", "tuned", "permuted"))}
    assert ("base", "permuted", "fine-tuned") in arrows(forest)
    without = forest_of(networks, weights=False)
    assert families(without) == {frozenset(("base", "tuned"))}
    assert "order" in without.notes[0]


def test_a_permuted_copy_is_found_without_weights(forest_of, rng):
    base = fresh(rng)
    forest = forest_of({"base": base, "copy": permuted(rng, base)}, weights=False)
    assert families(forest) == {frozenset(("base", "copy"))}


def test_a_network_that_lost_channels_is_a_sub_network(forest_of, rng):
    base = fresh(rng)
    forest = forest_of({"base": base, "small": cut(base)})
    assert arrows(forest) == {("base", "sub-network", "small")}


def test_frozen_layers_are_told_from_those_that_moved(forest_of, rng):
    base = fresh(rng)
    child = tuned(rng, base) | {"conv1.weight": base["conv1.weight"]}
    forest = forest_of({"base": base, "child": child})
    frozen = {row["layer"]: row["frozen"] for row in forest.by_layer().rows()}
    assert frozen == {"conv1.weight": True, "conv2.weight": False, "conv3.weight": False}
    moved = {row["layer"]: row["drift"] for row in forest.by_layer().rows()}
    assert moved["conv1.weight"] == 0 < moved["conv2.weight"]


def test_one_weight_of_a_large_layer_thaws_it(forest_of, rng):
    base = fresh(rng, {"conv1": (64, 3, 3, 3), "conv2": (64, 64, 3, 3)})
    changed = base["conv2.weight"].copy()
    changed[63, 63, 2, 2] += 1
    forest = forest_of({"base": base, "child": base | {"conv2.weight": changed}})
    frozen = {row["layer"]: row["frozen"] for row in forest.by_layer().rows()}
    assert frozen == {"conv1.weight": True, "conv2.weight": False}
    assert [row["n_kernels"] for row in forest.by_layer().rows()] == [192, 4096]
    assert forest.edges[0].relation == "fine-tuned"


def test_families_and_columns_agree_with_and_without_a_file(rng, tmp_path):
    base = fresh(rng)
    folder = write(tmp_path / "nets", {"a": base, "b": tuned(rng, base), "c": fresh(rng)})
    scan = jf.scan(folder, progress=False)
    assert scan.model_table["family"].to_pylist() == ["a.safetensors"] * 2 + ["c.safetensors"]
    scan.save(tmp_path / "scan")
    save_bundle(scan, tmp_path / "all.bundle")
    for path in (tmp_path / "scan", tmp_path / "all.bundle"):
        assert arrows(open_scan(path).lineage()) == arrows(scan.lineage())


def test_a_bundle_without_its_checkpoints_knows_families_alone(rng, tmp_path):
    base = fresh(rng)
    folder = write(tmp_path / "nets", {"a": base, "b": tuned(rng, base), "c": base})
    save_bundle(jf.scan(folder, progress=False), tmp_path / "all.bundle")
    shutil.rmtree(folder)
    forest = open_scan(tmp_path / "all.bundle").lineage()
    assert len(forest.unread) == 3
    assert {edge.relation for edge in forest.edges} == {"identical", "unknown"}


def test_a_checkpoint_that_changed_since_the_scan_is_not_read(rng, tmp_path):
    base = fresh(rng)
    folder = write(tmp_path / "nets", {"a": base, "b": tuned(rng, base)})
    scan = jf.scan(folder, progress=False)
    write(folder, {"b": fresh(rng, {"conv1": (4, 4, 3, 3)})})
    assert scan.lineage().unread == ("b.safetensors",)


def test_new_files_are_placed_among_known_models(rng, tmp_path):
    base, other = fresh(rng), fresh(rng)
    known = write(tmp_path / "known", {"base": base, "other": other, "kin": tuned(rng, other)})
    new = write(tmp_path / "new", {"base": base, "mine": tuned(rng, base), "lone": fresh(rng)})
    forest = jf.scan(new, progress=False).lineage(against=jf.scan(known, progress=False))
    assert forest.strangers == ("lone.safetensors",)
    (family,) = forest.families
    assert set(family.models) == {"base.safetensors", "base.safetensors (2)", "mine.safetensors"}


def test_several_scans_and_files_are_one_population(rng, tmp_path):
    base = fresh(rng)
    first = write(tmp_path / "first", {"a": base})
    second = write(tmp_path / "second", {"b": tuned(rng, base)})
    jf.scan(first, progress=False).save(tmp_path / "scan")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((first / "a.safetensors").read_bytes()[:200])
    forest, unread = lineage_of(
        [str(tmp_path / "scan"), str(second / "b.safetensors"), str(broken)]
    )
    assert families(forest) == {frozenset(("a", "second/b"))}
    assert list(unread) == ["broken.safetensors"]


def test_merged_scans_have_families_across_both(rng, tmp_path):
    base = fresh(rng)
    first = jf.scan(write(tmp_path / "first", {"a": base}), progress=False)
    folder = write(tmp_path / "second", {"b": tuned(rng, base)})
    merged, _ = merge_scans([first, jf.scan(folder, basis=first.basis, progress=False)])
    assert merged.model_table["family"].to_pylist() == ["a.safetensors"] * 2


def test_networks_of_unlike_shapes_cannot_be_compared(forest_of, rng):
    networks = {"a": fresh(rng), "b": fresh(rng, {"conv1": (7, 5, 3, 3), "conv2": (9, 7, 3, 3)})}
    forest = forest_of(networks)
    assert forest.incomparable == ("a.safetensors", "b.safetensors")
    assert forest.edges == ()


def test_the_record_is_json_with_every_model_in_a_family(forest_of, rng):
    base = fresh(rng)
    forest = forest_of({"a": base, "b": as_half(base), "c": fresh(rng)})
    record = json.loads(json.dumps(forest.record()))
    assert record["families"] == [["a.safetensors", "b.safetensors"], ["c.safetensors"]]
    (edge,) = record["edges"]
    assert edge["parent"], edge["directed"] == ("a.safetensors", True)
    assert record["alarm"] == {"pairs": 3, "z": pytest.approx(2.71, abs=0.01), "chance": 0.01}
    (row,) = forest.rows()
    assert (row["child"], row["layers"], row["frozen"]) == ("b.safetensors", 3, 0)


def test_a_scan_without_sketches_says_so(rng, tmp_path):
    scan = jf.scan(write(tmp_path / "nets", {"a": fresh(rng)}), progress=False)
    arrays = {name: scan.arrays[name] for name in scan.arrays if "sketch" not in name}

    with pytest.raises(ValueError, match=r"no sketches.*scan the checkpoints again"):
        find_lineage(dataclasses.replace(scan, arrays=arrays))


def test_a_folder_without_kernels_has_an_empty_forest(tmp_path):
    save_file({"head.weight": np.ones((4, 8), np.float32)}, tmp_path / "dense.safetensors")
    forest = jf.scan(tmp_path, progress=False).lineage()
    assert (forest.families, forest.strangers, forest.edges) == ((), (), ())


def test_steps_that_point_the_same_way_are_doubtful(forest_of, rng):
    base, step = fresh(rng), fresh(rng)

    def moved(share):
        # Beside the straight way, so that none is an average of the others.
        noise = fresh(rng)
        return {n: base[n] + np.float32(share) * (step[n] + 0.2 * noise[n]) for n in base}

    straight = forest_of({"a": base, "b": moved(0.2), "c": moved(0.5)})
    assert all("doubtful: steps meet at b.safe" in edge.evidence for edge in straight.edges)
    fan = forest_of({"a": base, "b": tuned(rng, base), "c": tuned(rng, base)})
    assert all("doubtful" not in edge.evidence for edge in fan.edges)
