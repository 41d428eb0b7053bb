"""Check common claims about unpooling against the rows and a photograph.

A new claim is one function that judges it by the rows, under its words in `_claim`.
"""

from __future__ import annotations

import inspect
import math
import statistics
from collections.abc import Callable, Iterable
from typing import NamedTuple

import unpool_xp
from unpool_xp.bench.cases.formatting import three_digits, times_text
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.report.ranked import (
    Contender,
    RankedCase,
    RankedMachine,
    verdict_between,
)
from unpool_xp.bench.rows.names import operation_text
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranked
from unpool_xp.gallery.scores import max_pool_scores

TRUE, PARTLY, FALSE, UNMEASURED = "true", "partly true", "not true", "not measured here"
_CHEAP_SHARE = 0.5  # of the speed of a plain copy: a call then takes no longer than two copies
_NOTABLE_SHARE = 0.1  # bytes of positions a byte of values
_UNPOOLING = ("nearest_unpool", "max_unpool", "linear_unpool", "fractional_max_unpool")
Findings = tuple[str, str]  # the verdict, and what was measured
Judge = Callable[[RankedMachine], Findings]


class ClaimVerdict(NamedTuple):
    """A claim, what it is measured by, and its verdict: TRUE, PARTLY, FALSE or UNMEASURED."""

    text: str
    measure: str
    verdict: str
    measured: str


_CLAIMS: list[tuple[str, str, Judge]] = []


def _claim(text: str, measure: str) -> Callable[[Judge], Judge]:
    """Make a function the judge of a claim."""

    def register(judge: Judge) -> Judge:
        _CLAIMS.append((text, measure, judge))
        return judge

    return register


def judge_claims(machine: RankedMachine) -> list[ClaimVerdict]:
    """Judge every claim, in the order of this file, by the cases of one machine."""
    return [ClaimVerdict(text, measure, *judge(machine)) for text, measure, judge in _CLAIMS]


# --- times ---------------------------------------------------------------------------------------


@_claim(
    "Nearest is the quickest and simplest",
    "Time of the methods at the same output, on every backend",
)
def _nearest_is_quickest(machine: RankedMachine) -> Findings:
    groups = [g for g in _group_by_output(machine.cases) if "nearest_unpool" in g and len(g) > 1]
    if not groups:
        return UNMEASURED, "No backend has nearest and another method at the same output size."
    first = sum(
        not any(_is_slower(group["nearest_unpool"], other) for other in group.values())
        for group in groups
    )
    means = _mean_ratios(
        (name, timed.seconds / group["nearest_unpool"].seconds)
        for group in groups
        for name, timed in group.items()
        if name != "nearest_unpool"
    )
    times = ", ".join(f"{name} {mean}" for name, mean in sorted(means.items()))
    return _verdict_of_share(first, len(groups)), (
        f"Nothing was quicker in {first} of {len(groups)} comparisons at the same output. "
        f"Time over nearest (geometric mean): {times}."
    )


def _fractional_costs_more(machine: RankedMachine) -> tuple[str | None, str]:
    groups = [g for g in _group_by_output(machine.cases) if "fractional_max_unpool" in g]
    pairs = [
        (group["fractional_max_unpool"], group[name])
        for group in groups
        for name in ("nearest_unpool", "max_unpool")
        if name in group
    ]
    if not pairs:
        return None, "Its time beside nearest and max at the same output was not measured."
    more = sum(_is_slower(*pair) for pair in pairs)
    means = _mean_ratios(
        (quick.row.operation, slow.seconds / quick.seconds) for slow, quick in pairs
    )
    words = ", ".join(f"{mean} that of {name}" for name, mean in means.items())
    text = f"It took longer in {more} of {len(pairs)} comparisons: {words}, in the geometric mean."
    return _verdict_of_share(more, len(pairs)), text


def _is_slower(one: Ranked, other: Ranked) -> bool:
    return one is not other and verdict_between(one, other) is Verdict.SLOWER


