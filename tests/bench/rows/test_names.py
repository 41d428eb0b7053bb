"""What rows are called."""

from __future__ import annotations

from tests.support.rows import make_row
from unpool_xp.bench.rows.names import name_of_case, settings_text


def test_settings_name_what_is_there():
    row = make_row(padding=[1, 0], scale=[1.5, 2], out_channels=4)
    expected = "kernel 2x2, stride 2x2, padding 1x0, scale 1.5x2, out channels 4, float32"
    assert settings_text(row) == expected


def test_a_row_of_no_known_case_has_a_name_too():
    assert name_of_case(make_row()) == "max_pool-1x8x32x32-k2x2-s2x2-float32"
    strange = {"operation": "roll", "shape": [3], "kernel": None, "stride": None}
    assert name_of_case(make_row(**strange)) == "roll 3, float32"
