import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters import StoredArray
from jfilters.converters._select import select


def unread() -> np.ndarray:
    raise AssertionError("selection needs no values")


def array(name, shape, dtype="float32", **known):
    return StoredArray(name, tuple(shape), dtype, unread, **known)


def torch(name, shape, dtype="float32", **known):
    return array(name, shape, dtype, axes="OIHW", **known)


def layers(arrays, order="registration-order", axes=None):
    return {item.layer.name: item for item in select(arrays, order, axes)[0]}


def reasons(arrays, order="registration-order", axes=None):
    return {item.name: item.reason for item in select(arrays, order, axes)[1]}


def shape(item):
    return item.arrangement.shape(item.stored.shape)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (torch("n", ()), "scalar"),
        (torch("bn.weight", (8,)), "bias or scale (1-D)"),
        (torch("fc.weight", (10, 512)), "dense (2-D)"),
        (torch("c.weight", (8, 4, 1, 1)), "1x1 convolution: no spatial extent"),
        (torch("c.weight", (8, 4, 1)), "1x1 convolution: no spatial extent"),
        (torch("c.weight", (0, 3, 3, 3)), "empty (0, 3, 3, 3)"),
        (torch("c.weight", (8, 0, 3, 3)), "empty (8, 0, 3, 3)"),
        (torch("c.weight", (2, 2, 2, 2, 3, 3)), "6 axes, more than a convolution has"),
        (torch("c.weight", (8, 4, 3, 3), "int8"), "integer weights without a scale"),
        (torch("c.weight", (8, 4, 3, 3), "uint8"), "integer weights without a scale"),
        (torch("c.weight", (8, 4, 3, 3), "complex64"), "complex"),
        (torch("c.weight", (8, 4, 3, 3), "bool"), "boolean"),
        (torch("c.weight", (8, 4, 3, 3), "F4"), "not numeric (F4)"),
        (torch("images", (8, 3, 224, 224)), "no kernel: more than 64 taps along an axis"),
        (torch("a.pos_embed", (1, 16, 7, 7)), "position table"),
        (torch("a.position_embeddings", (1, 49, 32)), "position table"),
        (torch("a.relative_position_bias_table", (4, 7, 7)), "position table"),
        (torch("rel_pos_h", (3, 7, 7)), "position table"),
        (torch("attn_mask", (64, 49, 49)), "mask"),
        (torch("anchors", (3, 1, 2, 2)), "coordinate buffer"),
        (torch("coord_grid", (1, 2, 32, 32)), "coordinate buffer"),
        (torch("cls_token", (1, 1, 32)), "embedding"),
        (torch("bn.running_mean", (1, 8, 2, 2)), "running statistics"),
        (torch("pixel_mean", (1, 3, 2, 2)), "running statistics"),
        (torch("c.weight_g", (8, 1, 2, 2)), "bias or scale"),
        (torch("c.parametrizations.weight.original0", (8, 1, 2, 2)), "stored before its param"),
        (torch("c.parametrizations.weight.original", (8, 4, 3, 3)), "stored before its param"),
        (torch("c.weight_orig", (8, 4, 3, 3)), "stored before its parametrization"),
        (torch("c.bias", (8, 1, 1)), "bias or scale"),
        (array("attn/query/kernel", (16, 4, 8), axes="HWIO"), "attention projection: dense (3-D)"),
        (array("ConvLocal_0/kernel", (5, 5, 27, 8), axes="HWIO"), "locally connected"),
        (array("opt_state/0/mu/c/kernel", (3, 3, 4, 8), axes="HWIO"), "optimizer state"),
        (array("0/nu/c/kernel", (3, 3, 4, 8), axes="HWIO"), "optimizer state"),
        (torch("state.0.exp_avg", (8, 4, 3, 3), network="optimizer"), "optimizer state"),
        (torch("c.weight", (8, 4, 3, 3), reason="a buffer of fixed values"), "a buffer of fixed"),
        (torch("c.weight", (7, 4, 3, 3), groups=2, transposed=False), "2 groups do not divide"),
        (torch("module." * 1000, (8, 4, 3, 3)), "a name of 7000 characters"),
        (array("c.weight", (3, 3, 3, 3)), "axes ambiguous: OIHW or OHWI or HWIO fits; say which"),
    ],
)  # fmt: skip
def test_an_array_is_skipped_with_its_reason(stored, reason):
    found, skipped = select([stored], "registration-order")
    assert found == ()
    assert skipped[0].reason.startswith(reason)
    assert skipped[0].shape == stored.shape


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("c.weight", (8, 4, 3, 3)),
        ("c.weight", (8, 4, 1, 3)),
        ("c.weight", (8, 4, 5)),
        ("c.weight", (8, 4, 3, 3, 3)),
        ("pos_embed.0.weight", (8, 4, 3, 3)),
        ("patch_embed.proj.weight", (8, 3, 16, 16)),
        ("mask_head.0.weight", (8, 4, 3, 3)),
    ],
)
def test_a_convolution_is_selected(name, size):
    found = layers([torch(name, size)])
    assert shape(found[name]) == size


