import pytest

from jfilters.report.page import _page


@pytest.fixture
def light_bundle(monkeypatch):
    """A page without the libraries, which take seconds to bundle; none of it reaches the user's cache."""
    monkeypatch.setattr(_page, "chart_libraries", lambda: "/* libraries */")
