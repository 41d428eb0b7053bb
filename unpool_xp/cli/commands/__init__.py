"""One module for each command of unpool-xp.

Imports everything; nothing but `unpool_xp.cli.main` imports it.
"""
