"""The outcomes of rules as JUnit XML, which CI systems show: a test case for every rule and model."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from ..errors import printable
from ..questions import Break, Outcome


def junit_xml(outcomes: Sequence[Outcome], name: str) -> bytes:
    """The document, a test suite called `name`; the same for the same outcomes, without times.

    A model that breaks a rule is a failed case, with a line a layer; a rule that is about nothing is one
    skipped case. A model that was read in part says so in the output of its cases.
    """
    root = ET.Element("testsuites")
    cases = [case for outcome in outcomes for case in _cases(outcome)]
    failed = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    numbers = {"tests": len(cases), "failures": failed, "errors": 0, "skipped": skipped}
    attributes = {key: str(value) for key, value in numbers.items()}
    suite = ET.SubElement(root, "testsuite", {"name": printable(name), **attributes})
    suite.extend(cases)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _cases(outcome: Outcome) -> list[ET.Element]:
    if not outcome.models:
        case = _case(outcome, "every model")
        ET.SubElement(case, "skipped", {"message": "about nothing in this scan"})
        return [case]
    broken: dict[str, list[Break]] = {}
    for violation in outcome.broken:
        broken.setdefault(violation.model, []).append(violation)
    return [_judged(outcome, model, broken.get(model, [])) for model in outcome.models]


def _judged(outcome: Outcome, model: str, broken: list[Break]) -> ET.Element:
    case = _case(outcome, model)
    if broken:
        required = printable(f"required: {outcome.rule.requirement}")
        failure = ET.SubElement(case, "failure", {"message": required})
        failure.text = "\n".join(
            printable(": ".join(filter(None, (violation.layer, violation.reason))))
            for violation in broken
        )
    if model in outcome.partial:
        ET.SubElement(case, "system-out").text = printable(outcome.partial[model])
    return case


def _case(outcome: Outcome, model: str) -> ET.Element:
    attributes = {"classname": printable(outcome.rule.name), "name": printable(model)}
    return ET.Element("testcase", attributes)
