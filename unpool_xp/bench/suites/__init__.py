"""What the suites of others are made of: benchmarks for asv, an assertion for tests.

Imports `measure`, `cases` and `backends`.
"""
