"""The grid over machines: cases go to the workers of a dask.distributed cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_CONNECT_SECONDS = 20.0


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
    progress : callable, optional
        Called after each case.
    note : callable, optional
        Called with each note as it comes up.
    worker_timeout_s : float, optional
        Seconds to wait for a worker that can measure what is left, once none is there.
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
        none has a backend that `labels` names.
    SweepInterrupted
        On Ctrl-C.
    SweepUnwritableError
        If a row cannot be written; nothing more is measured.
    """
    if not cases or (labels is not None and not labels):
        raise ValueError(f"run_cluster_sweep: cases={cases!r}, labels={labels!r} must not be empty")
    files = MachineFiles(Path(folder), run)
    if files.done and not resume:
        raise ValueError(f"run_cluster_sweep: run={run!r} has rows; resume it, or name another")
    client = connect(scheduler) if isinstance(scheduler, str) else scheduler
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
            return sweep.run(resume)
    finally:
        if client is not scheduler:
            client.close()  # type: ignore[no-untyped-call]


def connect(address: str) -> distributed.Client:
    """Return a client of a scheduler; a ClusterError that names it where there is none."""
    try:
        import distributed
    except ImportError as error:
        raise ClusterError(
            'a sweep over machines needs dask.distributed: pip install "unpool-xp[cluster]"'
        ) from error
    try:
        # Not the default: dask arrays of this process are none of the cluster's business.
        return distributed.Client(  # type: ignore[no-untyped-call]
            address, timeout=_CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(f"no scheduler answers at {address!r}: {error}") from error
