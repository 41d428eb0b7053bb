"""Sizes and offsets, in plain ints and NumPy arrays: what an operation does, before it does it.

Imports no other folder of the package, and no other array library.
"""
