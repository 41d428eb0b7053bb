"""A folder in which JAX keeps what it has compiled, for the processes of one measurement."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}  # the default is a second


@contextlib.contextmanager
def shared_compilation() -> Iterator[None]:
    """Have the first process that is started compile, and those after it read what it has compiled.

    The folder is new, so a first call is one; where the environment names a folder, that is used.
    """
    if _FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="unpool-xp-", ignore_cleanup_errors=True) as folder:
        added = {_FOLDER: folder} | _ALL
        os.environ |= added
        try:
            yield
        finally:
            for name in added:
                os.environ.pop(name, None)
