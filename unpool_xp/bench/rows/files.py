"""Files of rows: appended to line by line, and read back."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from unpool_xp.bench.cases.formatting import printable
from unpool_xp.bench.rows.schema import Key, Row, case_key, parse_row, row_of

_MOST_BYTES = 2**30  # of a file that is unpacked: a small one can hold any number of them
_CHUNK = 2**14
_GZIP = b"\x1f\x8b\x08"
# By what a file begins with, the longer first; the shell of Windows redirects into UTF-16.
_ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Problem:
    """A line that could not be read, or is doubtful, and what is wrong with it."""

    path: Path
    line: int  # from 1
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path}:{self.line}: {self.reason}")


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
            If it is not a row of this schema; the message names the field. Nothing is written.
        OSError
            If the disk is full, or the like. The rows before it are whole, and it is not there.
        """
        try:
            fields = msgspec.to_builtins(row_of(msgspec.to_builtins(row)))
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
    """Read rows from files, and from all ``*.jsonl`` and ``*.jsonl.gz`` in folders.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, or folders, which are searched to the bottom.

    Returns
    -------
    ReadResult
        The rows, in the order of the files, and a problem for each line that is not a row.

    Raises
    ------
    FileNotFoundError
        If a path is not there; the message names it.
    TypeError
        If `paths` is one path instead of several.
    """
    return read_files(paths, is_row_file, rows_of_lines)


def read_files(
    paths: Iterable[str | Path],
    is_wanted: Callable[[str], bool],
    read: Callable[[Path, bytes], Iterable[Row | Problem]],
) -> ReadResult:
    """Read files, and those of all folders that have a wanted name, each of them once."""
    if isinstance(paths, str | Path):
        raise TypeError(f"paths={str(paths)!r} must be a list of paths, not one")
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
        files += sorted(files_below(path, is_wanted)) if path.is_dir() else [path]
    result = ReadResult([], [])
    for file in {os.path.realpath(file): file for file in files}.values():
        for found in _read_file(file, read):
            if isinstance(found, Row):
                result.rows.append(found)
            else:
                result.problems.append(found)
    return result


def is_row_file(name: str) -> bool:
    """Return whether a file of that name, ``.gz`` left out, holds rows."""
    return name.endswith(".jsonl")


def files_below(folder: Path, is_wanted: Callable[[str], bool] = is_row_file) -> Iterator[Path]:
    """Yield the files in a folder, to the bottom, whose names are wanted, gzipped or not."""
    for path in folder.rglob("*"):
        if is_wanted(path.name.removesuffix(".gz")) and path.is_file():
            yield path


def run_files(folder: Path) -> list[Path]:
    """Return the files of runs in a folder of machines' folders, by machine and time."""
    return sorted(path for path in files_below(folder) if path.parent.parent == folder)


def run_of(path: Path) -> str:
    """Return the name of the run whose rows a file holds."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _read_file(
    path: Path, read: Callable[[Path, bytes], Iterable[Row | Problem]]
) -> Iterator[Row | Problem]:
    """Yield what a file holds, whatever it is packed and encoded in."""
    try:
        data, damage = plain_bytes(path.read_bytes())
        yield from read(path, data)
        if damage:
            yield Problem(path, data.count(b"\n") + 1, damage)
    except OSError as error:
        yield Problem(path, 1, f"cannot be read: {error.strerror or error}")
    except ValueError as error:
        yield Problem(path, 1, str(error))


def plain_bytes(data: bytes) -> tuple[bytes, str | None]:
    """Return data unpacked and in UTF-8, and what is wrong with it if it is not whole."""
    data, damage = _unpacked(data)
    for mark, encoding in _ENCODINGS.items():
        if data.startswith(mark):
            # What is not in that encoding is replaced, so that it costs its own line alone.
            text = data.decode(encoding, "replace")
            if text.lstrip().startswith(("{", "[")):
                return text.encode("utf-8", "replace"), damage
    return data, damage


def _unpacked(data: bytes) -> tuple[bytes, str | None]:
    """Return data as it was before gzip, as far as it can be read, and what is wrong with it.

    What follows the last gzip stream, or is none, is returned as it is.
    """
    plain, source = bytearray(), io.BytesIO(data)
    while data.startswith(_GZIP, at := source.tell()):
        stream = zlib.decompressobj(31)
        while not stream.eof:
            chunk = source.read(_CHUNK)
            if not chunk:
                return bytes(plain), "gzip: cut off, the rest is lost"
            try:
                plain += stream.decompress(chunk, _MOST_BYTES + 1 - len(plain))
            except zlib.error as error:
                damage = f"gzip: damaged, the rest is lost: {error}"
                return (bytes(plain), damage) if plain else (data[at:], None)
            if len(plain) > _MOST_BYTES:
                raise ValueError(f"gzip: unpacks to more than {_MOST_BYTES} bytes")
        source.seek(-len(stream.unused_data.lstrip(b"\0")), io.SEEK_CUR)
    return bytes(plain) + source.read(), None


def rows_of_lines(path: Path, data: bytes) -> Iterator[Row | Problem]:
    """Yield the row of each line, or why it is none, and where the clock was set back."""
    before: dict[Key, tuple[int, str]] = {}
    # Bytes, not text: a line that is not UTF-8 must not take the others with it.
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_row(line)
        except ValueError as error:
            yield Problem(path, number, str(error))
            continue
        yield row
        key = (row.run, row.machine, case_key(row))
        earlier, time = before.get(key, (0, ""))
        if row.time < time:
            reason = (
                f"is of {row.time}, before line {earlier}, which measured the same and is of "
                f"{time}: the clock was wrong; the later line counts"
            )
            yield Problem(path, number, reason)
        before[key] = (number, row.time)


def read_json(data: bytes) -> Any:
    """Load JSON, whatever it is packed and encoded in; raise a ValueError if it is invalid."""
    plain, damage = plain_bytes(data)
    if damage:
        raise ValueError(damage)
    try:
        # JSON can spell half a character ("\\ud800"), which nothing can be written with.
        text = json.dumps(json.loads(plain), ensure_ascii=False)
        return json.loads(text.encode("utf-8", "replace"))
    except RecursionError as error:
        raise ValueError(str(error)) from error
