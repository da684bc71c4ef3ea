"""Hints beside a refused condition: what was meant, in the spelling that is read."""

import pytest

from jfilters.scans import Condition
from jfilters.scans._condition_hints import label_hint, respelled

COLUMNS = ("verdict", "depth", "depthwise", "sparsity")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("verdict = 'sparse'", "verdict == 'sparse'"),
        ("verdict <> 'a = b'", "verdict != 'a = b'"),
        ("depth => 2 && depth =< 4", "depth >= 2 and depth <= 4"),
        ("!depthwise || depth===1", "not depthwise or depth==1"),
        ("depth > 1 AND NOT depthwise", "depth > 1 and not depthwise"),
    ],
)
def test_an_operator_of_another_language_is_respelled(text, meant):
    assert respelled(text) == meant
    with pytest.raises(ValueError, match="did you mean") as refusal:
        Condition(text, COLUMNS)
    assert str(refusal.value).endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("text", ["depth > 1 and not depthwise", "verdict != 'x = y && z'"])
def test_a_condition_that_is_read_stays_as_it_is(text):
    assert respelled(text) == text
    Condition(text, COLUMNS)


def test_what_stays_wrong_gets_no_hint():
    with pytest.raises(ValueError) as refusal:
        Condition("verdict = = 'sparse' ((", COLUMNS)
    assert "did you mean" not in str(refusal.value)


def test_a_text_without_quotes_is_quoted():
    with pytest.raises(ValueError, match="did you mean the text 'sparse', in quotes"):
        Condition("verdict == sparse", COLUMNS)


def test_a_label_that_no_layer_has_is_told_apart_from_one_that_is_rare():
    values = {"verdict": ["sparse", "healthy", None], "depth": [0, 1, 2]}
    assert label_hint("verdict == 'sparze'", values.get) == "; did you mean sparse?"
    assert label_hint("depth > 1 and verdict in ['helthy']", values.get).endswith("healthy?")
    assert label_hint("verdict == 'zzz'", values.get) == "; verdict is healthy, sparse"
    assert label_hint("verdict == 'sparse' and depth == 9", values.get) == ""
