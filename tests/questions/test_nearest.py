"""The neighbors of a checkpoint in a scan, and the map of all models."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.manifold import ClassicalMDS

from jfilters.engine import Options, scan_into
from jfilters.questions import nearest
from jfilters.report import nearest_text
from jfilters.scans import open_scan, save_bundle
from jfilters.shift import classical_mds

from ..report.pages import shown


def network(seed, smooth):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((48, 32, 3, 3))
    weights += smooth * weights.mean(axis=(2, 3), keepdims=True)
    return {"conv.weight": weights.astype(np.float32)}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    for name, smooth in {"rough": 0, "middle": 2, "smooth": 8}.items():
        save_file(network(len(name), smooth), folder / f"{name}.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def scan(zoo, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    scan_into(out, zoo, Options(range="data"))
    return open_scan(out)


@pytest.mark.parametrize(("smooth", "closest"), [(0, "rough"), (2.1, "middle"), (9, "smooth")])
def test_the_closest_is_the_one_made_alike(scan, tmp_path, smooth, closest):
    save_file(network(99, smooth), tmp_path / "mine.safetensors", {"format": "pt"})
    found = nearest(scan, tmp_path / "mine.safetensors")
    near = found.near["mine.safetensors"]
    assert near[0].model == f"{closest}.safetensors"
    assert [one.drift for one in near] == sorted(one.drift for one in near)
    # Made alike, it is as far as another sample would be; the others are not.
    assert near[0].drift < 3 * near[0].null_mean < near[1].drift


def test_a_checkpoint_of_the_scan_is_at_no_distance_from_itself(scan, zoo):
    found = nearest(scan, str(zoo))
    for model, near in found.near.items():
        assert near[0].model == model
        assert near[0].drift == 0
    matrix = np.array(
        [[{n.model: n.drift for n in near}[m] for m in found.near] for near in found.near.values()]
    )
    np.testing.assert_array_equal(matrix, matrix.T)


def test_a_bundle_from_elsewhere_is_compared_without_its_weights(scan, tmp_path):
    save_bundle(scan, tmp_path / "bundle.safetensors")
    found = nearest(scan, tmp_path / "bundle.safetensors")
    assert [near[0].drift for near in found.near.values()] == [0, 0, 0]


def test_a_bundle_in_another_basis_is_refused(scan, zoo, tmp_path):
    out = tmp_path / "out"
    scan_into(out, zoo / "rough.safetensors")
    with pytest.raises(ValueError, match="their bases differ"):
        nearest(scan, out)


def test_components_weigh_what_the_scan_says(scan, zoo, tmp_path):
    out = tmp_path / "out"
    scan_into(out, zoo, Options(range="data", weights="uniform"))
    uniform = open_scan(out)
    one, other = (nearest(s, zoo / "smooth.safetensors") for s in (scan, uniform))
    (first,), (second,) = (
        [near.drift for near in found.near["smooth.safetensors"] if near.model.startswith("rough")]
        for found in (one, other)
    )
    assert second != pytest.approx(first, rel=0.05)
    with pytest.raises(ValueError, match=r"components weigh differently.*--weights"):
        nearest(scan, out)


def test_a_checkpoint_without_kernels_is_an_error_with_the_reason(scan, tmp_path):
    save_file({"fc.weight": np.ones((3, 4), np.float32)}, tmp_path / "fc.safetensors")
    with pytest.raises(ValueError, match=r"no kernels to compare; no 3x3 convolution"):
        nearest(scan, tmp_path / "fc.safetensors")


def test_the_map_marks_what_was_asked_about_and_fits(scan, zoo):
    found = nearest(scan, zoo / "smooth.safetensors")
    record = json.loads(json.dumps(found.record()))
    assert [place["query"] for place in record["map"]["places"]] == [False] * 3 + [True]
    text = shown(nearest_text(found, most=2, map=True), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "[4]" in text
    for number in (1, 2, 3):
        assert f"{number} {found.names[number - 1]}" in text


def test_places_are_those_of_sklearn():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((12, 5))
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    found = classical_mds(squared)
    expected = ClassicalMDS(n_components=2, metric="precomputed").fit_transform(np.sqrt(squared))
    np.testing.assert_allclose(np.abs(found.positions), np.abs(expected), atol=1e-9)
    variances = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    assert found.share == pytest.approx(variances[:2].sum() / variances.sum())


@pytest.mark.parametrize("m", [1, 2, 3])
def test_few_sets_keep_their_distances(m):
    points = np.random.default_rng(m).standard_normal((m, 2))
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    found = classical_mds(squared)
    again = ((found.positions[:, None] - found.positions[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(again, squared, atol=1e-9)
    assert found.share == pytest.approx(1)