def _group_by_output(cases: Iterable[RankedCase]) -> list[dict[str, Ranked]]:
    """Return the portable methods with the same output, backend and mode, by operation."""
    groups: dict[tuple[object, ...], dict[str, Ranked]] = {}
    for case in cases:
        known = case.outputs if "unpool" in case.first_row.operation else None
        for timed in case.timed:
            if known and timed.row.implementation == "portable":
                key = (Contender.of(timed.row), next(iter(known.values())))
                found = groups.setdefault(key, {})
                before = found.get(case.operation)  # two kernels can lead to the same output
                if before is None or timed.seconds < before.seconds:
                    found[case.operation] = timed
    return list(groups.values())


def _mean_ratios(ratios: Iterable[tuple[str, float]]) -> dict[str, str]:
    """Return the geometric mean of the ratios of each name, in words."""
    found: dict[str, list[float]] = {}
    for name, ratio in ratios:
        found.setdefault(name, []).append(ratio)
    return {name: times_text(statistics.geometric_mean(some)) for name, some in found.items()}


def _verdict_of_share(number: int, of: int) -> str:
    return TRUE if number == of else PARTLY if 2 * number > of else FALSE


# --- pictures ------------------------------------------------------------------------------------


@_claim(
    "Max unpooling keeps more of the detail than nearest",
    "PSNR and SSIM to the picture before pooling, and the error at the maxima",
)
def _max_keeps_more(machine: RankedMachine) -> Findings:
    found = max_pool_scores()
    pairs = [(ways["max_unpool"], ways["nearest_unpool"]) for ways in found.values()]
    closer = sum(ours.psnr > theirs.psnr and ours.ssim > theirs.ssim for ours, theirs in pairs)
    words = "; ".join(
        f"stride {stride}: {ways['max_unpool'].psnr:.1f} against "
        f"{ways['nearest_unpool'].psnr:.1f} dB, "
        f"SSIM {ways['max_unpool'].ssim:.2f} against {ways['nearest_unpool'].ssim:.2f}"
        for stride, ways in found.items()
    )
    errors = max(shown.error_at_maxima for pair in pairs for shown in pair)
    return _verdict_of_share(closer, len(pairs)), (
        f"Max against nearest, on a photograph. {words}. Largest error of either at the maxima: "
        f"{errors:g}. Only max unpooling keeps where the maxima were."
    )


@_claim(
    "With a large stride or kernel the result is blocky",
    "Steps across window borders against the stride",
)
def _large_strides_are_blocky(machine: RankedMachine) -> Findings:
    found = max_pool_scores()
    strides = sorted(found)
    shown = {name: [found[s][name].blockiness for s in strides] for name in found[strides[0]]}
    rising = [name for name, values in shown.items() if values == sorted(values) and values[-1] > 2]
    words = "; ".join(
        f"{name} {', '.join(f'{v:.1f}' for v in values)}" for name, values in shown.items()
    )
    verdict = TRUE if len(rising) == len(shown) else PARTLY if rising else FALSE
    return verdict, (
        f"Blockiness at strides {', '.join(map(str, strides))}, where 1 shows no windows: {words}. "
        f"It grows with the stride for {', '.join(rising) or 'none'}."
    )


@_claim(
    "Fractional gives smoother output, at a higher cost",
    "Total variation; time over nearest and max",
)
def _fractional_is_smoother(machine: RankedMachine) -> Findings:
    found = max_pool_scores()
    pairs = [
        (w["fractional_max_unpool"].variation, w["nearest_unpool"].variation)
        for w in found.values()
    ]
    smoother = _verdict_of_share(sum(a < b for a, b in pairs), len(pairs))
    words = "; ".join(f"{a:.2f} against {b:.2f}" for a, b in pairs)
    costlier, cost = _fractional_costs_more(machine)
    text = f"Total variation, fractional against nearest: {words}. {cost}"
    if costlier is None:
        return UNMEASURED, f"{text} Smoother: {smoother}."
    same = smoother == costlier
    return smoother if same else PARTLY, text


# --- memory and parameters -----------------------------------------------------------------------


