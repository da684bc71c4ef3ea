"""Rules: how they are read, what they hold against a scan, and what is told of what breaks them."""

import numpy as np
import pytest

from jfilters import CheckpointError
from jfilters.errors import UnreadableError
from jfilters.questions import check
from jfilters.questions.internal import read_rules
from jfilters.scans import save_bundle, with_metadata

from ..engine import reference
from ..scans.scans import made_scan, replaced


@pytest.fixture
def scan(tmp_path):
    told = {
        ("a", 1): {"verdict": "collapsed", "sparsity": 0.75},
        ("b", 0): {"orthogonality": None, "n_kernels": 3},
    }
    return made_scan(tmp_path / "one", {"a": 3, "b": 2}, told=told)


def rules_file(tmp_path, text):
    (tmp_path / "rules.toml").write_text(text, "utf-8")
    return tmp_path / "rules.toml"


def checked(scan, tmp_path, **rule):
    """The outcome of one rule, given by its keys."""

    def toml(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {toml(x)}" for key, x in value.items()) + "}"
        return str(value).lower() if isinstance(value, bool) else repr(value)

    lines = [f"{key} = {toml(value)}" for key, value in ({"name": "r"} | rule).items()]
    (outcome,) = check(scan, rules_file(tmp_path, "\n".join(["[[rule]]", *lines])))
    return outcome


class TestConditions:
    def test_what_breaks_a_rule_is_named_with_its_numbers(self, scan, tmp_path):
        outcome = checked(scan, tmp_path, require="sparsity < 0.5 and verdict != 'collapsed'")
        (found,) = outcome.broken
        assert (found.model, found.layer) == ("a", "conv1.weight")
        assert found.values == {"sparsity": 0.75, "verdict": "collapsed"}
        assert found.reason == "does not hold: sparsity = 0.75, verdict = collapsed"
        assert (outcome.models, outcome.checked) == (("a", "b"), 5)

    def test_where_says_what_a_rule_is_about(self, scan, tmp_path):
        outcome = checked(scan, tmp_path, where="model == 'b'", require="sparsity < 0.5")
        assert (outcome.models, outcome.checked, outcome.broken) == (("b",), 2, ())

    def test_a_rule_about_nothing_holds(self, scan, tmp_path):
        outcome = checked(scan, tmp_path, where="n_kernels > 1000", require="sparsity < 0")
        assert (outcome.models, outcome.checked, outcome.broken) == ((), 0, ())

    def test_of_models(self, scan, tmp_path):
        outcome = checked(scan, tmp_path, table="models", require="n_layers >= 3")
        (found,) = outcome.broken
        assert (found.model, found.layer, found.values) == ("b", None, {"n_layers": 2})

    def test_unknown_breaks_a_rule_unless_told_otherwise(self, scan, tmp_path):
        (found,) = checked(scan, tmp_path, require="orthogonality > 0.5").broken
        assert (found.model, found.reason) == ("b", "unknown: orthogonality = null")
        passed = checked(scan, tmp_path, require="orthogonality > 0.5", unknown="pass")
        assert passed.broken == ()

    def test_derived_axes_and_metadata_are_columns(self, scan, tmp_path):
        (tmp_path / "m.csv").write_text("model,task\na,seg\nb,cls\n")
        told, _ = with_metadata(scan, tmp_path / "m.csv")
        rule = {"where": "task == 'seg'", "require": "first_layer == 'first'"}
        assert [found.layer for found in checked(told, tmp_path, **rule).broken] == [
            "conv1.weight",
            "conv2.weight",
        ]
        rule = {"table": "models", "require": "task == 'seg'"}
        assert [found.model for found in checked(told, tmp_path, **rule).broken] == ["b"]


