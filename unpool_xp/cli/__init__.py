"""The command `unpool-xp`: a module per command, and what they share.

Imports everything; nothing imports it.
"""
