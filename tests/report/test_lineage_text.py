"""The forest in a terminal and for Graphviz, and the trees that text, page and figure share."""

import re

import pytest
from rich.cells import cell_len

from jfilters.report import changes_text, dot_text, lineage_text
from jfilters.report._trees import branches, phrase, relation_words
from jfilters.scans import open_scan

from .kin import KIN, chain, edge, forest, kin_scan
from .pages import shown

LONG = "a-folder-with-a-long-name/" * 6 + "model.safetensors"


def text(answer, width=80, **options):
    return shown(lineage_text(answer, **options), width)


def tree(answer, **options):
    (family,) = answer.families
    return branches(answer, family, **options)


@pytest.fixture(scope="module")
def kin(tmp_path_factory):
    return open_scan(kin_scan(tmp_path_factory.mktemp("kin"))).lineage()


class TestTrees:
    def test_every_model_comes_once_after_the_one_above(self, kin):
        trees = tree(kin)
        assert sorted(x.model for x in trees) == [f"{name}.safetensors" for name in KIN]
        places = {x.model: i for i, x in enumerate(trees)}
        for branch in trees:
            if branch.above is None:
                assert branch.depth == 0
            else:
                above = trees[places[branch.above]]
                assert places[branch.above] < places[branch.model]
                assert branch.depth == above.depth + 1
                assert {branch.model, branch.above} == {branch.edge.parent, branch.edge.child}

    def test_a_child_is_never_above_its_parent(self, kin):
        assert any(x.directed for x in kin.edges)
        for branch in tree(kin):
            if branch.edge is not None and branch.edge.directed:
                assert branch.above == branch.edge.parent

    def test_an_average_names_all_of_its_parts_and_hangs_on_one(self):
        parts = [edge(x, "mean", "soup") for x in ("left", "right")]
        answer = forest([edge("base", "left"), edge("base", "right"), *parts])
        (average,) = [x for x in tree(answer) if x.model == "mean"]
        assert average.parts == ("left", "right")
        assert average.further == ()
        assert phrase(average, average.edge) == "averaged from left, right"

    def test_an_edge_that_no_tree_has_room_for_stays_with_its_child(self):
        answer = forest([edge("a", "c"), edge("b", "c"), edge("a", "b", directed=False)])
        trees = tree(answer)
        drawn = [x.edge for x in trees if x.edge is not None]
        assert len(drawn) == 2
        further = [more for x in trees for more in x.further]
        assert {id(x) for x in (*drawn, *further)} == {id(x) for x in answer.edges}

    def test_a_deep_tree_goes_on_in_one_of_its_own(self):
        trees = tree(chain(300), deepest=8)
        assert max(x.depth for x in trees) == 8
        new = [x.model for x in trees if not x.is_continued]
        assert new == [f"step{i:03}.pt" for i in range(300)]
        continued = [(i, x) for i, x in enumerate(trees) if x.is_continued]
        assert len(continued) == (300 - 1) // 8
        for i, branch in continued:
            assert trees[i - 1].model == branch.model

    def test_a_wide_family_is_not_slow_to_walk(self):
        trees = tree(forest([edge("base", f"child{i}") for i in range(3000)]))
        assert [x.model for x in trees] == ["base", *(f"child{i}" for i in range(3000))]

    @pytest.mark.parametrize(
        ("relation", "directed", "words"),
        [
            ("fine-tuned", True, "fine-tuned"),
            ("fine-tuned", False, "fine-tuned, or both from a common ancestor"),
            ("re-saved", False, "re-saved, one from the other"),
            ("common ancestor", False, "common ancestor, which may be the initialization"),
            ("unknown", False, "kin, relation unknown"),
            ("unknown", True, "descends, relation unknown"),
            ("identical", False, "identical"),
        ],
    )
    def test_relations_in_words(self, relation, directed, words):
        assert relation_words(edge("a", "b", relation, directed=directed)) == words


