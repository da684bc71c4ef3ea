"""docs/outputs.md is what the schema generates."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_generated_from_the_schema():
    spec = importlib.util.spec_from_file_location("_outputs", ROOT / "docs/_outputs.py")
    assert spec is not None
    assert spec.loader is not None
    outputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(outputs)
    assert outputs.PAGE.read_text("utf-8") == outputs.page(), "run python docs/_outputs.py"
