"""What a page carries with it, squeezed to base64: small, and no browser takes it for markup."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from unpool_xp.bench.rows.schema import Row

RAW_BYTES = 5_500_000  # of the rows in a page, squeezed and in base64
_ALL = "as they were read"
Samples = Callable[[list[float]], list[float]]


@dataclass(frozen=True)
class Packed:
    """The rows of a page.

    Attributes
    ----------
    text : str
        JSON lines, squeezed, in base64.
    count : int
        How many rows.
    samples : str
        What is left of their samples, in words.
    whole : bool
        Whether that is all of them.
    """

    text: str
    count: int
    samples: str
    whole: bool


def squeeze(data: bytes) -> str:
    """Return data gzipped, in base64."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: gzip, without the time of day
    return base64.b64encode(packer.compress(data) + packer.flush()).decode("ascii")


def squeeze_json(value: Any) -> str:
    """Return a value as JSON, squeezed; NaN and the infinities are not JSON."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return squeeze(text.encode("utf-8", "replace"))


def pack_rows(rows: Sequence[Row], most: int = RAW_BYTES) -> Packed:
    """Return rows to be carried by a page, in no more than so many bytes if that can be.

    Parameters
    ----------
    rows : sequence of Row
        All of them.
    most : int, optional
        Bytes of base64.

    Returns
    -------
    Packed
        With every row and every field. Where all samples are too much they are rounded, and
        where that is too much, few are kept, evenly from the smallest to the largest.
    """
    text = ""
    for samples, words in _WAYS:
        text = _packed(rows, samples, most) or ""
        if text:
            return Packed(text, len(rows), words, words == _ALL)
    # Without any sample: more rows than a page should have, which is no reason to lose one.
    return Packed(_packed(rows, _none, None) or "", len(rows), "left out", False)


def _packed(rows: Iterable[Row], samples: Samples, most: int | None) -> str | None:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts, size = [], 0
    for row in rows:
        line = json.dumps({**row, "samples_s": samples(row["samples_s"])}, separators=(",", ":"))
        part = packer.compress(line.encode("utf-8", "replace") + b"\n")
        parts.append(part)
        size += len(part)
        if most is not None and size * 4 > most * 3:  # soon known: the rest need not be squeezed
            return None
    text = base64.b64encode(b"".join([*parts, packer.flush()])).decode("ascii")
    return text if most is None or len(text) <= most else None


def _same(samples: list[float]) -> list[float]:
    return samples


def _none(samples: list[float]) -> list[float]:
    return []


def _rounded(samples: list[float]) -> list[float]:
    return [float(f"{sample:.4g}") for sample in samples]


def _spread(number: int) -> Samples:
    def few(samples: list[float]) -> list[float]:
        ordered, last = sorted(samples), len(samples) - 1
        if last >= number:
            ordered = [ordered[round(i * last / (number - 1))] for i in range(number)]
        return _rounded(ordered)

    return few


_WAYS: tuple[tuple[Samples, str], ...] = (
    (_same, _ALL),
    (_rounded, "rounded to four digits"),
    (_spread(9), "nine a row, evenly from the smallest to the largest"),
    (_spread(5), "five a row, evenly from the smallest to the largest"),
)
