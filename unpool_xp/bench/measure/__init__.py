"""How a time is taken: one process per backend, checked first, in interleaved rounds.

Imports `cases`, `rows`, `backends` and `capabilities`.
"""
