"""The command `report`: rows as a page, as Markdown and as tables.

Imports `verdicts`, `rows`, `cases` and the gallery's scores.
"""