class TestDrift:
    def expected(self, scan, counts, others):
        p, q = (reference.probabilities(x, scan.edges) for x in (counts, others))
        return reference.drift(p, q, scan.basis.variance_ratio)

    @pytest.fixture
    def other(self, tmp_path):
        scan = made_scan(tmp_path / "two", {"a": 2, "c": 1}, seed=1)
        save_bundle(scan, tmp_path / "two.bundle")
        return scan

    def drifts(self, scan, tmp_path, **told):
        rule = {"reference": "two.bundle", "drift": {"max": 0} | told.pop("drift", {})} | told
        return {x.model: x.values["drift"] for x in checked(scan, tmp_path, **rule).broken}

    def test_from_the_model_of_the_same_name_or_else_from_all(self, scan, other, tmp_path):
        found = self.drifts(scan, tmp_path)
        mine = scan.histogram[:3].sum(axis=0), scan.histogram[3:].sum(axis=0)
        theirs = other.histogram[:2].sum(axis=0), other.histogram.sum(axis=0)
        assert found["a"] == pytest.approx(self.expected(scan, mine[0], theirs[0]))
        assert found["b"] == pytest.approx(self.expected(scan, mine[1], theirs[1]))

    def test_from_a_model_by_name(self, scan, other, tmp_path):
        found = self.drifts(scan, tmp_path, model="c")
        mine = scan.histogram[:3].sum(axis=0)
        assert found["a"] == pytest.approx(self.expected(scan, mine, other.histogram[2]))

    def test_without_sparse_kernels(self, scan, other, tmp_path):
        found = self.drifts(scan, tmp_path, drift={"clean": True})
        clean, theirs = (x.histogram - x.sparse_histogram for x in (scan, other))
        expected = self.expected(scan, clean[:3].sum(axis=0), theirs[:2].sum(axis=0))
        assert found["a"] == pytest.approx(expected)

    def test_where_narrows_the_layers_of_both(self, scan, other, tmp_path):
        found = self.drifts(scan, tmp_path, where="depth == 0")
        expected = self.expected(scan, scan.histogram[0], other.histogram[0])
        assert found["a"] == pytest.approx(expected)

    def test_from_itself_is_nothing(self, scan, tmp_path):
        save_bundle(scan, tmp_path / "two.bundle")
        outcome = checked(scan, tmp_path, reference="two.bundle", drift={"max": 0})
        assert (outcome.broken, outcome.models) == ((), ("a", "b"))

    def test_what_chance_alone_makes_is_told(self, scan, other, tmp_path):
        outcome = checked(scan, tmp_path, reference="two.bundle", drift={"max": 0.1})
        assert "allowed 0.1, null mean" in outcome.broken[0].reason
        assert outcome.broken[0].reason.endswith("from the reference's a")
        assert "from all models of the reference" in outcome.broken[1].reason
        assert outcome.broken[0].values["null_mean"] > 0

    def test_no_kernels_are_unknown(self, scan, other, tmp_path):
        scan.histogram[3:] = 0
        outcome = checked(scan, tmp_path, reference="two.bundle", drift={"max": 1000.0})
        (found,) = outcome.broken
        assert found.reason.startswith("unknown: 0 kernels against 120 of all models")

    @pytest.mark.parametrize(
        ("change", "rule", "said"),
        [
            ({}, {"model": "x"}, "expected a model of"),
            (
                {"sparse_histogram": None},
                {"drift": {"max": 1, "clean": True}},
                "sparse kernels apart",
            ),
            ({"edges": np.linspace(0, 1, 71)}, {}, "edges differ by up to"),
        ],
    )
    def test_a_reference_that_cannot_be_compared_with(
        self, scan, other, tmp_path, change, rule, said
    ):
        changed = replaced(scan, **change)
        with pytest.raises(ValueError, match=said) as caught:
            checked(changed, tmp_path, **({"reference": "two.bundle", "drift": {"max": 1}} | rule))
        assert str(caught.value).startswith(f"{tmp_path / 'rules.toml'}: rule 'r': ")