def test_a_format_that_knows_a_convolution_overrules_its_name():
    known = torch("mask_scale", (8, 4, 3, 3), groups=1, transposed=False)
    assert list(layers([known])) == ["mask_scale"]


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "name": st.text("acw.", max_size=5),
                "shape": st.lists(st.sampled_from([0, 1, 3, 16, 100]), max_size=6),
                "dtype": st.sampled_from(["float32", "bfloat16", "int8", "bool"]),
                "axes": st.sampled_from([None, "OIHW", "HWIO", "IOHW", "HWOI", "HWIM"]),
                "groups": st.sampled_from([None, 1, 2, 3]),
                "transposed": st.sampled_from([None, True, False]),
                "depth": st.sampled_from([None, 0, 5]),
                "network": st.sampled_from(["", "a", "ema"]),
            }
        ),
        max_size=12,
    ),
    st.sampled_from(["registration-order", "name-order"]),
)
def test_every_array_ends_in_exactly_one_place(records, order):
    arrays = [
        dataclasses.replace(array(**record), read=functools.partial(np.zeros, record["shape"]))
        for record in records
    ]
    found, skipped = select(arrays, order)
    ends = [a.stored.shape for a in found] + [s.shape for s in skipped]
    assert sorted(ends) == sorted(a.shape for a in arrays)
    assert all(item.reason for item in skipped)
    by_network = {}
    for item in found:
        by_network.setdefault(item.stored.network, []).append(item.layer.depth)
    assert all(ranks == sorted(ranks) for ranks in by_network.values())


def test_a_pointwise_convolution_counts_in_the_depth():
    arrays = [torch(f"{i}.weight", (8, 8, k, k)) for i, k in enumerate([3, 1, 3, 1, 3])]
    depths = [(item.layer.depth, item.layer.relative_depth) for item in layers(arrays).values()]
    assert depths == [(0, 0.0), (2, 0.5), (4, 1.0)]


def test_name_order_sorts_the_layers():
    arrays = [torch(f"Conv_{i}.weight", (8, 8, 3, 3)) for i in (10, 2, 1)]
    found = layers(arrays, "name-order")
    assert list(found) == ["Conv_1.weight", "Conv_2.weight", "Conv_10.weight"]
    assert found["Conv_2.weight"].layer.depth_source == "name-order"


class TestAxes:
    files = (array("a.weight", (16, 3, 3, 3)), array("b.weight", (32, 3, 3, 16)))

    def test_consensus_of_the_file_settles_an_ambiguous_array(self):
        found = layers(self.files)
        assert [item.layer.axes for item in found.values()] == ["OHWI", "OHWI"]

    def test_the_bias_settles_an_ambiguous_array(self):
        arrays = [array("a.weight", (3, 3, 3, 16)), array("a.bias", (16,))]
        assert layers(arrays)["a.weight"].layer.axes == "HWIO"

    def test_the_caller_overrules_inference_but_not_the_format(self):
        told = layers(
            [array("a.weight", (3, 3, 3, 3)), torch("b.weight", (3, 3, 3, 3))], axes="HWIO"
        )
        assert [item.layer.axes for item in told.values()] == ["HWIO", "OIHW"]

    def test_no_guess_without_evidence(self):
        found, skipped = select([self.files[0]], "name-order")
        assert found == ()
        assert skipped[0].reason == "axes ambiguous: OIHW or OHWI fits; say which with --axes"

    def test_a_caller_who_names_no_axes_is_told(self):
        with pytest.raises(ValueError, match="expected one of OIHW"):
            select(self.files, "name-order", "hwio")

    def test_one_dimensional_weights_follow_the_file(self):
        arrays = [
            array("a.weight", (128, 129, 3)),
            array("b.weight", (64, 64, 3)),
            array("stft", (258, 1, 256)),
        ]
        assert [item.layer.axes for item in layers(arrays).values()] == ["OIW", "OIW"]
        assert reasons(arrays)["stft"].startswith("no kernel: more than 64 taps")


