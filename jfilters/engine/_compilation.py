"""JAX's persistent compilation cache: a second scan on a machine does not compile again."""

import os
from pathlib import Path

import jax


def keep_compiled() -> None:
    """Turn on JAX's persistent compilation cache in the user's cache folder.

    For commands, not for libraries: it configures the whole process. It does nothing where the user has set
    a cache, or where the folder cannot be made.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "jfilters" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