class TestReading:
    def test_all_keys(self, tmp_path):
        text = """
        [[rule]]
        name = "a"
        table = "models"
        where = "n_layers > 1"
        require = "sparsity < 0.5"
        unknown = "pass"

        [[rule]]
        name = "b"
        reference = "../results/reference"
        model = "x.pt"
        drift = {max = 1, clean = true}
        """
        first, second = read_rules(rules_file(tmp_path, text))
        assert (first.table, first.where, first.unknown) == ("models", "n_layers > 1", "pass")
        assert second.reference == tmp_path / "../results/reference"
        assert (second.model, second.most_drift, second.clean) == ("x.pt", 1.0, True)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "expected rules, each under [[rule]], found none"),
            ("rule = 1", "expected rules, each under"),
            ("rule = [1]", "expected rules, each under"),
            ("[rule]\nname = 'x'", "expected rules, each under"),
            ("[[rules]]", "unknown key 'rules'; did you mean rule?"),
            ("[[rule]", "expected TOML"),
            ("[[rule]]\nrequire = 'depth > 1'", "rule 'number 1': expected a name"),
            (
                "[[rule]]\nname = 'x'",
                "rule 'x': expected one of require, reference, frozen, descends_from and",
            ),
            (
                "[[rule]]\nname='x'\nrequire='a'\nreference='b'",
                "expected one of require, reference",
            ),
            ("[[rule]]\nname='x'\nrequires='a'", "unknown key 'requires'; did you mean require?"),
            ("[[rule]]\nname='x'\nrequire=1", "expected require as a text, found 1"),
            ("[[rule]]\nname=''\nrequire='a'", "expected name as a text, found ''"),
            (
                "[[rule]]\nname='x'\nrequire='a'\ntable='layer'",
                "as 'layers' or 'models', found 'layer'",
            ),
            ("[[rule]]\nname='x'\nrequire='a'\nunknown='ok'", "as 'fail' or 'pass', found 'ok'"),
            ("[[rule]]\nname='x'\nrequire='a'\ndrift={max=1}", "drift only beside a reference"),
            ("[[rule]]\nname='x'\nrequire='a'\nmodel='m'", "model only beside a reference"),
            ("[[rule]]\nname='x'\nreference='a'", "expected drift = {max = NATS}"),
            ("[[rule]]\nname='x'\nreference='a'\ndrift={}", "expected drift = {max = NATS}"),
            ("[[rule]]\nname='x'\nreference='a'\ndrift={max='1'}", "drift in nats, found '1'"),
            ("[[rule]]\nname='x'\nreference='a'\ndrift={max=-1}", "drift in nats, found -1"),
            ("[[rule]]\nname='x'\nreference='a'\ndrift={max=nan}", "drift in nats, found nan"),
            ("[[rule]]\nname='x'\nreference='a'\ndrift={max=1,clena=1}", "did you mean clean?"),
            ("[[rule]]\nname='x'\nreference='a'\ndrift={max=1,clean=1}", "true or false, found 1"),
            (
                "[[rule]]\nname='x'\nreference='a'\ndrift={max=1}\ntable='models'",
                "expected no table",
            ),
            ("[[rule]]\nname='x'\nrequire='a'\n" * 2, "expected one rule of this name, found two"),
        ],
    )
    def test_the_error_names_the_file_and_what_was_expected(self, tmp_path, text, said):
        path = rules_file(tmp_path, text)
        with pytest.raises(CheckpointError) as caught:
            read_rules(path)
        assert str(caught.value).startswith(str(path))
        assert said in str(caught.value)

    def test_no_file(self, tmp_path):
        with pytest.raises(UnreadableError, match="name a file of rules"):
            read_rules(tmp_path / "none.toml")

    @pytest.mark.parametrize(
        ("rule", "said"),
        [
            ({"require": "sparsty < 1"}, "did you mean sparsity"),
            ({"require": "verdict < 1"}, "cannot compare 'healthy' with 1"),
            ({"require": "depth > 0", "where": "depth >"}, "expected a condition"),
            ({"require": "n_layers > 0"}, "expected a column, got 'n_layers'"),
            ({"reference": "nowhere", "drift": {"max": 1}}, "expected the folder of a scan"),
        ],
    )
    def test_a_rule_that_cannot_be_asked(self, scan, tmp_path, rule, said):
        with pytest.raises(ValueError, match=said) as caught:
            checked(scan, tmp_path, **rule)
        assert str(caught.value).startswith(f"{tmp_path / 'rules.toml'}: rule 'r': ")
