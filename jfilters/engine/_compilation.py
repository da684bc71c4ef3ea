"""The start of the compiler: JAX's persistent cache, so that a second scan does not compile again."""

import os
import threading
from pathlib import Path


def keep_compiled() -> None:
    """Turn on JAX's persistent compilation cache in the user's cache folder.

    Programs that took more than 0.02 s to compile stay on the disk, for every later process. For commands,
    not for libraries: it configures the whole process. It does nothing where the user has set a cache, or
    where the folder cannot be made.
    """
    import jax

    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "jfilters" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)


def start_compiler() -> None:
    """Import JAX and the passes in a thread, with the compilation cache on.

    The import takes a second, in which the caller lists checkpoints and opens the first ones. Who needs the
    passes earlier waits for the import, as for any module. For commands, not for libraries.
    """
    threading.Thread(target=_import_passes, name="compiler", daemon=True).start()


def _import_passes() -> None:
    keep_compiled()
    from . import _stream as _stream
