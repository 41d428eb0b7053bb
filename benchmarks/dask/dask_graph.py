"""What the graphs of arrays in chunks cost: ``python benchmarks/dask/dask_graph.py [CHUNKS ...]``.

For each number of chunks a Markdown table: tasks for each chunk of the output, and microseconds
for each to build the graph, to optimize it, and to run it on chunks so small that little but the
scheduling takes time, which includes a task to make each chunk of the input. `map_blocks` of Dask
itself stands beside.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np

import unpool_xp as ux

SIDE = 4  # cells of a chunk along each spatial axis
COLUMNS = ("chunks", "operation", "tasks per chunk", "build", "optimize", "run")


def calls(x: Any) -> dict[str, Callable[[], list[Any]]]:
    """Return the operations that are measured, by name."""

    def there_and_back() -> list[Any]:
        return [ux.max_unpool(*ux.max_pool(x, 2), 2)]

    return {
        "map_blocks": lambda: [x.map_blocks(np.negative)],
        "avg_pool": lambda: [ux.avg_pool(x, 2)],
        "max_pool": lambda: list(ux.max_pool(x, 2)),
        "max_pool + max_unpool": there_and_back,
        "linear_unpool, halo": lambda: [ux.linear_unpool(x, 2)],
        "avg_pool 3x3, halo": lambda: [ux.avg_pool(x, 3, stride=1, padding=1)],
    }


def measure(make: Callable[[], list[Any]], scheduler: str) -> tuple[int, int, list[float]]:
    """Return the tasks, the chunks of an output, and the seconds of each step."""
    gc.collect()
    times = [time.perf_counter()]
    arrays = make()
    times.append(time.perf_counter())
    keys = [array.__dask_keys__() for array in arrays]
    graph = dask.highlevelgraph.HighLevelGraph.merge(*(array.dask for array in arrays))
    optimized = da.optimization.optimize(graph, keys)
    times.append(time.perf_counter())
    dask.persist(*arrays, scheduler=scheduler, optimize_graph=False)
    times.append(time.perf_counter())
    tasks = len(graph)
    del optimized
    return tasks, arrays[0].npartitions, list(np.diff(times))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("chunks", nargs="*", type=int, default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--scheduler", default="synchronous", choices=["synchronous", "threads"])
    options = parser.parse_args()
    print("Microseconds for each chunk of the output.\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --: | --- |" + " --: |" * 4)
    for count in options.chunks:
        side = max(math.isqrt(count), 1)
        # Not persisted: to start with chunks in memory is quadratic in Dask's local schedulers.
        x = da.zeros((1, 1, side * SIDE, side * SIDE), chunks=(1, 1, SIDE, SIDE))
        given = len(x.dask)
        for name, make in calls(x).items():
            tasks, outputs, seconds = measure(make, options.scheduler)
            cost = " | ".join(f"{1e6 * each / outputs:.0f}" for each in seconds)
            print(
                f"| {side**2:,} | {name} | {(tasks - given) / outputs:.1f} | {cost} |", flush=True
            )


if __name__ == "__main__":
    main()
