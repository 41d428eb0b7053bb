"""Sizes as users give them, and the drawn regions."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.support.expectations import fails, whole
from unpool_xp._plan import arguments, fractional
from unpool_xp._plan.fractional import draw_region_starts

HALF = Fraction(1, 2)


# --- the rank rule -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_tuple_acts_on_as_many_axes_as_it_has_entries(kind: Any) -> None:
    shape = (2, 3, 4, 5)
    for rank in range(1, 5):
        assert arguments.spatial_rank("pool", shape, a=None, b=kind((1,) * rank), c=2) == rank
    for rank in (0, 5, 6):
        size = kind((1,) * rank)
        said = f"pool: b={size!r} acts on {rank} axes, out of 4 (array of shape {shape})"
        with fails(ValueError, said):
            arguments.spatial_rank("pool", shape, b=size)


def test_the_first_size_that_is_given_decides() -> None:
    assert arguments.spatial_rank("pool", (3,) * 5, a=(1, 1), b=(1,), c=7) == 2
    assert arguments.spatial_rank("pool", (3,) * 5, a=None, b=7, c=(1,)) == 3
    assert arguments.spatial_rank("pool", (3,) * 5, a=None) == 3  # no size: as_int says so


def test_ints_act_on_all_axes_after_the_first_two() -> None:
    for length in range(3, 7):
        rank = arguments.spatial_rank("pool", (3,) * length, a=None, b=2)
        assert rank == length - 2
        assert whole(rank)
    for length in range(3):
        said = (
            "pool: b=2 is an int, which acts on every axis after the first two, and there is none"
        )
        shape = (3,) * length
        with fails(ValueError, said, f"one entry for each spatial axis (array of shape {shape})"):
            arguments.spatial_rank("pool", shape, a=None, b=2, c=3)


def test_a_tuple_of_another_length_is_named() -> None:
    for value in ((), (1,), [2, 2, 2]):
        said = f"={value!r} must be one number or have 2 entries, one for each spatial axis"
        with fails(ValueError, f"pool: a{said} (array of shape (9, 9, 9))"):
            arguments.per_axis("pool", "a", value, 2, (9, 9, 9), minimum=1)
        with fails(ValueError, f"pool: output_size{said}, or 3 as a full shape (array of"):
            arguments.per_axis("pool", "output_size", value, 2, (9, 9, 9), minimum=1)
        with fails(ValueError, f"pool: a{said} (array"):
            arguments.factors_per_axis("pool", "a", value, 2, (9, 9, 9))
        with fails(ValueError, f"pool: padding{said} (array"):
            arguments.padding_pairs("pool", value, 2, (9, 9, 9), (5, 5))


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_full_shape_loses_its_leading_entries(kind: Any) -> None:
    def spatial(value: Any, rank: int, *leads: tuple[int, ...]) -> Any:
        return arguments.without_lead("pool", value, (2, 3, 4, 5), rank, *leads)

    for rank in range(1, 5):
        full = (2, 3, 4, 5)[: 4 - rank] + (7,) * rank
        assert spatial(kind(full), rank) == kind((7,) * rank)
    for other in (None, 7, (7,), (7, 7), [7, 7, 7], (7,) * 5):
        assert spatial(other, 2) is other  # no full shape
    assert spatial((2, np.int64(3), 7, 7), 2) == (7, 7)
    for wrong in ((3, 2, 7, 7), (2, 4, 7, 7), (1, 3, 7, 7)):
        said = "is a full shape, whose leading entries must be (2, 3) (array of shape (2, 3, 4, 5))"
        with fails(ValueError, f"pool: output_size={kind(wrong)!r} {said}"):
            spatial(kind(wrong), 2)
    assert spatial((2, 4, 7, 7), 2, (2, 3), (2, 4)) == (7, 7)
    with fails(ValueError, "whose leading entries must be (2, 3) or (2, 4) (array of shape"):
        spatial((2, 5, 7, 7), 2, (2, 3), (2, 4))
    for inner in (2.0, True, "2"):
        with fails(TypeError, "pool: output_size must be an int or a tuple of ints, got"):
            spatial((inner, 3, 7, 7), 2)


def test_an_empty_axis_is_named_where_it_is_a_spatial_one() -> None:
    assert arguments.spatial_rank("pool", (0, 0, 1), a=1) == 1
    assert arguments.spatial_rank("pool", (0, 1, 2), a=(1, 1)) == 2
    cases = [((0, 1, 0), {"a": 1}, 2), ((0, 2, 1, 0), {"a": (1, 1)}, 3)]
    cases += [((0, 0, 0, 0), {"a": 1}, 2), ((0, 0, 0), {"a": (1,) * 3}, 0)]
    for shape, sizes, axis in cases:
        with fails(ValueError, f"pool: spatial axis {axis} is empty (array of shape {shape})"):
            arguments.spatial_rank("pool", shape, **sizes)


# --- one entry for each axis ---------------------------------------------------------------------


class Index:
    """What is no int, but has `__index__`."""

    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), Index()])
def test_what_counts_is_an_int(value: Any) -> None:
    assert whole(arguments.as_int("pool", "a", value, (5,)))
    assert arguments.as_int("pool", "a", value, (5,)) == 3


@pytest.mark.parametrize("name", ["SymInt", "_DimExpr"])
def test_a_symbol_of_pytorch_or_jax_keeps_its_values(name: str) -> None:
    symbol = type(name, (Index,), {})()
    assert arguments.as_int("pool", "a", symbol, (5,)) is symbol


@pytest.mark.parametrize(
    "value",
    [True, np.True_, 3.0, np.float64(3), "3", None, (3,), np.ones(2), np.array(3), Fraction(3)],
)
def test_what_does_not_count_is_no_int(value: Any) -> None:
    said = f"pool: a must be an int or a tuple of ints, got {value!r} (array of shape (5, 6))"
    with fails(TypeError, said):
        arguments.as_int("pool", "a", value, (5, 6))


@pytest.mark.parametrize("least", [-1, 0, 1, 4])
def test_entries_are_at_least_the_least(least: int) -> None:
    def entries(value: Any, rank: int) -> tuple[int, ...]:
        return arguments.per_axis("pool", "a", value, rank, (7, 8), minimum=least)

    assert entries(least, 3) == (least,) * 3
    assert entries([least + 2, np.int32(least)], 2) == (least + 2, least)
    for wrong in (least - 1, (least, least - 1), [least - 1, least], (least - 9, least + 9)):
        said = f"pool: a={wrong!r} must be >= {least} on every axis (array of shape (7, 8))"
        with fails(ValueError, said):
            entries(wrong, 2)
    with fails(TypeError, "pool: a must be an int or a tuple of ints, got 1.0"):
        entries((5, 1.0), 2)


def test_paddings_become_pairs() -> None:
    def pairs(value: Any, *extents: int) -> Any:
        return arguments.padding_pairs("pool", value, len(extents), (7, 8), extents)

    assert pairs(1, 2, 3) == ((1, 1), (1, 1))
    assert pairs((0, 2), 1, 3) == ((0, 0), (2, 2))
    assert pairs([(0, 2), [1, 0], 3], 3, 2, 4) == ((0, 2), (1, 0), (3, 3))
    assert pairs(((np.int64(1), 0),), 2) == ((1, 0),)
    assert whole(*itertools.chain(*pairs(((np.int64(1), 0),), 2)))
    for extent in (1, 2, 5):
        last = extent - 1
        assert pairs(((last, 0), (0, last)), extent, extent) == ((last, 0), (0, last))
        for wrong in (
            *((extent, 0), (0, extent), (-1, 0), (0, -1), (extent + 1, -1), (last, extent)),
            *((-1, last), (extent, -1), (extent + 1, last)),
        ):
            value = (0, wrong)
            said = f"pool: padding={value!r} must be >= 0 and smaller than the effective kernel"
            with fails(ValueError, said, f" dilation*(k-1)+1 = {extent} (array of shape (7, 8))"):
                pairs(value, 9, extent)
    for wrong in ((), (1,), (1, 1, 1)):
        said = (
            f"pool: padding={(wrong, 0)!r} has an entry that is no (before, after) pair (array of"
        )
        with fails(ValueError, said):
            pairs((wrong, 0), 9, 9)
    for inner in (1.0, (0, True), ("1", 0)):
        with fails(TypeError, "pool: padding must be an int", "got", "(array of shape (7, 8))"):
            pairs((inner, 0), 9, 9)


@pytest.mark.parametrize(
    "value", [0.5, 2, 1e-9, 1e300, np.float32(0.5), np.int64(7), Fraction(1, 3), Decimal("0.1")]
)
def test_a_factor_is_a_positive_number(value: Any) -> None:
    assert arguments.factors_per_axis("pool", "a", value, 2, (7,)) == (float(value),) * 2
    assert arguments.factors_per_axis("pool", "a", [value, 3], 2, (7,)) == (float(value), 3.0)
    assert type(arguments.factors_per_axis("pool", "a", value, 1, (7,))[0]) is float


@pytest.mark.parametrize(
    "value", [0, 0.0, -0.5, -1, -3.0, math.inf, -math.inf, math.nan, 10**400, Decimal("sNaN")]
)
def test_a_factor_that_cannot_be_is_named(value: Any) -> None:
    for given in (value, (2.0, value), [value, 2.0]):
        said = f"pool: a={given!r} must be positive and finite (array of shape (7,))"
        with fails(ValueError, said):
            arguments.factors_per_axis("pool", "a", given, 2, (7,))


@pytest.mark.parametrize(
    "value", [True, np.True_, "2", b"2", 2j, np.complex64(2), None, (2.0,), np.array(2.0), Index()]
)
def test_what_is_no_number_is_no_factor(value: Any) -> None:
    for given in ([value, 2.0], (2.0, value)):
        said = (
            f"pool: a must be a number or a tuple of numbers, got {given!r} (array of shape (7,))"
        )
        with fails(TypeError, said):
            arguments.factors_per_axis("pool", "a", given, 2, (7,))


def test_a_choice_is_one_of_the_known() -> None:
    arguments.check_choice("pool", "a", "x", ("x", "y"))
    arguments.check_choice("pool", "a", "y", ("x", "y"))
    with fails(ValueError, "pool: a='z' is not one of x, y"):
        arguments.check_choice("pool", "a", "z", ("x", "y"))


# --- the drawn regions of a fractional pooling ---------------------------------------------------


def starts_by_hand(n: int, k: int, out: int, u: float) -> list[int]:
    """Graham's regions (arXiv 1412.6071) in PyTorch's form, one by one."""
    if out == 1:
        return [n - k]
    step = (n - k) / (out - 1)
    return [int((i + u) * step) - int(u * step) for i in range(out - 1)] + [n - k]


def regions(lead: Any, plane: Any, kernel: Any, out: Any, samples: Any, seed: Any = None) -> Any:
    return draw_region_starts("pool", (lead, plane, kernel, out), samples, seed)


@pytest.mark.parametrize("u", [0.0, 0.1, 0.5, 0.75, math.nextafter(1, 0)])
def test_regions_start_where_the_definition_says(u: float) -> None:
    for n, k in itertools.product(range(1, 12), range(1, 5)):
        for out in range(1, n - k + 2):
            (starts,) = regions((3,), (n,), (k,), (out,), [u])
            assert starts.dtype == np.int32
            assert starts.tolist() == starts_by_hand(n, k, out, u)
            # Next to 1, i + u is rounded to i + 1.
            assert len(set(starts.tolist())) == out or u > 0.9
            assert 0 <= starts.min() <= starts.max() == n - k


def test_each_plane_and_axis_has_its_own_samples() -> None:
    samples = np.random.default_rng(1).random((2, 3, 2))
    sizes = (9, 12), (2, 3), (4, 5)
    rows, columns = regions((2, 3), *sizes, samples)
    assert (rows.shape, columns.shape) == ((2, 3, 4), (2, 3, 5))
    for i, j in np.ndindex(2, 3):
        assert rows[i, j].tolist() == starts_by_hand(9, 2, 4, samples[i, j, 0])
        assert columns[i, j].tolist() == starts_by_hand(12, 3, 5, samples[i, j, 1])
    shared = regions((2, 3), *sizes, [0.25, 0.75])
    assert [axis.tolist() for axis in shared] == [
        starts_by_hand(9, 2, 4, 0.25),
        starts_by_hand(12, 3, 5, 0.75),
    ]


def test_a_seed_draws_for_each_plane() -> None:
    sizes = (4, 5), (40,), (2,), (9,)
    (once,) = regions(*sizes, None, 7)
    (again,) = regions(*sizes, None, 7)
    (other,) = regions(*sizes, None, 8)
    assert once.shape == (4, 5, 9)
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert len({tuple(starts) for starts in once.reshape(20, 9).tolist()}) > 1
    samples = np.random.default_rng(7).random((4, 5, 1))
    assert np.array_equal(once, regions(*sizes, samples)[0])
    (drawn,), (anew,) = regions(*sizes, None), regions(*sizes, None)
    assert not np.array_equal(drawn, anew)


def test_samples_that_cannot_be_are_named() -> None:
    sizes = (2, 3), (9, 9), (2, 2), (4, 4)
    for seed in (0, 5):
        with fails(ValueError, f"pool: give either samples or seed, got seed={seed} and samples"):
            regions(*sizes, [0.5, 0.5], seed)
    for shape in ((), (1,), (3,), (1, 2), (2, 3), (3, 2), (2, 3, 1), (2, 2, 3)):
        said = f"pool: samples must have the shape (2,) or (2, 3, 2), got {shape}"
        with fails(ValueError, said):
            regions(*sizes, np.zeros(shape))
    for wrong in (-1e-9, -1.0, 1.0, 1.5, math.nan, math.inf):
        for samples in ([0.0, wrong], [0.5, wrong], [wrong, 0.5], [wrong, 2.0]):
            with fails(ValueError, f"pool: samples must lie in [0, 1), got {wrong}"):
                regions(*sizes, samples)
    for no_numbers in ("ab", [[0.5], [0.5, 0.5]], [0.5, object()]):
        with fails(TypeError, "pool: samples must be numbers on the host: "):
            regions(*sizes, no_numbers)


def test_regions_are_constant_for_torch_compile() -> None:
    # What torch.compiler.assume_constant_result would set; test_compiled.py shows what for.
    assert draw_region_starts._dynamo_marked_constant is True  # type: ignore[attr-defined]


# --- padding by name, full shapes, seeds ----------------------------------------------------------


def test_padding_by_name_is_what_the_windows_exceed_the_axis_by() -> None:
    sides = {
        "same": ((0, 1), (0, 0), (1, 1), (1, 2)),
        "same_lower": ((1, 0), (0, 0), (1, 1), (2, 1)),
    }
    for name, wanted in sides.items():
        pads = arguments.padding_pairs("pool", name, 4, (6, 8, 7, 5), (3, 1, 4, 4), (1, -1, 2, 3))
        assert pads == wanted
        assert whole(*itertools.chain(*pads))
    with fails(ValueError, "pool: padding='valid' is not one of same, same_lower"):
        arguments.padding_pairs("pool", "valid", 1, (6,), (3,), (1,))


def test_a_full_shape_is_cut_to_its_spatial_part() -> None:
    cut = arguments.without_lead
    assert cut("pool", (2, 3, 8, 9), (2, 3, 4, 5), 2) == (8, 9)
    assert cut("pool", [2, 3, 8], (2, 3, 4), 1) == [8]
    assert cut("pool", (2, 6, 9), (2, 3, 4), 1, (2, 3), (2, 6)) == (9,)
    same: Any
    for same in (8, None, (8, 9), [8, 9], (3, 8, 9)):
        assert cut("pool", same, (2, 3, 4, 5) if same != [8, 9] else (4, 5), 2) is same
    said = "pool: output_size=(3, 2, 9) is a full shape, whose leading entries must be"
    with fails(ValueError, said, "(2, 3) (array of shape (2, 3, 4))"):
        cut("pool", (3, 2, 9), (2, 3, 4), 1)
    with fails(ValueError, said, "(2, 3) or (2, 6) (array of"):
        cut("pool", (3, 2, 9), (2, 3, 4), 1, (2, 3), (2, 6))
    said = "pool: output_size must be an int or a tuple of ints, got 2.0 (array of shape (2, 3, 4))"
    with fails(TypeError, said):
        cut("pool", (2.0, 3, 9), (2, 3, 4), 1)


def test_a_seed_is_a_whole_number_from_0_on() -> None:
    sizes = (2, 3), (9, 9), (2, 2), (4, 4)
    with fails(ValueError, "pool: seed=-1 must be >= 0 (array of shape (2, 3, 9, 9))"):
        regions(*sizes, None, -1)
    with fails(TypeError, "pool: seed must be an int", "got 1.5 (array of shape (2, 3, 9, 9))"):
        regions(*sizes, None, 1.5)
    assert all(
        np.array_equal(*both)
        for both in zip(regions(*sizes, None, 0), regions(*sizes, None, np.int8(0)), strict=True)
    )


def test_long_axes_are_drawn_in_pieces() -> None:
    (starts,) = regions((), (200_001,), (2,), (100_000,), [0.3])
    assert starts.tolist() == starts_by_hand(200_001, 2, 100_000, 0.3)
    for n, dtype in ((2**31 - 1, np.int32), (2**31, np.int64), (2**32, np.int64)):
        (starts,) = regions((), (n,), (1,), (3,), [0.3])
        assert (starts.dtype, starts.tolist()) == (dtype, starts_by_hand(n, 1, 3, 0.3))


def test_the_plan_of_drawn_regions() -> None:
    sizes = fractional.FractionalPoolSizes((2,), (9, 7), (3, 2), (4, 3))
    plan = fractional.plan_regions(sizes, regions(*sizes, [0.3, 0.6]))
    rows, columns = plan.axes
    assert (rows.axis, rows.size, rows.kernel_size, rows.flat_stride) == (-2, 9, 3, 7)
    assert (columns.axis, columns.size, columns.kernel_size, columns.flat_stride) == (-1, 7, 2, 1)
    assert (rows.count, rows.output, rows.extent, rows.origin) == (4, 4, 3, 0)
    assert (plan.plane, plan.flat_extent) == ((9, 7), 2 * 7 + 1)
    start, stop, part = rows.part(1, 3)
    assert (start, stop) == (rows.starts[1], rows.starts[2] + 3)
    assert (part.origin, part.size, part.count) == (start, stop - start, 2)
    assert (part.starts + start).tolist() == rows.starts[1:3].tolist()
    assert part.part(1, 2)[2].origin == rows.starts[2]
    assert rows.of_planes((slice(1),)) is rows  # all planes have the same
    drawn = fractional.plan_regions(sizes, regions(*sizes, [[0.1, 0.6], [0.9, 0.6]])).axes[0]
    start, stop, part = drawn.part(1, 3)
    assert (start, stop) == (drawn.starts[:, 1].min(), drawn.starts[:, 2].max() + 3)
    assert drawn.of_planes((slice(1, 2),)).starts.tolist() == drawn.starts[1:].tolist()
