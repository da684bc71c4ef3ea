import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jfilters.converters import StoredArray
from jfilters.converters._depth import depths, relative_depth
from jfilters.converters._depth_names import component, natural_key


def arrays(given_depths):
    return [StoredArray("w", (), "float32", lambda: np.zeros(()), depth=d) for d in given_depths]


def ranks(names, shapes, transposed=()):
    up = [name in transposed for name in names]
    shapes = [shape if len(shape) > 2 else (*shape, 3, 3) for shape in shapes]
    return depths(arrays([None] * len(names)), names, "name-order", shapes, up)[0]


def order_of(layers, transposed=()):
    """Names in depth order, given in an order that has nothing to do with it."""
    names = sorted(layers, key=lambda name: name[::-1])
    found = ranks(names, [layers[name] for name in names], transposed=transposed)
    by_rank = dict(zip(found, names, strict=True))
    assert len(by_rank) == len(names)
    return [by_rank[rank] for rank in sorted(by_rank)]


def assert_order(layers, transposed=()):
    """`layers`, name to (out, in), are written in the order in which the network runs them."""
    assert order_of(layers, transposed) == list(layers)


def test_a_graph_gives_ranks_among_its_distinct_depths():
    found = depths(arrays([7, 2, 2, 40]), "abcd", "name-order", [(1, 1)] * 4, [False] * 4)
    assert found == ([1, 0, 0, 2], "graph")


def test_without_a_whole_graph_the_place_counts():
    found = depths(arrays([7, None, 1]), "cab", "registration-order", [(1, 1)] * 3, [False] * 3)
    assert found == ([0, 1, 2], "registration-order")


def test_names_sort_naturally():
    names = ["net.Conv_10.weight", "net.Conv_2.weight", "net.conv_1.weight"]
    assert ranks(names, [(8, 8)] * 3) == [2, 1, 0]


@pytest.mark.parametrize(
    "ordered",
    [
        ["stem.conv.weight", "blocks.0.weight", "blocks.1.weight", "head.weight"],
        ["conv_stem/kernel", "Block_2/kernel", "Block_10/kernel", "conv_head/kernel"],
        ["patch_embed.proj.weight", "layers.0.weight", "fc.weight"],
        ["model.conv_first.weight", "model.body.0.weight", "model.conv_last.weight"],
        ["encoder.0.weight", "bottleneck.weight", "decoder.0.weight", "classifier.0.weight"],
        ["encoder._conv_stem.w", "encoder._blocks.0.w", "decoder.0.w", "segmentation_head.0.w"],
        ["embedder.embedder.w", "encoder.stages.0.w", "encoder.stages.10.w", "pooler.w"],
        ["feature_extractor.conv.w", "encoder.pos.w", "decoder.w", "aux_head.w"],
        ["backbone.w", "encoder.w", "decoder.w", "classifier.w", "aux_classifier.w"],
        ["conv_in.w", "down_blocks.0.w", "mid_block.w", "up_blocks.0.w", "conv_out.w"],
        ["input_blocks.0.w", "input_blocks.11.w", "middle_block.w", "output_blocks.0.w", "out.2.w"],
        ["conv_pre.w", "ups.0.w", "conv_post.w"],
        ["zz_stem.w", "blocks.1.w", "aa_head.w"],
        ["inc.w", "down1.w", "up1.w", "outc.w"],
        ["conv2d/w", "conv2d_1/w", "conv2d_10/w"],
        ["inception3a.w", "inception3b.w", "inception4a.w", "inception10a.w"],
        ["conv1_1.w", "conv1_2.w", "conv2_1.w", "conv10_1.w"],
        ["decoder.center.w", "decoder.blocks.0.w"],
        ["0.conv1.w", "0.conv2_kxk.w", "0.attn.w", "0.mlp.w"],
        ["down.0.resnets.0.w", "down.0.downsamplers.0.w", "down.1.resnets.0.w"],
    ],
)  # fmt: skip
def test_names_alone_give_the_order(ordered):
    assert_order(dict.fromkeys(ordered, (8, 8)))


def test_serial_numbers_before_all_names_are_the_order():
    layers = {
        "000_conv": (8, 3),
        "001_dw_head": (8, 1),
        "010_conv_4": (16, 8),
        "101_conv_2": (8, 16),
    }
    assert_order(layers)
    # One name without a number, or a number twice: then they say nothing of the order.
    assert order_of({"stem": (8, 3)} | layers)[0] == "stem"


