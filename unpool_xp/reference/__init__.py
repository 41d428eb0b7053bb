"""The reference: every operation as a slow and simple loop over NumPy arrays.

Imports nothing of the package.
"""
