"""Standard output and error: whatever they are, what is printed to them arrives."""

from __future__ import annotations

import codecs
import io
import os
import sys

# One character for one, so that columns stay in line.
_IN_ASCII = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.:-=+*#", strict=True)),  # bars
    **dict.fromkeys(map(chr, range(0x2800, 0x2900)), "*"),  # rich's spinner
    "µ": "u",
    "…": "~",
    "\N{NO-BREAK SPACE}": " ",
}
ERRORS = "unpool_xp.ascii"


def prepare_streams(*, ascii_only: bool = False) -> None:
    r"""Make standard output and error take every text.

    One that is not UTF-8, or any with `ascii_only`, gets ASCII: "us" for "µs", "#" for a bar, and
    escapes such as "\xe9" for what has no likeness. One that is closed becomes the null device, so
    that no file or pipe that is opened later gets its number, and with it what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Takes the lowest number that is free; for the workers, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):  # closed, or another program's
            continue
        if ascii_only or not codecs.lookup(stream.encoding).name.startswith("utf-8"):
            stream.reconfigure(encoding="ascii", errors=ERRORS)
        else:  # a name of a file may hold bytes that are no UTF-8
            stream.reconfigure(errors="backslashreplace")


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    known = (
        _IN_ASCII.get(letter) or letter.encode("ascii", "backslashreplace").decode("ascii")
        for letter in letters
    )
    return "".join(known), error.end


codecs.register_error(ERRORS, _in_ascii)
