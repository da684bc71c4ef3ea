"""Limits of sparse kernels; imports no compiler."""

EPSILON = 0.01
"""A kernel this small beside its layer's largest weight is sparse. Source: arXiv:2203.15331."""

EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""Values of eps for which a scan counts kernels, to show how far sparsity hangs on the choice."""
