"""An assertion for the tests of others: an operation's results are those of its reference."""

from __future__ import annotations

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import MismatchError
from unpool_xp.bench.cases.inputs import OperationError
from unpool_xp.bench.cases.operation import Operation
from unpool_xp.bench.measure.session import Session


def assert_matches_reference(operation: Operation | Case, backend: Backend) -> None:
    """Assert that an operation gives on a backend what its reference gives.

    It is the check that comes before each time of the suite, with the same inputs and tolerances.
    A test is skipped, with the reason, where the operation or the library does not support it: lazy
    arrays and ``lazy=False``, or a dtype that the library lacks.

    Parameters
    ----------
    operation : Operation or Case
        An operation, of which a case of each of its `shapes` is checked, or one case.
    backend : Backend
        Where it runs, eagerly; in tests the fixture ``xp_backend``.

    Raises
    ------
    AssertionError
        If a dtype, a shape or an element differs; the message says where and by how much.
    OperationError
        If the operation has no shapes, or its inputs or its reference are wrong.
    TypeError
        If it is neither an operation nor a case.
    Exception
        Whatever the function raises, with a note on the case and the backend.

    See Also
    --------
    unpool_xp.bench.asv_suite : Benchmarks of the same operations.

    Examples
    --------
    >>> import numpy as np
    >>> from unpool_xp import backends
    >>> from unpool_xp.bench import Operation, assert_matches_reference
    >>> scaled = Operation(name="scaled", function=lambda x: 2 * x, shapes=[(2, 3, 8, 8)])
    >>> assert_matches_reference(scaled, backends.load("numpy"))
    """
    __tracebackhide__ = True
    if not isinstance(operation, Operation | Case):
        raise TypeError(f"operation={operation!r} must be an Operation or a Case")
    cases = [operation] if isinstance(operation, Case) else operation.cases()
    if not cases:
        raise OperationError(f"operation={operation.name} has no shapes; give it some, or a Case")
    for case in cases:
        session = Session(backend, case)
        if session.prepare():
            continue
        what = f"{case.definition.title} on {backend.label}, {case.name}"
        if session.unsupported:
            import pytest

            pytest.skip(f"{what}: {session.measured.error}")
        if isinstance(session.raised, MismatchError):
            raise AssertionError(f"{what}: {session.raised}") from None
        assert session.raised is not None
        session.raised.add_note(what)
        raise session.raised
