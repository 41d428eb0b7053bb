"""Numbers, sizes and tables as text."""

from __future__ import annotations

import pytest

from unpool_xp.bench.cases.formatting import (
    bytes_text,
    interval_text,
    markdown_table,
    seconds_text,
    three_digits,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.5, "1.50 s"),
        (123.4, "123 s"),
        (0.99949, "999 ms"),
        (0.9996, "1.00 s"),
        (1.234e-3, "1.23 ms"),
        (9.996e-5, "100 µs"),
        (5e-9, "5.00 ns"),
        (1e-12, "0.00100 ns"),
    ],
)
def test_times_have_three_digits_and_a_unit(seconds, text):
    assert seconds_text(seconds) == text


def test_words_say_where_samples_are_too_few():
    assert interval_text(0.0, float("inf"), 1.0) == "too few samples"
    assert interval_text(9.9e-4, 1.2e-3, 1e-3) == "0.990 to 1.20 ms"
    assert three_digits(12345.6) == "12,346"


def test_sizes_have_a_unit():
    assert [bytes_text(n) for n in (0, 1023, 1024, 3 * 2**20, 2**31)] == [
        *("0 B", "1,023 B", "1.00 KiB", "3.00 MiB", "2.00 GiB")
    ]


def test_a_table_in_markdown_holds_what_would_end_its_cells():
    lines = markdown_table(
        ("a", "b"), [["a | b\n| c `d` [e](f)", "<i> _x_ max_pool \x1b"]], align="lr"
    )
    assert lines == [
        *("| a | b |", "|---|--:|"),
        r"| a \| b \| c \`d\` \[e\](f) | &lt;i&gt; \_x\_ max_pool ? |",
    ]
