"""The figure of the forest: arrows, dashes and colors are those of the edges, and names are apart."""

import itertools

import numpy as np
import pytest

from jfilters.report import figures
from jfilters.report.figures import _lineage
from tests.report.kin import chain, edge, forest
from tests.scans.scans import made_scan


def names_of(axes):
    return [text.get_text() for text in axes.texts if text.get_bbox_patch() is not None]


def arrows_of(axes):
    return [text.arrow_patch for text in axes.texts if getattr(text, "arrow_patch", None)]


def words(axes):
    return [text.get_text() for text in axes.texts]


def place(axes, name):
    (text,) = [x for x in axes.texts if x.get_text() == name]
    return text.get_position()


def test_every_model_of_a_family_has_a_name_and_every_edge_a_line():
    edges = [edge("a", "b"), edge("a", "c", "pruned"), edge("c", "d", directed=False)]
    axes = figures.lineage(forest(edges, ["e"]))
    assert sorted(names_of(axes)) == list("abcd")
    arrows = arrows_of(axes)
    assert len(arrows) == 3
    dashed = [arrow.get_linestyle() not in ("-", "solid") for arrow in arrows]
    heads = ["Filled" in type(arrow.get_arrowstyle()).__name__ for arrow in arrows]
    assert sum(dashed) == 1
    assert heads == [not x for x in dashed]


def test_trees_go_from_left_to_right_and_rows_are_apart():
    edges = [edge("a", "b"), edge("b", "c"), edge("a", "d"), edge("b", "e")]
    axes = figures.lineage(forest(edges))
    (ax, ay), (bx, by), (cx, cy), (dx, dy), (ex, ey) = (place(axes, name) for name in "abcde")
    assert ax < bx < cx == ex
    assert bx == dx
    assert ay == by == cy
    assert cy < ey < dy


def test_colors_are_relations_and_the_legend_has_those_that_are_there():
    axes = figures.lineage(forest([edge("a", "b", "quantized"), edge("a", "c", directed=False)]))
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["fine-tuned", "quantized", "dashed: direction not known"]
    lines = axes.get_legend().get_lines()
    assert [x.get_color() for x in lines[:2]] == [_lineage.COLORS[x] for x in legend[:2]]
    only = figures.lineage(forest([edge("a", "b")])).get_legend().get_texts()
    assert [text.get_text() for text in only] == ["fine-tuned"]


def test_every_relation_has_a_color_of_its_own():
    assert len(set(_lineage.COLORS.values())) == len(_lineage.COLORS)


def test_all_parts_of_an_average_lead_to_it():
    edges = [edge("a", "b"), edge("a", "c"), edge("b", "mean", "soup"), edge("c", "mean", "soup")]
    axes = figures.lineage(forest(edges))
    x, y = place(axes, "mean")
    ends = [text.xy for text in axes.texts if getattr(text, "arrow_patch", None)]
    assert ends.count((x, y)) == 2


def test_models_that_are_not_drawn_are_counted():
    edges = [edge(f"{i}a", f"{i}b") for i in range(60)]
    pairs = [(x.parent, x.child) for x in edges]
    axes = figures.lineage(forest(edges, [f"s{i}" for i in range(9)], families=pairs))
    drawn = len(names_of(axes)) // 2
    assert 10 < drawn < 60
    note = words(axes)[-1]
    models = 2 * (60 - drawn)
    assert note == (
        f"not drawn: {60 - drawn} smaller families with {models} models, 9 models without kin"
    )
    assert "not drawn" not in " ".join(words(figures.lineage(forest([edge("a", "b")]))))


def test_a_family_that_no_page_holds_is_cut_and_says_so():
    axes = figures.lineage(forest([edge("base", f"child{i}") for i in range(300)]))
    shown = len(names_of(axes))
    assert shown <= _lineage.MOST_ROWS + 1
    assert words(axes)[-1] == f"not drawn: {301 - shown} more of this family"


def test_a_deep_family_goes_on_in_a_row_of_its_own():
    axes = figures.lineage(chain(20))
    names = names_of(axes)
    assert sum("(continued)" in name for name in names) == 4
    columns = {round(text.get_position()[0], 3) for text in axes.texts if text.get_bbox_patch()}
    assert len(columns) == _lineage.DEEPEST + 1


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_long_names_end_before_the_next_arrow(depth):
    names = [f"{'W' * 30}{i}{'w' * 30}.safetensors" for i in range(depth + 1)]
    answer = forest([edge(a, b) for a, b in itertools.pairwise(names)])
    axes = figures.lineage(answer)
    figure = axes.figure
    figure.draw_without_rendering()
    boxes = [x.get_window_extent() for x in axes.texts if x.get_bbox_patch() is not None]
    rows = {}
    for box in boxes:
        rows.setdefault(round(box.y0), []).append(box)
    for row in rows.values():
        row.sort(key=lambda box: box.x0)
        for left, right in itertools.pairwise(row):
            assert left.x1 < right.x0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert np.isfinite([box.x1 for box in boxes]).all()


def test_long_names_are_shown_where_they_differ():
    names = [
        f"a-long-name-of-all-experiments-{i}-with-a-rate-of-0.001.safetensors" for i in range(3)
    ]
    axes = figures.lineage(forest([edge(names[0], name) for name in names[1:]]))
    assert names_of(axes) == [f"…{i}…" for i in range(3)]
    assert words(axes)[-1] == f"…: the same in all names, the first of which is {names[0]}"
    short = figures.lineage(forest([edge("a-1.pt", "a-2.pt")]))
    assert names_of(short) == ["a-1.pt", "a-2.pt"]


@pytest.mark.parametrize(
    "names",
    [["x" * 50, "x" * 60], ["-" * 50, "-" * 50 + "a"], ["x-" * 30, "x-" * 31], ["a-" * 30 + "b"]],
)
def test_names_that_are_parts_of_each_other_stay_apart(names):
    shown = _lineage._without_common_ends(names)
    assert len(set(shown)) == len(names)


def test_hostile_names_are_text():
    axes = figures.lineage(forest([edge("a$b$c", "_under\n"), edge("a$b$c", "<b>bold</b>")]))
    axes.figure.draw_without_rendering()
    assert "_under\\n" in names_of(axes)


def test_without_kin_nothing_is_drawn(tmp_path):
    with pytest.raises(ValueError, match="expected models that are kin, found none among 2 models"):
        figures.lineage(made_scan(tmp_path, {"a": 2, "b": 2}))
