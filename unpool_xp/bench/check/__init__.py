"""The command `check`: every operation, dtype and backend against the reference.

Imports the operations, `reference`, `backends`, `capabilities` and `measure`.
"""
