"""docs/outputs.md is what the schema generates."""


def test_the_page_is_generated_from_the_schema(script):
    outputs = script("_outputs")
    assert outputs.PAGE.read_text("utf-8") == outputs.page(), "run python docs/_outputs.py"
