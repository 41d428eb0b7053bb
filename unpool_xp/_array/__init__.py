"""What the array API standard lacks; the only place with a branch on a library.

Imports `_plan`.
"""
