"""Files of rows on a disk that is full."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import make_row
from unpool_xp.bench.rows.files import RowWriter, read_rows


def test_a_full_disk_takes_back_what_was_written_of_a_row(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "run.jsonl"
    with RowWriter(path) as writer:
        writer.write(make_row())
        good = path.read_bytes()
        file, left = writer._file, [100]

        class Full:
            """A file with room for 100 bytes."""

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def write(self, data: bytes) -> int:
                if not left[0]:
                    raise OSError(errno.ENOSPC, "No space left on device")
                part, left[0] = data[: left[0]], 0
                return file.write(part)

        monkeypatch.setattr(writer, "_file", Full())
        with pytest.raises(OSError, match="No space left"):
            writer.write(make_row(backend="dask"))
        assert path.read_bytes() == good
        left[0] = 10**6
        writer.write(make_row(backend="dask"))
    assert [row.backend for row in read_rows([path]).rows] == ["numpy", "dask"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_the_device_that_is_always_full_is_an_error_of_one_line() -> None:
    with RowWriter("/dev/full") as writer, pytest.raises(OSError, match="No space left"):
        writer.write(make_row())
