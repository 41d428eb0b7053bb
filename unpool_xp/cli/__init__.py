"""The commands, a file for those that belong together; `unpool_xp.cli.main` puts them together."""
