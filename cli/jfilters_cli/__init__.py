"""The command line of jfilters; the console script `jfilters` runs `run`.

Nothing of jfilters, JAX or Arrow is imported at module level here: commands import inside their
bodies, so that `jfilters --help` answers at once.
"""

from ._app import main as main
from ._run import run as run
