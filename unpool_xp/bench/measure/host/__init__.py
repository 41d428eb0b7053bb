"""What the machine leaves to a measurement: limits of its container, threads, other programs.

Imports `backends`, `rows` and the timer of `measure`.
"""
