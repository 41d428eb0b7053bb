"""What is measured: a case, what describes an operation, inputs and expected results.

Imports `backends` and `capabilities`; knows no operation by name.
"""
