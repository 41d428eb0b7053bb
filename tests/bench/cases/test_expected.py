"""Outputs are checked against the reference, as far as time allows."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest

import unpool_xp
from tests.support.cases import SMALL, result
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError

ids = [case.name for case in SMALL]


def check(case: Case, outputs: list[np.ndarray], **options: bool) -> str:
    return ExpectedOutputs(case, case.arrays()).check(outputs, **options)


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_what_is_right_passes_whole(case: Case) -> None:
    assert check(case, result(case)) == "all"


@pytest.mark.parametrize("case", SMALL, ids=ids)
@pytest.mark.parametrize("place", [0, -1])
def test_one_wrong_element_is_found_and_named(case: Case, place: int) -> None:
    for number, name in enumerate(case.outputs):
        outputs = result(case)
        outputs[number].reshape(-1)[place] += 1
        last = [n - 1 if place else 0 for n in outputs[number].shape]
        with pytest.raises(MismatchError, match=re.escape(f"{name}{last} is ")):
            check(case, outputs)


def test_a_wrong_dtype_shape_number_or_nan_is_found() -> None:
    case = SMALL[0]
    values, indices = result(case)
    for outputs, message in [
        ([values.astype(np.float64), indices], "values has dtype float64, should be float32"),
        ([values, indices.astype(np.float64)], "indices has dtype float64, should be int64"),
        ([values[:1], indices], r"values has shape \(1, 3, 4, 5\), should be \(2, 3, 4, 5\)"),
        ([values], "1 outputs, should be 2"),
        ([values * np.float32(np.nan), indices], "is nan"),
    ]:
        with pytest.raises(MismatchError, match=message):
            check(case, outputs)
    assert check(case, [values, indices.astype(np.int32)]) == "all"
    assert check(case, [values], values_only=True) == "all"


def test_what_is_computed_may_be_rounded_and_no_more() -> None:
    for case in SMALL:
        if not case.definition.tolerance(case) or case.dtype != "float32":
            continue
        (good,) = result(case)
        largest = max(np.abs(good).max(), 1)
        assert check(case, [good + np.float32(0.9e-5 * largest)]) == "all"
        with pytest.raises(MismatchError, match="elements looked at differ, by up to"):
            check(case, [good + np.float32(2e-5 * largest)])


def test_a_large_output_is_held_at_planes_the_first_and_the_last_among_them() -> None:
    case = Case("max_pool", (4, 8, 32, 32), kernel=2)
    oracle = ExpectedOutputs(case, case.arrays(), 5e-3)
    assert oracle.check(result(case)) == "planes"
    assert {0, 31} <= set(oracle.planes)
    assert len(oracle.planes) < 32
    for plane in (0, 31):
        outputs = result(case)
        outputs[1].reshape(32, -1)[plane, 7] += 1
        with pytest.raises(MismatchError, match=re.escape(f"indices[{plane // 8}, {plane % 8},")):
            oracle.check(outputs)


def test_a_huge_plane_is_held_at_its_first_and_last_rows() -> None:
    for case in (
        Case("max_pool", (2, 3, 31, 32), kernel=3, stride=2, padding=1),
        Case("max_unpool", (2, 3, 2000), kernel=2),
        Case("linear_unpool", (2, 3, 31, 32), scale=2.3),
        Case("conv_transpose", (2, 3, 31, 32), kernel=3, stride=2, padding=1, out_channels=2),
    ):
        oracle = ExpectedOutputs(case, case.arrays(), 1e-3)
        assert oracle.check(result(case)) == "reduced"
        rows = case.output_shape[-case.rank]
        assert oracle.row_ranges[0][0] == 0
        assert oracle.row_ranges[1][1] == rows
        assert oracle.row_ranges[0][1] < oracle.row_ranges[1][0]
        for place in (0, -1):
            outputs = result(case)
            outputs[-1].reshape(-1)[place] += 1
            with pytest.raises(MismatchError):
                oracle.check(outputs)


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_any_rows_of_the_oracle_are_those_of_the_whole(case: Case) -> None:
    oracle, arrays = case.definition.partial_reference, case.arrays()
    assert oracle is not None
    rows = case.output_shape[-case.rank]
    whole = oracle(case, arrays, [0, 1], (0, rows))
    tolerance = 1e-14 if case.definition.tolerance(case) else 0
    for low in range(rows):
        for high in range(low + 1, rows + 1):
            for got, want in zip(oracle(case, arrays, [0, 1], (low, high)), whole, strict=True):
                # What is computed in another order may differ in the last digit of float64.
                np.testing.assert_allclose(got, want[:, low:high], rtol=0, atol=tolerance)


def test_a_transposed_convolution_is_checked_without_a_copy_of_its_input_for_each_plane() -> None:
    case = Case("conv_transpose", (3, 64, 16, 16), kernel=3, stride=2, out_channels=8)
    arrays = case.arrays()
    planes, rows = [*range(18), 23], (1, 33)  # of the last item fewer than of the others
    tracemalloc.start()
    reference = case.definition.partial_reference
    assert reference is not None
    (found,) = reference(case, arrays, planes, rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = unpool_xp.conv_transpose(*(array.astype("f8") for array in arrays.values()), stride=2)
    wanted = whole.reshape(24, *case.output_plane)[planes, 1:33]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    assert peak < 10 * arrays["x"].nbytes  # a few copies, in 64 bits; it was 24