def test_the_layer_that_takes_the_image_is_the_first():
    assert_order({"z.w": (8, 3), "cell_stem.w": (8, 8), "a.w": (8, 8)})
    assert_order({"z.0.zz.w": (8, 1), "z.0.aa.w": (8, 8), "a.w": (8, 8)})


def test_numbers_are_believed_more_than_channels():
    assert_order({"net.0.w": (8, 4), "net.1.w": (3, 8), "net.2.w": (8, 3)})


def test_many_layers_of_one_channel_are_depthwise():
    assert_order({"stem.w": (8, 4), "a.dw.w": (8, 1), "a.pw.w": (8, 8), "b.dw.w": (8, 1)})


def test_a_part_waits_for_the_channels_that_it_takes():
    assert_order({"zeta.w": (16, 3), "alpha.w": (32, 16), "mu.w": (64, 32), "beta.w": (10, 64)})
    # A stage makes its channels before its blocks use them,
    assert_order(
        {"s.0.blocks.0.w": (8, 3), "s.1.reduce.w": (16, 8), "s.1.blocks.0.w": (16, 16)},
    )
    # and an inverted residual block expands before it convolves.
    block = {"conv_pw.w": (48, 8, 1, 1), "conv_dw.w": (48, 1, 3, 3), "conv_pwl.w": (8, 48, 1, 1)}
    assert_order({"conv_stem.w": (8, 3)} | {f"blocks.0.{name}": block[name] for name in block})


def test_a_shortcut_is_behind_its_block():
    assert_order(
        {
            "conv1.w": (8, 3),
            "layer1.0.conv1.w": (16, 8),
            "layer1.0.conv2.w": (16, 16),
            "layer1.0.downsample.0.w": (16, 8, 1, 1),
        }
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Blocks behind linear layers pass no channels on: the name decides.
        ({"downsample": (16, 8)}, {"blocks.0": (64, 1), "blocks.1": (64, 1)}),
        ({"blocks.0": (8, 8), "blocks.1": (8, 8)}, {"downsample": (16, 8)}),
    ],
)
def test_downsampling_opens_a_stage_unless_the_blocks_take_what_it_takes(before, after):
    stage = {f"stages.1.{name}.w": shape for name, shape in (before | after).items()}
    assert_order({"stem.w": (8, 3)} | stage)


def test_stages_that_are_stored_apart_are_run_in_turn():
    widths = [3, 8, 16, 32]
    layers = {}
    for stage in range(3):
        layers[f"patch_embed{stage + 1}.proj.w"] = (widths[stage + 1], widths[stage])
        layers[f"block{stage + 1}.0.w"] = (widths[stage + 1], widths[stage + 1])
        layers[f"block{stage + 1}.1.w"] = (widths[stage + 1], widths[stage + 1])
    assert_order(layers)
    in_lists = {
        name.replace("embed", "embeds.").replace("block", "blocks."): layers[name]
        for name in layers
    }
    assert_order(in_lists)


def test_a_u_net_is_not_run_in_turn():
    assert_order(
        {
            "down1.w": (8, 3),
            "down2.w": (16, 8),
            "down3.w": (32, 16),
            "up3.w": (16, 32),
            "up2.w": (8, 16),
            "up1.w": (4, 8),
        }
    )


def test_stages_of_two_families_alternate():
    assert_order(
        {
            "conv0.w": (8, 3),
            "denseblock1.0.w": (4, 8),
            "denseblock1.1.w": (4, 12),
            "transition1.w": (9, 16),
            "denseblock2.0.w": (4, 9),
            "denseblock2.1.w": (4, 13),
            "transition2.w": (11, 17),
        }
    )


@pytest.mark.parametrize("name", ["up_blocks.{}.w", "dec{}.conv.w"])
def test_a_decoder_runs_towards_fewer_channels(name):
    encoder = {"conv_in.w": (8, 3), "down_blocks.0.w": (64, 8)}
    decoder = [
        (name.format(number), (2 ** (number + 2), 2 ** (number + 3))) for number in (3, 2, 1, 0)
    ]
    assert_order(encoder | dict(decoder))


