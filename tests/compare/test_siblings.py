"""Networks trained from one start, of which neither was made from the other: nothing may say so."""

import json

import numpy as np
import pytest

from jfilters.compare import Comparison, compare
from jfilters.report import comparison_text

from ..report.test_summary import shown
from .networks import Weights, family
from .test_compare import changed, pruned, rounded_to_grid, saved


@pytest.fixture
def pair(tmp_path):
    def compared(first: Weights, second: Weights) -> Comparison:
        a, b = saved(tmp_path / "a.safetensors", first), saved(tmp_path / "b.safetensors", second)
        return compare([a, b], detailed=False)[0]

    return compared


@pytest.mark.parametrize(
    ("first", "second"), [("net", "sibling"), ("near", "near sibling"), ("net", "tuned")]
)
def test_the_caveat_is_there_however_near_they_are(pair, first, second):
    result = pair(family()[first], family()[second])
    assert result.relation.label == "fine-tuned"
    assert result.relation.source is None
    assert "from one initialization" in result.relation.caveat
    assert result.relation.reasons[-1] == result.relation.caveat
    assert json.loads(json.dumps(result.record()))["caveat"] == result.relation.caveat
    text = " ".join(shown(comparison_text([result]), 80).split())
    assert "fine-tuned from one another, or both from one start" in text
    assert "caveat: two trainings from one initialization" in text


def test_near_siblings_are_as_near_as_a_fine_tuned_network(pair):
    near = pair(family()["near"], family()["near sibling"])
    assert near.kinship.cosine > 0.95


@pytest.mark.parametrize("levels", [127, 7])
def test_a_quantized_sibling_is_not_quantized_from_the_other(pair, levels):
    coarse = changed(
        family()["near sibling"], lambda w: rounded_to_grid(w, levels, per_channel=True)
    )
    relation = pair(family()["near"], coarse).relation
    assert relation.label == "fine-tuned"
    assert any("the second lies on grids of 8 bits or fewer" in x for x in relation.reasons)


@pytest.mark.parametrize("levels", [1, 3])
def test_a_sibling_on_few_levels_goes_with_the_caveat(pair, levels):
    """Half a step of few levels is more than near siblings are apart."""
    near, sibling = family()["near"], family()["near sibling"]
    coarse = changed(sibling, lambda w: rounded_to_grid(w, levels, per_channel=False))
    assert pair(near, coarse).relation.caveat != ""
    exact = changed(near, lambda w: rounded_to_grid(w, levels, per_channel=False))
    assert pair(near, exact).relation.caveat == ""


def test_a_pruned_sibling_may_come_from_a_relative(pair):
    zeros = changed(family()["sibling"], lambda w: pruned(w, 0.5))
    result = pair(family()["net"], zeros)
    assert result.relation.label == "pruned and fine-tuned"
    assert "a relative of the other" in result.relation.caveat
    assert "or from a relative of it" in " ".join(shown(comparison_text([result]), 80).split())


def test_exact_copies_have_no_caveat(pair):
    net = family()["net"]
    for copy in (
        changed(net, lambda w: pruned(w, 0.5)),
        changed(net, lambda w: rounded_to_grid(w, 127, per_channel=True)),
        changed(net, lambda w: -w),
    ):
        assert pair(net, copy).relation.caveat == ""


class TestWeaklyAlike:
    """Networks that are more alike than strangers, though by little."""

    def mixed(self, share: float, seed: int) -> Weights:
        shapes = {
            "a.weight": (64, 32, 3, 3),
            "b.weight": (64, 64, 3, 3),
            "c.weight": (64, 64, 3, 3),
        }
        base, own = np.random.default_rng(0), np.random.default_rng(seed)
        return {
            name: (
                np.sqrt(share) * base.standard_normal(shape)
                + np.sqrt(1 - share) * own.standard_normal(shape)
            ).astype(np.float32)
            for name, shape in shapes.items()
        }

    @pytest.mark.parametrize("share", [0.025, 0.05, 0.085])
    def test_a_small_cosine_far_above_the_null_has_its_own_word(self, pair, share):
        result = pair(self.mixed(share, 1), self.mixed(share, 2))
        assert result.relation.label == "weakly alike"
        assert result.kinship.z > 5
        text = " ".join(result.relation.reasons)
        assert f"z {result.kinship.z:.0f}" in text
        assert f"r {result.kinship.cosine:.3f}" in text
        assert "weakly alike" in shown(comparison_text([result]), 80)

    def test_a_larger_one_is_kin_and_none_is_apart(self, pair):
        assert pair(self.mixed(0.15, 1), self.mixed(0.15, 2)).relation.label == "fine-tuned"
        assert pair(self.mixed(0.0, 1), self.mixed(0.0, 2)).relation.label == "trained apart"
