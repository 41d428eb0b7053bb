"""What a terminal is given: in ASCII where it cannot show UTF-8, and nothing where it is closed."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from unpool_xp.cli.streams import prepare_streams

TEXT = "1.5 µs █ café \udc80"


@pytest.mark.parametrize(
    ("encoding", "ascii_only", "shown"),
    [
        ("utf-8", False, "1.5 µs █ café \\udc80"),
        ("utf-8", True, "1.5 us # caf\\xe9 \\udc80"),
        ("cp1252", False, "1.5 us # caf\\xe9 \\udc80"),
        ("latin-1", False, "1.5 us # caf\\xe9 \\udc80"),
        ("ascii", False, "1.5 us # caf\\xe9 \\udc80"),
    ],
)
def test_every_text_can_be_printed(
    monkeypatch: pytest.MonkeyPatch, encoding: str, ascii_only: bool, shown: str
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", None)  # closed
    prepare_streams(ascii_only=ascii_only)
    out.write(TEXT)
    out.flush()
    assert out.buffer.getvalue().decode() == shown  # type: ignore[attr-defined]


def test_a_closed_stream_s_number_is_given_to_no_file() -> None:
    code = (
        "import os, unpool_xp.cli.streams as s; s.prepare_streams(); "
        "print(os.open('/dev/null', os.O_RDONLY))"
    )
    command = f'exec {sys.executable} -c "{code}" <&- 2>&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
