"""Fuzz the files of rows: exit code 1 where a damaged file does what no file may do.

Each file is made of committed rows, damaged, and given to ``compare`` and, in part, to ``report``:
no traceback, no control character in what they write, and no exit code but 0 and 2, and 1 where
the samples in the file are slower or missing indeed.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import functools
import gzip
import json
import re
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

from tests.support.command import run
from tests.support.reports import without_charts
from unpool_xp.cli.exits import ExitCode

SWEEPS = Path(__file__).parents[2] / "results" / "sweeps"
PAGES, CHARTS = 0.1, 0.1  # the share of files with a page, and of the pages with charts: a second
NAMES = ("head.jsonl", "head.jsonl", "head.jsonl.gz", "head.json")
Fields = dict[str, Any]

# --- damage --------------------------------------------------------------------------------------

TEXTS = (
    *("\x1b[31mred\x1b[0m", "a\rb", "\a", "\x00", "a\nb", "\x9b1m", "\x7f", "\u2028"),
    *(
        "\u202egnp.exe",
        "\u2066x",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\udfff x",
        "e\u0301",
        "\U0001f389",
    ),
    *("", " ", "x" * 900, "x" * 5000, "é" * 999, "|", "a|b|c", "`", "[a](http://b)", "**b**"),
    *("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "<!--", "&amp;"),
    *(
        "{{ 7 * 7 }}",
        "{% raw %}",
        "$x^2$",
        "$\\frac$",
        "\\",
        "%s",
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
    ),
    *("@SUM(A1)", "\t=1", "../../etc", "/", "nan", "null", "float8", "bfloat16", "object", "O"),
    *("max_pool", "conv_transpose", "linear_unpool", "fractional_max_pool", "numpy", "jax:cuda"),
    *("mps", ":", "native", "compiled", "portable", "complex64", "int8", "float64", ">f4"),
)
NUMBERS = (
    *(0, -1, 1, 2, 3, 10**6, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**400, True),
    *(0.0, -0.0, 1e-320, 5e-324, 1e-15, 1e-300, 1e15, 1e16, 1e300, 1.7e308, -1e-9, 0.5, 1e-6),
    *(float("nan"), float("inf"), float("-inf"), "1", "", None, False),
)
TIMES = (
    *("yesterday", "", "2026-13-01T00:00:00+00:00", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z"),
    *("9999-12-31T23:59:59-23:59", "2026-01-01", "2026-01-01T00:00:00", "20260101T000000Z"),
    *("2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00+23:59", "1970-01-01T00:00:00+00:00"),
    *("2099-12-31T23:59:59+00:00", "2026-W01-1T00:00:00Z", "2026-01-01\x1b00:00:00+00:00", "now"),
    *("2026-01-01T24:00:00Z", "2026-01-01T00:00:00.123456789Z", "-2026-01-01T00:00:00Z"),
)
LISTS: tuple[Any, ...] = (
    *([], [0], [1], [0, 0], [1] * 64, [1] * 65, [2**40] * 4, [2**62], [1, 1, 2**20, 2**20], [-1]),
    *([1, 1, 0, 4], [1, 8, 4, 4], [1.5, 1.5], [2, 2], [1e300, 1e300], [3], [0.1, 0.1], [True], {}),
    *(
        [None],
        [2**31, 3],
        [2**40, 1],
        ["2"],
        [[1]],
        [1e-15],
        [1, 1, 10**6, 10**6],
        [0, 2],
        [2**31, 2**31],
        None,
    ),
)


def damage_text(fields: Fields, rng: Random) -> None:
    names = [name for name, value in fields.items() if isinstance(value, str)]
    fields[rng.choice([*names, "error", "check_scope", "commit"])] = rng.choice(TEXTS)


def damage_number(fields: Fields, rng: Random) -> None:
    names = [name for name, value in fields.items() if isinstance(value, int | float)]
    fields[rng.choice(names)] = rng.choice(NUMBERS)


def damage_list(fields: Fields, rng: Random) -> None:
    settings = (
        "parameters",
        "kernel",
        "stride",
        "padding",
        "scale",
    )  # those of schema 1 as fields
    names = ["shape", "process", "disturbed", "samples_s", *(n for n in settings if n in fields)]
    fields[rng.choice(names)] = rng.choice(LISTS)


def damage_samples(fields: Fields, rng: Random) -> None:
    samples = fields["samples_s"] or [1.0]
    fields["samples_s"] = samples
    how = rng.randrange(6)
    if rng.random() < 0.01:
        fields["samples_s"] = samples[:1] * rng.choice((50_000, 10**6))
    elif how == 0:
        samples[rng.randrange(len(samples))] = rng.choice(NUMBERS)
    elif how == 1:
        fields["samples_s"] = samples[: rng.choice((0, 1, 2, 3, 4, 5))]
    elif how == 2:
        factor = rng.choice((1e-12, 1e-3, 0.5, 3, 1e3, 1e12))
        fields["samples_s"] = [sample * factor for sample in samples]
    elif how == 3:
        fields["samples_s"] = [rng.choice((1e-15, 1e15)) for _ in samples]
    elif how == 4:
        fields["samples_s"] = samples * (2000 // len(samples))
        fields["process"] = list(range(len(fields["samples_s"])))
    else:
        fields["disturbed"] = [True] * len(samples)


def damage_time(fields: Fields, rng: Random) -> None:
    fields["time"] = rng.choice(TIMES)


def damage_fields(fields: Fields, rng: Random) -> None:
    how = rng.randrange(4)
    if how == 0:
        del fields[rng.choice(list(fields))]
    elif how == 1:
        fields[rng.choice(("new", "", "\x1b", "__class__"))] = rng.choice((1, {"a": []}, "x"))
    elif how == 2:
        fields["schema"] = rng.choice((0, 1, 2, 3, -1, 10**30, "1", None, 1.0, True))
    else:
        deep: Any = functools.reduce(lambda inner, _: [inner], range(300), 1)
        values = ({}, {"a": 1}, [[]], "x", 1, None, True, deep)
        fields[rng.choice(list(fields))] = rng.choice(values)


def damage_bytes(data: bytes, rng: Random) -> bytes:
    """Return what a file holds after something has gone wrong with all of it."""
    how, at = rng.randrange(14), rng.randrange(len(data) + 1)
    if how == 0:  # bits flipped
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 30))):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if how in (1, 2):  # cut off, or a part of it lost
        return data[:at] + (b"" if how == 1 else data[rng.randrange(at, len(data) + 1) :])
    if how == 3:
        return data[:at] + rng.choice((b"\0", b"\n", b"\r", b"\xff", b"\0" * 4096)) + data[at:]
    if how == 4:
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\0\n")))
    if how == 5:
        encoding = rng.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"))
        return data.decode(errors="replace").encode(encoding)
    if how == 6:
        packed = gzip.compress(data)
        return rng.choice((packed, packed + packed, packed + b"\0" * 9, packed + b"rubbish"))
    if how == 7:
        packed = gzip.compress(data)
        return packed[: rng.randrange(len(packed))]
    if how == 8:
        packed = bytearray(gzip.compress(data))
        packed[rng.randrange(len(packed))] ^= 0xFF
        return bytes(packed)
    if how == 9:
        return b"\x1f\x8b" + data
    if how == 10:  # a key twice
        twice = rb'"schema": \1, "threads": "x", "samples_s": [1]'
        return re.sub(rb'"schema": (\d)', twice, data, count=1)
    if how == 11:
        return data + rng.choice((b"[" * 10**5, b'{"a":' * 10**4, b"9" * 5000, b"{}", b"null"))
    if how == 12:  # in another order, or twice
        lines = data.splitlines(keepends=True)
        rng.shuffle(lines)
        return b"".join(lines + lines[: rng.randrange(len(lines) + 1)])
    return rng.choice((b"", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", data))


_ROW_DAMAGE: tuple[Callable[[Fields, Random], None], ...] = (
    *(damage_text, damage_text, damage_number, damage_list, damage_samples, damage_time),
    damage_fields,
)


@functools.cache
def committed_rows() -> list[Fields]:
    """Return the rows of all committed sweeps, with few samples: a file of them is quickly read."""
    files = sorted(SWEEPS.glob("*/*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    for row in rows:
        for name in ("samples_s", "process", "disturbed", "device_samples_s"):
            if row.get(name):
                del row[name][12:]
        for values in (row.get("conditions") or {}).values():
            del values[12:]
    return rows


def damaged_file(rng: Random) -> tuple[bytes, bytes]:
    """Return a file of rows, and the same one damaged."""
    rows = committed_rows()
    start = rng.randrange(len(rows))
    base = rows[start : start + rng.choice((1, 3, 6))]
    head = copy.deepcopy(base)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        # A field that is damaged already may be gone, or of another kind.
        with contextlib.suppress(KeyError, TypeError, ZeroDivisionError):
            rng.choice(_ROW_DAMAGE)(rng.choice(head), rng)
    both = [b"".join(json.dumps(row).encode() + b"\n" for row in side) for side in (base, head)]
    return both[0], damage_bytes(both[1], rng) if rng.random() < 0.4 else both[1]


def damaged_machine(rows: bytes, rng: Random) -> bytes:
    """Return the facts of the machine that rows are of, damaged."""
    machine = json.loads(rows.splitlines()[0])["machine"]
    facts = json.loads((SWEEPS / machine / "machine.json").read_bytes())
    for _ in range(rng.choice((1, 2, 4))):
        name = rng.choice(("cpu", "os", "caches", "gpus", "cpu_quota", *facts))
        value = rng.choice((rng.choice(TEXTS), rng.choice(NUMBERS), rng.choice(LISTS)))
        wrapped = (value, [value], {"L2": value}, {"\x1b[1m": value}, [{"\u202e": value}])
        facts[name] = rng.choice(wrapped)
    data = json.dumps(facts).encode()
    return damage_bytes(data, rng) if rng.random() < 0.3 else data


# --- what may not be -----------------------------------------------------------------------------


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1


def unprintable(text: str) -> str | None:
    """Return the first line with a control character in it."""
    lines = text.split("\n")
    return next((line for line in lines if not line.replace("\t", "").isprintable()), None)


def _slower_or_missing(base: bytes, head: bytes) -> bool:
    """Return whether the samples of any row of head are slower than in base, or are not there.

    Found in the bytes themselves, whatever the reader made of them.
    """
    try:
        head = gzip.decompress(head) if head.startswith(b"\x1f\x8b") else head
    except (OSError, EOFError):
        return True  # what can be read of it may be anything
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff", b"\xef\xbb\xbf")):
        encoding = json.detect_encoding(head)
        head = head.decode(encoding, "replace").encode("utf-8", "replace")
    medians: dict[str, float] = {}
    for line in base.splitlines():
        row = json.loads(line)
        if row["samples_s"]:
            medians[_case(row)] = statistics.median(row["samples_s"])
    for line in head.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            row = json.loads(line)
            before = medians.get(_case(row))
            failed = not row["samples_s"] or not row["checked"]
            if before is not None and (failed or statistics.median(row["samples_s"]) > before):
                return True
    return False


def _case(row: Fields) -> str:
    names = ("backend", "mode", "function", "operation", "shape", "dtype")
    settings = ("parameters", "kernel", "scale")
    return json.dumps([*(row[name] for name in names), *map(row.get, settings)])


def _stop_if_told(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + done.stderr).splitlines()
    return "\n".join([line for line in lines if not line.startswith("error: this is")][-9:])


def faults_of_compare(base: Path, head: Path) -> Iterator[str]:
    """Yield what is wrong with how ``compare`` takes two files."""
    done = run("compare", str(base), str(head), "--all")
    _stop_if_told(done)
    slower = done.returncode == 1 and _slower_or_missing(base.read_bytes(), head.read_bytes())
    if done.returncode not in ((0, 1, 2) if slower else (0, 2)):
        yield f"compare ends with {done.returncode}: {_last_words(done)}"
    line = unprintable(done.stdout + done.stderr)
    if line is not None:
        yield f"compare prints {line!r}"


def faults_of_report(head: Path, folder: Path, *, charts: bool) -> Iterator[str]:
    """Yield what is wrong with how ``report`` takes a file."""
    with contextlib.nullcontext() if charts else without_charts():
        done = run("report", str(head), "--to", str(folder))
    _stop_if_told(done)
    line = unprintable(done.stdout + done.stderr)
    if line is not None:
        yield f"report prints {line!r}"
    if done.returncode == 2 and not folder.exists():
        return
    if done.returncode:
        yield f"report ends with {done.returncode}: {_last_words(done)}"
    for name in ("report.html", "report.md", "report.csv", "decisions.csv"):
        text = (folder / name).read_text("utf-8")
        line = unprintable(text)
        if line is not None:
            yield f"{name} has the line {line[:200]!r}"
        if name.endswith(".html"):
            tags = _Tags(text).counts
            if tags["script"] != 4 or tags["img"]:
                yield f"{name} has tags that are not its own: {tags}"
        elif name.endswith(".csv"):
            cells = [cell for cells in csv.reader(text.splitlines()) for cell in cells]
            starts = (cell for cell in cells if cell.startswith(tuple("=+-@")))
            formula = next((cell for cell in starts if cell != "-0.0"), None)
            if formula is not None:
                yield f"{name} has the cell {formula!r}"


def fuzz(seed: int, numbers: Iterable[int], pages: float = PAGES, charts: float = CHARTS) -> int:
    """Damage the files of these numbers, print each new kind of fault, return how many."""
    told: Counter[str] = Counter()
    files = 0
    with tempfile.TemporaryDirectory() as name:
        for number in numbers:
            rng = Random(f"{seed}, {number}")  # any file is found again without those before it
            folder = Path(name, str(number))
            folder.mkdir()
            base, head = folder / "base.jsonl", folder / rng.choice(NAMES)
            files += 1
            for path, data in zip((base, head), damaged_file(rng), strict=True):
                path.write_bytes(data)
            try:
                faults = list(faults_of_compare(base, head))
                if rng.random() < pages:
                    facts = damaged_machine(base.read_bytes(), rng)
                    (folder / "machine.json").write_bytes(facts)
                    drawn = rng.random() < charts
                    faults += faults_of_report(head, folder / "report", charts=drawn)
            except Exception:
                faults = [traceback.format_exc()]
            for fault in faults:
                kind = fault.strip().splitlines()[-1][:50]
                told[kind] += 1
                if told[kind] == 1:
                    print(f"seed {seed}, file {number}: {fault}", flush=True)
    print(f"{files} files, {told.total()} faults of {len(told)} kinds; seed {seed}")
    return told.total()


def main() -> int:
    """Read the arguments, and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.rows", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=int, help="this file of the seed alone, with its page")
    options = parser.parse_args()
    one = options.file is not None
    numbers = [options.file] if one else range(options.files)
    shares = (1.0, 1.0) if one else (PAGES, CHARTS)
    return int(fuzz(options.seed, numbers, *shares) > 0)


if __name__ == "__main__":
    sys.exit(main())