class TestText:
    @pytest.mark.parametrize("width", [40, 80, 120])
    def test_no_line_is_longer_than_the_terminal(self, width, kin):
        deep = [edge(f"{LONG}{i}", f"{LONG}{i + 1}", directed=i % 2 == 0) for i in range(12)]
        strangers = [f"{LONG}-{i}" for i in range(5)]
        for answer in (kin, forest(deep, strangers, incomparable=strangers)):
            lines = text(answer, width).splitlines()
            assert max(map(cell_len, lines)) <= width

    def test_relations_directions_and_evidence_are_there(self, kin):
        lines = text(kin, 200)
        assert "1 family with 6 of 7 models." in lines
        assert "21 pairs tested; kin from z = 3.3 on" in lines
        assert "half.safetensors  re-saved\n" in lines
        assert "pruned.safetensors  pruned\n" in lines
        assert re.search(r"average\.safetensors  averaged from (left|right)\.safetensors, ", lines)
        assert "no kin found: stranger.safetensors\n" in lines

    def test_an_open_direction_has_a_mark_and_the_mark_is_explained(self):
        answer = forest([edge("a", "b"), edge("b", "c", directed=False)])
        lines = text(answer)
        assert "? c  fine-tuned, or both" in lines
        assert "? b" not in lines
        assert "?: nothing shows" in lines
        assert "?:" not in text(forest([edge("a", "b")]))

    def test_siblings_have_a_mark_of_their_own(self):
        lines = text(forest([edge("a", "b", "common ancestor", directed=False)]))
        assert "~ b  common ancestor" in lines
        assert "~: neither was made from the other" in lines
        assert "?" not in lines

    def test_models_without_kin_take_one_line(self):
        strangers = [f"model{i:03}.pt" for i in range(300)]
        lines = text(forest([edge("a", "b")], strangers)).splitlines()
        (line,) = [x for x in lines if "model000.pt" in x]
        shown_names = line.count(".pt")
        assert line.startswith("no kin found: model000.pt, ")
        assert line.endswith(f" and {300 - shown_names} more")
        assert not any("model299.pt" in x for x in lines)

    def test_a_name_longer_than_the_line_is_counted(self):
        assert "no kin found: 2\n" in text(forest([edge("a", "b")], [LONG, LONG + "2"]))

    def test_no_kin_at_all(self):
        assert text(forest(strangers=["a", "b"])).startswith(
            "No kin among 2 models.\n1 pair tested"
        )
        assert "tested" not in text(forest(strangers=["a"]))

    def test_the_largest_families_are_shown_and_the_others_counted(self):
        edges = [edge(f"{i}a", f"{i}b") for i in range(4)]
        answer = forest(edges, families=[(x.parent, x.child) for x in edges])
        lines = text(answer, most=3)
        assert "2a" in lines
        assert "3a" not in lines
        assert "and 1 smaller family; --most shows more" in lines
        assert "and 3 smaller families" in text(answer, most=1)

    def test_unread_weights_and_notes_are_told(self):
        answer = forest([edge("a", "b")], unread=["a"], notes=["orders were not looked for"])
        assert "weights of 1 model were not read: relations unknown" in text(answer)
        assert "orders were not looked for" in text(answer)

    def test_a_name_cannot_fake_a_line(self):
        lines = text(forest([edge("a\nfamily of 9", "b")], ["c\x1b[2J"]))
        assert "a\\nfamily of 9" in lines
        assert "\x1b" not in lines

    def test_layers_of_edges_as_a_table(self, kin):
        lines = shown(changes_text(kin.by_layer()), 80)
        assert max(map(len, lines.splitlines())) <= 80
        assert "base.safetensors -> half.safetensors" in lines
        assert "conv3.weight" in lines


class TestDot:
    def test_arrows_follow_directions(self):
        lines = dot_text(forest([edge("a", "b"), edge("b", "c", directed=False)])).splitlines()
        assert '  "a" -> "b" [label="fine-tuned"];' in lines
        (opened,) = [line for line in lines if '"b" -> "c"' in line]
        assert "dir=none, style=dashed" in opened

    def test_names_are_quoted_strings_whatever_is_in_them(self):
        name = 'a"];\n{b\\'
        dot = dot_text(forest([edge(name, "c")]))
        for line in dot.splitlines()[2:-1]:
            without_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "NAME", line)
            assert re.fullmatch(r"  NAME( -> NAME \[label=NAME\])?;", without_strings), line
        assert dot.count('"a\\"];\\\\n{b\\\\"') == 2
