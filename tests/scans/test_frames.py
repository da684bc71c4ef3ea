"""Scans in notebooks: tables with the right types, labeled matrices, short and escaped HTML."""

import builtins
import dataclasses
import html.parser
import sys

import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jfilters
from jfilters import _html
from jfilters.errors import MissingExtraError
from jfilters.kernels import Kernels, Layer
from jfilters.questions import DriftTable, drift_between
from jfilters.questions.internal import save_pairs
from jfilters.scans import Scan, open_scan
from jfilters.scans.internal import write_scan

from .populations import labeled, population
from .scans import made_scan

HOSTILE = "<img src=x onerror=alert(1)>&'\""


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    scan = population(tmp_path_factory.mktemp("scan") / "scan", [0, 0.1, -0.1, 0, 1, 1.1, 0.9, 1.2])
    return labeled(scan, kind=["near"] * 4 + ["far"] * 4)


class Cells(html.parser.HTMLParser):
    """The rows of all tables, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n").rstrip(" ")


class TestFrames:
    def test_layers_are_the_table_under_model_and_layer(self, scan):
        layers = scan.layers
        assert layers.index.names == ["model", "layer"]
        assert layers.loc[("03.pt", "conv2.weight"), "sparsity"] == pytest.approx(2 / 40)
        assert ["model", "layer", *layers.columns] == scan.layer_table.column_names
        assert scan.layers is layers

    def test_types_know_what_is_unknown(self, scan):
        types = scan.layers.dtypes
        assert types["n_kernels"] == types["step"] == "Int64"
        assert types["depthwise"] == "boolean"
        assert types["sparsity"] == "float64"
        assert types["kind"] == "category"
        assert scan.layers["step"].isna().all()
        verdicts = scan.layers["verdict"].dtype
        assert verdicts.ordered
        assert verdicts.categories[-1] == "healthy"
        assert scan.layers["variance_entropy_ratio"].isna().all()

    def test_models(self, scan):
        assert list(scan.models.index) == scan.model_names
        assert scan.models.loc["00.pt", "n_layers"] == 3
        grouped = scan.layers.groupby("kind", observed=True)["n_kernels"].sum()
        assert grouped.to_dict() == {"near": 480, "far": 480}

    def test_without_pandas_the_extra_is_named(self, scan, monkeypatch):
        true_import = builtins.__import__

        def without(name, *rest, **kwargs):
            if name == "pandas":
                raise ImportError(name)
            return true_import(name, *rest, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(MissingExtraError, match=r"pip install '\.\[plot\]'"):
            _ = dataclasses.replace(scan).layers


class TestOpenScan:
    def test_a_path_may_be_text(self, scan, tmp_path):
        write_scan(scan, tmp_path / "out")
        opened = jfilters.open_scan(str(tmp_path / "out"))
        assert isinstance(opened, Scan)
        assert opened.model_names == open_scan(tmp_path / "out").model_names

    def test_drift_is_that_of_the_function(self, scan):
        table = scan.drift("kind", permutations=20, seed=3)
        expected = drift_between(scan, "kind", permutations=20, seed=3)
        np.testing.assert_array_equal(table.matrix, expected.matrix)
        assert table.pairs == expected.pairs
        assert scan.drift(permutations=0).by == "model"

    def test_where_chooses_layers_and_can_be_asked_again(self, scan):
        first = scan.where("depth == 0").where("kind == 'near'")
        assert first.layer_table.num_rows == 4
        assert first.drift(permutations=0).labels == tuple(scan.model_names[:4])
        with pytest.raises(ValueError, match="none of 24 layers is left where depth > 9"):
            scan.where("depth > 9")


class TestDriftFrames:
    def test_matrix_has_labels(self, scan):
        table = scan.drift("kind", permutations=0)
        assert table.frame.loc["far", "near"] == table.matrix[0, 1]
        assert table.frame.index.name == table.frame.columns.name == "kind"

    def test_pairs_are_the_rows_of_the_file(self, scan, tmp_path):
        table = scan.drift("model", within="kind", permutations=0)
        save_pairs(table, tmp_path / "pairs.csv")
        read = pandas.read_csv(tmp_path / "pairs.csv")
        frame = table.pairs_frame
        assert list(frame.columns) == list(read.columns)
        np.testing.assert_allclose(frame["drift"], read["drift"], rtol=1e-12)
        assert list(frame["label"].astype(str)) == list(read["label"])
        assert frame["first_kernels"].dtype == "Int64"
        assert frame["p"].isna().all()


class TestShown:
    def test_one_line_each(self, scan):
        table = scan.drift("kind", permutations=100)
        assert repr(scan).startswith("Scan(")
        assert "8 models, 24 layers, 960 kernels; 24 healthy" in repr(scan)
        assert (
            repr(table)
            == "DriftTable(drift by kind: 2 groups, 1 pair, 8 units (8 models); 1 shifted)"
        )
        assert "\n" not in repr(scan) + repr(table)

    def test_the_worst_layers_come_first_with_the_reason(self, tmp_path):
        told = {("a.pt", 1): {"verdict": "sparse", "reason": "sparsity 0.2"}}
        told["b.pt", 0] = {"verdict": "collapsed", "reason": "both"}
        shown = Cells(made_scan(tmp_path, {"a.pt": 2, "b.pt": 1}, told=told)._repr_html_())
        worst = [row for row in shown.rows if "conv" in " ".join(row)]
        assert worst[0][:3] == ["b.pt", "conv0.weight", "collapsed"]
        assert worst[1][2:] == ["sparse", "sparsity 0.2"]

    def test_a_matrix_marks_what_is_chance(self, scan):
        shown = Cells(scan.drift("kind", permutations=0)._repr_html_())
        value = f"{scan.drift('kind', permutations=0).matrix[0, 1]:.3g}"
        assert ["far", "0", f"{value} *"] in shown.rows
        tested = Cells(scan.drift("kind")._repr_html_())
        assert ["far", "0", value] in tested.rows
        near = scan.where("kind == 'near'").drift("depth", permutations=50)
        assert any("(" in cell for row in Cells(near._repr_html_()).rows for cell in row)

    def test_a_matrix_is_shaded_but_for_pairs_of_too_few_kernels(self, scan, tmp_path):
        assert "background-color: rgba(0,114,178,0.55)" in scan.drift("kind")._repr_html_()
        small = made_scan(tmp_path, {"a.pt": 1, "b.pt": 1}).drift(permutations=0)
        assert {pair.label for pair in small.pairs} == {"too few kernels"}
        assert "178,0.55" not in small._repr_html_()

    def test_quality_shows_the_worst_models_first_in_color(self, tmp_path):
        told = {("b.pt", 0): {"verdict": "collapsed", "reason": "both"}}
        told["a.pt", 1] = {"verdict": "sparse", "reason": "sparsity 0.2"}
        answer = made_scan(tmp_path, {"a.pt": 2, f"b{HOSTILE}": 1, "b.pt": 1}, told=told).quality()
        assert repr(answer) == "Quality(3 models, 4 layers: 1 collapsed, 1 sparse, 2 healthy)"
        shown = Cells(answer._repr_html_())
        assert [row[0] for row in shown.rows[1:]] == ["b.pt", "a.pt", f"b{HOSTILE}"]
        assert [row[-1] for row in shown.rows[1:]] == ["1 collapsed", "1 sparse", ""]
        assert "img" not in shown.tags
        assert answer._repr_html_() == answer._repr_html_()
        assert answer._repr_html_().count("#b3261e") == 1

    def test_tables_are_plain_without_jinja2(self, scan, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas.io.formats.style", None)
        plain = scan.quality()._repr_html_()
        assert "<style" not in plain
        assert Cells(plain).rows[0][0] == "model"

    def test_of_many_groups_the_largest_pairs_are_shown(self, scan, monkeypatch):
        monkeypatch.setattr("jfilters.questions.drift._table.MOST_SHOWN", 5)
        table: DriftTable = scan.drift("model", permutations=0)
        rows = Cells(table._repr_html_()).rows[1:]
        assert [row[3] for row in rows] == [
            f"{value:.3g}" for value in sorted((p.value for p in table.pairs), reverse=True)[:5]
        ]

    def test_kernels_and_what_is_many_folds(self):
        layers = tuple(Layer(f"conv{i}{HOSTILE}", depth=i) for i in range(30))
        kernels = Kernels(tuple(jnp.ones((4, 3, 3, 3)) for _ in layers), layers)
        shown = Cells(kernels._repr_html_())
        assert "details" in shown.tags
        assert "10 more" in kernels._repr_html_()
        assert shown.rows[1][1:4] == ["4x3x3x3", "12", "0"]
        assert "img" not in shown.tags

    def test_names_are_text(self, tmp_path):
        scan = made_scan(tmp_path / HOSTILE, {HOSTILE: 2, "b": 1})
        shown = scan._repr_html_() + scan.drift(permutations=0)._repr_html_()
        assert "img" not in Cells(shown).tags
        assert "&lt;img" in shown

    def test_a_scan_tells_what_came_of_every_checkpoint(self, tmp_path):
        (tmp_path / "<b>broken.safetensors").write_bytes(b"no checkpoint")
        found = jfilters.scan(tmp_path, progress=False)
        assert repr(found) == f"Scan({tmp_path}: 0 models, 0 layers, 0 kernels; 1 refused)"
        shown = Cells(found._repr_html_())
        assert shown.rows[-1][0] == "<b>broken.safetensors"
        assert shown.rows[-1][2] == "refused"
        assert "b" not in shown.tags

    def test_numbers_are_short_and_on_the_right(self):
        text = _html.table(["a", "b"], [[1234567, 0.123456], [None, True]])
        assert "1,234,567" in text
        assert "0.123<" in text
        assert 'text-align:right">1,234' in text
        assert 'text-align:left">True' in text
