"""Trees of families: spanning trees, copies, averages, children of both, and directions."""

import numpy as np
import pytest

from jfilters.lineage.internal import (
    COUNTERS,
    TRAINED,
    Copy,
    Descent,
    Edge,
    Soup,
    find_soups,
    grow,
    match_layers,
    orient,
)

RNG = np.random.default_rng(0)


def cosines(points):
    """Cosines that fall with the squared distances of points, as those of weights do."""
    differences = points[:, None] - points[None]
    return 1 - 1e-3 * np.sum(np.square(differences), axis=2)


def steps(parents):
    """Points of which each is a random step from its parent."""
    points = np.zeros((len(parents), 2000))
    for i, parent in enumerate(parents):
        if parent is not None:
            points[i] = points[parent] + RNG.normal(size=2000) / np.sqrt(2000)
    return points


def ends(edges):
    return {frozenset((edge.parent, edge.child)) for edge in edges}


NO_GAPS = np.zeros((9, 9), np.int64)


def test_the_tree_of_random_steps_is_found():
    parents = [None, 0, 1, 1, 0, 4, 4, 6, 6]
    edges = grow(cosines(steps(parents)), NO_GAPS)
    assert ends(edges) == {frozenset((i, p)) for i, p in enumerate(parents) if p is not None}


def test_layers_without_partner_make_an_edge_longer():
    cosine = np.array([[1, 0.9, 0.9], [0.9, 1, 0.905], [0.9, 0.905, 1]])
    gaps = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert ends(grow(cosine, gaps)) == {frozenset((0, 1)), frozenset((0, 2))}


def test_copies_hang_on_their_source_and_take_no_children():
    cosine = np.array([[1, 1, 0.9, 1], [1, 1, 0.91, 1], [0.9, 0.91, 1, 0.9], [1, 1, 0.9, 1]])
    copies = [Copy(0, 1, "quantized", "grid"), Copy(0, 3, "re-saved", "rounding")]
    copies += [Copy(3, 1, "quantized", "grid")]  # of a copy too
    edges = grow(cosine, NO_GAPS[:4, :4], copies)
    made = {(edge.parent, edge.child, edge.relation) for edge in edges if edge.directed}
    assert made == {(0, 1, "quantized"), (0, 3, "re-saved")}
    assert frozenset((0, 2)) in ends(edges)


def test_of_equal_networks_that_with_the_fewest_steps_has_the_children():
    cosine = np.array([[1, 1, 0.9], [1, 1, 0.9], [0.9, 0.9, 1]])
    edges = grow(cosine, NO_GAPS[:3, :3], [Copy(0, 1, "identical")], updates=[300, 200, 400])
    assert ends(edges) == {frozenset((0, 1)), frozenset((1, 2))}


def test_a_child_of_a_copy_hangs_on_the_copy():
    cosine = np.array([[1, 0.9, 0.9], [0.9, 1, 0.95], [0.9, 0.95, 1]])
    copies, descents = [Copy(0, 1, "pruned", "zeros")], [Descent(1, 2, "zeros")]
    edges = grow(cosine, NO_GAPS[:3, :3], copies, descents=descents)
    assert {(e.parent, e.child) for e in edges if e.directed} == {(0, 1), (1, 2)}


def test_a_child_of_an_average_is_nearer_to_it_than_to_others():
    rows = [
        "1 .8 .9 .85 .7",
        ".8 1 .9 .85 .7",
        ".9 .9 1 .95 .8",
        ".85 .85 .95 1 .7",
        ".7 .7 .8 .7 1",
    ]
    cosine = np.array([row.split() for row in rows], float)
    soup = Soup(2, (0, 1), (0.5, 0.5), 0.0)
    edges = grow(cosine, NO_GAPS[:5, :5], soups=[soup], descents=[Descent(2, 3, "nearer")])
    assert {(e.parent, e.child) for e in edges if e.directed} == {(0, 2), (1, 2), (2, 3)}
    cosine[3, 0] = cosine[0, 3] = 0.96  # nearer to a part: no child of the average
    edges = grow(cosine, NO_GAPS[:5, :5], soups=[soup], descents=[Descent(2, 3, "nearer")])
    assert frozenset((0, 3)) in ends(edges)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5), (0.2,) * 5])
def test_averages_are_found_with_their_shares(shares):
    parts = RNG.normal(size=(6, 500))
    mean = np.array(shares) @ parts[: len(shares)]
    (soup,) = find_soups(np.vstack([parts, mean[None]]).astype(np.float32))
    assert (soup.network, soup.parts) == (6, tuple(range(len(shares))))
    np.testing.assert_allclose(soup.shares, shares, atol=1e-4)


def test_a_step_beside_an_average_is_none():
    parts = RNG.normal(size=(3, 500))
    near = parts[:2].mean(axis=0) + 0.1 * RNG.normal(size=500)
    assert find_soups(np.vstack([parts, near[None]])) == []


def test_parts_with_negative_shares_make_no_average():
    parts = RNG.normal(size=(3, 500))
    # The third is outside of the segment between both, so that the second is the average.
    parts[2] = 2 * parts[0] - parts[1]
    assert [(soup.network, soup.parts) for soup in find_soups(parts)] == [(0, (1, 2))]


def test_counters_point_at_the_network_that_counts_more():
    (edge,) = orient([Edge(0, 1, TRAINED, directed=False)], [30, 20])
    assert (edge.parent, edge.child, edge.directed, edge.cue) == (1, 0, True, COUNTERS)


@pytest.mark.parametrize("updates", [[None, 20], [20, 20], [None, None]])
def test_no_or_equal_counters_leave_an_edge_open(updates):
    (edge,) = orient([Edge(0, 1, TRAINED, directed=False)], updates)
    assert not edge.directed


def test_a_known_child_points_its_other_edges_away():
    edges = [Edge(0, 1, TRAINED, directed=False), Edge(2, 1, TRAINED, directed=False)]
    edges += [Edge(3, 0, TRAINED, directed=True, cue="zeros")]
    assert {(e.parent, e.child) for e in orient(edges, [None] * 4)} == {(3, 0), (0, 1), (1, 2)}


def test_edges_of_a_common_ancestor_are_never_pointed():
    edges = [Edge(0, 1, "common ancestor", directed=False)]
    edges += [Edge(2, 0, TRAINED, directed=True, cue="zeros")]
    assert not orient(edges, [20, 30, 10])[0].directed


def test_counters_that_give_a_network_two_parents_say_nothing():
    edges = [Edge(0, 2, TRAINED, directed=False), Edge(1, 2, TRAINED, directed=False)]
    assert not any(edge.directed for edge in orient(edges, [10, 20, 30]))


@pytest.mark.parametrize(("neighbors", "directed"), [(9, False), (10, True)])
def test_a_network_of_many_neighbors_is_their_parent(neighbors, directed):
    edges = [Edge(0, i + 1, TRAINED, directed=False) for i in range(neighbors)]
    assert {edge.directed for edge in orient(edges, [None] * (neighbors + 1))} == {directed}


def test_layers_are_matched_by_content_then_names_then_order():
    shape, other = (8, 8, 3, 3), (4, 4, 3, 3)
    first = [("net.a.weight", shape), ("net.b.weight", shape), ("net.c.weight", shape)]
    second = [("x.b", shape), ("x.d", other), ("x.e", shape)]
    assert match_layers(first, second) == [(0, 2), (1, 0)]
    assert match_layers(first, second, {(2, 0): 0.9}) == [(0, 2), (2, 0)]
    assert match_layers(first, [("y", other)]) == []
