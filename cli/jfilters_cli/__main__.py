"""`python -m jfilters_cli` is `jfilters`."""

from . import run

run()
