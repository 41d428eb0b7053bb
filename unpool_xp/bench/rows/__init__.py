"""What a measurement leaves: rows, the files that hold them, and where they come from.

Imports `cases`.
"""
