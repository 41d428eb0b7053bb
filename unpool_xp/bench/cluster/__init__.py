"""`sweep --scheduler`: the sweep over the machines of a Dask cluster.

Imports `measure`, `rows` and `cases`.
"""