@_claim("Storing positions costs memory", "Bytes of indices beside values; peak memory")
def _positions_cost_memory(machine: RankedMachine) -> Findings:
    ratios = set()
    for case in machine.cases:
        if case.operation == "max_pool" and case.outputs and len(case.outputs) == 2:
            values, indices = (numpy_dtype(dtype).itemsize for _, dtype in case.outputs.values())
            ratios.add((indices / values, case.first_row.dtype))
    if not ratios:
        return UNMEASURED, "There is no row of max_pool."
    words = ", ".join(f"{three_digits(ratio)}x those of {dtype}" for ratio, dtype in sorted(ratios))
    verdict = TRUE if min(ratios)[0] >= _NOTABLE_SHARE else FALSE
    text = f"Bytes of the positions beside the values: {words}; int32 would take half of it, "
    return verdict, text + f"one byte a window fits up to 16x16. {_peak_memory_text(machine)}"


def _peak_memory_text(machine: RankedMachine) -> str:
    """Return what max pooling adds at its peak, beside the pooling that keeps no positions."""
    peaks: dict[tuple[object, ...], dict[str, int]] = {}
    for row in (timed.row for case in machine.cases for timed in case.timed):
        if row.peak_bytes and row.implementation == "portable":
            key = (Contender.of(row), row.dtype, str(row.shape), str(row.parameters))
            peaks.setdefault(key, {})[operation_text(row)] = row.peak_bytes
    pairs = [p for p in peaks.values() if {"max_pool", "avg_pool"} <= p.keys()]
    if not pairs:
        return "Peak memory was not measured here (sweep --memory)."
    ratio = statistics.geometric_mean(pair["max_pool"] / pair["avg_pool"] for pair in pairs)
    return (
        f"Peak memory of max_pool over avg_pool: {three_digits(ratio)}x, over {len(pairs)} cases."
    )


@_claim("Unpooling is cheap", "Share of the machine's copy bandwidth, beyond the caches")
def _unpooling_is_cheap(machine: RankedMachine) -> Findings:
    best: dict[str, tuple[int, float]] = {}
    timed = [case for case in machine.cases if case.operation in _UNPOOLING and case.timed]
    beyond = [case for case in timed if not machine.is_in_cache(case.timed[0].row)]
    if timed and not beyond:
        return UNMEASURED, "The data of every unpooling that was timed fits into a cache."
    for case in beyond:
        limit = machine.limit(case, case.timed[0].row.device)
        if limit and case.bytes_moved >= best.get(case.operation, (0,))[0]:
            best[case.operation] = (case.bytes_moved, case.timed[0].gb_s / limit)
    if not best:
        return UNMEASURED, "No unpooling was timed on a device whose copy was timed too."
    shares = ", ".join(f"{name} {share:.0%}" for name, (_, share) in sorted(best.items()))
    cheap = sum(share >= _CHEAP_SHARE for _, share in best.values())
    verdict = TRUE if cheap == len(best) else PARTLY if cheap else FALSE
    return verdict, (
        f"Share of a plain copy's speed, the best backend at the largest size: {shares}. "
        f"Counted as cheap from {_CHEAP_SHARE:.0%} on."
    )


@_claim("Unpooling adds trainable parameters, and with them cost and overfitting", "Their number")
def _adds_parameters(machine: RankedMachine) -> Findings:
    functions = inspect.getmembers(unpool_xp, inspect.isfunction)
    trained = [name for name, f in functions if "weight" in inspect.signature(f).parameters]
    without = [name for name in _UNPOOLING if name not in trained]
    rows = [case.first_row for case in machine.cases if case.operation in trained]
    if rows:
        counts = sorted({_weight_count(row) for row in rows})
        span = three_digits(counts[0]) if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
        text = f"{', '.join(trained)}: {span} weights in these cases (in x out x kernel). "
    else:
        text = f"{', '.join(trained)} alone takes weights; no case of it was measured. "
    return PARTLY if without else TRUE, (
        text + f"{', '.join(without)}: none, and so nothing there to overfit. "
        "What training makes of them is beyond a benchmark."
    )


def _weight_count(row: Row) -> int:
    # What nobody measured may have anything here.
    kernel, out_channels = row.parameters.get("kernel"), row.parameters.get("out_channels")
    sizes = [n for n in kernel if isinstance(n, int)] if isinstance(kernel, list) else []
    channel = len(row.shape) - len(sizes) - 1
    channels = row.shape[channel] if 0 <= channel < len(row.shape) else 1
    return channels * (out_channels if isinstance(out_channels, int) else 1) * math.prod(sizes)
