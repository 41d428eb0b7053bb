"""The benchmark suite: what is measured, how, what the samples say, and how it is shown.

Imports the library, `backends`, `reference`, `capabilities` and `gallery`; only `cli` imports it.
"""