def test_the_stages_of_a_decoder_alternate_from_the_bottom_up():
    layers = {"encoder1.a.w": (8, 3), "encoder2.a.w": (16, 8), "bottleneck.w": (32, 16)}
    layers |= {
        "upconv2.w": (16, 32),
        "decoder2.a.w": (16, 32),
        "upconv1.w": (8, 16),
        "decoder1.a.w": (8, 16),
    }
    assert_order(layers, transposed=["upconv2.w", "upconv1.w"])


def test_an_autoencoder_whose_way_up_is_stored_from_its_end():
    coder = {
        "encoder.conv_in": (8, 3),
        "encoder.down.0.block.0": (8, 8),
        "encoder.down.0.downsample": (8, 8),
        "encoder.down.1.block.0": (16, 8),
        "encoder.mid.block_1": (16, 16),
        "encoder.conv_out": (4, 16),
    }
    latent = {"post_quant_conv": (2, 2), "quant_conv": (4, 4)}
    decoder = {
        "decoder.conv_in": (16, 2),
        "decoder.mid.block_1": (16, 16),
        "decoder.up.1.block.0": (16, 16),
        "decoder.up.1.upsample": (16, 16),
        "decoder.up.0.block.0": (8, 16),
        "decoder.conv_out": (3, 8),
    }
    assert_order(coder | latent | decoder)


def test_a_transposed_layer_opens_the_block_of_a_decoder():
    layers = {"encoder.w": (32, 3), "decoder.0.upsample.w": (16, 32), "decoder.0.convs.w": (16, 32)}
    assert_order(layers, transposed=["decoder.0.upsample.w"])
    layers = {"Conv_0/kernel": (8, 3), "Conv_1/kernel": (8, 8), "ConvTranspose_0/kernel": (4, 8)}
    assert_order(layers, transposed=["ConvTranspose_0/kernel"])


def test_kernels_along_the_width_come_before_those_along_the_height():
    assert_order({"dw_hw.w": (8, 8, 3, 3), "dw_w.w": (8, 8, 1, 11), "dw_h.w": (8, 8, 11, 1)})


@pytest.mark.parametrize(
    ("part", "family", "number"),
    [
        ("layer1", "layer", 1),
        ("conv_12", "conv", 12),
        ("conv2d", "conv2d", None),
        ("conv2d_3", "conv2d", 3),
        ("conv3_2", "conv", None),
        ("inception4b", "inception", None),
        ("blocks", "blocks", None),
        ("7", "", 7),
        ("1" * 500, "1" * 500, None),
        ("1_" * 40 + "x!", "1_" * 40 + "x!", None),
    ],
)
def test_a_family_is_a_name_without_its_number(part, family, number):
    assert (component(part).family, component(part).number) == (family, number)


NAMES = st.lists(
    st.lists(
        st.sampled_from(
            [
                "embed1",
                "embed2",
                "block",
                "block1",
                "block2",
                "0",
                "1",
                "2",
                "head",
                "up1",
                "up2",
                "",
            ]
        ),
        max_size=5,
    ).map(".".join),
    max_size=14,
)


@given(NAMES, st.randoms())
def test_the_order_of_the_file_does_not_matter(names, source):
    shapes = {name: (source.choice([3, 8, 16]), source.choice([1, 3, 8, 16])) for name in names}
    first = ranks(names, [shapes[name] for name in names])
    shuffled = random.Random(0).sample(names, len(names))
    second = ranks(shuffled, [shapes[name] for name in shuffled])
    assert dict(zip(names, first, strict=True)) == dict(zip(shuffled, second, strict=True))


@given(NAMES, st.randoms())
def test_ranks_are_shared_by_equal_names_alone(names, source):
    widths = [(source.choice([3, 8, 16]), source.choice([1, 3, 8, 16])) for _ in names]
    found = ranks(names, widths)
    assert sorted(set(found)) == list(range(len(set(names))))


@given(st.lists(st.text("ab01./_", max_size=8)))
def test_any_names_compare(names):
    found = ranks(names, [(8, 8)] * len(names))
    assert sorted(set(found)) == list(range(len(set(found))))
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


def test_names_of_any_depth_have_a_rank():
    names = [".".join("a" * count) + f".{tail}" for count in (5, 31, 32, 33, 500) for tail in "xy"]
    found = ranks(names, [(8, 8)] * len(names))
    assert sorted(found) == list(range(len(names)))


def test_relative_depth_of_one_layer_is_zero():
    assert relative_depth(0, 0) == 0.0
    assert [relative_depth(d, 4) for d in (0, 1, 4)] == [0.0, 0.25, 1.0]
