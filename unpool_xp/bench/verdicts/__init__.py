"""What rows say: intervals, rankings, crossovers, and comparisons of two sets of rows.

Imports `rows` and `cases`.
"""
