"""Mutation testing of the planning functions: ``python -m tests.mutation`` (see __main__.py)."""
