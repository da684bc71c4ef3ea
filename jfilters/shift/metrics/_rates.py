"""How the values of metrics between two samples of one distribution of n and m kernels fall."""

SAMPLING = "positive; falls as 1/n + 1/m"
ROOT_SAMPLING = "positive; falls as sqrt(1/n + 1/m)"
