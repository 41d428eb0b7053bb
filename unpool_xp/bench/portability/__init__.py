"""The command `tax`: what portability costs over the library's own functions.

Imports `verdicts`, `measure`, `rows`, `catalog` and `cases`.
"""