class TestGroups:
    def test_depthwise_needs_an_earlier_layer_that_feeds_it(self):
        arrays = [torch("0.weight", (32, 3, 3, 3)), torch("1.weight", (32, 1, 3, 3))]
        assert [item.layer.groups for item in layers(arrays).values()] == [1, 32]

    def test_a_pointwise_layer_feeds_a_depthwise_one(self):
        arrays = [torch("0.weight", (96, 3, 1, 1)), torch("1.weight", (96, 1, 5, 5))]
        assert layers(arrays)["1.weight"].layer.groups == 96

    def test_a_first_layer_of_one_channel_is_not_depthwise(self):
        arrays = [torch("0.weight", (32, 1, 3, 3)), torch("1.weight", (64, 32, 3, 3))]
        assert [item.layer.groups for item in layers(arrays).values()] == [1, 1]

    def test_a_multiplier_leaves_the_groups_of_its_feeder(self):
        arrays = [torch("0.weight", (8, 3, 3, 3)), torch("1.weight", (16, 1, 3, 3))]
        assert layers(arrays)["1.weight"].layer.groups == 8

    def test_a_dense_layer_or_a_part_of_the_last_one_feeds_all_groups(self):
        arrays = [torch("0.weight", (16, 3, 3, 3)), torch("1.weight", (64, 1, 3, 3))]
        assert layers(arrays)["1.weight"].layer.groups == 16
        arrays.append(torch("fc1.weight", (64, 16)))
        assert layers(arrays)["1.weight"].layer.groups == 64
        arrays = [torch("0.weight", (4, 3, 3, 3)), torch("1.weight", (48, 4, 3, 3))]
        arrays.append(torch("2.weight", (12, 1, 3, 3)))
        assert layers(arrays)["2.weight"].layer.groups == 12

    def test_an_unrelated_width_feeds_nothing(self):
        arrays = [torch("0.weight", (24, 3, 3, 3)), torch("1.weight", (32, 1, 3, 3))]
        assert layers(arrays)["1.weight"].layer.groups == 1

    def test_flax_depthwise_kernels(self):
        arrays = [
            array(f"{i}/kernel", s, axes="HWIO") for i, s in enumerate([(3, 3, 3, 8), (3, 3, 1, 8)])
        ]
        found = layers(arrays)["1/kernel"]
        assert (found.layer.groups, shape(found)) == (8, (8, 1, 3, 3))

    def test_keras_depthwise_kernels(self):
        found = layers([array("w", (3, 3, 8, 2), axes="HWIM")])["w"]
        assert (found.layer.groups, shape(found)) == (8, (16, 1, 3, 3))

    def test_another_network_feeds_nothing(self):
        arrays = [
            torch("0.weight", (32, 3, 3, 3), network="a"),
            torch("0.weight", (32, 1, 3, 3), network="b"),
        ]
        assert layers(arrays)["b.0.weight"].layer.groups == 1


