"""Findings from the scan of the study's networks: tables, data of figures, and the text.

`python -m study.findings SCAN --population DIR --out results/study` writes all of it.
"""
