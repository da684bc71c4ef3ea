"""Rates of false alarms of compare: what is counted, and how it is written."""

import json
from collections import Counter

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks import compare_alarms
from benchmarks.compare_alarms import MadeLayer, made, main, network, trained, upper, verdicts


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_an_alarm_is_counted():
    layers = [MadeLayer("a", normal(0, 64, 32, 3, 3))]
    copy = [MadeLayer("a", -layers[0].weight)]
    counts = verdicts([network("x", "one", layers), network("y", "two", copy)])
    assert counts == Counter({"related, transformed": 1})


def test_one_family_and_networks_without_a_common_shape_are_left_out():
    layers = [[MadeLayer("a", normal(0, 32, 3, k, k))] for k in (3, 3, 5)]
    names = ("one", "one", "two")
    networks = [
        network(str(i), name, x) for i, (name, x) in enumerate(zip(names, layers, strict=True))
    ]
    assert not verdicts(networks)


def test_every_made_network_is_a_family_and_nothing_repeats():
    networks = list(made(7))
    assert (
        len({x.family for x in networks}) == len(networks) == 7 * len(compare_alarms.ARCHITECTURES)
    )
    assert not any(
        np.array_equal(networks[0].layers[0].read(), x.layers[0].read()) for x in networks[1:]
    )


def test_trained_networks_are_strangers():
    counts = verdicts(list(trained(3)))
    assert counts
    assert set(counts) <= set(compare_alarms.STRANGERS)


@pytest.mark.parametrize(
    ("count", "total", "rate"), [(0, 299, 0.00997), (1, 10, 0.394), (5, 5, 1.0)]
)
def test_the_bound_is_that_of_clopper_and_pearson(count, total, rate):
    assert upper(count, total) == pytest.approx(rate, abs=1e-3)


def test_the_table_has_every_verdict(tmp_path):
    for seed, name in enumerate("ab"):
        weights = {"conv.weight": normal(seed, 16, 8, 3, 3)}
        save_file(weights, tmp_path / f"{name}.safetensors", {"format": "pt"})
    table = tmp_path / "families.csv"
    table.write_text(
        "file,family\n" + "".join(f"{tmp_path}/{name}.safetensors,{name}\n" for name in "ab")
    )
    main(["--families", str(table), "--made", "1", "--trained", "2", "--out", str(tmp_path)])
    record = json.loads((tmp_path / "false_alarms.json").read_text())
    assert record["pairs"]["real"] == {"trained apart": 1}
    text = (tmp_path / "false_alarms.md").read_text()
    assert all(f"| {label} |" in text for label in compare_alarms.RELATIONSHIPS)
