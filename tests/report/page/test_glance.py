"""The data of the first screen: counts, strips, kernels, families, orders and ranks."""

import dataclasses

import numpy as np
import pytest

from jfilters.report._palette import CLASS_SHADES, FAMILY_COLORS, VERDICT_COLORS
from jfilters.report.page import _glance, _standing, _view, page_data
from jfilters.report.page._glance import glance_section
from jfilters.report.page._layers import layers_section
from jfilters.report.page._order import leaf_order
from jfilters.report.page._standing import standing_section
from jfilters.report.page._verdicts import CLASSES, class_of, verdicts_section
from jfilters.report.page._view import View
from jfilters.statistics import VERDICTS
from tests.scans.scans import D, made_scan, replaced

from .pages import KERNELS, SIZES, lively_scan, unpacked

LINEAGE = {"families": [{"rows": [[0, "twin.pt"], [1, "plain.pt"]]}], "is_known": True}


@pytest.fixture
def scan(tmp_path):
    return lively_scan(tmp_path / "scan")


class TestGlance:
    def test_counts(self, scan):
        found = glance_section(View(scan), LINEAGE)
        assert (found["models"], found["families"], found["kernels"]) == (5, 1, 15 * KERNELS)
        assert found["layers"] == {"good": 13, "look": 0, "bad": 2, "none": 0, "all": 15}
        assert found["family"] == [None, 1, 1, None, None]
        assert found["verdicts"][1] == {"healthy": 3, "collapsed": 1}

    def test_unknown_families_are_not_none(self, scan):
        unknown = {"families": [], "is_known": False}
        assert glance_section(View(scan), unknown)["families"] is None

    def test_strips_are_verdicts_in_the_order_of_depth(self, scan):
        strips = glance_section(View(scan), None)["strips"]
        healthy, collapsed = (str(VERDICTS.index(x)) for x in ("healthy", "collapsed"))
        assert strips[1] == healthy * 2 + collapsed + healthy
        reverse = np.arange(15)[::-1]
        table = scan.layer_table.take(reverse)
        again = glance_section(View(dataclasses.replace(scan, layer_table=table)), None)
        assert sorted(again["strips"]) == sorted(strips)

    def test_of_many_layers_a_bar_is_the_worst(self, scan, monkeypatch):
        monkeypatch.setattr(_glance, "MOST_BARS", 2)
        strip = glance_section(View(scan), None)["strips"][1]
        assert strip == f"{VERDICTS.index('healthy')}{VERDICTS.index('collapsed')}"

    def test_thumbnails_are_kernels_of_the_first_layer(self, scan):
        found = glance_section(View(scan), None)["thumbnails"]
        assert found["counts"] == [6] * len(SIZES)
        taps = (unpacked(found["taps"], "u1").reshape(-1, D).astype(float) - 128) / 127
        first = scan.sample[scan.sample_layer == 3][:6]  # the second model has layers 3 to 6
        np.testing.assert_allclose(
            taps[6:12], first / np.abs(first).max(axis=1, keepdims=True), atol=0.005
        )

    def test_without_a_sample_there_are_none(self, scan):
        view = View(replaced(scan, sample=None, sample_layer=None))
        assert glance_section(view, None)["thumbnails"] is None


class TestVerdicts:
    def test_every_verdict_has_a_class_a_sign_and_an_explanation(self):
        rows = verdicts_section()
        assert [row["verdict"] for row in rows] == list(VERDICTS)
        assert {row["class"] for row in rows} == set(CLASSES) == set(CLASS_SHADES)
        assert all(row["explanation"] and row["sign"] for row in rows)

    @pytest.mark.parametrize(
        ("verdict", "kind"),
        [("healthy", "good"), ("sparse", "look"), ("random-like", "bad"), ("all-zero", "bad")],
    )
    def test_classes(self, verdict, kind):
        assert class_of(verdict) == kind


def luminance(color):
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_classes_stand_out_of_both_grounds():
    for shades in CLASS_SHADES.values():
        assert contrast(shades.light, "#ffffff") >= 3
        assert contrast(shades.dark, "#1b2024") >= 3
    assert set(VERDICT_COLORS) == set(VERDICTS)
    assert len(set(FAMILY_COLORS)) == len(FAMILY_COLORS)


def order_of(distances, few=()):
    places = [(i, j) for j in range(len(distances)) for i in range(j)]
    values = [float(distances[place]) for place in places]
    return leaf_order(len(distances), values, [i in few or j in few for i, j in places])


class TestOrder:
    def test_near_groups_lie_beside_each_other(self):
        points = np.array([0.0, 10.0, 1.0, 11.0, 0.5])
        order = order_of(np.abs(points[:, None] - points))
        assert np.abs(np.diff(points[order])).sum() == pytest.approx(11)

    def test_groups_of_too_few_kernels_come_last(self):
        points = np.array([0.0, 10.0, 1.0, 11.0, 0.5])
        order = order_of(np.abs(points[:, None] - points), few={2})
        assert order[-1] == 2
        assert sorted(order) == list(range(5))

    @pytest.mark.parametrize("count", [2, 3])
    def test_few_groups(self, count):
        assert sorted(order_of(np.zeros((count, count)))) == list(range(count))


class TestStanding:
    def test_the_share_of_real_layers_that_are_less_sparse(self, scan, tmp_path, monkeypatch):
        registry = made_scan(tmp_path / "registry", {"real.pt": 4})
        registry = with_sparsity(registry, [0.0, 0.1, 0.2, 0.3])
        monkeypatch.setattr(_standing, "open_registry", lambda: registry)
        found = standing_section(with_sparsity(scan, [0.0, 0.15, None, *[0.5] * 12]))
        assert found["layers"] == 4
        assert found["above"][:4] == [0.0, 0.5, None, 1.0]

    def test_another_limit_of_sparse_kernels_has_no_rank(self, scan, monkeypatch):
        config = scan.record["config"] | {"sparse_eps": 0.02}
        other = dataclasses.replace(scan, record=scan.record | {"config": config})
        monkeypatch.setattr(_standing, "open_registry", lambda: other)
        assert standing_section(scan) is None

    def test_of_copies_alone_there_is_no_rank(self, scan, monkeypatch):
        monkeypatch.setattr(_standing, "open_registry", lambda: scan)
        assert standing_section(scan) is None


def with_sparsity(scan, values):
    place = scan.layer_table.column_names.index("sparsity")
    table = scan.layer_table.set_column(place, "sparsity", [values])
    return dataclasses.replace(scan, layer_table=table)


class TestShown:
    def test_layers_open_on_the_worst(self, scan):
        found = layers_section(View(scan))
        assert found["columns"]["layer"][found["worst"]] == "conv2.weight"

    def test_the_model_of_the_worst_layer_is_shown_whatever_its_size(self, scan, monkeypatch):
        monkeypatch.setattr(_view, "MOST_GROUPS", 1)
        assert View(scan).shown.model_names == ["plain.pt"]

    def test_of_many_layers_the_worst_are_shown(self, scan, monkeypatch):
        monkeypatch.setattr(_view, "MOST_LAYERS", 2)
        found = page_data(scan)["layers"]
        assert sorted(found["columns"]["verdict"]) == ["collapsed", "random-like"]
        assert found["total_layers"] == 15
