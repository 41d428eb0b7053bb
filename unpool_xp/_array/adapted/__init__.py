"""What makes up for the functions that a library lacks of the standard.

Imports `_array.compat` alone; the rest of `_array` imports it. None of it is used for a library
with a name there.
"""
