"""The networks are trained by optax, which does not promise strict promotion."""

import jax
import pytest


@pytest.fixture(autouse=True)
def promotion_as_usual():
    """Dtypes are promoted as they are when the study is run."""
    with jax.numpy_dtype_promotion("standard"):
        yield
