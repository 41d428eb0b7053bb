"""What makes up for the functions that a library lacks of the standard.

Imports nothing of ours; `_array` imports it. None of it is used for a library with a name in
`_array.compat`.
"""
