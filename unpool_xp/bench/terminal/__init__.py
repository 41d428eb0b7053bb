"""What the commands print: tables, rankings and verdicts.

Imports everything of `bench` but `report` and `worker`.
"""
