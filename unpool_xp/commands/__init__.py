"""The commands, a file for those that belong together; `unpool_xp.cli` puts them together."""
