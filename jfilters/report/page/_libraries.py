"""The chart libraries as one script, kept in the user's cache folder: bundling them takes two seconds."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from ..._files import write_text

_EXPORTS = "window.vegaEmbed = vegaEmbed; window.vega = vega;"

_NO_CACHE = (OSError, UnicodeDecodeError, RuntimeError)  # the last one: a user without a home


def chart_libraries() -> str:
    """Return Vega and its embedding as one script, which sets `window.vega` and `window.vegaEmbed`.

    From the user's cache folder, if this version of vl-convert has made it before. A folder that cannot be
    read or written is left alone.
    """
    import vl_convert

    version = vl_convert.__version__  # pyright: ignore[reportAttributeAccessIssue]: not in its stub
    made_from = f"{version} {_EXPORTS}"
    with suppress(*_NO_CACHE):
        return _cached(made_from).read_text(encoding="utf-8")
    script = vl_convert.javascript_bundle(_EXPORTS)
    with suppress(*_NO_CACHE):
        file = _cached(made_from)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, script)
    return script


def _cached(made_from: str) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "jfilters" / f"charts-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}.js"
