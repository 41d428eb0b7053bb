"""Time one case on all its backends in interleaved rounds, each in several processes.

The turns go to and fro (A B C C B A), so that a machine that slows down slows all of them. One
process is one draw of memory and threads, so there are several, one after the other.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.interleaver import BESIDE, Contenders, Interleaver
from unpool_xp.bench.measure.measurement import Cell, Measurement
from unpool_xp.bench.measure.pools import Pool
from unpool_xp.bench.measure.timer import to_and_fro

ROUNDS = 4  # in a process
PROCESSES = 5  # of each backend, where there is no budget
CELL_SECONDS = 0.3
TIMEOUT_SECONDS = 180.0
_MIN_ROUNDS = 2  # in a process, whatever they take
_RACE_SAMPLES = 3  # as many as a verdict needs
# Fewer processes are enough for a cell that takes long.
_ENOUGH_PROCESSES, _LONG_CELL_SECONDS = 3, 5.0
_MIN_TIMEOUT_SECONDS = 30.0  # where the budget is shorter: a call is waited for


def measure_case(
    pools: Sequence[Pool],
    case: Case,
    cells: Sequence[Cell],
    budget_s: float | None = None,
    *,
    rounds: int = ROUNDS,
    cell_s: float = CELL_SECONDS,
    timeout_s: float = TIMEOUT_SECONDS,
    race: bool = False,
    memory: bool | Callable[[Case, Cell], bool] = False,
    limit: bool = True,
    until: float = math.inf,
    grace_s: float = 0.0,
    contenders: Contenders | None = None,
    stopped: Callable[[dict[Cell, Measurement]], None] = lambda measured: None,
) -> dict[Cell, Measurement]:
    """Measure a case with each of the cells, in turns, in several processes one after the other.

    Parameters
    ----------
    pools : sequence of Pool
        The workers; of each pool one process per backend.
    case : Case
        What to measure.
    cells : sequence of Cell
        With what, in this order; where the budget ends, the last ones are left out.
    budget_s : float, optional
        Seconds for everything, the start of the workers included. A call that takes longer than
        what is left is still waited for. Default: `cell_s` seconds of samples for each cell.
    rounds : int, optional
        The number of turns of each cell in each process.
    cell_s : float, optional
        Seconds of samples for each cell, where there is no budget.
    race : bool, optional
        Whether the first process takes three samples of each cell and times the copies, and later
        ones take one of each cell that is not slower for sure. `rounds` and `cell_s` do not count.
    timeout_s : float, optional
        How long a worker may take for a request, before it is ended.
    memory : bool or callable, optional
        Whether to measure the peak memory as well, each in a new process; or a function of the case
        and the cell that decides.
    limit : bool, optional
        Whether to time a plain copy of as many bytes as well.
    until : float, optional
        The moment of `time.monotonic` at which everything ends: cells that have no samples by
        then have failed, and a worker that is still busy is ended.
    grace_s : float, optional
        Seconds that are waited beyond `until` while no cell has a sample.
    contenders : callable, optional
        For a race with a budget: returns, for what was measured so far, the cells to sample
        further. The rounds go on until the budget is spent, or one is left. Default: all.
    stopped : callable, optional
        Called with what was measured so far where a KeyboardInterrupt ends it.

    Returns
    -------
    dict of Cell to Measurement
        A failed cell has ``checked`` false, a reason in ``error``, and no samples.
    """
    end = math.inf if budget_s is None else time.monotonic() + budget_s
    if budget_s is not None:
        timeout_s = min(timeout_s, max(budget_s, _MIN_TIMEOUT_SECONDS))
    interleaver = Interleaver(case, cells, timeout_s, until, contenders, grace_s)
    left_out = {"copy": not limit, "cold": race}
    interleaver.kinds = [what for what in BESIDE if not left_out.get(what)]
    try:
        for process, pool in enumerate(pools):
            now = interleaver.clock()
            if process and (now >= end or interleaver.is_over):
                break
            if contenders and process:
                decided = process >= _ENOUGH_PROCESSES and len(interleaver.in_race(cells)) < 2
                if decided or now + interleaver.ready_s >= end:
                    break
            # All cells take part in the first process of a race, so it may use the whole budget.
            parts = 1 if contenders and not process else len(pools) - process
            share = None if budget_s is None else (end - now) / parts
            if race:
                _race_in_process(interleaver, pool, process)
            else:
                _measure_in_process(interleaver, pool, process, rounds, cell_s / len(pools), share)
        if memory and not interleaver.is_over:
            wanted = memory if callable(memory) else lambda case, cell: True
            checked = [cell for cell in cells if interleaver.measured[cell].checked]
            interleaver.measure_peaks([cell for cell in checked if wanted(case, cell)])
    except KeyboardInterrupt:
        stopped(interleaver.results(stopped=True))
        raise
    return interleaver.results()


def _measure_in_process(
    interleaver: Interleaver,
    pool: Pool,
    process: int,
    rounds: int,
    cell_s: float,
    budget_s: float | None,
) -> None:
    start = interleaver.clock()
    racing = interleaver.contenders is not None
    least, beside = (_RACE_SAMPLES, 1) if racing and not process else (_MIN_ROUNDS, _MIN_ROUNDS)
    for cell in interleaver.enter(pool, process):
        if interleaver.is_over:
            break
        if process >= _ENOUGH_PROCESSES and interleaver.spent_s[cell] > _LONG_CELL_SECONDS:
            continue
        # The start of the workers and the checks may take two thirds; the rest is for samples.
        in_time = budget_s is None or interleaver.clock() - start < budget_s * 2 / 3
        is_first = racing and not process and not interleaver.open
        if in_time or is_first:  # one late answer is better than none
            interleaver.prepare(cell)
    interleaver.ready_s = interleaver.clock() - start
    if budget_s is None:
        deadline = interleaver.clock() + cell_s * len(interleaver.open)
    elif racing and not process:  # the rest is for those still in the race
        deadline = start + budget_s / 2
    else:
        deadline = start + budget_s
    for round_number in itertools.count():
        now, order = interleaver.clock(), interleaver.in_race(interleaver.open)
        finished = len(order) < 2 if racing else round_number >= rounds
        if not order or interleaver.is_over:
            break
        if round_number >= min(least, rounds) and (finished or now >= deadline):
            break
        share = max(deadline - now, 0.0) / max(rounds - round_number, 1) / len(order)
        for cell in to_and_fro(order, round_number):
            # Its worker may be lost by now.
            if cell in interleaver.open and not interleaver.is_over:
                interleaver.sample(cell, share)
        if round_number < beside:
            interleaver.sample_beside()
    interleaver.close()


def _race_in_process(interleaver: Interleaver, pool: Pool, process: int) -> None:
    for cell in interleaver.enter(pool, process):
        if not interleaver.is_over:
            interleaver.prepare(cell)
    for cell in to_and_fro(list(interleaver.open), process):
        if cell in interleaver.open and not interleaver.is_over:
            interleaver.sample(cell, 0.0, least=1 if process else _RACE_SAMPLES)
    if not process:
        interleaver.sample_beside()
    interleaver.drop_slower()
    interleaver.close()
