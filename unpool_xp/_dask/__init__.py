"""The operations on Dask arrays: the same, chunk by chunk.

Imports `_impl`, `_array` and `_plan`; is imported by the operations alone.
"""
