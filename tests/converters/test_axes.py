import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters._axes import (
    AXES,
    Arrangement,
    candidates,
    checked_axes,
    consensus,
    for_rank,
    settled,
)

SIZES = {"O": 6, "I": 4, "M": 2, "D": 2, "H": 3, "W": 5}


def stored(axes):
    shape = tuple(SIZES[axis] for axis in axes)
    return np.arange(np.prod(shape)).reshape(shape)


def by_letters(array, axes, groups=1):
    """(out, in, *spatial), one element at a time, by the meaning of the letters."""
    values = {}
    for place in itertools.product(*map(range, array.shape)):
        at = dict(zip(axes, place, strict=True))
        spatial = tuple(at[axis] for axis in "DHW" if axis in at)
        if "M" in at:
            channels = (at["I"] * SIZES["M"] + at["M"], 0)
        elif axes.startswith("IO"):
            group, inner = divmod(at["I"], SIZES["I"] // groups)
            channels = (group * SIZES["O"] + at["O"], inner)
        else:
            channels = (at["O"], at["I"])
        values[channels + spatial] = array[place]
    result = np.zeros(tuple(map(max, zip(*values, strict=True))), int)
    result = np.zeros([size + 1 for size in result.shape], int)
    for place, value in values.items():
        result[place] = value
    return result


@pytest.mark.parametrize("rank", [3, 4, 5])
@pytest.mark.parametrize("axes", AXES)
def test_a_weight_is_arranged_by_the_meaning_of_its_letters(axes, rank):
    spelled = for_rank(axes, rank)
    arrangement = Arrangement(spelled, groups=SIZES["I"] if "M" in axes else 1)
    weight = arrangement.apply(stored(spelled))
    np.testing.assert_array_equal(weight, by_letters(stored(spelled), spelled))
    assert arrangement.shape(stored(spelled).shape) == weight.shape


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_of_a_transposed_weight_are_unfolded(groups):
    weight = Arrangement("IOHW", groups, transposed=True).apply(stored("IOHW"))
    assert weight.shape == (6 * groups, 4 // groups, 3, 5)
    np.testing.assert_array_equal(weight, by_letters(stored("IOHW"), "IOHW", groups))


@given(axes=st.sampled_from(AXES), shape=st.tuples(*[st.integers(1, 4)] * 4))
def test_arranging_loses_no_value(axes, shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    weight = Arrangement(axes).apply(array)
    np.testing.assert_array_equal(np.sort(weight.ravel()), array.ravel())
    assert weight.shape == Arrangement(axes).shape(shape)


def test_an_axis_order_is_spelled_for_every_rank():
    assert [for_rank("HWIO", rank) for rank in (3, 4, 5)] == ["WIO", "HWIO", "DHWIO"]
    assert [for_rank("OIW", rank) for rank in (3, 4, 5)] == ["OIW", "OIHW", "OIDHW"]


def test_unknown_axes_are_named():
    assert checked_axes("DHWIO") == "DHWIO"
    assert checked_axes(None) is None
    with pytest.raises(ValueError, match=r"axes: expected one of OIHW, .*, got 'NCHW'"):
        checked_axes("NCHW")


@pytest.mark.parametrize(
    ("shape", "name", "bias", "expected"),
    [
        ((32, 16, 3, 3), "weight", None, ("OIHW",)),
        ((32, 3, 3, 16), "weight", None, ("OHWI",)),
        ((3, 3, 16, 32), "weight", None, ("HWIO",)),
        ((16, 3, 3, 3), "weight", None, ("OIHW", "OHWI")),
        ((3, 3, 3, 3), "weight", None, ("OIHW", "OHWI", "HWIO")),
        ((3, 3, 3, 3), "kernel", None, ("HWIO",)),
        ((3, 3, 3, 16), "weight", 16, ("HWIO",)),
        ((3, 3, 1, 64), "weight", None, ("HWIO",)),
        ((64, 1, 3, 3), "weight", None, ("OIHW",)),
        ((1, 7, 32, 64), "kernel", None, ("HWIO",)),
        ((1, 7, 128, 256), "weight", None, ("HWIO",)),
        ((224, 224, 3, 100), "weight", None, ()),
        ((128, 129, 3), "weight", None, ("OIHW",)),
    ],
)
def test_candidates_of_a_shape(shape, name, bias, expected):
    assert candidates(shape, name, bias) == expected


def test_consensus_is_unanimous_or_none():
    certain = ((32, 3, 3, 16), ("OHWI",))
    other = ((32, 16, 3, 3), ("OIHW",))
    pointwise = ((32, 16, 1, 1), ("OIHW",))
    open_ = ((16, 3, 3, 3), ("OIHW", "OHWI"))
    assert consensus([certain, open_, pointwise]) == "OHWI"
    assert consensus([certain, other, open_]) is None
    assert consensus([open_]) is None


def test_consensus_is_the_one_order_that_all_arrays_allow():
    first = ((64, 3, 3, 3), ("OIHW", "OHWI"))
    second = ((64, 64, 3, 3), ("OIHW", "HWIO"))
    pointwise = ((1, 1, 32, 16), ("HWIO",))
    assert consensus([first, second]) == "OIHW"
    assert consensus([first, second, pointwise]) == "OIHW"
    assert consensus([first, first]) is None


def test_consensus_settles_only_what_is_open():
    assert settled(("OIHW", "OHWI"), (16, 3, 3, 3), "OHWI") == ("OHWI",)
    assert settled(("OIHW",), (16, 8, 3, 3), "OHWI") == ("OIHW",)
    assert settled(("OHWI",), (258, 1, 256), "OIHW") == ("OIHW",)
    assert settled(("OIHW", "OHWI"), (16, 3, 3, 3), None) == ("OIHW", "OHWI")
