"""Rules on lineage: what is frozen since the parent, and what descends from a model."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters import CheckpointError
from jfilters.engine import Options, scan
from jfilters.lineage.internal import threshold
from jfilters.questions import Forest, LayerChange, LineageEdge, _check, check
from jfilters.questions._descent import descent_outcome, frozen_outcome
from jfilters.questions._rules import Rule, read_rules
from jfilters.questions.lineage import Family
from jfilters.report import check_text, junit_xml

from ..report.test_summary import shown
from ..scans.scans import made_scan, replaced

BACKBONE, HEAD = "backbone.0.weight", "head.weight"


def base(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {BACKBONE: (32, 16, 3, 3), "backbone.1.weight": (32, 32, 3, 3), HEAD: (8, 32, 3, 3)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def tuned(weights, *names: str, seed: int = 9) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return weights | {
        name: weights[name] + 0.1 * rng.standard_normal(weights[name].shape).astype(np.float32)
        for name in names
    }


def counted(weights, steps: int) -> dict[str, np.ndarray]:
    return weights | {"bn.num_batches_tracked": np.array(steps, np.int64)}


def scanned(folder: Path, **networks):
    for name, weights in networks.items():
        save_file(weights, folder / f"{name}.safetensors", {"format": "pt"})
    return scan(folder, Options(), engine="host", progress=False)


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A network, one with a new head, one trained as a whole, and a stranger; with counted steps."""
    folder = tmp_path_factory.mktemp("family")
    start = base()
    return scanned(
        folder,
        base=counted(start, 10),
        head=counted(tuned(start, HEAD), 20),
        whole=counted(tuned(start, *start, seed=5), 30),
        stranger=base(7),
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A network and one with a new head, without counters: nothing shows which was first."""
    start = base()
    return scanned(tmp_path_factory.mktemp("pair"), base=start, head=tuned(start, HEAD))


def checked(scan, tmp_path, **rule):
    lines = [f"{key} = {json.dumps(value)}" for key, value in ({"name": "r"} | rule).items()]
    (tmp_path / "rules.toml").write_text("\n".join(["[[rule]]", *lines]), "utf-8")
    (outcome,) = check(scan, tmp_path / "rules.toml")
    return outcome


def of(model: str) -> str:
    return f"model == '{model}.safetensors'"


class TestFrozen:
    def test_equal_layers_hold(self, family, tmp_path):
        outcome = checked(family, tmp_path, frozen="backbone.*", where=of("head"))
        assert (outcome.models, outcome.checked) == (("head.safetensors",), 2)
        assert outcome.broken == ()

    def test_what_moved_is_named_with_its_numbers(self, family, tmp_path):
        outcome = checked(family, tmp_path, frozen=["backbone.*", "head.*"], where=of("head"))
        (violation,) = outcome.broken
        assert (violation.model, violation.layer) == ("head.safetensors", HEAD)
        assert violation.values["parent"] == "base.safetensors"
        assert violation.values["changed"] == pytest.approx(1, abs=0.01)
        assert violation.values["cosine"] == pytest.approx(0.995, abs=0.003)
        assert violation.reason.startswith("100.0% of the weights differ from those of base.safe")
        assert f"cosine {violation.values['cosine']:.4f}" in violation.reason
        assert outcome.checked == 3

    def test_one_weight_is_enough(self, tmp_path):
        start = base()
        other = {name: weight.copy() for name, weight in start.items()}
        other[BACKBONE][0, 0, 0, 0] += 1
        result = scanned(tmp_path, base=counted(start, 1), tuned=counted(other, 2))
        (violation,) = checked(result, tmp_path, frozen="backbone.*").broken
        assert violation.layer == BACKBONE
        assert violation.reason.startswith("fewer than 0.1% of the weights differ")

    def test_the_start_of_a_family_is_not_meant_and_a_stranger_is_unknown(self, family, tmp_path):
        outcome = checked(family, tmp_path, frozen="backbone.*")
        assert "base.safetensors" not in outcome.models
        broken = {x.model: x.reason for x in outcome.broken if x.layer is None}
        assert list(broken) == ["stranger.safetensors"]
        assert "unknown: no parent in this scan: no kinship found" in broken["stranger.safetensors"]
        assert {x.model for x in outcome.broken if x.layer} == {"whole.safetensors"}
        passed = checked(
            family, tmp_path, frozen="backbone.*", where=of("stranger"), unknown="pass"
        )
        assert (passed.broken, passed.checked) == ((), 1)

    def test_without_direction_both_ends_are_looked_at(self, pair, tmp_path):
        outcome = checked(pair, tmp_path, frozen="backbone.*")
        assert (outcome.broken, outcome.checked) == ((), 4)
        outcome = checked(pair, tmp_path, frozen="head.*")
        assert [x.model for x in outcome.broken] == ["base.safetensors", "head.safetensors"]
        assert outcome.broken[0].reason.endswith("nothing shows which of both was first")

    def test_a_pattern_that_no_layer_matches_is_unknown(self, family, tmp_path):
        outcome = checked(family, tmp_path, frozen="bakbone.*", where=of("head"))
        assert outcome.broken[0].reason == "unknown: no layer matches bakbone.*"

    def test_weights_that_are_away_are_unknown(self, tmp_path):
        start = base()
        nets = {"base": counted(start, 1), "tuned": counted(tuned(start, HEAD), 2)}
        result = scanned(tmp_path, **nets)
        (tmp_path / "base.safetensors").unlink()
        outcome = checked(result, tmp_path, frozen="backbone.*")
        (violation,) = outcome.broken
        assert violation.model == "tuned.safetensors"
        assert "weights of it or of base.safetensors could not be read" in violation.reason

    def test_a_layer_without_a_partner(self):
        edge = line("a", "b", layers=(change("x", frozen=True),))
        result = made_scan(Path("none"), {"a": 1, "b": 1})
        outcome = frozen_outcome(result, Rule("r", frozen=("conv*",)), forest(["a", "b"], edge))
        (violation,) = outcome.broken
        assert violation.reason == "no layer of a matches it"


def change(name: str, *, frozen: bool) -> LayerChange:
    return LayerChange(name, name, 10, frozen, 0.0 if frozen else 0.5, 0.1, 0.9)


def line(parent, child, relation="fine-tuned", *, directed=True, layers=()) -> LineageEdge:
    return LineageEdge(parent, child, relation, directed, "", "", 0.9, 41.0, layers)


def forest(models, *edges, strangers=(), incomparable=()) -> Forest:
    family = Family(tuple(models), 0.9, 41.0)
    return Forest((family,), tuple(strangers), tuple(incomparable), edges, threshold(4), 0.05, ())


class TestDescent:
    def outcome(self, made, *, ancestor="a", models="abcd", **rule):
        result = made_scan(Path("none"), dict.fromkeys(models, 1))
        outcome = descent_outcome(result, Rule("r", descends_from=ancestor, **rule), made)
        return {x.model: x.reason for x in outcome.broken}

    def test_below_over_any_number_of_edges(self):
        assert self.outcome(forest("abcd", line("a", "b"), line("b", "c"), line("a", "d"))) == {}

    def test_an_undirected_edge_is_kin_whose_direction_cannot_be_told(self):
        made = forest("abcd", line("a", "b"), line("c", "b", directed=False), line("c", "d"))
        broken = self.outcome(made)
        assert list(broken) == ["c", "d"]
        for reason in broken.values():
            assert reason.startswith("kin, but the direction cannot be told")
            assert "which of c and b was first" in reason
            assert "cosine 0.900, z 41" in reason
        assert self.outcome(made, unknown="pass") == {}

    def test_equal_networks_count_as_one(self):
        edges = line("b", "a", "identical", directed=False), line("b", "c")
        again = line("d", "c", "re-saved", directed=False)
        assert self.outcome(forest("abcd", *edges, again)) == {}

    def test_its_own_ancestor_and_its_siblings_are_not_below_it(self):
        made = forest(
            "abcd",
            line("b", "a"),
            line("b", "c"),
            line("c", "d", "common ancestor", directed=False),
        )
        broken = self.outcome(made, unknown="pass")
        assert broken["b"].startswith("kin, but a was made from it; fine-tuned b and a")
        assert broken["c"].startswith("kin, but only by a common ancestor")
        assert broken["d"].startswith("kin, but only by a common ancestor")

    def test_strangers(self):
        made = forest("ab", line("a", "b"), strangers="cd", incomparable="d")
        broken = self.outcome(made, unknown="pass")
        assert broken == {
            "c": "not kin of a: no kinship found, and kin of cosine 0.05 would have been seen",
            "d": "not kin of a: no other model has a layer of one of its shapes",
        }

    def test_another_family(self):
        made = forest("ab", line("a", "b"), line("c", "d"))
        assert self.outcome(made) == dict.fromkeys("cd", "not kin of a, but of other models")

    def test_where_chooses_models_and_the_ancestor_is_not_meant(self):
        made = forest("ab", line("a", "b"), strangers="cd")
        assert self.outcome(made, where="model in ['a', 'b']") == {}

    def test_an_ancestor_that_is_not_in_the_scan(self):
        with pytest.raises(ValueError, match=r"expected a model of the scan, one of a, b.*got 'z'"):
            self.outcome(forest("ab", line("a", "b")), ancestor="z")

    def test_a_real_family(self, family, pair, tmp_path):
        outcome = checked(family, tmp_path, descends_from="base.safetensors")
        (violation,) = outcome.broken
        assert violation.model == "stranger.safetensors"
        assert violation.values["smallest_cosine"] == pytest.approx(0.1, abs=0.07)
        assert len(outcome.models) == outcome.checked == 3
        (violation,) = checked(pair, tmp_path, descends_from="base.safetensors").broken
        assert violation.reason.startswith("kin, but the direction cannot be told")
        assert violation.values["cosine"] > 0.9


class TestForms:
    def test_text_json_and_junit(self, family, tmp_path):
        (tmp_path / "rules.toml").write_text(
            "[[rule]]\nname = 'f'\nfrozen = 'head.*'\nwhere = \"model == 'head.safetensors'\"\n"
            "[[rule]]\nname = 'd'\ndescends_from = 'base.safetensors'\n"
        )
        outcomes = check(family, tmp_path / "rules.toml")
        text = shown(check_text(outcomes), 80)
        assert "broken  f: 1 of 1 layer" in text
        assert "broken  d: 1 of 3 models" in text
        assert json.loads(json.dumps(outcomes.record()))["rules"][0]["broken"][0]["layer"] == HEAD
        xml = junit_xml(outcomes, "rules").decode()
        assert "required: head.* frozen" in xml
        assert "required: descends from base.safetensors" in xml

    def test_the_forest_is_grown_once(self, pair, tmp_path, monkeypatch):
        calls = []
        grow = _check._forest
        monkeypatch.setattr(_check, "_forest", lambda scan: calls.append(scan) or grow(scan))
        rules = [f"[[rule]]\nname = 'r{i}'\nfrozen = 'backbone.*'\n" for i in range(3)]
        (tmp_path / "rules.toml").write_text("".join(rules))
        assert check(pair, tmp_path / "rules.toml").holds
        assert len(calls) == 1

    def test_a_scan_without_sketches(self, tmp_path):
        result = made_scan(tmp_path, {"a": 1})
        result = replaced(result, **dict.fromkeys(x for x in result.arrays if "sketch" in x))
        with pytest.raises(ValueError, match=r"rule 'r': .*scan the checkpoints again"):
            checked(result, tmp_path, frozen="x")


class TestReading:
    def test_a_pattern_or_a_list(self, tmp_path):
        path = tmp_path / "rules.toml"
        path.write_text(
            "[[rule]]\nname='a'\nfrozen='x.*'\n[[rule]]\nname='b'\nfrozen=['x','y']\nunknown='pass'\n"
        )
        first, second = read_rules(path)
        assert (first.frozen, second.frozen, second.unknown) == (("x.*",), ("x", "y"), "pass")
        assert (first.unit, first.requirement) == ("layer", "x.* frozen")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("frozen=[]", "expected frozen as a text or a list of texts, found []"),
            ("frozen=['a', 1]", "expected frozen as a text or a list of texts"),
            ("frozen=1", "expected frozen as a text, found 1"),
            ("frozen='a'\ntable='layers'", "expected no table beside frozen"),
            ("frozen='a'\nmodel='m'", "expected model only beside a reference"),
            (
                "frozen='a'\ndescends_from='b'",
                "expected one of require, reference, frozen, descends",
            ),
            ("descends_from=['a']", "expected descends_from as a text, found ['a']"),
            ("descends_from='a'\ntable='models'", "expected no table beside descends_from"),
        ],
    )
    def test_what_is_expected(self, tmp_path, text, said):
        (tmp_path / "rules.toml").write_text(f"[[rule]]\nname='r'\n{text}\n")
        with pytest.raises(CheckpointError) as error:
            read_rules(tmp_path / "rules.toml")
        assert said in str(error.value)
