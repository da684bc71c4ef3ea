import pytest
import vl_convert


@pytest.fixture
def light_bundle(monkeypatch):
    """A page without the libraries, which take seconds to bundle."""
    monkeypatch.setattr(
        vl_convert, "javascript_bundle", lambda snippet: f"/* libraries */ {snippet}"
    )
