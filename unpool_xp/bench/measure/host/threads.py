"""How many threads the libraries start: as many as were chosen, or as a container has CPU time for.

Libraries count cores. With as many threads as cores and a quota of a few, the kernel stops all of
them for the rest of each period, in the middle of a call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from unpool_xp import workers
from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.measure.host.cgroup import cpu_quota

# The libraries that read one of these go by OMP_NUM_THREADS where theirs is not set.
_LIKE_OPENMP = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
_OTHERS = (
    "VECLIB_MAXIMUM_THREADS",
    "PJRT_NPROC",  # JAX
    "DASK_NUM_WORKERS",
    "TORCHINDUCTOR_COMPILE_THREADS",  # processes, in fact
)


def thread_limit() -> int | None:
    """Return how many threads the CPU quota allows, or None where all cores can be used."""
    quota = cpu_quota()
    threads = None if quota is None else max(1, math.ceil(quota))
    return threads if threads is not None and threads < usable_cores() else None


def thread_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process whose libraries are to start no more threads than useful.

    Parameters
    ----------
    environment : mapping of str to str
        The variables that are set; what the user has set stays.

    Returns
    -------
    dict of str to str
        The same where there is no quota, or one of all cores.
    """
    limit = thread_limit()
    if limit is None:
        return dict(environment)
    names = [*_OTHERS]
    if "OMP_NUM_THREADS" not in environment:
        names += ["OMP_NUM_THREADS", *_LIKE_OPENMP]
    if "NPROC" in environment:  # JAX reads it where its own is not set
        names.remove("PJRT_NPROC")
    return {**dict.fromkeys(names, str(limit)), **environment}


def chosen_environment(
    environment: Mapping[str, str], library: str, threads: int
) -> dict[str, str]:
    """Return the variables for a process whose library is to compute with that many threads.

    What the user has set gives way to the number. Dask's threads share out the chunks, so each of
    them has one of BLAS; NumPy itself has threads for its products alone, so it gets our workers.
    """
    on_blas = 1 if library == "dask" else threads
    names = ("OMP_NUM_THREADS", *_LIKE_OPENMP, "VECLIB_MAXIMUM_THREADS")
    own = dict.fromkeys(("PJRT_NPROC", "DASK_NUM_WORKERS"), str(threads))
    if library == "numpy":
        own[workers.VARIABLE] = str(threads)
    return {**environment, **dict.fromkeys(names, str(on_blas)), **own}
