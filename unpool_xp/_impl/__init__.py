"""One file per operation: from the inputs, the plan and the array helpers to the result.

Imports `_array` and `_plan`.
"""
