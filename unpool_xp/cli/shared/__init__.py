"""What several commands share: how they stop and go on, and the options of a case.

Imports `cli.common` and the suite.
"""
