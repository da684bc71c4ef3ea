"""The dtypes that checkpoints name, as numpy knows them; a name is looked up, never interpreted."""

import numpy as np

_NATIVE = {"bool", "complex64", "complex128"}
_NATIVE |= {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_NATIVE |= {f"float{bits}" for bits in (16, 32, 64)}
_EXTENDED = {"bfloat16", "int4", "uint4", "float8_e4m3", "float8_e4m3fn", "float8_e4m3fnuz"}
_EXTENDED |= {
    "float4_e2m1fn",
    "float8_e4m3b11fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e3m4",
}


def numeric_dtype(name: str) -> np.dtype | None:
    """The dtype of that name, extended floats included; None if it holds no plain numbers."""
    if name in _EXTENDED:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name) if name in _NATIVE else None
