"""The command `unpool-xp`: how it starts and ends, and what its commands share.

Imports everything; nothing imports it.
"""
