"""Rates at which metrics fall for two samples of n and m kernels of one distribution."""

SAMPLING = "positive; falls as 1/n + 1/m"
ROOT_SAMPLING = "positive; falls as sqrt(1/n + 1/m)"
