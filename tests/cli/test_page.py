"""`--open`: the browser where there is one, else the path to open elsewhere."""

import webbrowser

import pytest
from jfilters_cli._page import open_page

NAMES = ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "DISPLAY", "WAYLAND_DISPLAY")


@pytest.fixture
def opened(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    return urls


def test_with_a_display_the_page_opens(monkeypatch, opened, tmp_path, capsys):
    monkeypatch.setenv("DISPLAY", ":0")
    open_page(tmp_path / "report.html")
    assert opened == [(tmp_path / "report.html").as_uri()]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("over_ssh", [True, False])
def test_over_ssh_or_without_display_the_path_is_printed(
    monkeypatch, opened, tmp_path, capsys, over_ssh
):
    monkeypatch.setattr("sys.platform", "linux")
    if over_ssh:
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 22")
    open_page(tmp_path / "report.html")
    assert opened == []
    assert str(tmp_path / "report.html") in capsys.readouterr().err


def test_a_browser_that_does_not_start_is_no_failure(monkeypatch, opened, tmp_path, capsys):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    open_page(tmp_path / "report.html")
    assert str(tmp_path / "report.html") in capsys.readouterr().err
