"""The grid over machines: cases go to the workers of a dask.distributed cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cluster.coordinator import ClusterError, ClusterSummary, ClusterSweep
from unpool_xp.bench.cluster.files import MachineFiles
from unpool_xp.bench.measure.sweep import Progress

if TYPE_CHECKING:
    import distributed

__all__ = ["ClusterError", "ClusterSummary", "connect", "run_cluster_sweep"]

WORKER_TIMEOUT_SECONDS = 60.0
_CONNECT_SECONDS, _MIN_CONNECT_SECONDS = 20.0, 1.0


def run_cluster_sweep(
    cases: Sequence[Case],
    labels: Sequence[str] | None,
    *,
    scheduler: str | distributed.Client,
    folder: str | Path,
    run: str,
    modes: Callable[[str], Sequence[str]] = lambda label: ("eager",),
    threads: Sequence[int] = (),
    share: bool = False,
    resume: bool = False,
    retry_failed: bool = False,
    check_unchanged: bool = False,
    progress: Callable[[Progress], None] = lambda at: None,
    note: Callable[[str], None] = lambda text: None,
    worker_timeout_s: float = WORKER_TIMEOUT_SECONDS,
    **options: Any,
) -> ClusterSummary:
    """Measure cases on the machines of a cluster; append rows to one file per machine.

    Parameters
    ----------
    cases : sequence of Case
        What to measure.
    labels : sequence of str or None
        On which backends. None: on each machine all that it has, but for array_api_strict.
    scheduler : str or distributed.Client
        The cluster: an address such as "tcp://10.0.0.1:8786", or a client, which stays open.
    folder : str or Path
        Rows go to ``<folder>/<machine>/<run>.jsonl``, the machine's facts beside them.
    run : str
        The run's name, the same on all machines.
    modes : callable, optional
        From a label to the modes to measure it in, such as `Preset.modes`. Default: eager.
    threads : sequence of int, optional
        As in `bench.measure.sweep.run_sweep`.
    share : bool, optional
        Whether each cell is measured once, on whichever machine is free. Default: every machine
        measures all that it can. Machines of one fingerprint share their cells in any case.
    resume : bool, optional
        Whether to leave out what the files have a row for. Those that only say that a worker was
        lost are measured again.
    retry_failed : bool, optional
        Whether to measure again whatever has only a row without a time.
    check_unchanged : bool, optional
        Whether to refuse to resume where a worker has other code than its machine's rows.
    progress : callable, optional
        Called after each case.
    note : callable, optional
        Called with each note as it comes up.
    worker_timeout_s : float, optional
        Seconds to wait for a worker that can measure what is left, once none is there; and for
        the scheduler, but for that 20 at most.
    **options
        `rounds`, `cell_s`, `race`, `timeout_s` and `memory`, as in
        `bench.measure.rounds.measure_case`.

    Returns
    -------
    ClusterSummary
        How many were measured, failed, and left out.

    Raises
    ------
    ValueError
        If there is no case or no label, or the run has rows and `resume` is false.
    ClusterError
        If `distributed` is not installed, the scheduler cannot be reached, there is no worker, or
        none has a backend that `labels` names; or `check_unchanged` finds a change.
    KeyboardInterrupt
        On Ctrl-C, with a note on how far it came. Every row is whole.
    SweepUnwritableError
        If a row cannot be written; nothing more is measured.
    """
    if not cases or (labels is not None and not labels):
        raise ValueError(f"run_cluster_sweep: cases={cases!r}, labels={labels!r} must not be empty")
    files = MachineFiles(Path(folder), run, retry_failed=retry_failed)
    if files.paths and not resume:
        raise ValueError(f"run_cluster_sweep: run={run!r} has rows; resume it, or name another")
    client = connect(scheduler, worker_timeout_s) if isinstance(scheduler, str) else scheduler
    try:
        sweep = ClusterSweep(
            client,
            cases,
            labels,
            modes,
            files,
            share,
            options,
            worker_timeout_s,
            progress,
            note,
            threads,
        )
        with files:
            return sweep.run(resume, check_unchanged=check_unchanged)
    finally:
        if client is not scheduler:
            client.close()  # type: ignore[no-untyped-call]


def connect(address: str, seconds: float = _CONNECT_SECONDS) -> distributed.Client:
    """Return a client of a scheduler; a ClusterError that names it where there is none in time."""
    seconds = min(max(seconds, _MIN_CONNECT_SECONDS), _CONNECT_SECONDS)
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            'a sweep over machines needs dask.distributed: pip install "unpool-xp[cluster]"'
        ) from error
    try:
        # A client that has not found its scheduler takes twice as long to close.
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop that runs
            thread.submit(asyncio.run, _greet(address, seconds)).result()
        # Not the default: dask arrays of this process are none of the cluster's business.
        return distributed.Client(  # type: ignore[no-untyped-call]
            address, timeout=seconds, set_as_default=False
        )
    except Exception as error:  # of the address, the name service, the network, TLS
        text = " ".join(str(error).split()) or f"no answer in {seconds:g} s"
        message = f"no scheduler answers at {address!r}, which is to be like tcp://10.0.0.1:8786"
        raise ClusterError(f"{message}: {text}") from error


async def _greet(address: str, seconds: float) -> None:
    """Connect to a scheduler, and hang up."""
    from distributed import Security
    from distributed.comm.core import connect as connect_to

    arguments = Security().get_connection_args("client")  # type: ignore[no-untyped-call]
    connecting = connect_to(address, timeout=seconds, **arguments)  # type: ignore[no-untyped-call]
    comm = await asyncio.wait_for(connecting, seconds)  # some accept, and say nothing
    comm.abort()
