"""The command `gate`: two commits built, measured in turns and compared.

Imports `verdicts`, `measure`, `rows` and `cases`.
"""
