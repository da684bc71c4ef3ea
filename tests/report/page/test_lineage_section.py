"""The forest on the page: rows of trees, and a sentence where there is none."""

import json

import pytest

from jfilters.report import page_html
from jfilters.report.page import _lineage, page_data
from jfilters.report.page._lineage import lineage_section
from jfilters.report.page._view import View
from jfilters.scans import open_scan
from tests.report.kin import KIN, chain, edge, forest, kin_scan
from tests.scans.scans import made_scan
from tests.scans.test_golden import GOLDEN


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return open_scan(kin_scan(tmp_path_factory.mktemp("kin")))


def shown(answer, monkeypatch, tmp_path):
    """The section of a page whose scan has this forest."""
    monkeypatch.setattr(_lineage, "shown_forest", lambda _: (answer, "By hand."))
    return lineage_section(View(made_scan(tmp_path, {"a": 1, "b": 1})))


def test_families_relations_directions_and_evidence(scan):
    section = page_data(scan)["lineage"]
    (family,) = section["families"]
    assert family["title"].startswith("Family of 6, weakest link: cosine 0.")
    rows = {row[1]: row for row in family["rows"]}
    assert set(rows) == {f"{name}.safetensors" for name in KIN}
    depth, _, sign, words, numbers = rows["half.safetensors"]
    assert (depth, sign, words) == (1, "", "re-saved from base.safetensors")
    assert numbers.startswith("cosine 1.000; ")
    assert "float16" in numbers
    assert rows["pruned.safetensors"][3] == "pruned from base.safetensors"
    assert rows["average.safetensors"][3].startswith("averaged from ")
    assert "21 pairs tested; kin from z = 3.3 on" in section["text"]
    assert section["text"].endswith("Relations are from the weights of kin.")
    assert section["strangers"] == {"text": "No kin found for stranger.safetensors.", "names": []}


def test_it_is_the_second_section_of_the_page(scan, light_bundle):
    text = page_html(scan)
    assert text.index('id="overview"') < text.index('id="lineage"') < text.index('id="models"')
    assert '"text":"1 family with 6 of 7 models.' in text.replace('": "', '":"')


def test_an_open_direction_says_so(monkeypatch, tmp_path):
    edges = [
        edge("a", "b"),
        edge("b", "c", directed=False),
        edge("c", "d", "common ancestor", directed=False),
    ]
    section = shown(forest(edges), monkeypatch, tmp_path)
    signs = {row[1]: (row[2], row[3]) for row in section["families"][0]["rows"]}
    assert signs["a"] == ("", "")
    assert signs["b"] == ("", "fine-tuned from a")
    assert signs["c"][0] == "?"
    assert signs["c"][1].endswith("; direction: cannot tell")
    assert signs["d"] == ("~", "common ancestor, which may be the initialization")
    assert section["notes"][:2] == [
        "~: neither was made from the other.",
        "?: nothing shows which of both was first.",
    ]


def test_long_names_of_parents_are_not_said_again(monkeypatch, tmp_path):
    section = shown(forest([edge("x" * 99, "b")]), monkeypatch, tmp_path)
    assert section["families"][0]["rows"][1][3] == "fine-tuned from the one above"


def test_large_families_are_folded_and_stay_small(monkeypatch, tmp_path):
    section = shown(chain(300), monkeypatch, tmp_path)
    (family,) = section["families"]
    assert not family["open"]
    assert len(family["rows"]) >= 300
    assert len(json.dumps(section)) < 100_000


def test_families_are_open_as_long_as_there_is_room(monkeypatch, tmp_path):
    edges = [edge(f"{i}a", f"{i}b") for i in range(40)]
    answer = forest(edges, families=[(x.parent, x.child) for x in edges])
    section = shown(answer, monkeypatch, tmp_path)
    assert [family["open"] for family in section["families"]] == [True] * 30 + [False] * 10


def test_many_models_without_kin_are_counted_and_behind_a_click(monkeypatch, tmp_path):
    names = [f"m{i}" for i in range(20)]
    strangers = shown(forest([edge("a", "b")], names), monkeypatch, tmp_path)["strangers"]
    assert strangers["text"] == "No kin found for m0, m1, m2, m3, m4, m5, m6, m7 and 12 more."
    assert strangers["names"] == names


def test_no_kin_is_one_sentence_and_its_limit(monkeypatch, tmp_path):
    section = shown(forest(strangers=["a", "b"]), monkeypatch, tmp_path)
    assert section["text"].startswith("No kin among 2 models. 1 pair tested")
    assert section["families"] == []
    assert section["strangers"] is None
    assert section["notes"] == ["Kin with a cosine of 0.120 or more would have been found."]


def test_one_model_has_no_lineage(tmp_path):
    assert lineage_section(View(made_scan(tmp_path, {"a": 2}))) is None


def test_a_scan_of_an_earlier_version_says_why():
    section = lineage_section(View(open_scan(GOLDEN / "scan")))
    assert section["families"] == []
    assert "has no sketches of its layers" in section["text"]
    assert section["text"].endswith("scan the checkpoints again.")
