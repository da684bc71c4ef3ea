"""Every test runs with checked shapes and types, strict promotion, and warnings as errors."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A console takes its width from here once and for all; parallel workers have it set.
os.environ.pop("COLUMNS", None)

from jaxtyping import install_import_hook

with install_import_hook("jfilters", "beartype.beartype"):
    import jfilters  # noqa: F401

import hypothesis
import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile(
    "default", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=50
)
hypothesis.settings.load_profile("default")
