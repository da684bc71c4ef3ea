"""The study's population: small networks that anyone can train again, written through real frameworks.

`python -m study --config configs/study.toml --out DIR` trains every network of the design and writes
checkpoints, a table of what each of them is, and their hashes. It is no part of the installed package.
"""
