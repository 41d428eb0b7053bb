"""What the machine leaves to a measurement: ceilings, limits of its container, other programs.

Imports `backends`, `rows` and the timer of `measure`.
"""
