"""How a command ends: the exit codes, and which of them an exception becomes."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

# Of a write, which does not name its file.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


class ExitCode(enum.IntEnum):
    """What a command's end says to a script; the same for every command."""

    DONE = 0
    DIFFERS = 1  # the answer is "slower" or "mismatch", and nothing else is 1
    CANNOT_TELL = 2  # or wrong use
    FAULT = 3  # an output could not be written, or a fault of ours
    INTERRUPTED = 130  # as a shell has it: 128 and the number of the signal
    CLOSED_PIPE = 141
    TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM or a closed terminal as an exception: all that Ctrl-C does is done on it."""


@contextlib.contextmanager
def termination_raises() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, and where the terminal is closed.

    Not if the parent of this process ignores it, as nohup does.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # where Python forbids it
        yield
        return
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {
        number: signal.signal(number, stop)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def flush_streams() -> None:
    """Write what is still in memory; raise an OSError where that fails."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def drop_unwritten() -> None:
    """Drop what cannot be written, which Python would try again at its exit, and end with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


@contextlib.contextmanager
def broken_libraries_named() -> Iterator[None]:
    """Make an ImportError of whatever a library raises while it is imported."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        if Path(last).is_relative_to(Path(__file__).parents[1]):  # ours
            raise
        raise ImportError(f"{type(error).__name__}: {error}") from error


def explain(error: BaseException) -> ExitCode:
    """Say on standard error why a command has ended, where it is no signal; return the code."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    # rich makes SystemExit of a closed pipe.
    if isinstance(error, BrokenPipeError | SystemExit) and any(
        isinstance(one, BrokenPipeError) for one in chain
    ):
        return ExitCode.CLOSED_PIPE
    if isinstance(error, KeyboardInterrupt):
        terminated = any(isinstance(one, Terminated) for one in chain)
        return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED
    if isinstance(error, ImportError) and not str(error.name).startswith("unpool_xp"):
        need = 'the commands need pip install "unpool-xp[bench]"'
        name = str(error.name).partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError)
        broken = f"a library that the commands need does not import: {error}"
        _print_error(f"unpool-xp: {f'{name} is not installed; {need}' if missing else broken}")
        return ExitCode.CANNOT_TELL
    if type(error).__name__ == "OperationError":  # whose module may not have been imported
        _print_error(f"error: {error}")
        return ExitCode.CANNOT_TELL
    if isinstance(error, OSError) and error.filename is not None:
        _print_error(f"error: cannot read or write {error.filename}: {error.strerror}")
        return ExitCode.FAULT
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        _print_error(f"error: cannot write: {error.strerror}")
        return ExitCode.FAULT
    _print_error("".join(traceback.format_exception(error)).rstrip())
    _print_error(
        "error: this is a fault of unpool-xp, not of your use of it; "
        "please report it with the lines above"
    )
    return ExitCode.FAULT


def _print_error(text: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # nowhere to say it
            print(text, file=sys.stderr, flush=True)
