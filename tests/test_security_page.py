"""The promises of docs/security.md are tied to tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROMISED = re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8"))
DEFINED = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("name", sorted(set(PROMISED)))
def test_the_promise_has_its_test(name):
    assert name in DEFINED