class TestTransposed:
    @pytest.mark.parametrize(
        ("name", "size", "bias", "expected"),
        [
            ("up.weight", (64, 32, 2, 2), 32, ("IOHW", 1, True, (32, 64, 2, 2))),
            ("up.weight", (12, 1, 2, 2), 3, ("IOHW", 3, True, (3, 4, 2, 2))),
            ("up.weight", (64, 32, 3, 3), 64, ("OIHW", 1, False, (64, 32, 3, 3))),
            ("up.weight", (64, 64, 3, 3), 64, ("OIHW", 1, False, (64, 64, 3, 3))),
            ("up.weight", (64, 32, 3, 3), None, ("OIHW", 1, False, (64, 32, 3, 3))),
            ("up.weight", (64, 32, 3, 3), 7, ("OIHW", 1, False, (64, 32, 3, 3))),
            ("up.weight", (64, 32, 3, 3), 0, ("OIHW", 1, False, (64, 32, 3, 3))),
            ("deconv.weight", (64, 32, 2, 2), None, ("IOHW", 1, True, (32, 64, 2, 2))),
            ("upconv.weight", (64, 32, 3, 3), 64, ("OIHW", 1, False, (64, 32, 3, 3))),
            ("deconv.weight", (64, 64, 2, 2), 64, ("IOHW", 1, True, (64, 64, 2, 2))),
            ("conv_transpose.weight", (8, 1, 2, 2), 8, ("IOHW", 8, True, (8, 1, 2, 2))),
        ],
    )
    def test_torch_weights(self, name, size, bias, expected):
        arrays = [torch(name, size)]
        arrays += [] if bias is None else [torch(name.replace("weight", "bias"), (bias,))]
        found = layers(arrays)[name]
        layer = found.layer
        assert (layer.axes, layer.groups, layer.transposed, shape(found)) == expected

    def test_flax_weights_keep_their_order(self):
        found = layers([array("ConvTranspose_0/kernel", (2, 2, 8, 4), axes="HWIO")])
        item = found["ConvTranspose_0/kernel"]
        assert (item.layer.transposed, shape(item)) == (True, (4, 8, 2, 2))

    def test_flax_transposed_kernels_are_known_by_their_bias(self):
        arrays = [array("up/kernel", (2, 2, 4, 8), axes="HWIO"), array("up/bias", (4,))]
        item = layers(arrays)["up/kernel"]
        assert (item.layer.axes, item.layer.transposed, shape(item)) == ("HWOI", True, (4, 8, 2, 2))

    def test_a_format_that_knows_is_believed(self):
        known = torch("deconv.weight", (8, 4, 2, 2), transposed=True, groups=2)
        item = layers([known])["deconv.weight"]
        assert (item.layer.axes, item.layer.groups, shape(item)) == ("OIHW", 2, (8, 4, 2, 2))


class TestNetworks:
    def test_a_single_wrapper_is_stripped(self):
        arrays = [
            torch("a.weight", (8, 3, 3, 3), network="state_dict"),
            torch("n", (), network="x"),
        ]
        assert list(layers(arrays)) == ["a.weight"]
        assert reasons(arrays) == {"x.n": "scalar"}

    def test_several_networks_name_their_layers_and_rank_them_apart(self):
        arrays = [
            torch(f"{i}.weight", (8, 8 + i, 3, 3), network=n)
            for n, i in [("gen", 0), ("gen", 1), ("disc", 0), ("disc", 2)]
        ]
        found = layers(arrays)
        assert list(found) == ["gen.0.weight", "gen.1.weight", "disc.0.weight", "disc.2.weight"]
        assert [item.layer.depth for item in found.values()] == [0, 1, 0, 1]

    @pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
    def test_a_common_prefix_is_stripped(self, prefix):
        arrays = [torch(f"{prefix}a.weight", (8, 3, 3, 3)), torch(f"{prefix}b.weight", (8,))]
        assert list(layers(arrays)) == ["a.weight"]
        assert list(reasons(arrays)) == ["b.weight"]

    def test_a_prefix_of_some_is_kept(self):
        arrays = [torch("module.a.weight", (8, 3, 3, 3)), torch("b.weight", (8,))]
        assert list(layers(arrays)) == ["module.a.weight"]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (("a.weight", "model"), ("a.weight", "ema")),
            (("a.weight", "model"), ("a.weight", "model_ema")),
            (("a.weight", "state_dict"), ("a.weight", "ema_state_dict")),
            (("module.a.weight", ""), ("a.weight", "ema")),
            (("model.a.weight", ""), ("ema.a.weight", "")),
            (("model.a.0.weight", ""), ("model_ema.a0weight", "")),
            (("Conv_0/kernel", ""), ("Conv_0/kernel", "ema_params")),
        ],
    )
    def test_a_moving_average_is_a_copy(self, first, second):
        arrays = [torch(name, (8, 3, 3, 3), network=network) for name, network in (first, second)]
        found, skipped = select(arrays, "registration-order")
        assert [item.stored for item in found] == arrays[:1]
        assert skipped[0].reason.startswith("moving-average copy of ")

    def test_a_moving_average_alone_is_read(self):
        assert list(layers([torch("a.weight", (8, 3, 3, 3), network="ema")])) == ["a.weight"]

    def test_a_layer_called_mu_is_no_optimizer(self):
        assert list(layers([torch("mu.weight", (8, 3, 3, 3))])) == ["mu.weight"]
