"""A plug-in of pytest: the fixture `xp_backend`, a test for each array library.

pytest loads it in every run where this package is installed, so it imports nothing until used.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unpool_xp.backends import Backend

_FIXTURE = "xp_backend"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses libraries."""
    parser.getgroup("unpool_xp", "array libraries").addoption(
        "--xp-backend",
        metavar="LABEL",
        action="append",
        default=[],
        help="run tests with the fixture xp_backend on this one, such as torch:cpu; it must load "
        "here, and may be given several times. Default: all that do",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the chosen libraries: a missing one is reported at once."""
    for label in config.option.xp_backend:
        try:
            _load(label)
        except (ValueError, ImportError) as error:
            raise pytest.UsageError(f"--xp-backend {label}: {error}") from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each backend that is chosen, or known."""
    if _FIXTURE not in metafunc.fixturenames:
        return
    marks = metafunc.definition.iter_markers("parametrize")
    names = str([mark.args[:1] or mark.kwargs.get("argnames") for mark in marks])
    if _FIXTURE not in re.findall(r"\w+", names):  # a test may name its own
        from unpool_xp import backends

        labels = metafunc.config.option.xp_backend or backends.known()
        metafunc.parametrize(_FIXTURE, labels, indirect=True)


@pytest.fixture
def xp_backend(request: pytest.FixtureRequest) -> Backend:
    """Every array library that loads here; what is missing is skipped with the reason.

    Returns
    -------
    Backend
        With ``xp``, its array API namespace, ``asarray`` and ``to_numpy``.
    """
    try:
        return _load(request.param)
    except ImportError as error:
        pytest.skip(str(error))


def _load(label: str) -> Backend:
    from unpool_xp import backends

    with warnings.catch_warnings():
        # What a library warns of where it is imported is not a failure of a test.
        warnings.simplefilter("ignore")
        return backends.load(label)
