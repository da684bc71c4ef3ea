"""Outcomes of rules as text of 80 columns and as JUnit XML."""

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from jfilters.questions import Break, Outcome
from jfilters.questions.internal import Rule
from jfilters.report import check_text, junit_xml


def broken(model, layer=None, because="does not hold: x = 1"):
    return Break(model, layer, because, {"x": 1})


@pytest.fixture
def outcomes():
    layers = Rule("dead layers", require="x < 1 & y")
    drift = Rule("close", reference=None, most_drift=0.1)
    return [
        Outcome(layers, ("a", "b"), 40, (*(broken("a", f"conv{i}") for i in range(30)),)),
        Outcome(Rule("sound", table="models", require="x > 0"), ("a", "b"), 2, ()),
        Outcome(drift, ("a", "b"), 2, (broken("b\x1b[31m\n<evil>", because="drift 2 from a"),)),
        Outcome(Rule("nothing", require="x > 0"), (), 0, ()),
    ]


def text(outcomes, width=80):
    file = io.StringIO()
    Console(file=file, width=width).print(check_text(outcomes), highlight=False)
    return file.getvalue()


class TestText:
    def test_a_line_a_rule_and_what_broke_it(self, outcomes):
        lines = text(outcomes).splitlines()
        assert lines[0] == "broken  dead layers: 30 of 40 layers"
        assert lines[1] == "  a conv0: does not hold: x = 1"
        assert lines[21] == "  and 10 more"
        assert lines[22] == "holds   sound: 2 models"
        assert lines[23] == "broken  close: 1 of 2 models"
        assert lines[25] == "empty   nothing: about nothing in this scan"
        assert lines[26] == "2 of 4 rules hold"

    def test_it_fits_and_names_cannot_fake_lines(self, outcomes):
        lines = text(outcomes).splitlines()
        assert max(map(len, lines)) <= 80
        assert r"  b\x1b[31m\n<evil>: drift 2 from a" in lines


class TestJUnit:
    def test_a_case_for_every_rule_and_model(self, outcomes):
        suite = ET.fromstring(junit_xml(outcomes, "rules.toml")).find("testsuite")
        assert suite.attrib == {
            "name": "rules.toml",
            "tests": "7",
            "failures": "1",
            "errors": "0",
            "skipped": "1",
        }
        cases = [(case.get("classname"), case.get("name")) for case in suite]
        assert cases[:3] == [("dead layers", "a"), ("dead layers", "b"), ("sound", "a")]
        assert cases[-1] == ("nothing", "every model")

    def test_a_failure_has_a_line_a_layer_and_what_was_required(self, outcomes):
        failure = ET.fromstring(junit_xml(outcomes, "r")).find(".//failure")
        assert failure.get("message") == "required: x < 1 & y"
        assert failure.text.splitlines()[:2] == [
            "conv0: does not hold: x = 1",
            "conv1: does not hold: x = 1",
        ]

    def test_the_same_outcomes_make_the_same_bytes(self, outcomes):
        assert junit_xml(outcomes, "r") == junit_xml(outcomes, "r")

    def test_names_that_xml_cannot_hold_are_escaped(self, outcomes):
        outcome = Outcome(Rule("\x00", require="x"), ("a\x1b\udcff",), 1, (broken("a\x1b\udcff"),))
        case = ET.fromstring(junit_xml([outcome], "\x08")).find(".//testcase")
        assert (case.get("classname"), case.get("name")) == (r"\x00", r"a\x1b\udcff")
