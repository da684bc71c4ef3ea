import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters import StoredArray
from jfilters.converters._grouped import Candidate, grouped
from jfilters.converters._select import select


def unread() -> np.ndarray:
    raise AssertionError("groups need no values")


def groups(*layers):
    """The groups of layers given as (name, shape); shapes of two numbers are of 3x3 kernels."""
    arrays = [
        StoredArray(
            f"{name}.weight",
            shape if len(shape) == 4 else (*shape, 3, 3),
            "float32",
            unread,
            axes="OIHW",
        )
        for name, shape in layers
    ]
    found = {
        item.stored.name: item.layer.groups for item in select(arrays, "registration-order")[0]
    }
    return [found[f"{name}.weight"] for name, shape in layers if shape[2:] != (1, 1)]


def bottlenecks(width, inner, per_group, count):
    """Residual blocks that group their second convolution."""
    for block in range(count):
        yield f"layer1.{block}.conv1", (inner, width, 1, 1)
        yield f"layer1.{block}.conv2", (inner, per_group)
        yield f"layer1.{block}.conv3", (width, inner, 1, 1)


def test_a_layer_behind_a_pointwise_one_of_its_own_width():
    assert groups(("stem", (64, 3)), *bottlenecks(256, 128, 4, 1)) == [1, 32]
    # A width that the stem has made is one that others must confirm.
    assert groups(("stem", (32, 3)), *bottlenecks(512, 256, 32, 1)) == [1, 1]
    assert groups(("stem", (32, 3)), *bottlenecks(512, 256, 32, 2)) == [1, 8, 8]


def test_plain_depthwise_grouped_and_transposed_layers_together():
    assert groups(
        ("conv1", (8, 3)), ("dw", (8, 1)), ("pw", (12, 8, 1, 1)), ("grp", (12, 4)), ("deconv", (12, 6))
    ) == [1, 8, 3, 1]  # fmt: skip


def test_two_groups_stay_in_doubt():
    # A gate or a split halves the channels just so.
    assert groups(("0", (96, 3)), ("1", (256, 48)), ("2", (384, 256)), ("3", (384, 192))) == [
        1, None, 1, None,
    ]  # fmt: skip
    # Layers of the same width a group confirm them.
    layers = [("stem", (32, 3)), *bottlenecks(256, 256, 64, 2)]
    second = [
        (name.replace("layer1", "layer0"), shape) for name, shape in bottlenecks(128, 128, 64, 1)
    ]
    assert groups(layers[0], *second, *layers[1:]) == [1, 2, 4, 4]


def test_repeated_grouped_layers():
    block = [(f"s.0.{name}", shape) for name, shape in
             (("conv1", (128, 64, 1, 1)), ("conv2", (128, 16)), ("conv3", (128, 16)))]  # fmt: skip
    assert groups(("stem", (64, 3)), *block) == [1, 8, 8]


def test_splits_branches_and_concatenations_are_no_groups():
    split = [("0.cv1", (64, 32, 1, 1)), ("0.m.0.cv1", (32, 32)), ("0.m.0.cv2", (32, 32))]
    assert groups(("stem", (24, 3)), *split) == [1, 1, 1]
    branches = [
        ("mixed.b1", (64, 192, 1, 1)), ("mixed.b2_1", (48, 192, 1, 1)), ("mixed.b2_2", (64, 48)),
        ("mixed.b3_1", (96, 192, 1, 1)), ("mixed.b3_2", (96, 64)),
    ]  # fmt: skip
    assert groups(("stem", (192, 3)), *branches) == [1, 1, 1]
    assert groups(("stem", (32, 3)), ("squeeze", (16, 32, 1, 1)), ("expand1", (64, 16, 1, 1)),
                  ("expand3", (64, 16))) == [1, 1]  # fmt: skip
    dense = [("d.0.conv1", (128, 64, 1, 1)), ("d.0.conv2", (32, 128)), ("d.1.conv1", (128, 96, 1, 1)),
             ("d.1.conv2", (32, 128))]  # fmt: skip
    assert groups(("stem", (64, 3)), *dense) == [1, 1, 1]
    decoder = [("enc.0", (32, 3)), ("enc.1", (64, 32)), ("dec.0", (32, 96)), ("dec.1", (16, 32))]
    assert groups(*decoder) == [1, 1, 1, 1]


def test_a_layer_of_another_block_feeds_nothing():
    assert groups(
        ("a.0.x.conv", (64, 3)), ("a.0.x.pw", (64, 64, 1, 1)), ("b.1.y.conv", (64, 16))
    ) == [1, 1]


def test_what_the_format_knows_is_not_doubted():
    known = StoredArray("b.weight", (12, 4, 3, 3), "float32", unread, "OIHW", 1, False)
    before = StoredArray("a.weight", (12, 8, 1, 1), "float32", unread, "OIHW", 1, False)
    assert select([before, known], "registration-order")[0][0].layer.groups == 1


SHAPES = st.tuples(
    *[st.sampled_from([1, 2, 3, 4, 8, 12, 16, 24])] * 2, *[st.sampled_from([1, 3])] * 2
)


@given(st.lists(st.tuples(SHAPES, st.booleans()), max_size=12))
def test_groups_divide_and_closed_layers_keep_theirs(layers):
    candidates = [
        Candidate((f"{index}", "weight"), shape, 1, is_open and shape[1] > 1)
        for index, (shape, is_open) in enumerate(layers)
    ]
    for layer, found in zip(candidates, grouped(candidates), strict=True):
        assert found is None or (found >= 1 and layer.shape[0] % found == 0)
        assert layer.is_open or found == 1
