"""Which answers share a line, and what the line says of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rows import failed_row, native, timed
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.decisions import CSV_COLUMNS, Decision, decide
from unpool_xp.bench.verdicts.ranking import by_workload, rank


def decided(*rows: Row) -> list[Decision]:
    return decide([rank(group) for group in by_workload(rows).values()])


def at(size: int, *rows: tuple[str, float], **more: Any) -> list[Row]:
    """Return rows of one size: a name such as "numpy" or "torch:cpu own fast", and its time."""
    size_of = {"shape": [1, 1, size, size], "bytes_moved": 1024 * size, "spread": 1e-4} | more
    made = []
    for name, seconds in rows:
        backend, _, function = name.partition(" own ")
        one = native(backend, seconds, function, **size_of) if function else None
        made.append(one or timed(backend, seconds, **size_of))
    return made


def test_neighbouring_sizes_of_the_same_answer_are_one_line() -> None:
    rows = [
        *at(1, ("numpy", 1.0), ("dask", 2.0)),
        *at(4, ("numpy", 1.0), ("dask", 4.0)),
        *at(16, ("numpy", 3.0), ("dask", 1.0)),
    ]
    small, large = decided(*rows)
    assert [small.use, large.use] == ["numpy", "dask"]
    assert [small.size_text, large.size_text] == ["1.00 to 4.00 KiB", "16.0 KiB"]
    assert small.next is not None
    assert small.next.names == ("dask",)
    assert small.next.ratios == pytest.approx((2, 4), rel=0.02)
    assert (small.next.least_text, small.next.text) == ("2.00x", "2.00 to 4.00x")
    assert small.sure_text == "100 %"


def test_a_tie_is_no_change_of_the_answer() -> None:
    rows = [
        *at(1, ("numpy", 1.0), ("dask", 2.0)),
        *at(4, ("numpy", 1.01), ("dask", 1.0)),
        *at(16, ("numpy", 1.0), ("dask", 3.0)),
    ]
    (line,) = decided(*rows)
    assert line.use == "numpy"
    assert line.next is not None
    assert line.next.text == "0.990 to 3.00x ="
    assert line.share_best is not None
    assert line.share_best < 0.5  # where it is tied


def test_each_decoder_has_lines_of_its_own_by_its_name() -> None:
    def of(name: str, batch: int, *layers: str) -> dict[str, Any]:
        parameters = {"name": name, "layers": [{"operation": layer} for layer in layers]}
        return {"operation": "decoder", "shape": [batch, 2, 4, 4], "parameters": parameters}

    rows = [
        *at(4, ("numpy", 1.0), ("dask", 2.0), **of("unet", 1, "one")),
        *at(16, ("numpy", 2.0), ("dask", 4.0), **of("unet", 4, "one")),
        *at(4, ("numpy", 1.0), ("dask", 2.0), **of("segnet", 1, "one", "two")),
    ]
    segnet, unet = decided(*rows)
    assert [segnet.operation, unet.operation] == ["decoder segnet", "decoder unet"]
    assert len(unet.cases) == 2
    (settings,) = segnet.settings
    assert settings.startswith("2layers~")


def test_few_samples_are_marked() -> None:
    (line,) = decided(*at(1, ("numpy", 1.0), ("dask", 2.0), n=2))
    assert line.next is not None
    assert line.next.text == line.next.least_text == "2.00x ?"


def test_the_portable_one_is_named_where_a_native_wins() -> None:
    times = ("torch:cpu own fast", 1.0), ("torch:cpu", 1.5), ("numpy", 1.2)
    (line,) = decided(*at(1, *times))
    assert line.use == "torch:cpu own fast"
    assert line.portable is not None
    assert line.portable.names == ("numpy",)
    assert line.portable.text == "1.20x"
    (line,) = decided(*at(1, *times[:1]))
    assert (line.portable, line.next) == (None, None)
    (line,) = decided(*at(1, *times[1:]))
    assert line.portable is None


def test_other_settings_join_a_line_where_its_answer_holds_for_them_too() -> None:
    main = [*at(1, ("numpy", 1.0), ("dask", 2.0)), *at(16, ("numpy", 2.0), ("dask", 1.0))]
    alike = at(20, ("numpy", 3.0), ("dask", 1.0), kernel=[3, 3])
    unlike = at(2, ("numpy", 3.0), ("dask", 1.0), kernel=[4, 4])
    lines = decided(*main, *alike, *unlike)
    assert [(line.use, len(line.cases)) for line in lines] == [
        ("numpy", 1),
        ("dask", 1),
        ("dask", 2),
    ]
    assert lines[1].settings == ("kernel 4x4, stride 2x2, float32",)
    assert lines[2].settings == (
        "kernel 2x2, stride 2x2, float32",
        "kernel 3x3, stride 2x2, float32",
    )
    assert lines[2].size_text == "16.0 to 20.0 KiB"


def test_cases_without_a_time_are_told() -> None:
    fail = [failed_row("crash", bytes_moved=n) for n in (7, 2048)]
    fine, nothing = decided(*at(1, ("numpy", 1.0)), fail[0])
    assert (fine.use, nothing.use) == ("numpy", None)
    assert (nothing.size_text, nothing.sure_text, nothing.next) == ("7 B", "", None)
    assert decided() == []


def test_a_line_of_the_csv_file_has_every_column_that_it_knows() -> None:
    (line,) = decided(*at(1, ("numpy own f", 1.0), ("numpy", 2.0)), *at(4, ("numpy own f", 3.0)))
    cells = line.as_csv()
    assert set(cells) <= set(CSV_COLUMNS)
    known = {
        "use": "numpy own f",
        "cases": 2,
        "shape_from": "1x1x1x1",
        "shape_to": "1x1x4x4",
        "bytes_from": 1024,
        "bytes_to": 4096,
        "seconds_to": pytest.approx(3, rel=0.01),
    }
    assert {name: cells[name] for name in known} == known
    assert "next" not in cells  # the larger size has none
    (line,) = decided(*at(1, ("numpy own f", 1.0), ("numpy", 2.0)))
    cells = line.as_csv()
    assert set(cells) == set(CSV_COLUMNS)
    assert cells["portable_low"] == cells["next_high"] == pytest.approx(2, rel=0.02)
    assert cells["next_verdict"] == "slower"
