"""What the scan of the study's networks says: tables, figures' data and the text, each number from a file.

`python -m study.findings SCAN --population DIR --out results/study` writes all of it.
"""
