"""Families by sketches: who is kin, by which evidence, and how often strangers are taken for kin."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

from jfilters.lineage import find_families
from jfilters.lineage.internal import labels_of, threshold

from .networks import as_networks, fresh, trained

RNG = np.random.default_rng(0)


def partners(weights):
    """The pairs of kin by name."""
    networks = as_networks(weights)
    families = find_families(networks)
    rows, columns = np.nonzero(np.triu(families.kin))
    return {(networks.names[i], networks.names[j]) for i, j in zip(rows, columns, strict=True)}


def test_a_trained_copy_is_kin_and_a_stranger_is_not():
    base = fresh(RNG)
    weights = {"base": base, "tuned": trained(RNG, base), "stranger": fresh(RNG)}
    assert partners(weights) == {("base", "tuned")}


def test_kernels_scaled_by_channel_are_kin():
    base = fresh(RNG)
    scales = [np.exp(RNG.normal(size=(len(w), 1, 1, 1))).astype(np.float32) for w in base]
    weights = {"base": base, "scaled": [w * s for w, s in zip(base, scales, strict=True)]}
    assert partners(weights) == {("base", "scaled")}


def test_negated_kernels_are_kin_with_a_negative_cosine():
    base = fresh(RNG)
    families = find_families(as_networks({"base": base, "negated": [-w for w in base]}))
    assert families.kin[0, 1]
    assert families.kinship.cosine[0, 1] == pytest.approx(-1)


def test_an_inserted_layer_and_other_input_channels_leave_kin():
    base = fresh(RNG)
    inserted = [base[0], base[1], *fresh(RNG, [(32, 32, 3, 3)]), base[2]]
    gray = [base[0].sum(axis=1, keepdims=True), *base[1:]]
    weights = {"base": base, "inserted": inserted, "gray": gray}
    assert partners(weights) >= {("base", "inserted"), ("base", "gray")}


def test_an_inserted_layer_is_matched_by_content_where_names_shift():
    base = fresh(RNG)
    inserted = [base[0], base[1], *fresh(RNG, [(32, 32, 3, 3)]), base[2]]
    families = find_families(as_networks({"base": base, "inserted": inserted}))
    assert families.kinship.cosine[0, 1] == pytest.approx(1, abs=0.05)


def test_networks_that_share_two_of_many_layers_are_partly_kin():
    shapes = [(16, 16, 3, 3)] * 12
    base = fresh(RNG, shapes)
    partly = [*base[:2], *fresh(RNG, shapes[2:])]
    families = find_families(as_networks({"base": base, "partly": partly}))
    assert families.kinship.similar[0, 1] == 2
    assert families.kin[0, 1]


def test_one_shared_layer_is_no_evidence():
    shapes = [(16, 16, 3, 3)] * 12
    base = fresh(RNG, shapes)
    other = [trained(RNG, base[:1], 1.0)[0], *fresh(RNG, shapes[1:])]
    families = find_families(as_networks({"base": base, "other": other, "third": fresh(RNG)}))
    assert families.kinship.similar[0, 1] == 1
    assert not families.partly[0, 1]


def test_a_copy_with_its_channels_in_another_order_is_kin():
    base = fresh(RNG)
    orders = [RNG.permutation(len(w)) for w in base]
    permuted = [base[0][orders[0]]]
    permuted += [base[i][orders[i]][:, orders[i - 1]] for i in (1, 2)]
    families = find_families(as_networks({"base": base, "permuted": permuted}))
    assert families.permuted[0, 1]
    assert np.abs(families.kinship.z[0, 1]) < 5


def test_a_network_that_lost_channels_is_contained_in_its_source():
    base = fresh(RNG)
    cut = [base[0][::2], base[1][::2, ::2], base[2][:, ::2]]
    families = find_families(as_networks({"base": base, "cut": cut, "stranger": fresh(RNG)}))
    assert families.kin[0, 1]
    assert families.contained[1, 0] > 0.9 > families.contained[0, 1]
    assert not families.kin[2].any()


def test_layers_of_zeros_and_of_equal_kernels_are_no_evidence():
    zeros = [np.zeros((16, 16, 3, 3), np.float32)] * 3
    ones = [np.ones((16, 16, 3, 3), np.float32)] * 3
    assert partners({"zeros": zeros, "more zeros": zeros, "ones": ones}) == set()


def test_a_nan_leaves_a_network_alone():
    base = fresh(RNG)
    broken = [np.full_like(w, np.nan) for w in base]
    assert partners({"base": base, "broken": broken, "again": broken}) == set()


def test_strangers_are_kin_as_often_as_the_alarm_says():
    # 40 collections of 30: 0.4 are expected to hold a false link.
    alarms = 0
    for _ in range(40):
        networks = {str(i): fresh(RNG, [(16, 8, 3, 3)] * 3) for i in range(30)}
        alarms += find_families(as_networks(networks)).kin.any()
    assert alarms <= 4  # a Poisson variable of mean 0.4 exceeds it once in 16,000 runs


def test_the_z_of_strangers_is_standard_normal():
    networks = as_networks({str(i): fresh(RNG, [(32, 32, 3, 3)] * 4) for i in range(60)})
    z = find_families(networks).kinship.z[np.triu_indices(60, 1)]
    assert z.std() == pytest.approx(1, abs=0.1)
    assert abs(z.mean()) < 0.1


@pytest.mark.parametrize("n", [2, 30, 162, 650])
def test_the_threshold_is_the_quantile_of_all_pairs(n):
    pairs = n * (n - 1) // 2
    assert threshold(n).z == pytest.approx(norm.isf(0.01 / pairs))
    assert threshold(n).pairs == pairs


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_labels_are_those_of_connected_components(share):
    kin = RNG.random((50, 50)) < share
    kin |= kin.T
    labels = labels_of(kin)
    _, expected = connected_components(kin)
    assert [(labels == labels[i]).tolist() for i in range(50)] == [
        (expected == expected[i]).tolist() for i in range(50)
    ]
    assert labels[0] == 0
    assert (np.diff(np.unique(labels)) == 1).all()


def test_no_network_has_no_family():
    families = find_families(as_networks({}))
    assert families.members() == []


def test_large_architectures_are_compared_place_by_place_with_the_same_families(monkeypatch):
    base, shapes = fresh(RNG), [(16, 16, 3, 3)] * 4
    weights = {f"a{i}": trained(RNG, base) for i in range(3)}
    deep = fresh(RNG, shapes)
    weights |= {f"b{i}": trained(RNG, deep, 0.5) for i in range(3)}
    weights |= {"shifted": [*fresh(RNG, [shapes[0]]), *deep], "stranger": fresh(RNG, shapes)}
    networks = as_networks(weights)
    expected = find_families(networks)
    monkeypatch.setattr("jfilters.lineage._layer_pairs.LARGE", 2)
    monkeypatch.setattr("jfilters.lineage._layer_pairs.AT_ONCE", 4)
    families = find_families(networks)
    assert families.members() == expected.members() == [[0, 1, 2], [3, 4, 5, 6], [7]]
    np.testing.assert_array_equal(families.kinship.similar, expected.kinship.similar)
