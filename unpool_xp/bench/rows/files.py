"""Files of rows: appended to line by line, and read back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from unpool_xp.bench.rows.schema import Row, parse_row, row_of


@dataclass(frozen=True)
class Problem:
    """A line that could not be read, and what is wrong with it."""

    path: Path
    line: int  # from 1
    reason: str


@dataclass(frozen=True)
class ReadResult:
    """What files hold: the rows that could be read, and what could not."""

    rows: list[Row]
    problems: list[Problem]


class RowWriter:
    """Append rows to a file; each is on disk before the next is measured.

    Parameters
    ----------
    path : str or Path
        The file; it and its folders are made. What it holds stays, and so does a torn last line:
        the next row starts on a line of its own.

    Examples
    --------
    >>> from unpool_xp.bench.rows.files import RowWriter, read_rows
    >>> def copy(source, target):
    ...     with RowWriter(target) as writer:
    ...         for row in read_rows([source]).rows:
    ...             writer.write(row)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # No buffer: what could not be written must not be tried again on closing.
        self._file = self.path.open("a+b", buffering=0)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, row: Row) -> None:
        """Append a row.

        Parameters
        ----------
        row : Row
            The measurement.

        Raises
        ------
        ValueError
            If it is no row of this schema; the message names the field. Nothing is written.
        OSError
            If the disk is full, or the like. The rows before it are whole, and it is not there.
        """
        fields = msgspec.structs.asdict(row)
        try:
            row_of(fields)
        except ValueError as error:
            raise ValueError(f"RowWriter.write: row {error}") from error
        # Text can hold half a character ("\\ud800"), which no file can be written with.
        line = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        size = self._file.seek(0, os.SEEK_END)
        try:
            data = line if self._ends_with_newline(size) else b"\n" + line
            while data:  # a disk that is nearly full takes a part
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # what is wrong is said once
                self._file.truncate(size)  # needs no room, unlike the rest of a row
            raise

    def _ends_with_newline(self, size: int) -> bool:
        if size == 0:
            return True
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) == b"\n"


def read_rows(paths: Iterable[str | Path]) -> ReadResult:
    """Read rows from files, and from all ``*.jsonl`` in folders.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, or folders, which are searched to the bottom.

    Returns
    -------
    ReadResult
        The rows, in the order of the files, and a problem for each line that is no row.

    Raises
    ------
    FileNotFoundError
        If a path is not there; the message names it.
    TypeError
        If `paths` is one path instead of several.
    """
    return read_files("read_rows", paths, lambda path: path.suffix == ".jsonl", read_lines)


def read_files(
    caller: str,
    paths: Iterable[str | Path],
    is_wanted: Callable[[Path], bool],
    read: Callable[[Path], Iterable[Row | Problem]],
) -> ReadResult:
    """Read files, and the wanted ones of all folders, each of them once."""
    if isinstance(paths, str | Path):
        raise TypeError(f"{caller}: paths={str(paths)!r} must be a list of paths, not one")
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{caller}: there is no file or folder {str(path)!r}")
        files += sorted(filter(is_wanted, path.rglob("*"))) if path.is_dir() else [path]
    result = ReadResult([], [])
    for file in dict.fromkeys(file.resolve() for file in files):
        for found in read(file):
            if isinstance(found, Row):
                result.rows.append(found)
            else:
                result.problems.append(found)
    return result


def read_lines(path: Path) -> Iterator[Row | Problem]:
    """Yield the row of each line of a file, or why it is none."""
    # Bytes, not text: a line that is not UTF-8 must not take the others with it.
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if line.strip():
            try:
                yield parse_row(line)
            except ValueError as error:
                yield Problem(path, number, str(error))
